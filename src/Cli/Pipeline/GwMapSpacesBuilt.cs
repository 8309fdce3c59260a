using BioSup.Analysis.GwMap;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>The matrices that GW-map compares and predicts, in host memory.</summary>
internal sealed class GwMapSpacesBuilt : IDisposable
{
    private readonly List<IDisposable> _owned = [];
    private readonly List<TargetSet> _targets = [];

    /// <summary>[images, components] that the coupling sees.</summary>
    public Matrix<double> Images { get; private set; } = null!;

    /// <summary>[cells, dimensions] that the coupling sees.</summary>
    public Matrix<double> Cells { get; private set; } = null!;

    public GwMapSpacesUsed Used { get; private set; } = null!;

    /// <summary>What is predicted: the cells' space, raw genes, denoised genes where there are any.</summary>
    public IReadOnlyList<TargetSet> Targets() => _targets;

    /// <summary>Log-normalised expression, or the denoised one, of the genes that are predicted.</summary>
    public Matrix<float> Expression(string targets) => _targets.Single(t => t.Name == targets).Cells;

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
    }

    public static GwMapSpacesBuilt Build(GwMapConfig config, GwMapInput input, CommandContext context)
    {
        GwMapSpacesBuilt built = new();
        try
        {
            built.Fill(config, input, context);
            return built;
        }
        catch
        {
            built.Dispose();
            throw;
        }
    }

    private void Fill(GwMapConfig config, GwMapInput input, CommandContext context)
    {
        GwMapImagesSection images = config.Images ?? new();
        GwMapRnaSection rna = config.Rna ?? new();
        context.Progress.Report("filtering latents", 0, 0);
        LatentFilterOptions filter = new() { DeadThreshold = images.DeadThreshold, MinVariation = images.MinCv, Differential = images.Differential, MinLog2FoldChange = images.MinLog2fc, MaxAdjustedP = images.MaxP };
        LatentSelection selection = LatentFilter.Select(input.Latents, input.Sample.ImageLabels, filter, context.Cancellation);
        context.Progress.Report("principal components", 0, 0);
        Matrix<float> imageFeatures, geneFeatures;
        double imageExplained;
        using (Matrix<float> kept = Gather.Columns(input.Latents, selection.Kept))
        using (PrincipalScores scores = GwMapSpaces.Images(kept, Math.Max(images.Pca, images.GenePca)))
        {
            Images = Own(scores.Leading(images.Pca));
            using Matrix<double> wide = scores.Leading(images.GenePca);
            imageExplained = scores.ExplainedBy(Images.Columns);
            (imageFeatures, geneFeatures) = (Own(Narrow(Images)), Own(Narrow(wide)));
        }
        context.Cancellation.ThrowIfCancellationRequested();

        bool counts = GwMapSpaces.LogNormalise(input.Expression);
        int[] chosen = GwMapSpaces.VariableGenes(input.Expression, rna.MaxGenes);
        if (chosen.Length < 2) throw new DataException(rna.Expression ?? "expression", null, $"{chosen.Length} of its {input.Genes.Length} genes vary over the drawn cells; at least two are needed");
        string[] genes = [.. chosen.Select(g => input.Genes[g])];
        Matrix<float> expression = Own(Gather.Columns(input.Expression, chosen));
        (Cells, double? explained, string space) = CellSpace(input, expression, rna);
        _targets.Add(new TargetSet(GwMapTargets.Latent, [.. Enumerable.Range(1, Cells.Columns).Select(d => $"{(input.CellLatent is null ? "PC" : "latent ")}{d}")], Own(Narrow(Cells)), imageFeatures));
        _targets.Add(new TargetSet(GwMapTargets.Raw, genes, expression, geneFeatures));
        if (input.Denoised is { } denoised) _targets.Add(new TargetSet(GwMapTargets.Denoised, genes, Own(Logarithms(denoised, chosen)), geneFeatures));
        Used = new GwMapSpacesUsed
        {
            Latents = selection, ImageComponents = Images.Columns, ImageExplained = imageExplained, GeneComponents = geneFeatures.Columns,
            CellSpace = space, CellDimensions = Cells.Columns, CellExplained = explained, WereCounts = counts, GenesGiven = input.Genes.Length, Genes = genes,
            NotDenoised = input.Denoised is null ? "no denoised expression was given (rna.denoised): raw genes alone are predicted." : null,
        };
    }

    private (Matrix<double> Cells, double? Explained, string Space) CellSpace(GwMapInput input, Matrix<float> expression, GwMapRnaSection rna)
    {
        if (input.CellLatent is { } given) return (given, null, $"the latent space {rna.Latent}, as it is");
        PrincipalScores scores = Own(GwMapSpaces.Cells(expression, rna.Pca));
        return (scores.Scores, scores.ExplainedBy(scores.Scores.Columns), "principal components of the log-normalised expression (no latent space was given)");
    }

    /// <summary>Denoised expression at a total of 10,000 becomes its logarithm; values that are small enough to be logarithms stay.</summary>
    private static Matrix<float> Logarithms(Matrix<float> denoised, int[] genes)
    {
        Matrix<float> chosen = Gather.Columns(denoised, genes);
        if (MatrixElements.Summarise(denoised.View).Largest > GwMapSpaces.LargestLogarithm) Elementwise.LogOnePlus(chosen.View, chosen.View);
        return chosen;
    }

    private static Matrix<float> Narrow(Matrix<double> values)
    {
        Matrix<float> narrow = values.Device.AllocateMatrix<float>(values.Rows, values.Columns);
        for (int i = 0; i < values.Rows; i++)
        {
            ReadOnlySpan<double> from = values.Row(i);
            Span<float> to = narrow.Row(i);
            for (int j = 0; j < from.Length; j++) to[j] = (float)from[j];
        }
        return narrow;
    }

    private T Own<T>(T value) where T : IDisposable
    {
        _owned.Add(value);
        return value;
    }
}
