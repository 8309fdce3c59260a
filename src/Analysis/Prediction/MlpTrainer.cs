using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Which model: a run, a permutation (0 for none) and a fold decide every random number of it.</summary>
internal readonly record struct MlpModel(int Run, int Permutation, int Fold)
{
    private const ulong Stream = 0x6D6CUL << 48;

    public CounterRandom Random(ulong seed) => new(seed, Stream | ((ulong)(uint)Run << 36) | ((ulong)(uint)Permutation << 12) | (uint)Fold);
}

/// <summary>Trains one model after another in the same memory: an epoch allocates nothing.</summary>
internal sealed class MlpTrainer : IDisposable
{
    private readonly MlpOptions _options;
    private readonly PredictionFolds _folds;
    private readonly Matrix<float> _x, _y;
    private readonly MlpNetwork<float> _network;
    private readonly MlpOptimiser<float> _optimiser;
    private readonly MlpTargetScale<float> _scale;
    private readonly float[] _bestParameters, _least, _most;
    private readonly float[][] _bestMeans, _bestVariances;
    private readonly double[] _means, _deviations;
    private readonly int[] _order, _rows, _targetRows;
    private CounterRandom _random;

    /// <param name="x">Features [n, p].</param>
    /// <param name="y">Targets [n, G].</param>
    /// <param name="folds">Folds of the rows.</param>
    /// <param name="options">Protocol.</param>
    public MlpTrainer(Matrix<float> x, Matrix<float> y, PredictionFolds folds, MlpOptions options)
    {
        (_x, _y, _folds, _options) = (x, y, folds, options);
        CpuDevice cpu = x.Device.Host;
        _network = new MlpNetwork<float>(cpu, x.Columns, options.Hidden, y.Columns, options.Batch);
        _optimiser = new MlpOptimiser<float>(cpu, _network.Parameters.Length);
        _scale = new MlpTargetScale<float>(y.Columns);
        _bestParameters = new float[_network.Parameters.Length];
        _bestMeans = Array.ConvertAll(_network.Norms, n => new float[n.Width]);
        _bestVariances = Array.ConvertAll(_network.Norms, n => new float[n.Width]);
        (_least, _most, _means, _deviations) = (new float[y.Columns], new float[y.Columns], new double[y.Columns], new double[y.Columns]);
        (_order, _rows, _targetRows) = ([.. Enumerable.Range(0, x.Rows)], new int[x.Rows], new int[x.Rows]);
    }

    /// <summary>Epochs of the last model.</summary>
    public int Epochs { get; private set; }

    /// <summary>Trains a model on its fold's training rows and adds its squared errors on the test rows to <paramref name="errors"/>, one sum per target.</summary>
    public void Train(MlpModel model, Span<double> errors, CancellationToken cancel)
    {
        RowPermutations.Fill(_options.Seed, model.Permutation, _order);
        Fit(model, errors, cancel);
    }

    /// <summary>The same with given rows of the targets instead of the model's permutation.</summary>
    internal void TrainOn(ReadOnlySpan<int> order, MlpModel model, Span<double> errors, CancellationToken cancel)
    {
        order.CopyTo(_order);
        Fit(model, errors, cancel);
    }

    private void Fit(MlpModel model, Span<double> errors, CancellationToken cancel)
    {
        int rows = Start(model, out int fitted);
        double best = double.PositiveInfinity;
        int bestEpoch = 0;
        for (Epochs = 0; Epochs < _options.Epochs && Epochs - bestEpoch < _options.Patience; Epochs++)
        {
            cancel.ThrowIfCancellationRequested();
            TrainEpoch(fitted, LearningRate(_options, Epochs));
            double error = ValidationError(fitted, rows);
            if (!(error < best)) continue;
            (best, bestEpoch) = (error, Epochs);
            Keep();
        }
        Recall();
        AddTestErrors(model.Fold, errors);
    }

    /// <summary>torch.optim.lr_scheduler.CosineAnnealingLR, a step per epoch.</summary>
    internal static double LearningRate(MlpOptions options, int epoch) =>
        options.FinalLearningRate + (options.LearningRate - options.FinalLearningRate) * (1 + Math.Cos(Math.PI * epoch / options.Epochs)) / 2;

    /// <summary>Draws the validation rows and the initial values. Rows 0 … fitted - 1 are trained on, the others validate.</summary>
    internal int Start(MlpModel model, out int fitted)
    {
        _random = model.Random(_options.Seed);
        int count = 0;
        ReadOnlySpan<int> foldOfRow = _folds.FoldOfRow;
        for (int i = 0; i < foldOfRow.Length; i++)
            if (foldOfRow[i] != model.Fold) _rows[count++] = i;
        _random.Shuffle(_rows.AsSpan(0, count));
        fitted = count - ValidationRows(_options, count);
        ScaleTargets(fitted);
        _network.Initialise(ref _random);
        _optimiser.Reset();
        return count;
    }

