using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;
using BioSup.Cli.Commands;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>The coupling of a `gw map` and what `biosup gw align` says about it, as they lie in the result folder.</summary>
internal sealed class GwMapCoupling : IDisposable
{
    private const string CouplingName = "coupling.npy", DescriptionName = "alignment.json";

    private GwMapCoupling(Matrix<double> coupling, JsonObject description) => (Coupling, Description) = (coupling, description);

    /// <summary>[images, cells] in host memory, perhaps mapped from its file: only to be read.</summary>
    public Matrix<double> Coupling { get; }

    /// <summary>What result.json of an alignment says.</summary>
    public JsonObject Description { get; }

    /// <summary>Share of bootstrap replicates in which each image kept its partner; null where none were made (align.stability).</summary>
    public double[]? ImageStability { get; private init; }

    /// <summary>The same for each cell.</summary>
    public double[]? CellStability { get; private init; }

    public string Trust => (string)Verdict["trust"]!;
    public IEnumerable<string> Against => Verdict["against"]!.AsArray().Select(r => (string)r!);
    public IEnumerable<string> For => Verdict["for"]!.AsArray().Select(r => (string)r!);
    public IEnumerable<string> Warnings => Description["warnings"]!.AsArray().Select(w => (string)w!);

    /// <summary>Whether targets of the wrong shape were aligned for comparison.</summary>
    public bool HasDecoys => Verdict["null"] is JsonObject;

    public ConfusionMatrix OneToOne => Confusion("one_to_one");
    public ConfusionMatrix Barycentric => Confusion("barycentric");

    /// <summary>Accuracy of drawing labels at random.</summary>
    public double Chance => (double)Labels["chance_accuracy"]!;

    private JsonObject Verdict => Description["verdict"]!.AsObject();
    private JsonObject Labels => Verdict["label_transfer"]!.AsObject();

    public void Dispose() => Coupling.Dispose();

    /// <summary>Aligns and leaves the files in the folder.</summary>
    public static void Solve(BalancedSample sample, GwMapSpacesBuilt spaces, AlignmentOptions options, ResultFolder folder, CommandContext context)
    {
        using PlacedMatrix<double> x = spaces.Images.At(context.Device), y = spaces.Cells.At(context.Device);
        using AlignmentResult result = GromovAlignment.Align(x.Matrix, y.Matrix, options, sample.ImageLabels, sample.CellLabels, progress: context.Progress, cancellation: context.Cancellation);
        if (result.Labels is null) throw new ConvergenceException("Fewer than two images have a partner in the coupling, so that nothing can be carried across; take other marginals or another epsilon (section align).");
        MatrixWriter.Write(folder.Locate(CouplingName), result.Coupling.View);
        foreach (string domain in new[] { "x", "y" }) File.Delete(StabilityFile(folder, domain));
        if (result.Stability is { } stability)
        {
            GwAlignCommand.WriteColumn(context, StabilityFile(folder, "x"), stability.First);
            GwAlignCommand.WriteColumn(context, StabilityFile(folder, "y"), stability.Second);
        }
        AtomicFile.WriteAllText(folder.Locate(DescriptionName), GwAlignCommand.Describe(result, options).ToJsonString(JsonText.Readable) + "\n");
    }

    /// <summary>Reads what <see cref="Solve"/> left.</summary>
    public static GwMapCoupling Read(ResultFolder folder, CommandContext context) =>
        new(MatrixReader.ReadDouble(context.Host, folder.Locate(CouplingName)), JsonNode.Parse(File.ReadAllText(folder.Locate(DescriptionName)))!.AsObject())
        {
            ImageStability = Stability(folder, "x", context),
            CellStability = Stability(folder, "y", context),
        };

    private static double[]? Stability(ResultFolder folder, string domain, CommandContext context)
    {
        if (!File.Exists(StabilityFile(folder, domain))) return null;
        using Matrix<double> shares = MatrixReader.ReadDouble(context.Host, StabilityFile(folder, domain), requireFinite: false);
        return shares.ToArray();
    }

    private static string StabilityFile(ResultFolder folder, string domain) => AlignStage.Stability(new RunFolder(folder.Path) { Align = folder.Path }, domain);

    private ConfusionMatrix Confusion(string kind) =>
        new([.. Labels["classes"]!.AsArray().Select(c => (string)c!)], [.. Labels[kind]!["confusion"]!.AsArray().Select(row => row!.AsArray().Select(n => (int)n!).ToArray())]);
}
