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
/// When a cost is not symmetric the tensors of (C1, C2) and (C1ᵀ, C2ᵀ) are averaged, which is half the gradient of the objective.</remarks>
public sealed class GromovOperands<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    internal GromovOperands(Matrix<T> left, Matrix<T> right, DeviceBuffer<double> rowTerm, DeviceBuffer<double> columnTerm, bool symmetric)
    {
        Left = left;
        Right = right;
        RowTerm = rowTerm;
        ColumnTerm = columnTerm;
        Symmetric = symmetric;
        Scratch = left.Device.AllocateMatrix<T>(left.Rows, right.Rows);
    }

    /// <summary>h1(C1), [n, n].</summary>
    public Matrix<T> Left { get; }

    /// <summary>h2(C2), [m, m].</summary>
    public Matrix<T> Right { get; }

    /// <summary>f1(C1) p, [n].</summary>
    public DeviceBuffer<double> RowTerm { get; }

    /// <summary>f2(C2) q, [m].</summary>
    public DeviceBuffer<double> ColumnTerm { get; }

    /// <summary>True when both costs are symmetric, so that one of the two tensors suffices.</summary>
    public bool Symmetric { get; }

    internal Matrix<T> Scratch { get; }

    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
        RowTerm.Dispose();
        ColumnTerm.Dispose();
        Scratch.Dispose();
    }
}
