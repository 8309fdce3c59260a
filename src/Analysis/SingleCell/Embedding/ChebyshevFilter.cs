namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The Chebyshev polynomial T_d((A − c) / e) of a symmetric matrix: between −1 and 1 on the interval c ± e, beyond it growing away from it. Its degree is odd: of eigenvalues of either sign beyond an interval
/// around 0 it keeps sign and order of magnitudes.
/// </summary>
internal readonly unsafe struct ChebyshevFilter
{
    /// <summary>
    /// Value at the eigenvalue 1. A Krylov space adapts to the eigenvalues that lie apart below the wanted ones, and a polynomial that grows more, or from a higher interval on, takes that from it:
    /// it would need fewer vectors but more products.
    /// </summary>
    private const double Growth = 30;

    /// <summary>How far, as a share of its width, the interval reaches below the least eigenvalue that is known.</summary>
    private const double Margin = 0.05;

    private const int LargestDegree = 101;

    private readonly double _centre, _halfWidth;

    private ChebyshevFilter(int degree, double centre, double halfWidth) => (Degree, _centre, _halfWidth) = (degree, centre, halfWidth);

    /// <summary>The matrix itself.</summary>
    public static ChebyshevFilter None => new(1, 0, 1);

    /// <summary>d; 1 for the matrix itself.</summary>
    public int Degree { get; }

    /// <summary>The interval is not one around 0: negative eigenvalues below it count as more than positive ones of their magnitude.</summary>
    public bool Lopsided => _centre != 0;

    /// <summary>With the interval around 0 that ends at the same eigenvalue.</summary>
    public ChebyshevFilter Centred => Beyond(_centre + _halfWidth, least: -1, SpectrumEnd.Magnitude);

    /// <summary>Small on all eigenvalues that are less wanted than a given one, for a matrix whose eigenvalues are at most 1 in magnitude.</summary>
    /// <param name="value">The given one.</param>
    /// <param name="least">The least eigenvalue, or an estimate from above.</param>
    /// <param name="end">Which are wanted.</param>
    public static ChebyshevFilter Beyond(double value, double least, SpectrumEnd end)
    {
        double high = end == SpectrumEnd.Magnitude ? Math.Abs(value) : value, bottom = end == SpectrumEnd.Magnitude ? -high : -1;
        // Nothing is lost by leaving out what lies below all eigenvalues, and the polynomial grows faster.
        double low = Math.Max(bottom, least - Margin * (high - least)), centre = 0.5 * (low + high), halfWidth = 0.5 * (high - low), top = (1 - centre) / halfWidth;
        if (!(halfWidth > 0)) return None;
        int degree = top > 1 ? (int)Math.Min(LargestDegree, Math.Acosh(Growth) / Math.Acosh(top)) : LargestDegree;
        return degree < 3 ? None : new ChebyshevFilter((degree - 1) | 1, centre, halfWidth);
    }

    /// <summary>The polynomial at an eigenvalue.</summary>
    public double At(double eigenvalue)
    {
        double x = (eigenvalue - _centre) / _halfWidth, size = Math.Abs(x);
        return size <= 1 ? Math.Cos(Degree * Math.Acos(x)) : Math.CopySign(Math.Cosh(Degree * Math.Acosh(size)), x);
    }

    /// <summary>The eigenvalue at which the polynomial has a value; where it has it several times within the interval, the end of the interval.</summary>
    public double Inverse(double value)
    {
        if (Degree == 1) return _centre + _halfWidth * value;
        return _centre + Math.CopySign(_halfWidth * (Math.Abs(value) <= 1 ? 1 : Math.Cosh(Math.Acosh(Math.Abs(value)) / Degree)), value);
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
