using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// The rows that take part in a `gw map`, read and brought to the same order: latents of the drawn images; expression, names of the genes, latent space and denoised
/// expression of the drawn cells. Everything lies in host memory.
/// </summary>
internal sealed class GwMapInput : IDisposable
{
    private GwMapInput(BalancedSample sample) => Sample = sample;

    public BalancedSample Sample { get; }

    /// <summary>Reads the latents of the drawn images, [images, latents]; the caller owns them.</summary>
    public required Func<Matrix<float>> ReadLatents { get; init; }

    /// <summary>Columns of the latents.</summary>
    public required int LatentColumns { get; init; }

    /// <summary>Every gene there is, as logarithms.</summary>
    public required CellExpression Expression { get; init; }

    /// <summary>Whether the expression was counts and was normalised here.</summary>
    public required bool WereCounts { get; init; }

    public required string[] Genes { get; init; }

    /// <summary>[cells, dimensions], or null where components of the expression stand in for it.</summary>
    public required Matrix<double>? CellLatent { get; init; }

    /// <summary>Reads the denoised expression of some genes, as logarithms; the caller owns it. Null where none was given.</summary>
    public required Func<int[], Matrix<float>>? ReadDenoised { get; init; }

    /// <summary>The sets of genes by which modules are named, or null.</summary>
    public required IReadOnlyList<GeneSet>? GeneSets { get; init; }

    /// <summary>Programmes that were planted in generated data, or null.</summary>
    public required IReadOnlyList<GeneSet>? Planted { get; init; }

    public void Dispose()
    {
        Expression.Dispose();
        CellLatent?.Dispose();
    }

    /// <summary>Reads the files of a configuration, or generates its cohort into the result folder.</summary>
    /// <param name="locate">Turns a locator of the configuration into one of this process.</param>
    /// <param name="folder">Result folder: receives hashes of the inputs, or the cohort.</param>
    public static GwMapInput Read(GwMapConfig config, Func<string, string> locate, ResultFolder folder, CommandContext context)
    {
        if (config.Cohort is { } cohort) return Generate(config, cohort, folder, context);
        GwMapImagesSection images = config.Images!;
        GwMapRnaSection rna = config.Rna!;
        foreach (string input in Files(config).Append(config.Modules.GeneSets).OfType<string>()) folder.AddInput(locate(input));
        int imageRows = MatrixReader.ReadShape(locate(images.Latents!)).Rows;
        (int cellRows, int genes) = MatrixReader.ReadShape(locate(rna.Expression!));
        string[] imageLabels = Labels(images.Labels!, locate, imageRows, "images.labels"), cellLabels = Labels(rna.Labels!, locate, cellRows, "rna.labels");
        string[] names = GeneNames(rna, locate, genes);
        IReadOnlyList<GeneSet>? sets = config.Modules.GeneSets is { } gmt ? GmtFile.Read(locate(gmt)) : null;
        if (sets is not null) RequireKnownGenes(sets, names, config.Modules.GeneSets!);
        RequireShape(rna.Latent, "rna.latent", locate, cellRows, null);
        RequireShape(rna.Denoised, "rna.denoised", locate, cellRows, genes);
        BalancedSample sample = Draw(config.Sample, imageLabels, cellLabels, context.Seed);
        context.Progress.Report("reading", 0, 0, "expression");
        CellExpression expression = CellExpression.Read(context.Host, locate(rna.Expression!), sample.Cells);
        return new GwMapInput(sample)
        {
            ReadLatents = () => MatrixRows.Read(context.Host, locate(images.Latents!), sample.Images),
            LatentColumns = MatrixReader.ReadShape(locate(images.Latents!)).Columns,
            Expression = expression,
            WereCounts = expression.LogNormalise(),
            Genes = names,
            CellLatent = rna.Latent is { } space ? Rows(MatrixReader.ReadDouble(context.Host, locate(space)), sample.Cells) : null,
            ReadDenoised = rna.Denoised is { } layer ? chosen => Denoised(context.Host, locate(layer), sample.Cells, chosen) : null,
            GeneSets = sets,
            Planted = null,
        };
    }

    /// <summary>Locators of what is compared and predicted; none for a generated cohort.</summary>
    public static IEnumerable<string> Files(GwMapConfig config) => config.Cohort is not null ? []
        : new[] { config.Images?.Latents, config.Images?.Labels, config.Rna?.Expression, config.Rna?.Labels, config.Rna?.Genes, config.Rna?.Latent, config.Rna?.Denoised }.OfType<string>();

    /// <summary>A cohort whose image side is the planted concepts themselves: what a perfect autoencoder would deliver, so that only GW-map is tested.</summary>
    private static GwMapInput Generate(GwMapConfig config, GwMapCohortSection section, ResultFolder folder, CommandContext context)
    {
        CohortOptions options = new() { ImageCells = section.ImageCells, RnaCells = section.RnaCells, Seed = context.Seed, HoldImages = false };
        using Cohort cohort = Cohort.Generate(options, context.Host, context.Progress, context.Cancellation);
        string place = folder.Locate("cohort");
        context.Created.Create(place);
        CohortWriter.Write(cohort, place);
        BalancedSample sample = Draw(config.Sample, cohort.ImageCells.ClassNames, cohort.RnaCells.ClassNames, context.Seed);
        Matrix<double> all = cohort.ImageCells.Concepts;
        float[] concepts = [.. sample.Images.SelectMany(i => Array.ConvertAll(all.Row(i).ToArray(), c => (float)c))];
        int columns = all.Columns;
        CellExpression expression = CellExpression.From(cohort.Counts, sample.Cells);
        GeneSet[] planted = [.. cohort.Programmes.Select(p => new GeneSet(p.Name, CohortNames.Concepts[(int)p.Concept], p.Genes))];
        return new GwMapInput(sample)
        {
            ReadLatents = () => Matrix<float>.From(context.Host, sample.Images.Length, columns, concepts),
            LatentColumns = columns,
            Expression = expression,
            WereCounts = expression.LogNormalise(),
            Genes = [.. cohort.Genes],
            CellLatent = null,
            ReadDenoised = null,
            GeneSets = planted,
            Planted = planted,
        };
    }

