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

    /// <summary>Share of bootstrap replicates in which each cell of a domain kept its partner; written where the configuration asks for it.</summary>
    public static string Stability(RunFolder folder, string domain) => Path.Combine(folder.Align, $"stability_{domain}.npy");

    public static string Result(RunFolder folder) => Path.Combine(folder.Align, "result.json");

    public static void Run(AlignSection section, Func<string, string> locate, RunFolder folder, CommandContext context)
    {
        string prepareX = section.PrepareX ?? (section.X is null ? Preparation.Latents : Preparation.None);
        using Matrix<double> x = Preparation.Read(context.Device, section.X is { } own ? locate(own) : $"{folder.Latents}:X", prepareX, section.Pca, section.Whiten);
        using Matrix<double> y = Preparation.Read(context.Device, locate(section.Y!), section.PrepareY, section.Pca, section.Whiten);
        (string[]? labelsX, string[]? labelsY) = Labels(section, locate);
        AlignmentOptions options = Options(section, context.Seed, x.Rows, y.Rows);
        context.Say($"align: {MemoryPlan.For(options, (x.Rows, x.Columns), (y.Rows, y.Columns), fused: false, context.Host.Pool.Threads)}");
        using AlignmentResult result = GromovAlignment.Align(x, y, options, labelsX, labelsY, progress: context.Progress, cancellation: context.Cancellation);
        foreach (string warning in result.Warnings) context.Warn(warning);
        Directory.CreateDirectory(folder.Align);
        MatrixWriter.Write(Coupling(folder), result.Coupling.View);
        if (result.Stability is { } stability)
        {
            GwAlignCommand.WriteColumn(context, Stability(folder, "x"), stability.First);
            GwAlignCommand.WriteColumn(context, Stability(folder, "y"), stability.Second);
        }
        AtomicFile.WriteAllText(Result(folder), GwAlignCommand.Describe(result, options).ToJsonString(JsonText.Readable) + "\n");
    }

    public static (string[]? X, string[]? Y) Labels(AlignSection section, Func<string, string> locate) =>
        GwCommand.ReadPair(section.LabelsX is { } x ? locate(x) : null, section.LabelsY is { } y ? locate(y) : null);

    /// <summary>Refuses what can be refused before there is any matrix.</summary>
    public static void Check(AlignSection section, ulong seed)
    {
        foreach (string recipe in new[] { section.PrepareX ?? Preparation.None, section.PrepareY })
            if (recipe is not (Preparation.None or Preparation.Latents or Preparation.Counts)) throw new UsageException($"'{recipe}' is no way to prepare a matrix; expected none, latents or counts.");
        if (section.Pca < 1) throw new UsageException($"align.pca is {section.Pca}; expected 1 or more principal components.");
        if (section.LabelsX is null != section.LabelsY is null) throw new UsageException("align.labels_x and align.labels_y belong together: give both or neither.");
        if (!(section.Epsilon > 0)) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"align.epsilon is {section.Epsilon}; it must be a positive number."));
        if (section.Knn < 1) throw new UsageException($"align.knn is {section.Knn}; the graph needs at least one neighbour.");
        if (section.Starts < 1) throw new UsageException($"align.starts is {section.Starts}; at least one start is needed.");
        if (section.NullRuns < 0) throw new UsageException($"align.null is {section.NullRuns}; the number of decoys must not be negative.");
        if (section.Stability < 0) throw new UsageException($"align.stability is {section.Stability}; the number of bootstrap replicates must not be negative.");
        if (!(section.Tol >= 0)) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"align.tol is {section.Tol}; it must not be negative."));
        if (section.MaxIter < 1) throw new UsageException($"align.max_iter is {section.MaxIter}; at least one iteration is needed.");
        try
        {
            Options(section, seed, int.MaxValue, int.MaxValue);
        }
        catch (UsageException e) when (e.Message.StartsWith("--", StringComparison.Ordinal))
        {
            // The command's option is this section's key.
            int end = e.Message.IndexOf(' ', StringComparison.Ordinal);
            throw new UsageException($"align.{e.Message[2..end].Replace('-', '_')}{e.Message[end..]}", e);
        }
    }

    /// <summary>Refuses a neighbour graph that the points cannot have, and labels of another length, as soon as their number is known.</summary>
    /// <param name="x">Rows of the first domain; null while unknown.</param>
    /// <param name="y">Rows of the second domain; null while unknown.</param>
    public static void CheckPoints(AlignSection section, Func<string, string> locate, ulong seed, int? x, int? y)
    {
        AlignmentOptions options = Options(section, seed, int.MaxValue, int.MaxValue);
        if (x is { } first) options.FirstCost.RequirePoints(first, section.X is null ? "the latents of this run" : "align.x");
        if (y is { } second) options.SecondCost.RequirePoints(second, "align.y");
        CheckLabels(section.LabelsX, "align.labels_x", x);
        CheckLabels(section.LabelsY, "align.labels_y", y);
        if (options.TruthIsIdentity && x is not null && y is not null && x != y)
            throw new UsageException($"align.truth cannot be identity: the domains have {x} and {y} rows.");

        void CheckLabels(string? labels, string key, int? rows)
        {
            if (labels is null || rows is null) return;
            int count = ColumnReader.Read(locate(labels)).Length;
            if (count != rows) throw new DataException(labels, key, $"{count} labels were given for {rows} rows");
        }
    }

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
        Add("--stability", section.Stability);
        // The report draws the coupling.
        arguments.AddRange(["--coupling", "stored"]);
        Add("--tol", section.Tol);
        Add("--max-iter", section.MaxIter);
        if (section.Truth is { } truth) arguments.AddRange(["--truth", truth]);
        ParseResult parsed = BiosupApplication.CreateRoot().Parse(arguments);
        if (GwLowRank.Wanted(parsed)) throw new UsageException("align.solver is lowrank; the report draws every entry of the coupling, which that solver keeps as factors only: use pgd or ppa.");
        return GwAlignOptions.Read(parsed, seed, n, m);
    }
}
