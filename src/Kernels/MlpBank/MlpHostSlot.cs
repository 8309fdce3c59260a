using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>One network after another in the same memory: an epoch allocates nothing.</summary>
internal sealed class MlpHostSlot<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Matrix<T> _x, _y;
    private readonly MlpBankOptions _options;
    private readonly int _dropoutBlocks;
    private readonly MlpOptimiser<T> _optimiser;
    private readonly MlpTargetScale<T> _scale;
    private readonly MlpTargetRange<T> _range;
    private readonly T[] _bestParameters;
    private readonly T[][] _bestMeans, _bestVariances;
    private readonly int[] _targetRows;
    private bool _kept;

    public MlpHostSlot(CpuDevice cpu, Matrix<T> x, Matrix<T> y, MlpBankOptions options, int dropoutBlocks)
    {
        (_x, _y, _options, _dropoutBlocks) = (x, y, options, dropoutBlocks);
        Network = new MlpNetwork<T>(cpu, x.Columns, options.Hidden, y.Columns, Math.Min(options.Batch, x.Rows));
        _optimiser = new MlpOptimiser<T>(cpu, Network.Parameters.Length);
        _scale = new MlpTargetScale<T>(y.Columns);
        _range = new MlpTargetRange<T>(y.Columns);
        _bestParameters = new T[Network.Parameters.Length];
        _bestMeans = Array.ConvertAll(Network.Norms, n => new T[n.Width]);
        _bestVariances = Array.ConvertAll(Network.Norms, n => new T[n.Width]);
        _targetRows = new int[x.Rows];
    }

    public MlpNetwork<T> Network { get; }

    public void Start(MlpTask task)
    {
        _range.Fit(_y, task.Rows.AsSpan(0, task.Fitted), task.Order, _scale);
        Network.Initialise(ref task.Random);
        _optimiser.Reset();
        (task.Steps, _kept) = (0, false);
    }

    public void Epoch(MlpTask task, float kept, uint threshold)
    {
        for (int first = 0; first < task.Fitted; first += _options.Batch)
        {
            int count = Math.Min(_options.Batch, task.Fitted - first);
            if (count < 2) break;
            Drop(task, count, T.CreateTruncating(kept), threshold);
            Network.Backpropagate(_x, _y, task.Rows.AsSpan(first, count), TargetRows(task, first, count), _scale);
            _optimiser.Step(Network, task.LearningRate, _options.WeightDecay, _options.GradientClip);
            task.Steps++;
        }
        double sum = 0;
        for (int first = task.Fitted; first < task.Count; first += _options.Batch)
        {
            int count = Math.Min(_options.Batch, task.Count - first);
            sum += Network.EvaluateError(_x, _y, task.Rows.AsSpan(first, count), TargetRows(task, first, count), _scale);
        }
        task.ValidationError = sum;
    }

    public void Keep()
    {
        _kept = true;
        Network.Parameters.View.Host.CopyTo(_bestParameters);
        for (int l = 0; l < _bestMeans.Length; l++)
        {
            Network.Norms[l].RunningMean.CopyTo(_bestMeans[l], 0);
            Network.Norms[l].RunningVariance.CopyTo(_bestVariances[l], 0);
        }
    }

    public void Finish(MlpTask task)
    {
        if (_kept) Recall();
        task.Errors.AsSpan().Clear();
        for (int first = task.Count; first < task.Rows.Length; first += _options.Batch)
        {
            ReadOnlySpan<int> rows = task.Rows.AsSpan(first, Math.Min(_options.Batch, task.Rows.Length - first));
            MatrixView<T> output = Network.Predict(_x, rows);
            for (int i = 0; i < rows.Length; i++) _range.AddErrors(output.Row(i), _y.Row(task.Order[rows[i]]), _options.ClipMargin, task.Errors);
        }
    }

    public void Dispose()
    {
        Network.Dispose();
        _optimiser.Dispose();
    }

    /// <summary>The rows of the targets that belong to these rows.</summary>
    private ReadOnlySpan<int> TargetRows(MlpTask task, int first, int count)
    {
        for (int i = 0; i < count; i++) _targetRows[i] = task.Order[task.Rows[first + i]];
        return _targetRows.AsSpan(0, count);
    }

    private void Drop(MlpTask task, int count, T kept, uint threshold)
    {
        for (int layer = 0; layer < Network.Keep.Length; layer++)
        {
            Matrix<T> keep = Network.Keep[layer];
            if (threshold == 0)
            {
                keep.Buffer.View.Host.Fill(T.One);
                continue;
            }
            for (int i = 0; i < count; i++)
            {
                ulong position = (((ulong)task.Steps * 2 + (uint)layer) * (uint)_options.Batch + (uint)i) * (uint)_dropoutBlocks;
                CounterRandom random = new(_options.Seed, task.DropoutStream, position);
                foreach (ref T value in keep.Row(i)) value = random.NextUInt32() < threshold ? T.Zero : kept;
            }
        }
    }

    private void Recall()
    {
        _bestParameters.CopyTo(Network.Parameters.View.Host);
        for (int l = 0; l < _bestMeans.Length; l++)
        {
            _bestMeans[l].CopyTo(Network.Norms[l].RunningMean, 0);
            _bestVariances[l].CopyTo(Network.Norms[l].RunningVariance, 0);
        }
    }
}
