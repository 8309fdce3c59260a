using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Rows scaled to unit Euclidean length.</summary>
public static class L2Normalise
{
    /// <summary>y[i, :] = x[i, :] / ‖x[i, :]‖, sums and quotients in double precision; rows of zeros stay zero. y may be x.</summary>
    /// <param name="x">[n, d], single or double precision</param>
    /// <param name="norms">n numbers that receive the norms</param>
    /// <param name="y">[n, d]</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Rows<T>(MatrixView<T> x, DeviceSpan<double> norms, MatrixView<T> y) where T : unmanaged, INumberBase<T>
    {
        Reductions.RowNorms(x, norms);
        Elementwise.DivideRows(x, norms, y);
    }
}
