using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Loss between two intra-domain costs a and b.</summary>
public enum GromovLoss
{
    /// <summary>(a - b)².</summary>
    Square,

    /// <summary>Kullback-Leibler: a log(a / b) - a + b, for positive costs.</summary>
    KullbackLeibler,
}

/// <summary>
/// The parts of a Gromov-Wasserstein problem that do not change while the coupling does (Peyré, Cuturi and Solomon 2016, proposition 1):
/// L(a, b) = f1(a) + f2(b) - h1(a) h2(b), so L ⊗ T = (f1(C1) p) 1ᵀ + 1 (f2(C2) q)ᵀ - h1(C1) T h2(C2)ᵀ for a coupling T of p and q.
/// </summary>
/// <remarks>As in POT the square loss has h1(a) = a and h2(b) = 2 b; KL has f1 = a log a - a, f2 = b, h1 = a, h2 = log b.
/// When a cost is not symmetric the tensors of (C1, C2) and (C1ᵀ, C2ᵀ) are averaged, which is half the gradient of the objective.
/// The transformed costs are matrices, or, for squared Euclidean distances of points, products of two thin factors that stand for them.</remarks>
public sealed class GromovOperands<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Matrix<T>? _left, _right, _scratch;

    internal GromovOperands(Matrix<T> left, Matrix<T> right, DeviceBuffer<double> rowTerm, DeviceBuffer<double> columnTerm, bool symmetric)
    {
        (_left, _right, Rows, Columns) = (left, right, left.Rows, right.Rows);
        RowTerm = rowTerm;
        ColumnTerm = columnTerm;
        Symmetric = symmetric;
        _scratch = left.Device.AllocateMatrix<T>(left.Rows, right.Rows);
    }

    internal GromovOperands(PointFactors<T> points, DeviceBuffer<double> rowTerm, DeviceBuffer<double> columnTerm)
    {
        (Points, Rows, Columns) = (points, points.Left.Rows, points.Right.Rows);
        RowTerm = rowTerm;
        ColumnTerm = columnTerm;
        Symmetric = true;
    }

    /// <summary>n, the points of the first domain.</summary>
    public int Rows { get; }

    /// <summary>m, the points of the second domain.</summary>
    public int Columns { get; }

    /// <summary>f1(C1) p, [n].</summary>
    public DeviceBuffer<double> RowTerm { get; }

    /// <summary>f2(C2) q, [m].</summary>
    public DeviceBuffer<double> ColumnTerm { get; }

    /// <summary>True when both costs are symmetric, so that one of the two tensors suffices.</summary>
    public bool Symmetric { get; }

    /// <summary>h1(C1), [n, n].</summary>
    internal Matrix<T> Left => _left!;

    /// <summary>h2(C2), [m, m].</summary>
    internal Matrix<T> Right => _right!;

    internal Matrix<T> Scratch => _scratch!;

    /// <summary>Factors in place of the transformed costs; null where these are there.</summary>
    internal PointFactors<T>? Points { get; }

    public void Dispose()
    {
        _left?.Dispose();
        _right?.Dispose();
        _scratch?.Dispose();
        Points?.Dispose();
        RowTerm.Dispose();
        ColumnTerm.Dispose();
    }
}

/// <summary>
/// Squared Euclidean costs as products of factors with as many columns as coordinates and two more: |x_i - x_k|² = (|x_i|², 1, -2 x_i) · (1, |x_k|², x_k).
/// </summary>
internal sealed class PointFactors<T> : IDisposable where T : unmanaged
{
    private readonly bool _leftFirst;

    /// <param name="left">First and second factor of C1 [n, r1].</param>
    /// <param name="leftOther">Second factor of C1.</param>
    /// <param name="right">First factor of C2 [m, r2].</param>
    /// <param name="rightOther">Second factor of C2.</param>
    public PointFactors(Matrix<T> left, Matrix<T> leftOther, Matrix<T> right, Matrix<T> rightOther)
    {
        (Left, LeftOther, Right, RightOther) = (left, leftOther, right, rightOther);
        ComputeDevice device = left.Device;
        // The coupling is read, and the product written, through the thinner of the two.
        _leftFirst = left.Columns <= right.Columns;
        Inner = device.AllocateMatrix<T>(left.Columns, right.Columns);
        Wide = _leftFirst ? device.AllocateMatrix<T>(left.Columns, right.Rows) : device.AllocateMatrix<T>(left.Rows, right.Columns);
    }

    public Matrix<T> Left { get; }
    public Matrix<T> LeftOther { get; }
    public Matrix<T> Right { get; }
    public Matrix<T> RightOther { get; }

    /// <summary>[r1, r2].</summary>
    public Matrix<T> Inner { get; }

    /// <summary>[r1, m] or [n, r2].</summary>
    public Matrix<T> Wide { get; }

    /// <summary>True when the first domain's factors are the thinner ones.</summary>
    public bool LeftFirst => _leftFirst;

    public void Dispose()
    {
        Left.Dispose();
        LeftOther.Dispose();
        Right.Dispose();
        RightOther.Dispose();
        Inner.Dispose();
        Wide.Dispose();
    }
}