    /// <summary>Refuses what can be refused before anything is read.</summary>
    public static void Check(GwMapConfig config, Func<string, string> locate)
    {
        if (config.Cohort is not null)
        {
            if (config.Images is { Latents: not null } or { Labels: not null }) throw new UsageException("The configuration has a section cohort, whose concepts are the image side; remove images.latents and images.labels, or the cohort.");
            if (config.Rna is { Expression: not null } or { Labels: not null } or { Latent: not null } or { Denoised: not null } or { Genes: not null })
                throw new UsageException("The configuration has a section cohort, whose counts are the RNA side; remove the files from the section rna, or the cohort.");
            if (config.Modules.GeneSets is not null) throw new UsageException("The configuration has a section cohort, whose planted programmes are the gene sets; remove modules.gene_sets, or the cohort.");
            return;
        }
        Require("images.latents", config.Images?.Latents, locate);
        Require("images.labels", config.Images?.Labels, locate);
        Require("rna.expression", config.Rna?.Expression, locate);
        Require("rna.labels", config.Rna?.Labels, locate);
        foreach ((string key, string? value) in new[] { ("rna.genes", config.Rna!.Genes), ("rna.latent", config.Rna.Latent), ("rna.denoised", config.Rna.Denoised), ("modules.gene_sets", config.Modules.GeneSets) })
            if (value is not null) Require(key, value, locate);
    }

    private static void Require(string key, string? locator, Func<string, string> locate)
    {
        if (locator is null) throw new UsageException($"{key} is missing in the configuration.");
        string file = ResultFolder.StripMember(locate(locator));
        if (!File.Exists(file) && !Directory.Exists(file)) throw new DataException(locator, key, $"there is no such file or folder (looked for {file})");
    }

    private static BalancedSample Draw(GwMapSampleSection section, IReadOnlyList<string> images, IReadOnlyList<string> cells, ulong seed) => BalancedSample.Draw(images, cells, new BalancedSampleOptions
    {
        Labels = section.Labels, MaxImages = section.MaxImages, MaxCells = section.MaxCells, MinPerLabel = section.MinPerLabel, Seed = seed,
    });

    private static string[] Labels(string locator, Func<string, string> locate, int rows, string key)
    {
        string[] labels = ColumnReader.Read(locate(locator)).Text;
        return labels.Length == rows ? labels : throw new DataException(locator, key, $"{labels.Length} labels were given for {rows} rows");
    }

    private static string[] GeneNames(GwMapRnaSection rna, Func<string, string> locate, int genes)
    {
        string located = locate(rna.Expression!), source = rna.Genes ?? rna.Expression!;
        if (rna.Genes is null && Locator.Parse(located).Kind != FileKind.AnnData)
            throw new UsageException($"rna.genes is missing: {rna.Expression} does not say what its {genes} columns are called; name a column such as genes.csv:gene.");
        string[] names = ColumnReader.Read(rna.Genes is { } given ? locate(given) : $"{Locator.Parse(located).Path}:var/_index").Text;
        return names.Length == genes ? names : throw new DataException(source, "rna.genes", $"{names.Length} names were given for {genes} genes");
    }

    private static void RequireKnownGenes(IReadOnlyList<GeneSet> sets, string[] names, string source)
    {
        HashSet<string> known = new(names, StringComparer.OrdinalIgnoreCase);
        if (!sets.Any(set => set.Genes.Any(known.Contains)))
            throw new DataException(source, "modules.gene_sets", $"none of its genes is among the {names.Length} genes of the expression (such as {string.Join(", ", names.Take(3))})");
    }

    private static void RequireShape(string? locator, string key, Func<string, string> locate, int rows, int? columns)
    {
        if (locator is null) return;
        (int r, int c) = MatrixReader.ReadShape(locate(locator));
        if (r != rows || (columns is { } expected && c != expected))
            throw new DataException(locator, key, $"the matrix is {r} x {c}; expected {rows} rows{(columns is null ? "" : $" and {columns} columns")}, as the expression has");
    }

    /// <summary>Some genes of the denoised expression. At a total of 10,000 it becomes its logarithm; values that are small enough to be logarithms stay.</summary>
    private static Matrix<float> Denoised(CpuDevice host, string locator, int[] cells, int[] genes)
    {
        Dictionary<int, int> column = genes.Select((gene, place) => (gene, place)).ToDictionary(g => g.gene, g => g.place);
        Matrix<float> chosen = host.AllocateMatrix<float>(cells.Length, genes.Length);
        float largest = 0;
        MatrixRows.Visit(host, locator, cells, (cell, columns, values) =>
        {
            Span<float> row = chosen.Row(cell);
            for (int k = 0; k < columns.Length; k++)
            {
                largest = Math.Max(largest, values[k]);
                if (column.TryGetValue(columns[k], out int place)) row[place] = values[k];
            }
        });
        if (largest > GwMapSpaces.LargestLogarithm) Elementwise.LogOnePlus(chosen.View, chosen.View);
        return chosen;
    }

    private static Matrix<T> Rows<T>(Matrix<T> all, int[] rows) where T : unmanaged
    {
        using (all) return Gather.Rows(all, rows);
    }
}
