using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>What was divided by: one factor per cell.</summary>
/// <param name="Target">Total that every cell was brought to.</param>
/// <param name="Factors">[cells] total of the cell over the target; 0 for a cell without counts, which stays as it is.</param>
/// <param name="Excluded">Genes that were left out of the totals.</param>
public sealed record TotalNormalisation(double Target, double[] Factors, int[] Excluded);

/// <summary>Scanpy's <c>normalize_total</c>, <c>log1p</c> and <c>scale</c>, in place on dense or sparse cells × genes; every value is rounded to single precision once.</summary>
public static class ExpressionScaling
{
    /// <summary>Brings every cell to the same total.</summary>
    /// <param name="counts">Not negative.</param>
    /// <param name="target">The total; null for the median of the totals that are not 0.</param>
    /// <param name="exclude">Whether genes that hold more than <paramref name="maxFraction"/> of the counts of at least one cell do not count towards the totals.</param>
    /// <param name="maxFraction">From 0 to 1.</param>
    public static TotalNormalisation NormaliseTotal(CellMatrix counts, double? target = null, bool exclude = false, double maxFraction = 0.05, CancellationToken cancellation = default)
    {
        bool[] left = new bool[counts.Variables];
        double[] totals = Totals(counts, left, cancellation);
        if (exclude)
        {
            double[] high = counts.SumByVariable((cell, sums) =>
            {
                ReadOnlySpan<float> values = counts.Values(cell);
                ReadOnlySpan<int> places = counts.Places(cell);
                for (int k = 0; k < values.Length; k++)
                    if (values[k] > maxFraction * totals[cell]) sums[places[k]]++;
            }, cancellation);
            left = Array.ConvertAll(high, cells => cells > 0);
            totals = Totals(counts, left, cancellation);
        }
        double goal = target ?? CellPreprocessing.Median([.. totals.Where(t => t > 0)]);
        double[] factors = Array.ConvertAll(totals, t => goal > 0 ? t / goal : 0);
        counts.ForEachCell(i =>
        {
            if (factors[i] == 0) return;
            Span<float> values = counts.Values(i);
            for (int k = 0; k < values.Length; k++) values[k] = (float)(values[k] / factors[i]);
        }, cancellation);
        return new TotalNormalisation(goal, factors, [.. Enumerable.Range(0, left.Length).Where(j => left[j])]);
    }

    /// <summary>x ← ln(1 + x), or the logarithm to another base.</summary>
    /// <param name="values">-1 or larger would do; a negative value is refused, since counts and activations have none and scaled data must not come here.</param>
    /// <param name="logBase">Base of the logarithm; null for e.</param>
    /// <exception cref="DataException">A value is negative.</exception>
    public static void Log1p(CellMatrix values, double? logBase = null, CancellationToken cancellation = default)
    {
        double scale = logBase is { } b ? 1 / Math.Log(b) : 1;
        for (int i = 0; i < values.Cells; i++)
            foreach (float value in values.Values(i))
                if (value < 0) throw new DataException("X", $"row {i}", $"holds {value}; ln(1 + x) takes counts or activations, which are not negative");
        if (!values.IsSparse && logBase is null)
        {
            CellPreprocessing.Log1p(values.Dense);
            return;
        }
        values.ForEachCell(i =>
        {
            Span<float> own = values.Values(i);
            for (int k = 0; k < own.Length; k++) own[k] = (float)(scale * double.LogP1(own[k]));
        }, cancellation);
    }

    /// <summary>Every gene divided by its standard deviation (divisor n - 1; a constant gene by 1), after its mean was taken off if asked for.</summary>
    /// <param name="values">Must be dense where <paramref name="zeroCentre"/> is set: zeros do not stay zeros.</param>
    /// <param name="zeroCentre">Whether means are taken off.</param>
    /// <param name="most">Values beyond this are cut to it; with <paramref name="zeroCentre"/> those below its negative as well. Null for none.</param>
    /// <returns>[genes] means and deviations before scaling; the deviation of a constant gene is given as 1, as scanpy does.</returns>
    public static (double[] Means, double[] Deviations) Scale(CellMatrix values, bool zeroCentre = true, double? most = null, CancellationToken cancellation = default)
    {
        if (zeroCentre && values.IsSparse) throw new ArgumentException("A sparse matrix cannot be centred; make it dense first.", nameof(values));
        (double[] means, double[] variances) = VariableMoments.Of(values, default(SameValue), cancellation);
        double[] deviations = Array.ConvertAll(variances, v => v == 0 ? 1 : Math.Sqrt(v));
        values.ForEachCell(i =>
        {
            Span<float> own = values.Values(i);
            ReadOnlySpan<int> places = values.Places(i);
            for (int k = 0; k < own.Length; k++)
            {
                double scaled = (zeroCentre ? own[k] - means[places[k]] : own[k]) / deviations[places[k]];
                if (most is { } bound) scaled = zeroCentre ? Math.Clamp(scaled, -bound, bound) : Math.Min(scaled, bound);
                own[k] = (float)scaled;
            }
        }, cancellation);
        return (means, deviations);
    }

    /// <summary>Every cell divided by its Euclidean norm; a cell of zeros stays as it is.</summary>
    public static void UnitRows(CellMatrix values, CancellationToken cancellation = default)
    {
        if (!values.IsSparse)
        {
            CellPreprocessing.NormaliseRows(values.Dense);
            return;
        }
        values.ForEachCell(i =>
        {
            Span<float> own = values.Values(i);
            double square = 0;
            foreach (float value in own) square += (double)value * value;
            double norm = Math.Sqrt(square);
            for (int k = 0; k < own.Length; k++) own[k] = (float)(own[k] / norm);
        }, cancellation);
    }

    private static double[] Totals(CellMatrix counts, bool[] left, CancellationToken cancellation)
    {
        double[] totals = new double[counts.Cells];
        counts.ForEachCell(i =>
        {
            ReadOnlySpan<float> values = counts.Values(i);
            ReadOnlySpan<int> places = counts.Places(i);
            for (int k = 0; k < values.Length; k++)
                if (!left[places[k]]) totals[i] += values[k];
        }, cancellation);
        return totals;
    }
}
