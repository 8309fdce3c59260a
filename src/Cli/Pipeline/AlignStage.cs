using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Cli.Commands;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Aligns the cells of this run, or two matrices from disk, with the very options of `biosup gw align`.</summary>
internal static class AlignStage
{
    public static string Coupling(RunFolder folder) => Path.Combine(folder.Align, "coupling.npy");
    public static string Result(RunFolder folder) => Path.Combine(folder.Align, "result.json");

    public static void Run(AlignSection section, Func<string, string> locate, RunFolder folder, CommandContext context)
    {
        string prepareX = section.PrepareX ?? (section.X is null ? Preparation.Latents : Preparation.None);
        using Matrix<double> x = Preparation.Read(context.Device, section.X is { } own ? locate(own) : $"{folder.Latents}:X", prepareX, section.Pca);
        using Matrix<double> y = Preparation.Read(context.Device, locate(section.Y!), section.PrepareY, section.Pca);
        (string[]? labelsX, string[]? labelsY) = Labels(section, locate);
        AlignmentOptions options = Options(section, context.Seed, x.Rows, y.Rows);
        context.Say($"align: {MemoryPlan.ForDense(x.Rows, y.Rows, options.Gromov.Precision)}");
        using AlignmentResult result = GromovAlignment.Align(x, y, options, labelsX, labelsY, progress: context.Progress, cancellation: context.Cancellation);
        foreach (string warning in result.Gromov.Warnings) context.Warn(warning);
        Directory.CreateDirectory(folder.Align);
        MatrixWriter.Write(Coupling(folder), result.Coupling.View);
        AtomicFile.WriteAllText(Result(folder), GwAlignCommand.Describe(result, options).ToJsonString(JsonText.Readable) + "\n");
    }

    public static (string[]? X, string[]? Y) Labels(AlignSection section, Func<string, string> locate) =>
        GwCommand.ReadLabels(section.LabelsX is { } x ? locate(x) : null, section.LabelsY is { } y ? locate(y) : null);

    /// <summary>The section's keys are the command's options: one place decides what they mean and what is wrong with them.</summary>
    private static AlignmentOptions Options(AlignSection section, ulong seed, int n, int m)
    {
        List<string> arguments = ["gw", "align", "--x", "x", "--y", "y", "--out", "out"];
        void Add(string option, IFormattable value) => arguments.AddRange([option, value.ToString(null, CultureInfo.InvariantCulture)]);
        arguments.AddRange(["--cost", section.Cost, "--convention", section.Convention, "--graph-metric", section.GraphMetric, "--graph-weights", section.GraphWeights]);
        arguments.AddRange(["--graph-self", section.GraphSelf, "--row-norm", section.RowNorm, "--scale-cost", section.ScaleCost, "--solver", section.Solver, "--dtype", section.Dtype]);
        Add("--epsilon", section.Epsilon);
        Add("--knn", section.Knn);
        Add("--starts", section.Starts);
        Add("--null", section.NullRuns);
        Add("--tol", section.Tol);
        Add("--max-iter", section.MaxIter);
        if (section.Truth is { } truth) arguments.AddRange(["--truth", truth]);
        return GwAlignOptions.Read(BiosupApplication.CreateRoot().Parse(arguments), seed, n, m);
    }
}
