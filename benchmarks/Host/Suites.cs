namespace BioSup.Benchmarks;

/// <summary>A named comparison of the engine with a peer.</summary>
public sealed record Suite(string Name, string Description, Action<SuiteOptions> Run);

/// <summary>Every suite; a new one adds one line here and one file in Suites/.</summary>
public static class Suites
{
    public static IReadOnlyDictionary<string, Suite> ByName { get; } = new Suite[]
    {
        new("gemm", "matrix products against OpenBLAS", GemmSuite.Run),
        new("gemm-other", "transposed, double-precision and thin matrix products against OpenBLAS", GemmSuite.RunOther),
        new("distance", "pairwise distances and nearest neighbours against scikit-learn", DistanceSuite.Run),
        new("gw", "entropic Gromov-Wasserstein on SNARE-seq against POT", GwSuite.Run),
        new("gw-points", "alignment by squared distances with and without forming the costs", GwPointsSuite.Run),
        new("gw-points-pot", "alignment by squared distances against POT at one tolerance, its time bounded by a few of its iterations", GwPointsPeerSuite.Run),
        new("gw-sizes", "alignment with costs as matrices against POT at three sizes", GwSizesSuite.Run),
        new("geodesics", "all shortest paths on a neighbour graph against scipy", GeodesicsSuite.Run),
        new("phate", "the parts of exact PHATE beside NumPy and scikit-learn", PhateSuite.Run),
        new("sae", "training steps of autoencoders against PyTorch, eager and in its best form", SaeSuite.Run),
        new("sae-encode", "encoding beside the matrix product of ONNX Runtime and OpenBLAS", SaeEncodeSuite.Run),
        new("cells-knn", "exact nearest neighbours of cells against scikit-learn", CellsSuite.RunNeighbours),
        new("cells-diffmap", "diffusion maps of cells against SciPy's eigsh", CellsSuite.RunDiffusionMaps),
        new("cells-h5ad", "reading h5ad files against anndata and h5py", CellFilesSuite.Run),
        new("cells-umap", "UMAP layouts against umap-learn, on its threads and with a seed", CellsUmapSuite.Run),
        new("cells-leiden", "communities of neighbour graphs against igraph and leidenalg", CellsLeidenSuite.Run),
        new("cells-million", "neighbours, layout and communities of a million cells", CellsMillionSuite.Run),
        new("tokens", "shuffled tokens from disk, and reading by position against memory mapping", TokenSuite.Run),
        new("cells-wilcoxon", "Mann-Whitney tests of 2,000 genes against scipy's vectorised form", CellsWilcoxonSuite.Run),
    }.ToDictionary(suite => suite.Name);
}

/// <summary>What the command line of a suite says.</summary>
public sealed class SuiteOptions
{
    public SuiteOptions(ReadOnlySpan<string> args)
    {
        for (int i = 0; i < args.Length; i++)
        {
            if (args[i] == "--quick") Quick = true;
            else if (args[i] == "--output" && i + 1 < args.Length) Output = args[++i];
            else Rest.Add(args[i]);
        }
    }

    /// <summary>Only the sizes that take seconds.</summary>
    public bool Quick { get; }

    /// <summary>File for the table; null prints only.</summary>
    public string? Output { get; }

    /// <summary>Arguments of the suite itself.</summary>
    public List<string> Rest { get; } = [];
}
