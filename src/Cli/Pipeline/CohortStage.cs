using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>
/// Writes a generated cohort as if a laboratory had delivered it: a folder of 16-bit TIFF pictures, a table of cells, a matrix of counts; and, beside
/// them, the truth that a laboratory would not know.
/// </summary>
internal static class CohortStage
{
    public static string Images(RunFolder folder) => Path.Combine(folder.Cohort, "images");
    public static string Cells(RunFolder folder) => Path.Combine(folder.Cohort, "cells.csv");
    public static string Counts(RunFolder folder) => Path.Combine(folder.Cohort, "rna_counts.npy");
    public static string RnaCells(RunFolder folder) => Path.Combine(folder.Cohort, "rna_cells.csv");
    public static string Truth(RunFolder folder) => Path.Combine(folder.Cohort, "truth_image_concepts.csv");

    public static void Run(CohortSection section, RunFolder folder, CommandContext context)
    {
        CohortOptions options = new()
        {
            ImageCells = section.ImageCells,
            RnaCells = section.RnaCells,
            ImageSize = section.ImageSize,
            Seed = context.Seed,
            HoldImages = false,
        };
        using Cohort cohort = Cohort.Generate(options, context.Host, context.Progress, context.Cancellation);
        if (Directory.Exists(Images(folder))) Directory.Delete(Images(folder), recursive: true);
        Directory.CreateDirectory(Images(folder));
        WriteImages(cohort, folder, context);
        WriteCells(Cells(folder), cohort.ImageCells);
        WriteCells(RnaCells(folder), cohort.RnaCells);
        WriteConcepts(Truth(folder), cohort.ImageCells, cohort.ConceptNames);
        WriteConcepts(Path.Combine(folder.Cohort, "truth_rna_concepts.csv"), cohort.RnaCells, cohort.ConceptNames);
        MatrixWriter.Write(Counts(folder), cohort.Counts.View);
        CsvFile.Write(Path.Combine(folder.Cohort, "genes.csv"), new Table(new Column("gene", [.. cohort.Genes])));
        AtomicFile.WriteAllText(Path.Combine(folder.Cohort, "programmes.gmt"),
            string.Concat(cohort.Programmes.Select(p => $"{p.Name}\tdriven by {CohortNames.Concepts[(int)p.Concept]}\t{string.Join('\t', p.Genes)}\n")));
        AtomicFile.WriteAllText(Path.Combine(folder.Cohort, "truth.json"), Model(cohort).ToJsonString(JsonText.Readable) + "\n");
    }

    private static void WriteImages(Cohort cohort, RunFolder folder, CommandContext context)
    {
        int side = cohort.Options.ImageSize, channels = CohortNames.Channels.Count;
        ImageJob job = new(cohort, Images(folder), side, channels, context);
        context.Host.Pool.Run(cohort.ImageCells.Count, ref job);
        context.Cancellation.ThrowIfCancellationRequested();
    }

    private static void WriteCells(string path, CohortCells cells) => CsvFile.Write(path, new Table(
        new Column("id", cells.Ids), new Column("class", cells.ClassNames), new Column("death_rate", cells.DeathRate)));

    private static void WriteConcepts(string path, CohortCells cells, IReadOnlyList<string> names) => CsvFile.Write(path, new Table(
        [new Column("id", cells.Ids), .. names.Select((name, j) => new Column(name, [.. Enumerable.Range(0, cells.Count).Select(i => cells.Concepts.Row(i)[j])]))]));

    private static JsonObject Model(Cohort cohort)
    {
        JsonObject activation = [], death = [];
        for (int j = 0; j < cohort.ConceptNames.Count; j++)
        {
            int concept = j;
            activation[cohort.ConceptNames[j]] = JsonText.Numbers(Enumerable.Range(0, cohort.ClassNames.Count).Select(c => CohortModel.Activation(c, concept)));
            if (CohortModel.DeathWeights[j] != 0) death[cohort.ConceptNames[j]] = CohortModel.DeathWeights[j];
        }
        return new JsonObject
        {
            ["classes"] = JsonText.Strings(cohort.ClassNames),
            ["probability_of_concept_per_class"] = activation,
            ["death_logit"] = new JsonObject { ["intercept"] = CohortModel.DeathIntercept, ["noise"] = CohortModel.DeathNoise, ["weights"] = death },
            ["seed"] = cohort.Options.Seed,
        };
    }

    private readonly struct ImageJob(Cohort cohort, string folder, int side, int channels, CommandContext context) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            if (context.Cancellation.IsCancellationRequested) return;
            int cell = (int)block;
            ReadOnlySpan<ushort> pixels = cohort.Image(cell).Span;
            float[] values = new float[pixels.Length];
            for (int i = 0; i < values.Length; i++) values[i] = pixels[i];
            string path = Path.Combine(folder, $"{cohort.ImageCells.Ids[cell]}.tif");
            using FileStream stream = File.Create(path);
            TiffWriter.Write(stream, new ImageStack(path, channels, side, side, values, ushort.MaxValue));
            if (block % 50 == 0) context.Progress.Report("writing pictures", block, cohort.ImageCells.Count);
        }
    }
}
