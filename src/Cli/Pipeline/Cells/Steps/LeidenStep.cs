using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>leiden</c>: communities of the neighbour graph, as <c>sc.tl.leiden</c>.</summary>
internal sealed class LeidenStep : ICellStep
{
    private sealed record Settings(LeidenOptions Options, string Key, string NeighborsKey);

    public string Name => "leiden";

    public string Summary => "group cells into communities of their neighbour graph (Leiden); needs neighbors";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("resolution", "1", "larger values give more, smaller communities; 0 or more (0.45 in the paper)"),
        new("n_iterations", "-1", "passes over the graph; -1 goes on until a pass changes nothing"),
        new("runs", "1", "searches with random numbers of their own, of which the one of largest modularity is kept"),
        new("neighbors_key", "neighbors", "key of uns that describes the neighbour graph"),
        new("key_added", "leiden", "column of obs and key of uns for the result"),
    ];

    public void Check(StepSettings settings) => Read(settings, 0);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings, context.Seed);
        CellGraph graph = CellMatrices.Connectivities(context, s.NeighborsKey);
        LeidenResult found = Leiden.Run(graph.ToLeiden(), s.Options, context.Progress, context.Cancellation, context.Host);
        string[] names = [.. Enumerable.Range(0, found.Sizes.Length).Select(c => c.ToString(CultureInfo.InvariantCulture))];
        context.Cells.Obs.Set(FrameColumn.Categorical(s.Key, found.Community, NdArray.Vector(names)));
        AnnDictionary used = new() { ["random_state"] = NdArray.Scalar((long)context.Seed) };
        foreach ((string name, IAnnElement? value) in settings.Used) used[name] = value;
        AnnDictionary kept = new() { ["params"] = used, ["modularity"] = NdArray.Scalar(found.Modularity) };
        if (found.Agreements.Length > 0) kept["adjusted_rand"] = NdArray.Vector(found.Agreements);
        context.Cells.Uns[s.Key] = kept;
        string agreement = found.Agreements.Length == 0 ? ""
            : string.Create(CultureInfo.InvariantCulture, $", adjusted Rand index with the other {found.Agreements.Length} runs {found.Agreements.Min():0.000} to {found.Agreements.Max():0.000}");
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture,
            $"{found.Sizes.Length} communities of {found.Sizes[^1]} to {found.Sizes[0]} cells, modularity {found.Modularity:0.00000} after {found.Iterations} passes{agreement}"))
        {
            Report = EmbeddingFigure.InAny(context, s.Key),
            Warnings = found.Converged ? [] : [$"{found.Iterations} passes were allowed and the last one still moved cells; n_iterations=-1 goes on to the end."],
        };
    }

    private static Settings Read(StepSettings settings, ulong seed)
    {
        LeidenOptions options = new()
        {
            Resolution = settings.Number("resolution", 0, double.MaxValue),
            Iterations = settings.Integer("n_iterations", -1),
            Runs = settings.Integer("runs", 1),
            Seed = seed,
        };
        options.Check();
        return new Settings(options, settings.Text("key_added"), settings.Text("neighbors_key"));
    }
}
