using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Batch normalisation (Ioffe and Szegedy 2015) as torch.nn.BatchNorm1d does it: a batch is scaled by its own mean and biased variance, running statistics take
/// 0.1 of the batch's mean and unbiased variance. Memory for one batch, allocated once.
/// </summary>
internal sealed class MlpBatchNorm<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const double Momentum = 0.1, Epsilon = 1e-5;
    private readonly Matrix<T> _normalised, _output;
    private readonly T[] _mean, _inverse, _scaled;

    public MlpBatchNorm(CpuDevice cpu, int width, int batch)
    {
        Width = width;
        _normalised = cpu.AllocateMatrix<T>(batch, width);
        _output = cpu.AllocateMatrix<T>(batch, width);
        (_mean, _inverse, _scaled) = (new T[width], new T[width], new T[width]);
        (RunningMean, RunningVariance) = (new T[width], new T[width]);
    }

    public int Width { get; }
    public T[] RunningMean { get; }
    public T[] RunningVariance { get; }

    /// <summary>What the layer made of the last batch [rows, width].</summary>
    public MatrixView<T> Output(int rows) => _output.View.RowBlock(0, rows);

    public void Reset()
    {
        RunningMean.AsSpan().Clear();
        RunningVariance.AsSpan().Fill(T.One);
    }

    /// <summary>Normalises a batch by its own statistics and updates the running ones.</summary>
    public void ForwardTraining(MatrixView<T> x, ReadOnlySpan<T> gamma, ReadOnlySpan<T> beta)
    {
        Span<T> variance = _scaled;
        _mean.AsSpan().Clear();
        variance.Clear();
        T count = T.CreateChecked(x.Rows);
        for (int i = 0; i < x.Rows; i++) TensorPrimitives.Add<T>(_mean, x.Row(i), _mean);
        TensorPrimitives.Divide(_mean, count, _mean);
        for (int i = 0; i < x.Rows; i++)
        {
            Span<T> centred = _normalised.Row(i);
            TensorPrimitives.Subtract(x.Row(i), _mean, centred);
            TensorPrimitives.MultiplyAdd<T>(centred, centred, variance, variance);
        }
        T momentum = T.CreateChecked(Momentum), unbiased = count - T.One;
        for (int k = 0; k < Width; k++)
        {
            RunningMean[k] += momentum * (_mean[k] - RunningMean[k]);
            RunningVariance[k] += momentum * (variance[k] / unbiased - RunningVariance[k]);
            _inverse[k] = T.One / T.Sqrt(variance[k] / count + T.CreateChecked(Epsilon));
        }
        for (int i = 0; i < x.Rows; i++)
        {
            Span<T> normalised = _normalised.Row(i);
            TensorPrimitives.Multiply<T>(normalised, _inverse, normalised);
            TensorPrimitives.MultiplyAdd(normalised, gamma, beta, _output.Row(i));
        }
    }

    /// <summary>Normalises rows by the running statistics.</summary>
    public void ForwardEvaluation(MatrixView<T> x, ReadOnlySpan<T> gamma, ReadOnlySpan<T> beta)
    {
        for (int k = 0; k < Width; k++)
        {
            _scaled[k] = gamma[k] / T.Sqrt(RunningVariance[k] + T.CreateChecked(Epsilon));
            _mean[k] = beta[k] - RunningMean[k] * _scaled[k];
        }
        for (int i = 0; i < x.Rows; i++) TensorPrimitives.MultiplyAdd(x.Row(i), _scaled, _mean, _output.Row(i));
    }

    /// <summary>From the loss's gradient by the output to that by the parameters, and in place to that by the input: γ / (σ n) · (n g − Σg − x̂ Σ g x̂).</summary>
    public void Backward(MatrixView<T> gradient, ReadOnlySpan<T> gamma, Span<T> gammaGradient, Span<T> betaGradient, bool inputNeeded)
    {
        gammaGradient.Clear();
        betaGradient.Clear();
        for (int i = 0; i < gradient.Rows; i++)
        {
            TensorPrimitives.Add(betaGradient, gradient.Row(i), betaGradient);
            TensorPrimitives.MultiplyAdd(gradient.Row(i), _normalised.Row(i), gammaGradient, gammaGradient);
        }
        if (!inputNeeded) return;
        TensorPrimitives.Multiply(gamma, _inverse, _scaled);
        T share = T.One / T.CreateChecked(gradient.Rows);
        // The batch's means have served; their place takes -Σ g x̂ / n.
        TensorPrimitives.Multiply(gammaGradient, -share, _mean);
        for (int i = 0; i < gradient.Rows; i++)
        {
            Span<T> row = gradient.Row(i);
            TensorPrimitives.MultiplyAdd(betaGradient, -share, row, row);
            TensorPrimitives.MultiplyAdd(_normalised.Row(i), _mean, row, row);
            TensorPrimitives.Multiply(row, _scaled, row);
        }
    }

    public void Dispose()
    {
        _normalised.Dispose();
        _output.Dispose();
    }
}
