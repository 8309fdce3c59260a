using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;

namespace BioSup.Cli.Pipeline;

/// <summary>The native memory that the steps of a `gw map` besides its solve will hold, known before they start; the packed panels of products, some MiB for every thread, come on top.</summary>
internal static class GwMapMemory
{
    /// <summary>Of the spaces: latents, which may all pass the filters, and principal components of both sides, one after the other.</summary>
    public static MemoryPlan Spaces(GwMapConfig config, GwMapInput input)
    {
        long images = input.Sample.Images.Length, cells = input.Sample.Cells.Length, latents = input.LatentColumns;
        long genes = Math.Min(input.Expression.Genes, config.Rna?.MaxGenes ?? new GwMapRnaSection().MaxGenes);
        // What passed in single precision beside all of them; then in double, centred once more.
        long filtering = images * latents * 2 * sizeof(float), kept = Math.Max(config.Images?.GenePca ?? 100, config.Images?.Pca ?? 30);
        long imageSide = filtering + Components(images, latents, kept), cellSide = input.CellLatent is null ? Components(cells, genes, config.Rna?.Pca ?? 30) : 0;
        return new MemoryPlan(
        [
            ("expression, what is not zero", input.Expression.Bytes),
            ("latents and principal components, images then cells", Math.Max(imageSide, cellSide + images * kept * sizeof(double))),
        ]);
    }

    /// <summary>Of everything after the solve: expression, soft targets of one label and set at a time, and the larger of the models that predict them.</summary>
    public static MemoryPlan AfterCoupling(GwMapConfig config, GwMapInput input, GwMapSpacesBuilt spaces, int threads)
    {
        long images = input.Sample.Images.Length, cells = input.Sample.Cells.Length, genes = spaces.Used.Genes.Length, perLabel = input.Sample.PerLabel;
        long features = spaces.Used.GeneComponents, folds = config.Predictability.Folds;
        long model = Ridge(images, features, genes, folds, threads);
        if (config.Predictability.Mlp is not null) model = Math.Max(model, Network(images, features, genes, threads));
        return new MemoryPlan(
        [
            ("expression, what is not zero", input.Expression.Bytes),
            ("denoised genes", input.ReadDenoised is null ? 0 : cells * genes * sizeof(float)),
            ("coupling, and the block of a label with its rows", (images * cells + perLabel * (perLabel + cells)) * sizeof(double)),
            ("spaces and features", (images * (features + spaces.Images.Columns) + cells * spaces.Cells.Columns) * 3 * sizeof(double)),
            ("soft targets and a block of genes", GeneSoftTargets.PlannedBytes((int)images, (int)cells, (int)genes)),
            ("prediction", model),
        ]);
    }

    /// <summary>A matrix in double precision, centred, the smaller of its Gram matrices with eigenvectors and workspace, and components with their scores.</summary>
    private static long Components(long rows, long columns, long kept) => (2 * rows * columns + 5 * Math.Min(rows, columns) * Math.Min(rows, columns) + 2 * kept * (rows + columns)) * sizeof(double);

    /// <summary>Features thrice (centred, rotated, by fold); 1,024 targets as given and in double precision, a fold of them with its predictions; matrices of the folds; and per thread the sums of 256 columns.</summary>
    private static long Ridge(long rows, long features, long targets, long folds, int threads)
    {
        long width = Math.Min(1024, targets), fold = rows / folds + 1;
        return rows * features * 5 * sizeof(double) + width * (rows * (sizeof(float) + sizeof(double)) + (2 * fold + 4 * features) * sizeof(double))
            + (folds * 4 + 4) * (features + 2) * (features + 2) * sizeof(double) + threads * (fold + (folds + 3) * (features + 2)) * 256 * sizeof(double);
    }

    /// <summary>Targets standardised, and per thread the parameters with gradients, moments and a best copy, and the activations of a batch.</summary>
    private static long Network(long rows, long features, long targets, int threads)
    {
        const long Hidden = 128, Batch = 256;
        long parameters = features * (Hidden + 2) + Hidden * (Hidden + 6) + (Hidden + 1) * targets;
        return rows * (features + targets) * sizeof(float) + threads * (8 * parameters + Batch * (4 * features + 16 * Hidden + 3 * targets)) * sizeof(float);
    }
}
