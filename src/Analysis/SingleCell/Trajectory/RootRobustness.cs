using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>How much a result depends on the choice of the root: the pseudotime from each of the cells nearest to the mean of the control cells.</summary>
/// <param name="Roots">[roots] the cells, nearest to the mean first; the first is the published root.</param>
/// <param name="Spearman">[roots] of pseudotime and value on the evaluated cells.</param>
/// <param name="Pearson">[roots] likewise.</param>
/// <param name="Mean">Of Spearman's correlations.</param>
/// <param name="Deviation">Their standard deviation, divisor n (NumPy's).</param>
public sealed record RootRobustness(int[] Roots, double[] Spearman, double[] Pearson, double Mean, double Deviation)
{
    /// <param name="map">The diffusion map; roots are taken by their distance in all its coordinates.</param>
    /// <param name="control">Cells among which the roots are taken.</param>
    /// <param name="evaluated">Cells on which time and value are compared.</param>
    /// <param name="value">[cells] the measured value; NaN where it is not known.</param>
    /// <param name="roots">How many; all control cells where there are fewer.</param>
    /// <param name="components">Diffusion components of the pseudotime.</param>
    /// <param name="rule">What is done with eigenvalues near 1.</param>
    /// <exception cref="UsageException">There are no control cells, or a number is out of range.</exception>
    public static RootRobustness Compute(DiffusionMap map, ReadOnlySpan<int> control, ReadOnlySpan<int> evaluated, ReadOnlySpan<double> value, int roots = 10, int components = 10, PseudotimeRule rule = PseudotimeRule.Scanpy)
    {
        if (roots < 1) throw new UsageException($"{roots} roots were asked for; 1 is the fewest.");
        if (value.Length != map.Cells) throw new ArgumentException($"{value.Length} values do not fit {map.Cells} cells.");
        int[] tried = [.. map.ByDistanceToMean(control).Take(roots)];
        double[] spearman = new double[tried.Length], pearson = new double[tried.Length];
        double[] measured = new double[evaluated.Length], time = new double[evaluated.Length];
        for (int i = 0; i < evaluated.Length; i++) measured[i] = value[evaluated[i]];
        for (int r = 0; r < tried.Length; r++)
        {
            double[] all = DiffusionPseudotime.Compute(map, tried[r], components, rule).Values;
            for (int i = 0; i < evaluated.Length; i++) time[i] = all[evaluated[i]];
            FinitePairs pairs = FinitePairs.Of(time, measured);
            (spearman[r], pearson[r]) = (RankStatistics.Spearman(pairs.X, pairs.Y), RankStatistics.Pearson(pairs.X, pairs.Y));
        }
        return new RootRobustness(tried, spearman, pearson, RankStatistics.Mean(spearman), RankStatistics.PopulationDeviation(spearman));
    }
}
