using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Columns moved and scaled: what StandardScaler, centring and whitening do.</summary>
public static class Standardise
{
    /// <summary>
    /// y[i, j] = (x[i, j] - means[j]) / deviations[j], in double precision, rounded once to the type of y. A column whose deviation is 0 becomes 0; for
    /// scikit-learn's StandardScaler pass 1 there. y may be x where the types agree.
    /// </summary>
    /// <param name="x">[n, d], single or double precision</param>
    /// <param name="means">d numbers, or empty for 0</param>
    /// <param name="deviations">d numbers, or empty for 1</param>
    /// <param name="y">[n, d], single or double precision</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Columns<TIn, TOut>(MatrixView<TIn> x, DeviceSpan<double> means, DeviceSpan<double> deviations, MatrixView<TOut> y)
        where TIn : unmanaged, INumberBase<TIn> where TOut : unmanaged, INumberBase<TOut>
    {
        if ((means.Length != x.Columns && means.Length != 0) || (deviations.Length != x.Columns && deviations.Length != 0))
            throw new ArgumentException($"There are {means.Length} means and {deviations.Length} deviations for {x.Columns} columns.");
        Elementwise.Map<StandardiseElement, TIn, TOut>(x, y, means, deviations, default, 0);
    }
}
