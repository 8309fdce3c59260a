using BioSup.Analysis.Sae;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>Which latents stay; the defaults are those of GW-map's published command line.</summary>
public sealed record LatentFilterOptions
{
    /// <summary>A latent is alive where its mean over the images is larger.</summary>
    public double DeadThreshold { get; init; } = 1e-5;

    /// <summary>Smallest coefficient of variation (standard deviation with divisor n over the mean).</summary>
    public double MinVariation { get; init; } = 0.1;

    /// <summary>Whether only latents that differ between labels stay. The filter looks at the images' labels, so label transfer is no longer blind to them.</summary>
    public bool Differential { get; init; } = true;

    /// <summary>Smallest |log2 fold change| of the mean of one label against all others: 0.58 is a factor of 1.5.</summary>
    public double MinLog2FoldChange { get; init; } = 0.58;

    /// <summary>Largest p-value of the two-sided Mann–Whitney test, adjusted for the false discovery rate over the latents (Benjamini and Hochberg).</summary>
    public double MaxAdjustedP { get; init; } = 0.05;
}

/// <summary>Latents that pass, and how many were left after each step.</summary>
/// <param name="Kept">Columns that stay, ascending.</param>
/// <param name="Total">Columns there were.</param>
/// <param name="Alive">Left after the dead ones were dropped.</param>
/// <param name="Varying">Left after those that hardly vary were dropped.</param>
public sealed record LatentSelection(int[] Kept, int Total, int Alive, int Varying);

/// <summary>Drops latents that are dead, hardly vary, or do not differ between labels.</summary>
public static class LatentFilter
{
    /// <param name="latents">[images, latents] in host memory.</param>
    /// <param name="labels">A label for every image.</param>
    /// <param name="options">Bounds.</param>
    /// <param name="cancellation">Stops between latents.</param>
    /// <exception cref="DataException">Fewer than two latents pass; the message says where they were lost.</exception>
    public static LatentSelection Select(Matrix<float> latents, IReadOnlyList<string> labels, LatentFilterOptions options, CancellationToken cancellation = default)
    {
        double[] mean = new double[latents.Columns], variance = new double[latents.Columns];
        using (DeviceBuffer<double> means = latents.Device.Allocate<double>(latents.Columns), variances = latents.Device.Allocate<double>(latents.Columns))
        {
            Reductions.ColumnVariances(latents.View, means.View, variances.View);
            means.CopyTo(mean);
            variances.CopyTo(variance);
        }
        int[] alive = [.. Enumerable.Range(0, latents.Columns).Where(j => mean[j] > options.DeadThreshold)];
        int[] varying = [.. alive.Where(j => Math.Sqrt(variance[j]) >= options.MinVariation * mean[j])];
        int[] kept = options.Differential && varying.Length > 0 ? Differing(latents, varying, labels, options, cancellation) : varying;
        if (kept.Length < 2)
        {
            throw new DataException("latents", null, $"{kept.Length} of {latents.Columns} latents pass the filters ({alive.Length} alive, {varying.Length} of them varying"
                + $"{(options.Differential ? $", {kept.Length} of them differing between labels" : "")}); at least two are needed");
        }
        return new LatentSelection(kept, latents.Columns, alive.Length, varying.Length);
    }

    private static int[] Differing(Matrix<float> latents, int[] candidates, IReadOnlyList<string> labels, LatentFilterOptions options, CancellationToken cancellation)
    {
        using Matrix<float> columns = Gather.Columns(latents, candidates);
        double log10Q = Math.Log10(options.MaxAdjustedP);
        // Only fold change and test decide here: the bounds on purity and frequency of the volcano plots are no part of GW-map.
        HashSet<int> differing = [];
        foreach (DifferentialComparison comparison in DifferentialLatents.Compare(columns, labels, new DifferentialOptions(), cancellation))
            foreach (DifferentialLatent latent in comparison.Latents)
                if (Math.Abs(latent.Log2FoldChange) >= options.MinLog2FoldChange && latent.Log10Q <= log10Q) differing.Add(candidates[latent.Latent]);
        return [.. differing.Order()];
    }
}
