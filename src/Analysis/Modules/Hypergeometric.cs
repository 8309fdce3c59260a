using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>
/// The number of marked items among items drawn without replacement. Probabilities are formed in log space by Loader's saddle-point expansion (2000), whose error is
/// some units of the last place of the exponent, and tails by exact ratios of neighbouring terms.
/// </summary>
public static class Hypergeometric
{
    /// <summary>ln P(X ≥ overlap): 0 where it is certain, −∞ where it is impossible.</summary>
    /// <param name="overlap">Marked items seen among those drawn.</param>
    /// <param name="universe">Items in all.</param>
    /// <param name="marked">Marked items in all.</param>
    /// <param name="drawn">Items drawn.</param>
    /// <exception cref="UsageException">More items are marked or drawn than there are, or a number is negative.</exception>
    public static double LogUpperTail(int overlap, int universe, int marked, int drawn)
    {
        if (universe < 0 || marked < 0 || drawn < 0 || marked > universe || drawn > universe)
            throw new UsageException($"Of {universe} genes, {marked} cannot be marked and {drawn} drawn.");
        int least = (int)Math.Max(0L, (long)drawn + marked - universe), most = Math.Min(drawn, marked);
        if (overlap <= least) return 0;
        if (overlap > most) return double.NegativeInfinity;
        double mode = (drawn + 1.0) * (marked + 1.0) / (universe + 2.0);
        if (overlap > mode)
        {
            double sum = 1, term = 1;
            for (int x = overlap; x < most; x++)
            {
                term *= (double)(marked - x) * (drawn - x) / ((x + 1.0) * ((double)universe - marked - drawn + x + 1));
                sum += term;
                if (term < 1e-18 * sum) break;
            }
            return Math.Min(0, LogTerm(overlap, universe, marked, drawn) + Math.Log(sum));
        }
        // On this side of the mode the rest is at most about a half: nothing is lost by taking it away from 1.
        double below = 1, step = 1;
        for (int x = overlap - 1; x > least; x--)
        {
            step *= x * ((double)universe - marked - drawn + x) / ((marked - x + 1.0) * (drawn - x + 1.0));
            below += step;
            if (step < 1e-18 * below) break;
        }
        return NearOne.LogOnePlus(-Math.Min(1, Math.Exp(LogTerm(overlap - 1, universe, marked, drawn)) * below));
    }

    /// <summary>P(X ≥ overlap); 0 where it is below the smallest double.</summary>
    public static double UpperTail(int overlap, int universe, int marked, int drawn) => Math.Exp(LogUpperTail(overlap, universe, marked, drawn));

    /// <summary>ln P(X = x), as three binomial probabilities at one rate.</summary>
    private static double LogTerm(int x, int universe, int marked, int drawn)
    {
        double p = (double)drawn / universe, q = ((double)universe - drawn) / universe;
        return LogBinomial(x, marked, p, q) + LogBinomial(drawn - x, universe - marked, p, q) - LogBinomial(drawn, universe, p, q);
    }

    private static double LogBinomial(double x, double n, double p, double q)
    {
        if (p == 0) return x == 0 ? 0 : double.NegativeInfinity;
        if (q == 0) return x == n ? 0 : double.NegativeInfinity;
        if (n == 0) return 0;
        if (x == 0) return p < 0.1 ? n * NearOne.LogOnePlus(-p) : n * Math.Log(q);
        if (x == n) return q < 0.1 ? n * NearOne.LogOnePlus(-q) : n * Math.Log(p);
        double exponent = StirlingError(n) - StirlingError(x) - StirlingError(n - x) - Deviance(x, n * p) - Deviance(n - x, n * q);
        return exponent - 0.5 * (Math.Log(2 * Math.PI) + Math.Log(x) + NearOne.LogOnePlus(-x / n));
    }

    /// <summary>ln n! − ln(√(2πn) (n/e)ⁿ) for whole n ≥ 1.</summary>
    private static double StirlingError(double n)
    {
        if (n <= 15)
        {
            double factorial = 1;
            for (int i = 2; i <= n; i++) factorial *= i;
            return Math.Log(factorial) - (n + 0.5) * Math.Log(n) + n - 0.5 * Math.Log(2 * Math.PI);
        }
        double r = 1 / (n * n);
        return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r * (1.0 / 1188 - r * (691.0 / 360360)))))) / n;
    }

    /// <summary>x ln(x / m) + m − x without cancellation where x is near m.</summary>
    private static double Deviance(double x, double m)
    {
        double difference = x - m;
        if (Math.Abs(difference) >= 0.1 * (x + m)) return x * Math.Log(x / m) - difference;
        double v = difference / (x + m), sum = difference * v, term = 2 * x * v;
        for (int j = 1; j < 1000; j++)
        {
            term *= v * v;
            double next = sum + term / (2 * j + 1);
            if (next == sum) break;
            sum = next;
        }
        return sum;
    }
}
