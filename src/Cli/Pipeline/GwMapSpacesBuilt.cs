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

    /// <summary>Filters latents, chooses genes, takes principal components, and leaves what comes out in an npz file.</summary>
    public static void Find(GwMapConfig config, GwMapInput input, string path, CommandContext context)
    {
        GwMapImagesSection images = config.Images ?? new();
        GwMapRnaSection rna = config.Rna ?? new();
        context.Progress.Report("filtering latents", 0, 0);
        LatentFilterOptions filter = new() { DeadThreshold = images.DeadThreshold, MinVariation = images.MinCv, Differential = images.Differential, MinLog2FoldChange = images.MinLog2fc, MaxAdjustedP = images.MaxP };
        LatentSelection selection = LatentFilter.Select(input.Latents, input.Sample.ImageLabels, filter, context.Cancellation);
        int[] genes = GwMapSpaces.VariableGenes(input.Expression, rna.MaxGenes);
        if (genes.Length < 2) throw new DataException(rna.Expression ?? "expression", null, $"{genes.Length} of its {input.Genes.Length} genes vary over the drawn cells; at least two are needed");
        context.Progress.Report("principal components", 0, 0);
        context.Cancellation.ThrowIfCancellationRequested();
        using Matrix<float> kept = Gather.Columns(input.Latents, selection.Kept);
        using PrincipalScores scores = GwMapSpaces.Images(kept, Math.Max(images.Pca, images.GenePca));
        context.Cancellation.ThrowIfCancellationRequested();
        using Matrix<float>? expression = input.CellLatent is null ? Gather.Columns(input.Expression, genes) : null;
        using PrincipalScores? cells = expression is null ? null : GwMapSpaces.Cells(expression, rna.Pca);
        NpzFile.Write(path, npz =>
        {
            npz.Add("latents", new[] { selection.Total, selection.Alive, selection.Varying });
            npz.Add("kept", selection.Kept);
            npz.Add("images", scores.Scores);
            npz.Add("image_shares", scores.Shares);
            npz.Add("genes", genes);
            if (cells is null) return;
            npz.Add("cells", cells.Scores);
            npz.Add("cell_shares", cells.Shares);
        });
    }

    /// <summary>Reads what <see cref="Find"/> left, and takes the genes it names out of the expression.</summary>
    public static GwMapSpacesBuilt Build(GwMapConfig config, GwMapInput input, string path, CommandContext context)
    {
        GwMapSpacesBuilt built = new();
        try
        {
            using NpzFile file = NpzFile.Open(path);
            built.Fill(config, input, file, context);
            return built;
        }
        catch
        {
            built.Dispose();
            throw;
        }
    }

    private void Fill(GwMapConfig config, GwMapInput input, NpzFile file, CommandContext context)
    {
        GwMapImagesSection images = config.Images ?? new();
        int[] counts = Integers(file, "latents"), chosen = Integers(file, "genes");
        LatentSelection selection = new(Integers(file, "kept"), counts[0], counts[1], counts[2]);
        using PrincipalScores scores = new(file.ReadDouble(context.Host, "images"), file.Read("image_shares").ToDoubles());
        Images = Own(scores.Leading(images.Pca));
        using Matrix<double> wide = scores.Leading(images.GenePca);
        Matrix<float> imageFeatures = Own(Narrow(Images)), geneFeatures = Own(Narrow(wide)), expression = Own(Gather.Columns(input.Expression, chosen));
        bool given = input.CellLatent is not null;
        PrincipalScores? components = given ? null : Own(new PrincipalScores(file.ReadDouble(context.Host, "cells"), file.Read("cell_shares").ToDoubles()));
        Cells = input.CellLatent ?? components!.Scores;
        string[] genes = [.. chosen.Select(g => input.Genes[g])];
        _targets.Add(new TargetSet(GwMapTargets.Latent, [.. Enumerable.Range(1, Cells.Columns).Select(d => $"{(given ? "latent " : "PC")}{d}")], Own(Narrow(Cells)), imageFeatures));
        _targets.Add(new TargetSet(GwMapTargets.Raw, genes, expression, geneFeatures));
        if (input.Denoised is { } denoised) _targets.Add(new TargetSet(GwMapTargets.Denoised, genes, Own(Logarithms(denoised, chosen)), geneFeatures));
        Used = new GwMapSpacesUsed
        {
            Latents = selection, ImageComponents = Images.Columns, ImageExplained = scores.ExplainedBy(Images.Columns), GeneComponents = geneFeatures.Columns,
            CellSpace = given ? $"the latent space {config.Rna!.Latent}, as it is" : "principal components of the log-normalised expression (no latent space was given)",
            CellDimensions = Cells.Columns, CellExplained = components?.ExplainedBy(Cells.Columns), WereCounts = input.WereCounts, GenesGiven = input.Genes.Length, Genes = genes,
            NotDenoised = input.Denoised is null ? "no denoised expression was given (rna.denoised): raw genes alone are predicted." : null,
        };
    }

    private static int[] Integers(NpzFile file, string member) => Array.ConvertAll(file.Read(member).ToDoubles(), v => (int)v);

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
