using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Highly variable genes by dispersion.</summary>
/// <param name="Selected">[genes] whether the gene is chosen.</param>
/// <param name="Means">[genes] ln(1 + mean of the counts).</param>
/// <param name="Dispersions">[genes] ln(variance / mean) of the counts; NaN for a gene without variance.</param>
/// <param name="Normalised">[genes] dispersion minus the mean of its bin, over the standard deviation of the bin; NaN where there is no dispersion.</param>
public sealed record DispersionSelection(bool[] Selected, double[] Means, double[] Dispersions, double[] Normalised);

/// <summary>Highly variable genes by standardised variance.</summary>
/// <param name="Selected">[genes] whether the gene is chosen.</param>
/// <param name="Means">[genes] means of the counts.</param>
/// <param name="Variances">[genes] variances of the counts, divisor n - 1.</param>
/// <param name="Normalised">[genes] variance of the counts standardised by the trend and cut at √n deviations.</param>
/// <param name="Ranks">[genes] rank of the chosen genes, 0 for the most variable; NaN for the others.</param>
public sealed record VarianceSelection(bool[] Selected, double[] Means, double[] Variances, double[] Normalised, float[] Ranks);

/// <summary>Between which values a gene is highly variable; all bounds are excluded. The defaults are Seurat's and scanpy's.</summary>
public sealed record DispersionBounds
{
    public double MinMean { get; init; } = 0.0125;
    public double MaxMean { get; init; } = 3;
    public double MinDispersion { get; init; } = 0.5;
    public double MaxDispersion { get; init; } = double.PositiveInfinity;
}

/// <summary>
/// Genes that vary more than others of their level of expression: scanpy's <c>highly_variable_genes</c> with the flavours <c>seurat</c> (Satija et al. 2015, bins of the mean)
/// and <c>seurat_v3</c> (Stuart et al. 2019, a local regression of the variance on the mean).
/// </summary>
public static class VariableGenes
{
    /// <summary>Dispersions standardised within bins of equal width of the mean. A gene that is alone in its bin has the normalised dispersion 1.</summary>
    /// <param name="logarithms">ln(1 + normalised counts), cells × genes.</param>
    /// <param name="logBase">Base of those logarithms; null for e.</param>
    /// <param name="top">How many genes (those that tie with the last one as well); null to go by <paramref name="bounds"/>.</param>
    /// <param name="bounds">Used where <paramref name="top"/> is null; a dispersion that is not a number counts as 0 there.</param>
    /// <param name="bins">Number of bins.</param>
    public static DispersionSelection ByDispersion(CellMatrix logarithms, double? logBase, int? top, DispersionBounds bounds, int bins = 20, CancellationToken cancellation = default)
    {
        const double LeastMean = 1e-12;
        (double[] means, double[] variances) = VariableMoments.Of(logarithms, new Exponential(logBase is { } b ? Math.Log(b) : 1), cancellation);
        double[] dispersions = new double[means.Length];
        for (int j = 0; j < means.Length; j++)
        {
            double mean = means[j] == 0 ? LeastMean : means[j], ratio = variances[j] / mean;
            dispersions[j] = ratio == 0 ? double.NaN : Math.Log(ratio);
            means[j] = double.LogP1(mean);
        }
        double[] normalised = WithinBins(dispersions, BinsOf(means, bins), bins);
        bool[] selected = top is { } wanted ? Largest(normalised, wanted) : [.. normalised.Select((z, j) => means[j] > bounds.MinMean && means[j] < bounds.MaxMean && Known(z) > bounds.MinDispersion && Known(z) < bounds.MaxDispersion)];
        return new DispersionSelection(selected, means, dispersions, normalised);
    }

