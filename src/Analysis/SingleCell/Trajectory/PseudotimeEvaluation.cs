using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Settings of a comparison of pseudotime with a measured value.</summary>
public sealed record EvaluationOptions
{
    /// <summary>Splines of the trend, 4 or more; fewer are taken for few cells: min(splines, max(5, cells / 50)).</summary>
    public int Splines { get; init; } = 5;

    /// <summary>Percentile of the times from which the trend is fitted.</summary>
    public double Lower { get; init; } = 5;

    /// <summary>Percentile of the times up to which the trend is fitted.</summary>
    public double Upper { get; init; } = 95;
}

/// <summary>How far pseudotime orders cells by a measured value.</summary>
/// <param name="Cells">Cells with finite time and value.</param>
/// <param name="Spearman">Of both; NaN for fewer than 10 cells, or where one side is constant.</param>
/// <param name="Pearson">Of both; NaN likewise.</param>
/// <param name="Trend">The smooth trend over the trimmed times; null where there is none to fit.</param>
public sealed record PseudotimeEvaluation(int Cells, double Spearman, double Pearson, SplineTrend? Trend)
{
    /// <summary>The published least number of cells.</summary>
    private const int Fewest = 10;

    /// <summary>Adjusted R² of the trend; NaN without one.</summary>
    public double AdjustedRSquared => Trend?.AdjustedRSquared ?? double.NaN;

    /// <param name="time">[cells] pseudotime.</param>
    /// <param name="value">[cells] the measured value; NaN where it is not known.</param>
    /// <param name="options">Of the trend.</param>
    /// <exception cref="UsageException">The percentiles bound no range.</exception>
    public static PseudotimeEvaluation Compute(ReadOnlySpan<double> time, ReadOnlySpan<double> value, EvaluationOptions? options = null)
    {
        if (time.Length != value.Length) throw new ArgumentException($"{time.Length} times and {value.Length} values are no cells.");
        options ??= new EvaluationOptions();
        FinitePairs pairs = FinitePairs.Of(time, value);
        if (pairs.X.Length < Fewest) return new PseudotimeEvaluation(pairs.X.Length, double.NaN, double.NaN, null);
        (double from, double to) = Percentiles.Range(pairs.X, options.Lower, options.Upper);
        FinitePairs kept = pairs.Within(from, to);
        bool line = kept.X.Length >= 5 && kept.X.Min() < kept.X.Max();
        SplineTrend? trend = line ? SplineTrend.Fit(kept.X, kept.Y, Math.Min(options.Splines, Math.Max(5, kept.X.Length / 50))) : null;
        return new PseudotimeEvaluation(pairs.X.Length, RankStatistics.Spearman(pairs.X, pairs.Y), RankStatistics.Pearson(pairs.X, pairs.Y), trend);
    }
}
