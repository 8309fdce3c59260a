using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>How genes are grouped into modules.</summary>
/// <param name="Resolutions">Resolutions of the modularity, coarse to fine (rising, positive): one level of modules for each.</param>
/// <param name="Neighbours">k of the correlation graph; with fewer other genes, all of them.</param>
/// <param name="Seed">Decides every random choice.</param>
public sealed record ModuleOptions(double[] Resolutions, int Neighbours, ulong Seed)
{
    /// <summary>The levels of the published tables (3, 7, 10 and 17 modules of 200 genes there).</summary>
    public static double[] PublishedResolutions => [0.08, 0.25, 0.4, 1.0];

    /// <summary>The published levels on the graph of 15 neighbours; which graph the paper used is not published.</summary>
    public static ModuleOptions Published(ulong seed = 0) => new(PublishedResolutions, 15, seed);

    /// <summary>Leiden searches per level, of which the one with the largest modularity is kept.</summary>
    public int Runs { get; init; } = 10;

    internal void Check()
    {
        if (Resolutions.Length == 0) throw new UsageException("Gene modules need at least one resolution.");
        for (int l = 0; l < Resolutions.Length; l++)
        {
            if (!(Resolutions[l] > 0) || !double.IsFinite(Resolutions[l])) throw new UsageException($"The resolution {Resolutions[l]} of gene modules is not positive and finite.");
            if (l > 0 && Resolutions[l] <= Resolutions[l - 1]) throw new UsageException($"The resolutions of gene modules rise from coarse to fine, but {Resolutions[l]} follows {Resolutions[l - 1]}.");
        }
        if (Neighbours < 1) throw new UsageException($"Gene modules cannot join {Neighbours} neighbours; at least 1.");
        if (Runs < 1) throw new UsageException($"Gene modules cannot make {Runs} runs; at least 1.");
    }
}
