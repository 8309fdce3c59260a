using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Cli.Pipeline;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup demo`: the whole pipeline on a generated cohort whose truth is known.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        Option<string> outFolder = new("--out") { Description = "folder for results and report", DefaultValueFactory = _ => "biosup-demo" };
        Option<string> size = new("--size") { Description = "small (under 2 minutes on 2 cores), full (under 15), or tiny (seconds: shows that everything runs, not that it finds anything)", DefaultValueFactory = _ => "small" };
        return new Command("demo", "Run the whole pipeline on generated cells with known ground truth and write a report.") { outFolder, size }.Runs((parsed, context) =>
        {
            RunConfig config = parsed.GetValue(size) switch
            {
                "tiny" => Configure(new CohortSection { ImageCells = 48, RnaCells = 40, ImageSize = 32 }, epochs: 3, decoys: 1, latents: 32, batch: 512, permutations: 9, tolerance: 1e-4),
                "small" => Configure(new CohortSection { ImageCells = 600, RnaCells = 400 }, epochs: 10, decoys: 5),
                "full" => Configure(new CohortSection { ImageCells = 2000, RnaCells = 1000, ImageSize = 96 }, epochs: 2, decoys: 5),
                string other => throw new UsageException($"--size {other}: expected tiny, small or full."),
                null => throw new UsageException("--size: expected tiny, small or full."),
            };
            string folder = parsed.GetValue(outFolder)!;
            JsonObject result = new PipelineRunner(context, config, folder, folder, resume: false).Run();
            context.Say($"report: {result["report"]}");
            return result;
        });
    }

    private static RunConfig Configure(CohortSection cohort, int epochs, int decoys, int latents = 256, int batch = 1024, int permutations = 200, double tolerance = 1e-6) => new()
    {
        Title = "BioSup.Native on a generated cohort",
        Cohort = cohort,
        Images = new ImagesSection
        {
            Path = "cohort/images",
            Encoder = TokensStage.LearntEncoder,
            // One channel fewer than the cohort has concepts, and no channel can have a concept to itself: superposition to resolve.
            DictionaryChannels = 19,
            DictionaryWindow = 8,
            DictionaryCell = 4,
            Patch = cohort.ImageSize,
            Stride = cohort.ImageSize,
            Labels = "cohort/image_cells.csv:class",
        },
        Sae = new JsonObject { ["preset"] = "default", ["d_sae"] = latents, ["batch"] = batch, ["epochs"] = epochs, ["lr"] = 2e-3, ["sparsity_coeff"] = 0.1, ["log_every"] = 20 },
        Geometry = new GeometrySection { Value = "cohort/image_cells.csv:death_rate", Permutations = permutations },
        Align = new AlignSection
        {
            PrepareX = "latents",
            Y = "cohort/rna.h5ad:X",
            PrepareY = "counts",
            Pca = 5,
            // Calcium fills a picture and is one gene programme of twenty: only directions are comparable, not their lengths.
            Whiten = true,
            Cost = "euclidean",
            ScaleCost = "mean",
            Epsilon = 3e-2,
            LabelsX = "cohort/image_cells.csv:class",
            LabelsY = "cohort/rna.h5ad:obs/class",
            Starts = 2,
            NullRuns = decoys,
            Tol = tolerance,
        },
    };
}
