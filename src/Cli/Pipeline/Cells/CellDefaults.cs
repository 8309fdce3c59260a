using BioSup.Data;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>The steps that are taken where none are named: what the matrix holds decides.</summary>
internal static class CellDefaults
{
    /// <summary>Whole numbers: quality control, normalisation and variable genes come first; the counts are kept in a layer.</summary>
    public const string Counts = "qc,filter_cells:min_genes=200,filter_genes:min_cells=3,keep:layer=counts,normalize_total:target_sum=10000,log1p,highly_variable_genes,pca,neighbors,leiden,umap,rank_genes_groups";

    /// <summary>Logarithms of counts, as scanpy notes them in <c>uns/log1p</c>.</summary>
    public const string Logarithms = "pca,neighbors,leiden,umap,rank_genes_groups";

    /// <summary>Latents with the paper's classes: its preparation.</summary>
    public const string ClassedLatents = "latents,pca,neighbors,leiden,umap";

    /// <summary>Latents, or any other measured features: the same scaling without classes.</summary>
    public const string Latents = "l2,log1p,scale,pca,neighbors,leiden,umap";

    /// <returns>What the matrix holds, in words, and the steps.</returns>
    public static (string Holds, string Steps) For(AnnData data)
    {
        string latents = HasClasses(data) ? ClassedLatents : Latents;
        if (data.Var.Contains("usage_ema")) return ("latents (var has usage_ema)", latents);
        if (data.Uns.ContainsKey("log1p")) return ("logarithms of counts (uns has log1p)", Logarithms);
        return AreCounts(data.X) ? ("counts (whole numbers)", Counts) : ("latents (values are not whole numbers)", latents);
    }

    private static bool HasClasses(AnnData data) => data.Obs.Contains("superclass")
        && new[] { "Control", "SNCA", "GBA", "LRRK2" }.All(data.Obs["superclass"].ToColumn("obs").Text.Contains);

    private static bool AreCounts(IAnnElement? x) => ((x as SparseMatrix)?.Values ?? x as NdArray) switch
    {
        { Values: float[] values } => Array.TrueForAll(values, v => v >= 0 && v == MathF.Floor(v)),
        { Values: double[] values } => Array.TrueForAll(values, v => v >= 0 && v == Math.Floor(v)),
        { Type: ElementType.Boolean or ElementType.Text } or null => false,
        { } other => Array.TrueForAll(other.ToDoubles(), v => v >= 0 && v == Math.Floor(v)),
    };
}