    /// <summary>How many of a fold's training rows choose the epoch: at least one.</summary>
    internal static int ValidationRows(MlpOptions options, int rows) => Math.Max(1, (int)Math.Round(options.ValidationShare * rows));

    internal void TrainEpoch(int fitted, double learningRate)
    {
        _random.Shuffle(_rows.AsSpan(0, fitted));
        for (int first = 0; first < fitted; first += _options.Batch)
        {
            int count = Math.Min(_options.Batch, fitted - first);
            if (count < 2) break;
            Drop(count);
            _network.Backpropagate(_x, _y, Rows(first, count), TargetRows(first, count), _scale);
            _optimiser.Step(_network, learningRate, _options.WeightDecay, _options.GradientClip);
        }
    }

    public void Dispose()
    {
        _network.Dispose();
        _optimiser.Dispose();
    }

    private ReadOnlySpan<int> Rows(int first, int count) => _rows.AsSpan(first, count);

    /// <summary>The rows of the targets that the permutation brings to these rows.</summary>
    private ReadOnlySpan<int> TargetRows(int first, int count)
    {
        for (int i = 0; i < count; i++) _targetRows[i] = _order[_rows[first + i]];
        return _targetRows.AsSpan(0, count);
    }

    private void Drop(int count)
    {
        float kept = (float)(1 / (1 - _options.Dropout));
        uint threshold = (uint)Math.Round(_options.Dropout * uint.MaxValue);
        foreach (Matrix<float> keep in _network.Keep)
        {
            Span<float> values = keep.Buffer.View.Host[..(count * _options.Hidden)];
            if (threshold == 0) values.Fill(1);
            else foreach (ref float value in values) value = _random.NextUInt32() < threshold ? 0 : kept;
        }
    }

    private double ValidationError(int fitted, int rows)
    {
        double sum = 0;
        for (int first = fitted; first < rows; first += _options.Batch)
        {
            int count = Math.Min(_options.Batch, rows - first);
            sum += _network.EvaluateError(_x, _y, Rows(first, count), TargetRows(first, count), _scale);
        }
        return sum;
    }

    /// <summary>Mean, deviation and range of each target over the fitted rows.</summary>
    private void ScaleTargets(int fitted)
    {
        _means.AsSpan().Clear();
        _deviations.AsSpan().Clear();
        _least.AsSpan().Fill(float.PositiveInfinity);
        _most.AsSpan().Fill(float.NegativeInfinity);
        for (int i = 0; i < fitted; i++)
        {
            ReadOnlySpan<float> row = _y.Row(_order[_rows[i]]);
            for (int t = 0; t < row.Length; t++)
            {
                _means[t] += row[t];
                if (row[t] < _least[t]) _least[t] = row[t];
                if (row[t] > _most[t]) _most[t] = row[t];
            }
        }
        for (int t = 0; t < _means.Length; t++) _means[t] /= fitted;
        for (int i = 0; i < fitted; i++)
        {
            ReadOnlySpan<float> row = _y.Row(_order[_rows[i]]);
            for (int t = 0; t < row.Length; t++) _deviations[t] += (row[t] - _means[t]) * (row[t] - _means[t]);
        }
        for (int t = 0; t < _means.Length; t++)
        {
            // A target that does not vary over the fitted rows is left as it is, less its mean.
            _deviations[t] = _least[t] < _most[t] ? Math.Sqrt(_deviations[t] / fitted) : 1;
            _scale.NegativeInverse[t] = (float)(-1 / _deviations[t]);
            _scale.Offset[t] = (float)(_means[t] / _deviations[t]);
        }
    }

    private void AddTestErrors(int fold, Span<double> errors)
    {
        int[] rows = _folds.TestRows[fold];
        for (int first = 0; first < rows.Length; first += _options.Batch)
        {
            int count = Math.Min(_options.Batch, rows.Length - first);
            MatrixView<float> output = _network.Predict(_x, rows.AsSpan(first, count));
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<float> predicted = output.Row(i), actual = _y.Row(_order[rows[first + i]]);
                for (int t = 0; t < errors.Length; t++)
                {
                    double margin = _options.ClipMargin * ((double)_most[t] - _least[t]);
                    double value = Math.Clamp(_means[t] + _deviations[t] * predicted[t], _least[t] - margin, _most[t] + margin);
                    errors[t] += (actual[t] - value) * (actual[t] - value);
                }
            }
        }
    }

    private void Keep()
    {
        _network.Parameters.View.Host.CopyTo(_bestParameters);
        for (int l = 0; l < _bestMeans.Length; l++)
        {
            _network.Norms[l].RunningMean.CopyTo(_bestMeans[l], 0);
            _network.Norms[l].RunningVariance.CopyTo(_bestVariances[l], 0);
        }
    }

    private void Recall()
    {
        _bestParameters.CopyTo(_network.Parameters.View.Host);
        for (int l = 0; l < _bestMeans.Length; l++)
        {
            _bestMeans[l].CopyTo(_network.Norms[l].RunningMean, 0);
            _bestVariances[l].CopyTo(_network.Norms[l].RunningVariance, 0);
        }
    }
}
