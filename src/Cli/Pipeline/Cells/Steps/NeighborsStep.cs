using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>neighbors</c>: the nearest cells of every cell and their weights, under the keys of <c>sc.pp.neighbors</c>.</summary>
internal sealed class NeighborsStep : ICellStep
{
    /// <summary>Up to here <c>mode=auto</c> looks at every pair of cells.</summary>
    private const int MostExactCells = 100_000;

    /// <summary>As scanpy: with at most as many variables, X itself stands for its principal components.</summary>
    internal const int FewVariables = 50;

    public string Name => "neighbors";

    public string Summary => "nearest cells of every cell, and their weights";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("n_neighbors", "15", "neighbours of each cell, itself included, 2 or more"),
        new("n_pcs", "all", "how many of the first columns are compared, or all"),
        new("use_rep", "auto", "matrix of obsm, or X; auto: X_pca, and X where there are at most 50 variables and no X_pca"),
        new("metric", "euclidean", $"one of {string.Join(", ", DistanceMetrics.Names)}"),
        new("method", "umap", "weights: umap, or gauss"),
        new("mode", "auto", $"exact, approximate, or auto: exact up to {MostExactCells} cells"),
        new("recall", "0.99", "share of the true neighbours that the approximate search goes on for, 0 to 1"),
        new("key_added", "neighbors", "name in uns, and with _distances and _connectivities in obsp; neighbors: distances and connectivities"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Choices choices = Read(settings);
        using Matrix<float> x = Coordinates(choices, context, out string representation);
        bool exact = choices.Mode == "exact" || (choices.Mode == "auto" && x.Rows <= MostExactCells);
        NearestCells nearest = exact ? NearestCells.Find(x, choices.Neighbours, choices.Metric)
            : NearestCells.FindApproximate(x, choices.Neighbours, choices.Metric, choices.Recall, context.Seed, context.Progress, context.Cancellation);
        context.Cancellation.ThrowIfCancellationRequested();
        CellGraph weights = choices.Method == "umap" ? Connectivities.Umap(nearest) : Connectivities.Gauss(nearest);
        bool plain = choices.Key == "neighbors";
        (string distancesKey, string weightsKey) = plain ? ("distances", "connectivities") : (choices.Key + "_distances", choices.Key + "_connectivities");
        context.Cells.Obsp[distancesKey] = nearest.ToGraph().ToSparse();
        context.Cells.Obsp[weightsKey] = weights.ToSparse();
        AnnDictionary parameters = new()
        {
            ["n_neighbors"] = NdArray.Scalar((long)choices.Neighbours), ["method"] = NdArray.Scalar(choices.Method), ["metric"] = NdArray.Scalar(DistanceMetrics.NameOf(choices.Metric)),
            ["random_state"] = NdArray.Scalar((long)context.Seed), ["use_rep"] = NdArray.Scalar(representation), ["mode"] = NdArray.Scalar(exact ? "exact" : "approximate"),
        };
        if (choices.Columns is { } columns) parameters["n_pcs"] = NdArray.Scalar((long)columns);
        if (nearest.Recall is { } recall) parameters["recall"] = NdArray.Scalar(recall.Value);
        context.Cells.Uns[choices.Key] = new AnnDictionary
        {
            ["connectivities_key"] = NdArray.Scalar(weightsKey), ["distances_key"] = NdArray.Scalar(distancesKey), ["params"] = parameters,
        };
        _ = weights.Components(out int parts);
        string how = nearest.Recall is { } measured
            ? string.Create(CultureInfo.InvariantCulture, $"approximate with recall {measured.Value:0.0000} on {measured.Sample} cells after {measured.Rounds} rounds") : "exact";
        List<string> warnings = [];
        if (nearest.Recall is { } short_ && short_.Value < choices.Recall)
            warnings.Add(string.Create(CultureInfo.InvariantCulture, $"the approximate search settled at recall {short_.Value:0.0000}, below the {choices.Recall} asked for: mode=exact finds all neighbours."));
        return new StepOutcome($"{Numbers.Integer(x.Rows)} cells by {DistanceMetrics.NameOf(choices.Metric)} distance in {x.Columns} columns of {representation}, {how}; " +
            $"{Numbers.Integer(weights.Entries)} weights ({choices.Method}), {parts} connected {(parts == 1 ? "component" : "components")}")
        { Warnings = warnings };
    }

    /// <summary>The wanted columns, on the device for an exact search. Single precision, as X_pca is stored: what scanpy compares.</summary>
    private static Matrix<float> Coordinates(Choices choices, CellsContext context, out string representation)
    {
        representation = choices.Representation != "auto" ? choices.Representation
            : context.Cells.Obsm.ContainsKey("X_pca") || context.Cells.VariableCount > FewVariables ? "X_pca" : "X";
        ComputeDevice device = choices.Mode == "approximate" ? context.Host : context.Device;
        Matrix<float> all = representation == "X" ? CellMatrices.Single(context, device) : CellMatrices.EmbeddingSingle(context, device, representation, representation == "X_pca" ? "pca" : null);
        if (choices.Columns is not { } columns || columns == all.Columns) return all;
        using (all)
        {
            if (columns > all.Columns) throw new UsageException($"--steps neighbors: n_pcs={columns}; {representation} has {all.Columns} columns.");
            using Matrix<float> host = all.CopyAt(device.Host);
            using Matrix<float> first = device.Host.AllocateMatrix<float>(host.Rows, columns);
            for (int i = 0; i < host.Rows; i++) host.Row(i)[..columns].CopyTo(first.Row(i));
            return first.CopyAt(device);
        }
    }

    private static Choices Read(StepSettings settings) => new(settings.Integer("n_neighbors", 2), settings.Text("n_pcs") == "all" ? null : settings.Integer("n_pcs", 1), settings.Text("use_rep"),
        DistanceMetrics.Parse(settings.Choice("metric", [.. DistanceMetrics.Names])), settings.Choice("method", "umap", "gauss"), settings.Choice("mode", "exact", "approximate", "auto"),
        settings.Number("recall", 0, 1), settings.Text("key_added"));

    private sealed record Choices(int Neighbours, int? Columns, string Representation, DistanceMetric Metric, string Method, string Mode, double Recall, string Key);
}
