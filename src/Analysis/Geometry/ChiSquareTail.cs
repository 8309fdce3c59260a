using MathNet.Numerics;

namespace BioSup.Analysis.Geometry;

/// <summary>Upper tail of the χ² distribution, with a logarithm that never underflows.</summary>
internal static class ChiSquareTail
{
    private const int MostTerms = 100_000;

    /// <summary>ln P(X ≥ x) = ln Q(freedom / 2, x / 2): the series of the lower part below the mean, Legendre's continued fraction above it.</summary>
    /// <param name="x">0 or larger; infinity gives −∞.</param>
    /// <param name="freedom">Degrees of freedom, positive.</param>
    public static double LogUpper(double x, double freedom)
    {
        if (double.IsNaN(x) || !(freedom > 0)) return double.NaN;
        if (x <= 0) return 0;
        if (double.IsInfinity(x)) return double.NegativeInfinity;
        double a = 0.5 * freedom, y = 0.5 * x, front = a * Math.Log(y) - y - SpecialFunctions.GammaLn(a);
        return y < a + 1 ? NearOne.LogOnePlus(-Math.Exp(front) * LowerSeries(a, y)) : front + Math.Log(UpperFraction(a, y));
    }

    private static double LowerSeries(double a, double y)
    {
        double term = 1 / a, sum = term;
        for (int n = 1; n < MostTerms && term > 1e-17 * sum; n++) sum += term *= y / (a + n);
        return sum;
    }

    private static double UpperFraction(double a, double y)
    {
        double b = y + 1 - a, c = double.PositiveInfinity, d = 1 / b, value = d;
        for (int n = 1; n < MostTerms; n++)
        {
            double numerator = -n * (n - a);
            b += 2;
            d = 1 / (numerator * d + b);
            c = b + numerator / c;
            double factor = c * d;
            value *= factor;
            if (Math.Abs(factor - 1) < 1e-16) break;
        }
        return value;
    }
}
