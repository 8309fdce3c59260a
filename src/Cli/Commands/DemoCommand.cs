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
        Option<string> size = new("--size") { Description = "small (under 2 minutes on 2 cores) or full (under 15)", DefaultValueFactory = _ => "small" };
        return new Command("demo", "Run the whole pipeline on generated cells with known ground truth and write a report.") { outFolder, size }.Runs((parsed, context) =>
        {
            RunConfig config = parsed.GetValue(size) switch
            {
                "small" => Configure(new CohortSection(), epochs: 30),
                "full" => Configure(new CohortSection { ImageCells = 4000, RnaCells = 3000, ImageSize = 96 }, epochs: 20),
                string other => throw new UsageException($"--size {other}: expected small or full."),
                null => throw new UsageException("--size: expected small or full."),
            };
            string folder = parsed.GetValue(outFolder)!;
            JsonObject result = new PipelineRunner(context, config, folder, folder, resume: false).Run();
            context.Say($"report: {result["report"]}");
            return result;
        });
    }

    private static RunConfig Configure(CohortSection cohort, int epochs) => new()
    {
        Title = "BioSup.Native on a generated cohort",
        Cohort = cohort,
        Images = new ImagesSection
        {
            Path = "cohort/images",
            Encoder = TokensStage.LearntEncoder,
            // Fewer channels than the cohort has concepts (20), so that concepts must share channels: superposition to resolve.
            DictionaryChannels = 16,
            Patch = cohort.ImageSize,
            Stride = cohort.ImageSize,
            Labels = "cohort/cells.csv:class",
        },
        Sae = new JsonObject { ["preset"] = "default", ["d_sae"] = 128, ["batch"] = 2048, ["epochs"] = epochs, ["lr"] = 1e-3, ["sparsity_coeff"] = 0.05, ["log_every"] = 10 },
        Geometry = new GeometrySection { Value = "cohort/cells.csv:death_rate" },
        Align = new AlignSection
        {
            PrepareX = "latents",
            Y = "cohort/rna_counts.npy",
            PrepareY = "counts",
            Pca = 20,
            Knn = 30,
            GraphMetric = "euclidean",
            ScaleCost = "mean",
            Epsilon = 3e-3,
            LabelsX = "cohort/cells.csv:class",
            LabelsY = "cohort/rna_cells.csv:class",
            Starts = 4,
            NullRuns = 20,
            Tol = 1e-7,
        },
    };
}
