using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// BN → Linear(p, h) → ReLU → Dropout → BN → Linear(h, h) → ReLU → Dropout → BN → Linear(h, G), mean squared error, gradients by hand. Weights are [in, out]. All memory is
/// allocated once; every product is a <see cref="Gemm"/>. Written once for both precisions: single trains, double is held against PyTorch and finite differences.
/// </summary>
internal sealed class MlpNetwork<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Layers = MlpLayout.Layers;
    private readonly CpuDevice _cpu;
    private readonly MlpLayout _layout;
    private readonly int[] _widths;
    private readonly Matrix<T> _input, _residual;
    private readonly Matrix<T>[] _activation, _gradient;
    private readonly T[] _start;

    public MlpNetwork(CpuDevice cpu, int inputs, int hidden, int outputs, int batch)
    {
        _cpu = cpu;
        _layout = new MlpLayout(inputs, hidden, outputs);
        _widths = _layout.Widths;
        Parameters = cpu.Allocate<T>(_layout.Length);
        Gradients = cpu.Allocate<T>(_layout.Length);
        Gradients.View.Host.Clear();
        Norms = [.. _widths[..Layers].Select(w => new MlpBatchNorm<T>(cpu, w, batch))];
        _input = cpu.AllocateMatrix<T>(batch, inputs);
        _residual = cpu.AllocateMatrix<T>(batch, outputs);
        _activation = [cpu.AllocateMatrix<T>(batch, hidden), cpu.AllocateMatrix<T>(batch, hidden)];
        _gradient = [cpu.AllocateMatrix<T>(batch, inputs), cpu.AllocateMatrix<T>(batch, hidden), cpu.AllocateMatrix<T>(batch, hidden)];
        Keep = [cpu.AllocateMatrix<T>(batch, hidden), cpu.AllocateMatrix<T>(batch, hidden)];
        _start = new T[outputs];
    }

    /// <summary>All parameters, as <see cref="MlpLayout"/> places them.</summary>
    public DeviceBuffer<T> Parameters { get; }

    /// <summary>Their gradients, in the same places; zeros in the gaps.</summary>
    public DeviceBuffer<T> Gradients { get; }

    public MlpBatchNorm<T>[] Norms { get; }

    /// <summary>Dropout of both hidden layers [batch, hidden]: 0, or 1 / (1 − rate) where a unit is kept. The caller fills it before every step.</summary>
    public Matrix<T>[] Keep { get; }

    public Span<T> Gamma(int layer) => Parameters.View.Host.Slice(_layout.Gamma[layer], _widths[layer]);
    public Span<T> Beta(int layer) => Parameters.View.Host.Slice(_layout.Beta[layer], _widths[layer]);
    public Span<T> Bias(int layer) => Parameters.View.Host.Slice(_layout.Bias[layer], _widths[layer + 1]);
    public MatrixView<T> Weight(int layer) => WeightIn(Parameters, layer);

    /// <summary>Initial values of the parameters, running mean 0 and variance 1.</summary>
    public void Initialise(ref CounterRandom random)
    {
        _layout.Initialise(Parameters.View.Host, ref random);
        foreach (MlpBatchNorm<T> norm in Norms) norm.Reset();
    }

    /// <summary>Forward and backward of one training batch: row i is x's row <paramref name="xRows"/>[i] with y's row <paramref name="yRows"/>[i]. Leaves the gradients of the mean squared error.</summary>
    public void Backpropagate(Matrix<T> x, Matrix<T> y, ReadOnlySpan<int> xRows, ReadOnlySpan<int> yRows, MlpTargetScale<T> scale)
    {
        int rows = xRows.Length;
        LoadInput(x, xRows);
        Norms[0].ForwardTraining(_input.View.RowBlock(0, rows), Gamma(0), Beta(0));
        for (int l = 0; l < Layers - 1; l++)
        {
            MatrixView<T> activation = _activation[l].View.RowBlock(0, rows);
            Affine(l, rows, activation);
            for (int i = 0; i < rows; i++)
            {
                Span<T> row = activation.Row(i);
                TensorPrimitives.Max(row, T.Zero, row);
                TensorPrimitives.Multiply(row, Keep[l].Row(i), row);
            }
            Norms[l + 1].ForwardTraining(activation, Gamma(l + 1), Beta(l + 1));
        }
        Residuals(y, yRows, scale);
        Backward(rows);
    }

    /// <summary>Mean squared error of the batch that was last propagated.</summary>
    public double MeanSquaredError(int rows) => SumOfSquares(rows) / ((double)rows * _widths[Layers]);

    /// <summary>Σ of squared residuals of up to a batch of rows, by running statistics and without dropout.</summary>
    public double EvaluateError(Matrix<T> x, Matrix<T> y, ReadOnlySpan<int> xRows, ReadOnlySpan<int> yRows, MlpTargetScale<T> scale)
    {
        ForwardEvaluation(x, xRows);
        Residuals(y, yRows, scale);
        return SumOfSquares(xRows.Length);
    }

    /// <summary>Outputs of up to a batch of rows [rows, G], by running statistics and without dropout; valid until the next call.</summary>
    public MatrixView<T> Predict(Matrix<T> x, ReadOnlySpan<int> rows)
    {
        ForwardEvaluation(x, rows);
        MatrixView<T> output = _residual.View.RowBlock(0, rows.Length);
        Affine(Layers - 1, rows.Length, output);
        return output;
    }

    public void Dispose()
    {
        Parameters.Dispose();
        Gradients.Dispose();
        _input.Dispose();
        _residual.Dispose();
        foreach (MlpBatchNorm<T> norm in Norms) norm.Dispose();
        foreach (Matrix<T> matrix in (Matrix<T>[])[.. _activation, .. _gradient, .. Keep]) matrix.Dispose();
    }

    private unsafe MatrixView<T> WeightIn(DeviceBuffer<T> buffer, int layer) => new(buffer.View.Pointer + _layout.Weight[layer], _widths[layer], _widths[layer + 1], _widths[layer + 1], _cpu);

    private void LoadInput(Matrix<T> x, ReadOnlySpan<int> rows)
    {
        for (int i = 0; i < rows.Length; i++) x.Row(rows[i]).CopyTo(_input.Row(i));
    }

    private void ForwardEvaluation(Matrix<T> x, ReadOnlySpan<int> rows)
    {
        LoadInput(x, rows);
        Norms[0].ForwardEvaluation(_input.View.RowBlock(0, rows.Length), Gamma(0), Beta(0));
        for (int l = 0; l < Layers - 1; l++)
        {
            MatrixView<T> activation = _activation[l].View.RowBlock(0, rows.Length);
            Affine(l, rows.Length, activation);
            for (int i = 0; i < rows.Length; i++) TensorPrimitives.Max(activation.Row(i), T.Zero, activation.Row(i));
            Norms[l + 1].ForwardEvaluation(activation, Gamma(l + 1), Beta(l + 1));
        }
    }

    private void Affine(int layer, int rows, MatrixView<T> into)
    {
        for (int i = 0; i < rows; i++) Bias(layer).CopyTo(into.Row(i));
        EitherPrecision.Multiply(Transpose.No, Transpose.No, T.One, Norms[layer].Output(rows), Weight(layer), T.One, into);
    }

    /// <summary>Last layer less the standardised targets; the targets are what the product is added to, so that they are read once and never copied.</summary>
    private void Residuals(Matrix<T> y, ReadOnlySpan<int> rows, MlpTargetScale<T> scale)
    {
        TensorPrimitives.Add(Bias(Layers - 1), scale.Offset, _start);
        for (int i = 0; i < rows.Length; i++) TensorPrimitives.MultiplyAdd(y.Row(rows[i]), scale.NegativeInverse, _start, _residual.Row(i));
        EitherPrecision.Multiply(Transpose.No, Transpose.No, T.One, Norms[Layers - 1].Output(rows.Length), Weight(Layers - 1), T.One, _residual.View.RowBlock(0, rows.Length));
    }

    private double SumOfSquares(int rows)
    {
        double sum = 0;
        for (int i = 0; i < rows; i++) sum += double.CreateChecked(TensorPrimitives.SumOfSquares<T>(_residual.Row(i)));
        return sum;
    }

    private void Backward(int rows)
    {
        T factor = T.CreateChecked(2.0 / ((double)rows * _widths[Layers]));
        for (int l = Layers - 1; l >= 0; l--)
        {
            MatrixView<T> above = (l == Layers - 1 ? _residual : _gradient[l + 1]).View.RowBlock(0, rows), below = _gradient[l].View.RowBlock(0, rows);
            T scale = l == Layers - 1 ? factor : T.One;
            EitherPrecision.Multiply(Transpose.Yes, Transpose.No, scale, Norms[l].Output(rows), above, T.Zero, WeightIn(Gradients, l));
            Span<T> bias = Gradients.View.Host.Slice(_layout.Bias[l], _widths[l + 1]);
            bias.Clear();
            for (int i = 0; i < rows; i++) TensorPrimitives.Add(bias, above.Row(i), bias);
            TensorPrimitives.Multiply(bias, scale, bias);
            EitherPrecision.Multiply(Transpose.No, Transpose.Yes, scale, above, Weight(l), T.Zero, below);
            Norms[l].Backward(below, Gamma(l), Gradients.View.Host.Slice(_layout.Gamma[l], _widths[l]), Gradients.View.Host.Slice(_layout.Beta[l], _widths[l]), inputNeeded: l > 0);
            if (l > 0) MaskGradient(l - 1, below);
        }
    }

    /// <summary>Back through dropout and ReLU: an activation is positive exactly where the unit was kept and its input was positive.</summary>
    private void MaskGradient(int hidden, MatrixView<T> gradient)
    {
        for (int i = 0; i < gradient.Rows; i++)
        {
            Span<T> row = gradient.Row(i);
            ReadOnlySpan<T> activation = _activation[hidden].Row(i), keep = Keep[hidden].Row(i);
            for (int k = 0; k < row.Length; k++) row[k] = activation[k] > T.Zero ? row[k] * keep[k] : T.Zero;
        }
    }
}
