using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>The cells of one stretch of pseudotime.</summary>
/// <param name="Name">Proximal, Intermediate or Distal for three bins, else their number from 1.</param>
/// <param name="From">Its lower end; belongs to it.</param>
/// <param name="To">Its upper end; belongs to the last bin alone.</param>
/// <param name="Values">Values of its cells, in the order given.</param>
/// <param name="Mean">Their mean.</param>
/// <param name="Deviation">Their standard deviation, divisor n (NumPy's).</param>
public sealed record PseudotimeBin(string Name, double From, double To, double[] Values, double Mean, double Deviation)
{
    /// <summary>Deviation / √n, the published error bar.</summary>
    public double StandardError => Deviation / Math.Sqrt(Values.Length);
}

/// <summary>Two bins compared.</summary>
/// <param name="First">Index of the one nearer to the root.</param>
/// <param name="Second">Index of the other.</param>
/// <param name="Test">Two-sided Mann–Whitney test, normal with tie and continuity correction.</param>
/// <param name="Adjusted">Its p-value times the number of pairs, at most 1 (Bonferroni).</param>
/// <param name="CliffsDelta">P(first &gt; second) − P(first &lt; second).</param>
public sealed record BinPair(int First, int Second, RankSumTest Test, double Adjusted, double CliffsDelta)
{
    /// <summary>*** below 0.001, ** below 0.01, * below 0.05 of the adjusted p-value, else ns.</summary>
    public string Stars => Adjusted < 0.001 ? "***" : Adjusted < 0.01 ? "**" : Adjusted < 0.05 ? "*" : "ns";
}

/// <summary>
/// A value along pseudotime in bins of equal width (the published "terciles" when there are three): does it fall from the root outwards?
/// Cells beyond the percentiles at both ends are left out, so that a few far cells do not stretch the bins.
/// </summary>
/// <param name="Bins">In the order of time.</param>
/// <param name="Trend">One-sided test for falling values.</param>
/// <param name="Pairs">All pairs of bins.</param>
/// <param name="LeftOut">Cells given that are in no bin.</param>
public sealed record PseudotimeBins(IReadOnlyList<PseudotimeBin> Bins, JonckheereTest Trend, IReadOnlyList<BinPair> Pairs, int LeftOut)
{
    private static readonly string[] s_thirds = ["Proximal", "Intermediate", "Distal"];

    /// <param name="time">[cells] pseudotime; cells that are not finite here or in <paramref name="value"/> are left out.</param>
    /// <param name="value">[cells] what is followed.</param>
    /// <param name="bins">How many, 2 or more.</param>
    /// <param name="lower">Percentile of the finite times where the first bin begins.</param>
    /// <param name="upper">Percentile where the last one ends.</param>
    /// <exception cref="UsageException">A setting is out of range, all times are equal, or a bin has no cells.</exception>
    public static PseudotimeBins Compute(ReadOnlySpan<double> time, ReadOnlySpan<double> value, int bins = 3, double lower = 5, double upper = 95)
    {
        if (time.Length != value.Length) throw new ArgumentException($"{time.Length} times and {value.Length} values are no cells.");
        if (bins < 2) throw new UsageException($"{bins} bins of pseudotime were asked for; 2 are the fewest.");
        FinitePairs pairs = FinitePairs.Of(time, value);
        (double from, double to) = Percentiles.Range(pairs.X, lower, upper);
        if (!(to > from)) throw new UsageException($"The pseudotime runs from {from:G4} to {to:G4} between its percentiles {lower} and {upper} ({pairs.X.Length} cells with finite time and value): it cannot be cut into bins.");
        List<double>[] members = [.. Enumerable.Range(0, bins).Select(_ => new List<double>())];
        double width = (to - from) / bins;
        int inside = 0;
        for (int i = 0; i < pairs.X.Length; i++)
        {
            if (pairs.X[i] < from || pairs.X[i] > to) continue;
            members[Bin(pairs.X[i], from, width, bins)].Add(pairs.Y[i]);
            inside++;
        }
        PseudotimeBin[] all = [.. members.Select((m, b) => Describe(b, bins, from + b * width, b == bins - 1 ? to : from + (b + 1) * width, [.. m]))];
        double[][] groups = [.. all.Select(b => b.Values)];
        return new PseudotimeBins(all, OrderedTrend.JonckheereFalling(groups), Compare(groups), time.Length - inside);
    }

    private static int Bin(double time, double from, double width, int bins)
    {
        int bin = 0;
        while (bin < bins - 1 && time >= from + (bin + 1) * width) bin++;
        return bin;
    }

    private static PseudotimeBin Describe(int bin, int bins, double from, double to, double[] values)
    {
        string name = bins == s_thirds.Length ? s_thirds[bin] : FormattableString.Invariant($"{bin + 1}");
        if (values.Length == 0) throw new UsageException($"The bin {name} of pseudotime, {from:G4} to {to:G4}, has no cells; take fewer bins or wider percentiles.");
        return new PseudotimeBin(name, from, to, values, RankStatistics.Mean(values), RankStatistics.PopulationDeviation(values));
    }

    private static List<BinPair> Compare(double[][] groups)
    {
        List<BinPair> compared = [];
        int count = groups.Length * (groups.Length - 1) / 2;
        for (int i = 0; i < groups.Length; i++)
            for (int j = i + 1; j < groups.Length; j++)
            {
                RankSumTest test = RankStatistics.MannWhitney(groups[i], groups[j]);
                compared.Add(new BinPair(i, j, test, Math.Min(1, test.P * count), OrderedTrend.CliffsDelta(groups[i], groups[j])));
            }
        return compared;
    }
}
