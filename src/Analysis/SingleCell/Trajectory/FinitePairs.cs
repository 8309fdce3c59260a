using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>The cells of which two numbers are both finite.</summary>
/// <param name="X">First numbers.</param>
/// <param name="Y">Second numbers, beside them.</param>
internal sealed record FinitePairs(double[] X, double[] Y)
{
    public static FinitePairs Of(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        List<double> kept = [], beside = [];
        for (int i = 0; i < x.Length; i++)
            if (double.IsFinite(x[i]) && double.IsFinite(y[i]))
            {
                kept.Add(x[i]);
                beside.Add(y[i]);
            }
        return new FinitePairs([.. kept], [.. beside]);
    }

    /// <summary>Those of which the first number lies in a closed range.</summary>
    public FinitePairs Within(double from, double to)
    {
        int[] kept = [.. Enumerable.Range(0, X.Length).Where(i => X[i] >= from && X[i] <= to)];
        return new FinitePairs([.. kept.Select(i => X[i])], [.. kept.Select(i => Y[i])]);
    }
}

/// <summary>Percentiles with linear interpolation, NumPy's default.</summary>
internal static class Percentiles
{
    /// <summary>Two percentiles of finite values.</summary>
    /// <exception cref="UsageException">There are no values, or not 0 ≤ lower &lt; upper ≤ 100.</exception>
    public static (double Lower, double Upper) Range(ReadOnlySpan<double> values, double lower, double upper)
    {
        if (!(lower >= 0 && lower < upper && upper <= 100)) throw new UsageException($"The percentiles {lower} and {upper} bound no range; 0 <= lower < upper <= 100 was expected.");
        if (values.Length == 0) throw new UsageException("No cell has a finite pseudotime and value: there is nothing to evaluate.");
        double[] sorted = values.ToArray();
        Array.Sort(sorted);
        return (At(sorted, lower), At(sorted, upper));
    }

    private static double At(double[] sorted, double percentile)
    {
        double position = percentile / 100 * (sorted.Length - 1);
        int below = (int)position;
        double part = position - below, low = sorted[below], high = sorted[Math.Min(below + 1, sorted.Length - 1)];
        // NumPy's lerp, so that the ends are met exactly.
        return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
    }
}
