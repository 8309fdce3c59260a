using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Samples as a linear classifier sees them: scores from weights, gradients from residuals. Weights are [classes, d + 1], the last column the intercepts.</summary>
internal abstract class ProbeDesign : IDisposable
{
    public abstract ComputeDevice Device { get; }
    public abstract int Rows { get; }
    public abstract int Columns { get; }

    /// <summary>scores [n, classes] = x Wᵀ + intercepts.</summary>
    public abstract void Scores(Matrix<double> weights, Matrix<double> scores);

    /// <summary>gradient [classes, d + 1] = scale · residualᵀ (x | 1).</summary>
    public abstract void Gradient(double scale, Matrix<double> residual, Matrix<double> gradient);

    public abstract void Dispose();
}

/// <summary>A matrix with a column of ones appended.</summary>
internal sealed class DenseDesign : ProbeDesign
{
    private readonly Matrix<double> _x;

    public DenseDesign(Matrix<double> x)
    {
        _x = x.Device.AllocateMatrix<double>(x.Rows, x.Columns + 1);
        Elementwise.Copy(x.View, _x.View.ColumnBlock(0, x.Columns));
        Elementwise.Fill(_x.View.ColumnBlock(x.Columns, 1), 1);
    }

    public override ComputeDevice Device => _x.Device;
    public override int Rows => _x.Rows;
    public override int Columns => _x.Columns - 1;

    public override void Scores(Matrix<double> weights, Matrix<double> scores) => Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, _x.View, weights.View, 0.0, scores.View);

    public override void Gradient(double scale, Matrix<double> residual, Matrix<double> gradient) =>
        Gemm.Multiply(Transpose.Yes, Transpose.No, scale, residual.View, _x.View, 0.0, gradient.View);

    public override void Dispose() => _x.Dispose();
}
