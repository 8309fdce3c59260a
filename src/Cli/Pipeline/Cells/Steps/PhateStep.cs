using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>phate</c>: the layout of PHATE under <c>obsm/X_phate</c>, for several t from one graph.</summary>
internal sealed class PhateStep : ICellStep
{
    public string Name => "phate";

    public string Summary => "PHATE layout (Moon et al. 2019), exact up to 20,000 cells";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("use_rep", "X_pca", "matrix of obsm to lay out, or X"),
        new("n_components", "2", "coordinates, 1 to 100"),
        new("knn", "5", "the other cell at which a cell's kernel ends, 1 or more; the cell itself is not counted"),
        new("decay", "40", "how steeply the kernel falls there, above 0"),
        new("t", "auto", "steps of the walk, or auto for the knee of the von Neumann entropy; several (5;20;auto) share one graph"),
        new("n_landmark", "auto", "groups that walk in place of cells where there are more cells; auto: none up to 20,000 cells, 2000 beyond"),
        new("gamma", "1", "informational distance; 1, that of the logarithm, is the only one"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (string representation, PhateOptions options, int?[] times) = Read(settings);
        options = options with { Seed = context.Seed };
        using Matrix<double> x = representation == "X" ? CellMatrices.Double(context, context.Device) : CellMatrices.Embedding(context, context.Device, representation, representation == "X_pca" ? "pca" : null);
        context.Note($"memory: PHATE of {Numbers.Integer(x.Rows)} cells takes {Phate.Plan(x.Device, x.Rows, options)}");
        using Phate phate = Phate.Fit(x, options, context.Progress, context.Cancellation);
        List<string> said = [];
        AnnDictionary kept = new() { ["params"] = settings.Used };
        foreach (int? time in times)
        {
            using PhateLayout layout = phate.Embed(time, context.Progress, context.Cancellation);
            NdArray coordinates = NdArray.FromMatrix(layout.Coordinates.View);
            if (said.Count == 0)
            {
                context.Cells.Obsm["X_phate"] = coordinates;
                kept["t"] = NdArray.Scalar((long)layout.Time);
                kept["stress"] = NdArray.Scalar(layout.Stress);
            }
            if (times.Length > 1) context.Cells.Obsm[$"X_phate_t{layout.Time.ToString(CultureInfo.InvariantCulture)}"] = coordinates;
            said.Add(string.Create(CultureInfo.InvariantCulture, $"t {layout.Time}{(time is null ? phate.EntropyIsEstimate ? " (knee of an estimated entropy)" : " (knee)" : "")} with stress {layout.Stress:0.0000} after {layout.Steps} steps"));
        }
        if (times.Contains(null)) kept["vne"] = NdArray.Vector(phate.Entropy().ToArray());
        context.Cells.Uns["phate"] = kept;
        string how = phate.IsExact ? "exact" : $"{Numbers.Integer(phate.Points)} landmarks";
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture, $"{Numbers.Integer(phate.Cells)} cells of {representation}, {how}, {phate.MeanAffinities:0.0} affinities each; {string.Join(", ", said)}")) { Warnings = Warnings(phate), Report = EmbeddingFigure.Overview(context, "phate") };
    }

    private static List<string> Warnings(Phate phate)
    {
        List<string> warnings = [];
        if (phate.Parts > 1) warnings.Add($"the graph has {phate.Parts} parts that no walk joins: their places to each other in the layout mean nothing; a larger knn may join them.");
        if (phate.Crowded > 0) warnings.Add($"{phate.Crowded} cells have as many others at their own place as knn counts, so that their kernel reaches to those alone: duplicates should be left out.");
        return warnings;
    }

    private static (string Representation, PhateOptions Options, int?[] Times) Read(StepSettings settings)
    {
        string representation = settings.Text("use_rep");
        int dimensions = settings.Integer("n_components", 1, 100), knn = settings.Integer("knn", 1);
        double decay = settings.Number("decay", double.Epsilon, double.MaxValue);
        int?[] times = [.. settings.List("t").Select(Time)];
        if (times.Length == 0) throw new UsageException("--steps phate: t is empty; a number of steps or auto was expected.");
        int? landmarks = settings.Text("n_landmark") == "auto" ? null : settings.Integer("n_landmark", dimensions + 2);
        _ = settings.Integer("gamma", 1, 1);
        return (representation, new PhateOptions { Dimensions = dimensions, Knn = knn, Decay = decay, Landmarks = landmarks }, times);
    }

    private static int? Time(string text)
    {
        if (text == "auto") return null;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int time) && time is >= 1 and <= Phate.LongestWalk) return time;
        throw new UsageException($"--steps phate: t={text}; a whole number from 1 to {Phate.LongestWalk} or auto was expected.");
    }
}
