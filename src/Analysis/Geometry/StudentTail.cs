namespace BioSup.Analysis.Geometry;

/// <summary>Upper tail of Student's t distribution, with a logarithm that never underflows.</summary>
internal static class StudentTail
{
    private const int MostTerms = 1_000_000;

    /// <summary>
    /// ln P(T ≥ t) = ln ½ I_x(ν/2, ½) with x = ν / (ν + t²) for t ≥ 0, to a relative 1e-11. The incomplete beta function is the continued fraction of Abramowitz and Stegun 26.5.8,
    /// its front factor kept as a logarithm; near the centre, where the fraction converges slowly, it is taken of the other argument.
    /// </summary>
    /// <param name="t">Any value, infinite ones included.</param>
    /// <param name="freedom">Degrees of freedom, positive; need not be whole.</param>
    public static double LogUpper(double t, double freedom)
    {
        if (double.IsNaN(t) || !(freedom > 0)) return double.NaN;
        if (t < 0) return NearOne.LogOnePlus(-Math.Exp(LogUpper(-t, freedom)));
        if (t == 0) return -Math.Log(2);
        if (double.IsInfinity(t)) return double.NegativeInfinity;
        if (double.IsInfinity(freedom)) return NormalTail.LogUpper(t);
        // The square of t may overflow; its logarithm does not.
        double a = 0.5 * freedom, square = t * t / freedom, x = 1 / (1 + square);
        double logX = double.IsInfinity(square) ? Math.Log(freedom) - 2 * Math.Log(t) : -NearOne.LogOnePlus(square), logRest = -NearOne.LogOnePlus(1 / square);
        double logBeta = 0.5 * Math.Log(Math.PI) - LogGammaHalfStep(a), front = a * logX + 0.5 * logRest - logBeta;
        return x < (a + 1) / (a + 2.5)
            ? front - Math.Log(a) + Math.Log(Fraction(a, 0.5, x)) - Math.Log(2)
            : Math.Log(0.5 - Math.Exp(front) * Fraction(0.5, a, square * x));
    }

    /// <summary>ln Γ(a + ½) − ln Γ(a), without the cancellation of two large logarithms: the asymptotic series beyond 20, reached by the recurrence.</summary>
    private static double LogGammaHalfStep(double a)
    {
        double shift = 1;
        for (; a < 20; a++) shift *= a / (a + 0.5);
        double r = 1 / (a * a);
        return Math.Log(shift) + 0.5 * Math.Log(a) - (1.0 / 8 - r * (1.0 / 192 - r * (1.0 / 640 - r * (17.0 / 14336)))) / a;
    }

    /// <summary>The continued fraction of a·B(a, b)·I_x(a, b) / (x^a (1 − x)^b) by Lentz's method; it needs x &lt; (a + 1) / (a + b + 2).</summary>
    private static double Fraction(double a, double b, double x)
    {
        double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), value = d;
        for (int m = 1; m < MostTerms; m++)
        {
            double even = m * (b - m) * x / ((a + 2.0 * m - 1) * (a + 2.0 * m));
            d = 1 / (1 + even * d);
            c = 1 + even / c;
            value *= c * d;
            double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1));
            d = 1 / (1 + odd * d);
            c = 1 + odd / c;
            double factor = c * d;
            value *= factor;
            if (Math.Abs(factor - 1) < 1e-16) break;
        }
        return value;
    }
}
