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
    public GeneValues Expression(string targets) => _targets.Single(t => t.Name == targets).Cells;

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
        using PrincipalScores scores = ImageComponents(input, filter, Math.Max(images.Pca, images.GenePca), context, out LatentSelection selection);
        int[] genes = input.Expression.VariableGenes(rna.MaxGenes);
        if (genes.Length < 2) throw new DataException(rna.Expression ?? "expression", null, $"{genes.Length} of its {input.Genes.Length} genes vary over the drawn cells; at least two are needed");
        context.Cancellation.ThrowIfCancellationRequested();
        using GeneValues chosen = input.Expression.Select(genes);
        using PrincipalScores? cells = input.CellLatent is null ? GwMapSpaces.Cells(chosen, context.Host, rna.Pca) : null;
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

    private static PrincipalScores ImageComponents(GwMapInput input, LatentFilterOptions filter, int components, CommandContext context, out LatentSelection selection)
    {
        using Matrix<float> latents = input.ReadLatents();
        selection = LatentFilter.Select(latents, input.Sample.ImageLabels, filter, context.Cancellation);
        context.Progress.Report("principal components", 0, 0);
        context.Cancellation.ThrowIfCancellationRequested();
        using Matrix<float> kept = Gather.Columns(latents, selection.Kept);
        return GwMapSpaces.Images(kept, components);
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
        Matrix<float> imageFeatures = Own(Narrow(Images)), geneFeatures = Own(Narrow(wide));
        bool given = input.CellLatent is not null;
        PrincipalScores? components = given ? null : Own(new PrincipalScores(file.ReadDouble(context.Host, "cells"), file.Read("cell_shares").ToDoubles()));
        Cells = input.CellLatent ?? components!.Scores;
        string[] genes = [.. chosen.Select(g => input.Genes[g])];
        _targets.Add(new TargetSet(GwMapTargets.Latent, [.. Enumerable.Range(1, Cells.Columns).Select(d => $"{(given ? "latent " : "PC")}{d}")], Own(new DenseGenes(Narrow(Cells))), imageFeatures));
        _targets.Add(new TargetSet(GwMapTargets.Raw, genes, Own(input.Expression.Select(chosen)), geneFeatures));
        if (input.ReadDenoised is { } denoised) _targets.Add(new TargetSet(GwMapTargets.Denoised, genes, Own(new DenseGenes(denoised(chosen))), geneFeatures));
        Used = new GwMapSpacesUsed
        {
            Latents = selection, ImageComponents = Images.Columns, ImageExplained = scores.ExplainedBy(Images.Columns), GeneComponents = geneFeatures.Columns,
            CellSpace = given ? $"the latent space {config.Rna!.Latent}, as it is" : "principal components of the log-normalised expression (no latent space was given)",
            CellDimensions = Cells.Columns, CellExplained = components?.ExplainedBy(Cells.Columns), WereCounts = input.WereCounts, GenesGiven = input.Genes.Length, Genes = genes,
            NotDenoised = input.ReadDenoised is null ? "no denoised expression was given (rna.denoised): raw genes alone are predicted." : null,
        };
    }

    private static int[] Integers(NpzFile file, string member) => Array.ConvertAll(file.Read(member).ToDoubles(), v => (int)v);

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
