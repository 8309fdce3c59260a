namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The Chebyshev polynomial T_d((A − c) / e) of a symmetric matrix: between −1 and 1 on the interval c ± e, beyond it growing away from it. Its degree is odd: of eigenvalues of either sign beyond an interval
/// around 0 it keeps sign and order of magnitudes.
/// </summary>
internal readonly unsafe struct ChebyshevFilter
{
    /// <summary>Value at the eigenvalue 1: as much as may be without losing digits of the smallest wanted eigenvalue.</summary>
    private const double Growth = 100;

    private const int LargestDegree = 101;

    private readonly double _centre, _halfWidth;

    private ChebyshevFilter(int degree, double centre, double halfWidth) => (Degree, _centre, _halfWidth) = (degree, centre, halfWidth);

    /// <summary>The matrix itself.</summary>
    public static ChebyshevFilter None => new(1, 0, 1);

    /// <summary>d; 1 for the matrix itself.</summary>
    public int Degree { get; }

    /// <summary>Small on all eigenvalues that are less wanted than a given one, for a matrix whose eigenvalues are at most 1 in magnitude.</summary>
    /// <param name="value">The given one.</param>
    /// <param name="end">Which are wanted.</param>
    public static ChebyshevFilter Beyond(double value, SpectrumEnd end)
    {
        (double low, double high) = end == SpectrumEnd.Magnitude ? (-Math.Abs(value), Math.Abs(value)) : (-1, value);
        double centre = 0.5 * (low + high), halfWidth = 0.5 * (high - low), top = (1 - centre) / halfWidth;
        if (!(halfWidth > 0)) return None;
        int degree = top > 1 ? (int)Math.Min(LargestDegree, Math.Acosh(Growth) / Math.Acosh(top)) : LargestDegree;
        return degree < 3 ? None : new ChebyshevFilter((degree - 1) | 1, centre, halfWidth);
    }

    /// <summary>Y = T_d X by the three-term recurrence.</summary>
    /// <param name="map">A.</param>
    /// <param name="x">A block.</param>
    /// <param name="y">Another.</param>
    /// <param name="spare">A third, overwritten.</param>
    public void Multiply(ISymmetricMap map, double* x, double* y, double* spare)
    {
        double factor = 1 / _halfWidth, shift = -_centre / _halfWidth;
        map.Multiply(x, y, factor, shift, null);
        // Two degrees at a time: an odd one ends in Y.
        for (int degree = 3; degree <= Degree; degree += 2)
        {
            map.Multiply(y, spare, 2 * factor, 2 * shift, degree == 3 ? x : spare);
            map.Multiply(spare, y, 2 * factor, 2 * shift, y);
        }
    }
}
