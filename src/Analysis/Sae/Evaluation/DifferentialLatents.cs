using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>What makes a latent specific to a class; the defaults are the paper's.</summary>
public sealed record DifferentialOptions
{
    /// <summary>Class that others are compared with; null compares each class with all others together.</summary>
    public string? Control { get; init; }

    /// <summary>Smallest |log2 fold change|: 0.58 is a factor of 1.5.</summary>
    public double MinLog2FoldChange { get; init; } = 0.58;

    /// <summary>Largest Gini impurity over class means: 0 for one class alone.</summary>
    public double MaxGiniImpurity { get; init; } = 0.5;

    /// <summary>Images in which the latent has to be active.</summary>
    public int MinActiveImages { get; init; } = 10;
}

/// <summary>One latent in one comparison.</summary>
/// <param name="Latent">Its number.</param>
/// <param name="Mean">Mean over the images of the class.</param>
/// <param name="ReferenceMean">Mean over the images that it is compared with.</param>
/// <param name="Log2FoldChange">log2((Mean + 1e-10) / (ReferenceMean + 1e-10)).</param>
/// <param name="Log10P">Decimal logarithm of the two-sided Mann–Whitney p-value.</param>
/// <param name="Log10Q">The same adjusted for the false discovery rate over the latents of the comparison.</param>
/// <param name="GiniImpurity">Over the means of all classes.</param>
/// <param name="TopClass">Name of the class with the largest mean.</param>
/// <param name="ActiveImages">Images, of any class, in which it is active.</param>
/// <param name="Specific">It passes every bound of <see cref="DifferentialOptions"/>.</param>
public sealed record DifferentialLatent(int Latent, double Mean, double ReferenceMean, double Log2FoldChange, double Log10P, double Log10Q, double GiniImpurity, string TopClass, int ActiveImages, bool Specific);

/// <summary>One class against the control, or against all other classes.</summary>
public sealed record DifferentialComparison(string Class, string Reference, int Images, int ReferenceImages, IReadOnlyList<DifferentialLatent> Latents);

/// <summary>
/// Latents that differ between classes of images, as the paper's volcano plots show them: log2 ratio of mean activations against the false discovery rate of a Mann–Whitney
/// test. Selection is by fold change and Gini impurity; the test gives the vertical axis alone. Latents that no image activates are left out.
/// </summary>
public static class DifferentialLatents
{
    private const double ShareFloor = 1e-8;

    /// <param name="samples">Mean activations of images.</param>
    /// <param name="labels">A class for every image.</param>
    /// <param name="options">Bounds and control.</param>
    /// <exception cref="DataException">The control is no class, there is one class only, or the lengths differ.</exception>
    public static IReadOnlyList<DifferentialComparison> Compare(SaeSamples samples, IReadOnlyList<string> labels, DifferentialOptions? options = null, CancellationToken cancellation = default) =>
        Compare(samples.Latents, labels, options, cancellation);

    /// <inheritdoc cref="Compare(SaeSamples, IReadOnlyList{string}, DifferentialOptions?, CancellationToken)"/>
    public static IReadOnlyList<DifferentialComparison> Compare(Matrix<float> latents, IReadOnlyList<string> labels, DifferentialOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new DifferentialOptions();
        if (labels.Count != latents.Rows) throw new DataException("labels", null, $"there are {labels.Count} labels for {latents.Rows} images");
        string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        if (classes.Length < 2) throw new DataException("labels", null, "there is only one class: nothing can differ");
        if (options.Control is { } control && !classes.Contains(control)) throw new DataException("labels", null, $"there is no class '{control}' to compare with; the classes are {string.Join(", ", classes)}");
        int[] codes = [.. labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal))];
        Column[] columns = Columns(latents, codes, classes, cancellation);
        RankGenesOptions test = new() { Test = GeneTest.MannWhitneyAsymptotic, Reference = options.Control is null ? null : Array.IndexOf(classes, options.Control), FoldChange = FoldChangeFormula.Paper };
        return [.. RankGenes.Compute(latents, codes, classes.Length, test, "latents", cancellation).Select(group => One(group, columns, classes[group.Group], options))];
    }

    private static DifferentialComparison One(RankedGroup group, Column[] columns, string name, DifferentialOptions options)
    {
        // The family of the false discovery rate are the latents that some image activates.
        double[] log10Q = BenjaminiHochberg.AdjustLog10(Array.ConvertAll(columns, c => group.Log10P[c.Latent]));
        DifferentialLatent[] found = new DifferentialLatent[columns.Length];
        for (int c = 0; c < found.Length; c++)
        {
            (int latent, double gini, string top, int active) = columns[c];
            double change = group.LogFoldChanges[latent];
            bool specific = Math.Abs(change) >= options.MinLog2FoldChange && gini <= options.MaxGiniImpurity && active >= options.MinActiveImages;
            found[c] = new DifferentialLatent(latent, group.Means[latent], group.ReferenceMeans[latent], change, group.Log10P[latent], log10Q[c], gini, top, active, specific);
        }
        return new DifferentialComparison(name, options.Control ?? "all other classes", group.Cells, group.ReferenceCells, found);
    }

    private sealed record Column(int Latent, double Gini, string Top, int Active);

    private static Column[] Columns(Matrix<float> latents, int[] codes, string[] classes, CancellationToken cancellation)
    {
        double[][] sums = [.. classes.Select(_ => new double[latents.Columns])];
        int[] active = new int[latents.Columns], images = new int[classes.Length];
        for (int i = 0; i < latents.Rows; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            images[codes[i]]++;
            ReadOnlySpan<float> row = latents.Row(i);
            double[] own = sums[codes[i]];
            for (int j = 0; j < row.Length; j++)
            {
                own[j] += row[j];
                if (row[j] != 0) active[j]++;
            }
        }
        List<Column> columns = [];
        for (int j = 0; j < latents.Columns; j++)
        {
            if (active[j] == 0) continue;
            double total = 0, square = 0;
            int top = 0;
            for (int c = 0; c < classes.Length; c++)
            {
                double mean = sums[c][j] / images[c];
                total += mean + ShareFloor;
                square += (mean + ShareFloor) * (mean + ShareFloor);
                if (mean > sums[top][j] / images[top]) top = c;
            }
            columns.Add(new Column(j, 1 - square / (total * total), classes[top], active[j]));
        }
        return [.. columns];
    }
}