    /// <summary>Variances standardised by the trend that a local quadratic regression of log10 variance on log10 mean gives.</summary>
    /// <param name="counts">Counts, not their logarithms; cells × genes, at least two cells.</param>
    /// <param name="top">How many genes.</param>
    /// <param name="span">Share of the genes in a neighbourhood of the regression.</param>
    /// <exception cref="DataException">Too many genes have one mean for the regression.</exception>
    public static VarianceSelection ByVariance(CellMatrix counts, int top = 2000, double span = 0.3, CancellationToken cancellation = default)
    {
        (double[] means, double[] variances) = VariableMoments.Of(counts, default(SameValue), cancellation);
        int[] varying = [.. Enumerable.Range(0, means.Length).Where(j => variances[j] > 0)];
        double[] trend = Loess.Fit([.. varying.Select(j => Math.Log10(means[j]))], [.. varying.Select(j => Math.Log10(variances[j]))], span);
        double[] deviations = new double[means.Length], most = new double[means.Length];
        Array.Fill(deviations, 1);
        for (int v = 0; v < varying.Length; v++) deviations[varying[v]] = Math.Sqrt(Math.Pow(10, trend[v]));
        for (int j = 0; j < most.Length; j++) most[j] = deviations[j] * Math.Sqrt(counts.Cells) + means[j];
        // Σ (min(x, most) - mean)² over the cells; a value that is not stored is 0 and adds mean².
        double[] sums = counts.SumByVariable((cell, into) =>
        {
            ReadOnlySpan<float> values = counts.Values(cell);
            ReadOnlySpan<int> places = counts.Places(cell);
            for (int k = 0; k < values.Length; k++)
            {
                int j = places[k];
                double cut = Math.Min(values[k], most[j]);
                into[j] += cut * (cut - 2 * means[j]);
            }
        }, cancellation);
        double[] normalised = new double[means.Length];
        for (int j = 0; j < normalised.Length; j++)
            normalised[j] = (sums[j] + counts.Cells * means[j] * means[j]) / ((counts.Cells - 1) * deviations[j] * deviations[j]);
        int[] order = [.. Enumerable.Range(0, normalised.Length).OrderByDescending(j => normalised[j])];
        bool[] selected = new bool[normalised.Length];
        float[] ranks = new float[normalised.Length];
        Array.Fill(ranks, float.NaN);
        for (int rank = 0; rank < Math.Min(top, order.Length); rank++) (selected[order[rank]], ranks[order[rank]]) = (true, rank);
        return new VarianceSelection(selected, means, variances, normalised, ranks);
    }

    /// <summary>The bin of every mean: <c>pandas.cut</c> with a number of bins, closed on the right, the lowest widened by a thousandth of the range.</summary>
    private static int[] BinsOf(double[] means, int bins)
    {
        double low = means.Min(), high = means.Max();
        double[] edges = new double[bins + 1];
        bool same = low == high;
        if (same)
        {
            double shift = low != 0 ? 0.001 * Math.Abs(low) : 0.001;
            (low, high) = (low - shift, high + shift);
        }
        double step = (high - low) / bins;
        for (int i = 0; i < bins; i++) edges[i] = i * step + low;
        edges[bins] = high;
        if (!same) edges[0] -= (high - low) * 0.001;
        return Array.ConvertAll(means, mean =>
        {
            int at = Array.BinarySearch(edges, mean);
            return (at < 0 ? ~at : at) - 1;
        });
    }

    private static double[] WithinBins(double[] dispersions, int[] bin, int bins)
    {
        int[] count = new int[bins];
        double[] mean = new double[bins], square = new double[bins];
        for (int j = 0; j < bin.Length; j++)
        {
            if (double.IsNaN(dispersions[j])) continue;
            count[bin[j]]++;
            mean[bin[j]] += dispersions[j];
        }
        for (int i = 0; i < bins; i++) mean[i] /= count[i];
        for (int j = 0; j < bin.Length; j++)
            if (!double.IsNaN(dispersions[j])) square[bin[j]] += (dispersions[j] - mean[bin[j]]) * (dispersions[j] - mean[bin[j]]);
        return [.. dispersions.Select((d, j) => count[bin[j]] == 1 ? d / mean[bin[j]] : (d - mean[bin[j]]) / Math.Sqrt(square[bin[j]] / (count[bin[j]] - 1)))];
    }

    /// <summary>Everything at or above the wanted-th largest number.</summary>
    private static bool[] Largest(double[] values, int wanted)
    {
        double[] known = [.. values.Where(v => !double.IsNaN(v)).OrderDescending()];
        if (known.Length == 0) return new bool[values.Length];
        double bound = known[Math.Min(wanted, known.Length) - 1];
        return Array.ConvertAll(values, v => v >= bound);
    }

    private static double Known(double z) => double.IsNaN(z) ? 0 : z;
}
