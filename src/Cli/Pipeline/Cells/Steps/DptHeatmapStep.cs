using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>dpt_heatmap</c>: features along pseudotime, clustered by their profiles.</summary>
internal sealed class DptHeatmapStep : ICellStep
{
    private sealed record Settings(TrajectoryGroups Groups, string Time, string Layer, HeatMapOptions Options, TrajectoryFiles Files);

    public string Name => "dpt_heatmap";

    public string Summary => "features in bins of pseudotime, smoothed and clustered by their profiles, for each mutation; needs dpt";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. TrajectoryGroups.Parameters,
        TrajectoryTime.Column,
        new("layer", "X", "X or the layer to show"),
        new("bins", "100", "bins with equally many cells, 2 or more"),
        new("sigma", "1.5", "standard deviation of the smoothing in bins, 0 to 1000"),
        new("n_neighbors", "15", "neighbours of a feature among the profiles, itself included, 2 or more"),
        new("resolution", "1", "of the communities of features, 0 or more"),
        .. TrajectoryFiles.Parameters,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        double[] time = TrajectoryTime.Of(context, s.Time);
        using Matrix<float> x = CellMatrices.Single(context, context.Host, s.Layer);
        AnnDictionary kept = new() { ["params"] = settings.Used };
        List<(string, string)> tables = [];
        List<string> said = [];
        List<string> warnings = [];
        List<FigureItem> figures = [];
        foreach (MutationCells group in s.Groups.Usable(context, time, null, "no heat map", warnings))
        {
            using Matrix<float> rows = context.Host.AllocateMatrix<float>(group.Cells.Length, x.Columns);
            for (int i = 0; i < group.Cells.Length; i++) x.Row(group.Cells[i]).CopyTo(rows.Row(i));
            PseudotimeHeatMap map = PseudotimeHeatMap.Compute(context.Device, rows, TrajectoryCells.At(time, group.Cells), s.Options with { Seed = context.Seed }, context.Cancellation);
            string[] names = Array.ConvertAll(map.Features, f => context.Cells.Var.Index[f]);
            kept[TrajectoryCells.Key(group.Name)] = Kept(map, names);
            tables.Add(($"dpt_heatmap_{s.Files.Norm}_{s.Files.Layer}_{group.Name}.csv", Csv(map, names)));
            figures.Add(PseudotimeReport.HeatMap(map, context.Cells.Var.Index, group.Name, s.Options));
            said.Add(string.Create(CultureInfo.InvariantCulture, $"{group.Name} {names.Length} features in {map.Clusters[^1] + 1} clusters over {map.BinTimes.Length} bins{(map.Constant > 0 ? $" ({map.Constant} without difference left out)" : "")}"));
        }
        context.Cells.Uns["dpt_heatmap"] = kept;
        return new StepOutcome(string.Join(", ", said)) { Tables = tables, Warnings = warnings, Report = [.. figures.Select(f => new FigureRowBlock([f]))] };
    }

    private static AnnDictionary Kept(PseudotimeHeatMap map, string[] names) => new()
    {
        ["profiles"] = new NdArray(map.Profiles.SelectMany(p => p.Select(v => (float)v)).ToArray(), map.Profiles.Length, map.BinTimes.Length),
        ["features"] = NdArray.Vector(names),
        ["clusters"] = NdArray.Vector(Array.ConvertAll(map.Clusters, c => (long)c)),
        ["bin_times"] = NdArray.Vector(map.BinTimes),
        ["bin_cells"] = NdArray.Vector(Array.ConvertAll(map.BinCells, c => (long)c)),
    };

    private static string Csv(PseudotimeHeatMap map, string[] names) => CsvFile.ToText(new Table([
        new Column("feature", [.. names]), new Column("cluster", map.Clusters),
        .. map.BinTimes.Select((t, b) => new Column(FormattableString.Invariant($"bin{b + 1}"), [.. map.Profiles.Select(p => p[b])]))]));

    private static Settings Read(StepSettings settings)
    {
        HeatMapOptions options = new() { Bins = settings.Integer("bins", 2), Sigma = settings.Number("sigma", 0, 1000), Neighbours = settings.Integer("n_neighbors", 2), Resolution = settings.Number("resolution", 0, double.MaxValue) };
        return new Settings(TrajectoryGroups.Read(settings), settings.Text("time"), settings.Text("layer"), options, TrajectoryFiles.Read(settings));
    }
}
