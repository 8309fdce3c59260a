using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>umap</c>: the layout of the neighbour graph, as <c>sc.tl.umap</c>.</summary>
internal sealed class UmapStep : ICellStep
{
    private sealed record Settings(UmapOptions Options, string Start, string Key, string NeighborsKey);

    public string Name => "umap";

    public string Summary => "lay cells out by their neighbour graph (UMAP); needs neighbors";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("min_dist", "0.5", "how near joined cells may come, from 0 to below 3 spread"),
        new("spread", "1", "scale of the layout, above 0"),
        new("n_components", "2", "coordinates, 1 to 100"),
        new("maxiter", "0", "passes; 0 for 500 up to 10,000 cells and 200 beyond"),
        new("alpha", "1", "length of the first steps, above 0"),
        new("gamma", "1", "weight of pushing against pulling, 0 or more"),
        new("negative_sample_rate", "5", "random cells that push for each edge that pulls, 0 or more"),
        new("init_pos", "spectral", "where the layout begins: spectral, or a key of obsm whose first columns are taken"),
        new("neighbors_key", "neighbors", "key of uns that describes the neighbour graph"),
        new("key_added", "", "key of obsm and uns for the result; empty for X_umap and umap"),
    ];

    public void Check(StepSettings settings) => Read(settings, 0);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings, context.Seed);
        CellGraph graph = CellMatrices.Connectivities(context, s.NeighborsKey);
        UmapOptions options = s.Options with { Start = s.Start == "spectral" ? null : Start(context, s) };
        using Matrix<float> layout = Umap.Run(context.Device, graph, options, context.Progress, context.Cancellation);
        UmapCurve curve = UmapCurve.Fit(options.MinDist, options.Spread);
        AnnDictionary used = new() { ["a"] = NdArray.Scalar(curve.A), ["b"] = NdArray.Scalar(curve.B), ["random_state"] = NdArray.Scalar((long)context.Seed) };
        foreach ((string name, IAnnElement? value) in settings.Used) used[name] = value;
        context.Cells.Obsm[s.Key.Length > 0 ? s.Key : "X_umap"] = NdArray.FromMatrix(layout.View);
        context.Cells.Uns[s.Key.Length > 0 ? s.Key : "umap"] = new AnnDictionary { ["params"] = used };
        graph.Components(out int parts);
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture,
            $"{graph.Cells} cells in {options.Dimensions} dimensions on {context.Device.Name}, {Umap.EpochsFor(graph.Cells, options)} passes from {(s.Start == "spectral" ? "the spectral layout" : $"obsm/{s.Start}")}, a {curve.A:0.####}, b {curve.B:0.####}"))
        {
            Report = s.Key.Length > 0 ? [] : EmbeddingFigure.Overview(context, "umap"),
            Warnings = parts == 1 ? [] : [$"the neighbour graph has {parts} parts that nothing joins; their places relative to one another mean nothing."],
        };
    }

    private static Settings Read(StepSettings settings, ulong seed)
    {
        UmapOptions options = new()
        {
            MinDist = settings.Number("min_dist", 0),
            Spread = settings.Number("spread", double.Epsilon),
            Dimensions = settings.Integer("n_components", 1, 100),
            Epochs = settings.Integer("maxiter", 0) is > 0 and int passes ? passes : null,
            LearningRate = settings.Number("alpha", double.Epsilon, double.MaxValue),
            Repulsion = settings.Number("gamma", 0, double.MaxValue),
            NegativeSamples = settings.Integer("negative_sample_rate", 0),
            Seed = seed,
        };
        UmapCurve.Fit(options.MinDist, options.Spread);
        return new Settings(options, settings.Text("init_pos"), settings.Text("key_added"), settings.Text("neighbors_key"));
    }

    private static float[] Start(CellsContext context, Settings s)
    {
        using Matrix<float> from = CellMatrices.EmbeddingSingle(context, context.Host, s.Start);
        if (from.Columns < s.Options.Dimensions) throw new UsageException($"init_pos={s.Start}: obsm/{s.Start} has {from.Columns} columns, and {s.Options.Dimensions} are needed.");
        float[] start = new float[from.Rows * s.Options.Dimensions];
        for (int i = 0; i < from.Rows; i++) from.Row(i)[..s.Options.Dimensions].CopyTo(start.AsSpan(i * s.Options.Dimensions));
        return start;
    }
}
