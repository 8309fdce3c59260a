using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>gam</c>: smooth trends of latents, genes or columns along pseudotime, with confidence bands.</summary>
internal sealed class GamStep : ICellStep
{
    private sealed record Settings(string[] Features, TrajectoryGroups Groups, string Time, string Layer, int Splines, double Penalty, (double Lower, double Upper) Part, double Width, int Points);

    private sealed record Fitted(string Group, string Feature, SplineTrend Trend, TrendLine Line, double[] Time, double[] Value);

    /// <summary>More than these do not help a reader of the report.</summary>
    private const int MostFigures = 24;

    public string Name => "gam";

    public string Summary => "smooth trends of features along pseudotime (pyGAM's LinearGAM of one term) with confidence bands; needs dpt";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("features", "", "variables or numeric columns of obs, separated by semicolons"),
        new("groupby", "", "column of obs; one trend for each group; empty for one of all cells"),
        new("groups", "", "groups to fit, separated by semicolons; empty for all"),
        TrajectoryTime.Column,
        new("layer", "X", "X or the layer that holds the variables"),
        new("n_splines", "10", "cubic splines, 4 or more"),
        new("lam", "0.6", "penalty of second differences, 0 or more"),
        .. TrajectoryTime.Percentiles,
        new("width", "0.95", "confidence of the band at each point, above 0 and below 1"),
        new("points", "200", "points of the line, 2 or more"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        double[] time = TrajectoryTime.Of(context, s.Time);
        IReadOnlyList<MutationCells> groups = s.Groups.Column.Length == 0 ? [new MutationCells("all", [.. Enumerable.Range(0, time.Length)])]
            : s.Groups.Mutations(context);
        List<Fitted> all = [];
        List<string> warnings = [];
        foreach (string feature in s.Features)
        {
            double[] value = TrajectoryCells.Feature(context, feature, s.Layer);
            foreach (MutationCells group in TrajectoryGroups.Usable(groups, time, value, $"no trend of {feature}", warnings))
            {
                double[] along = TrajectoryCells.At(time, group.Cells), measured = TrajectoryCells.At(value, group.Cells);
                SplineTrend trend = SplineTrend.FitTrimmed(along, measured, s.Part.Lower, s.Part.Upper, s.Splines, s.Penalty);
                all.Add(new Fitted(group.Name, feature, trend, trend.Line(s.Points, s.Width), along, measured));
            }
        }
        if (s.Features.Length > MostFigures) warnings.Add($"the report shows the first {MostFigures} of {s.Features.Length} features; the tables hold all.");
        AnnDictionary kept = new() { ["params"] = settings.Used };
        foreach (IGrouping<string, Fitted> group in all.GroupBy(f => f.Group))
        {
            AnnDictionary inside = [];
            foreach (Fitted f in group) inside[TrajectoryCells.Key(f.Feature)] = Kept(f);
            kept[TrajectoryCells.Key(group.Key)] = inside;
        }
        context.Cells.Uns["gam"] = kept;
        return new StepOutcome(string.Join(", ", all.Take(6).Select(f => string.Create(CultureInfo.InvariantCulture, $"{f.Group} {f.Feature} adj R2 {f.Trend.AdjustedRSquared:0.000} (n {f.Trend.Count}, edf {f.Trend.EffectiveDegrees:0.0})"))) + (all.Count > 6 ? $" and {all.Count - 6} more" : ""))
        {
            Report = [.. all.GroupBy(f => f.Feature).Take(MostFigures).Select(g => PseudotimeReport.Trends(g.Key, [.. g.Select(f => new TrendGroup(f.Group, f.Time, f.Value, f.Trend, f.Line))], s.Width, TrajectoryTime.Title(s.Time),
                FormattableString.Invariant($" between the percentiles {s.Part.Lower} and {s.Part.Upper} of the time"))).Chunk(2).Select(row => new FigureRowBlock(row))],
            Warnings = warnings,
            Tables = [("gam_summary.csv", Summaries(all)), ("gam_lines.csv", Lines(all))],
        };
    }

    private static AnnDictionary Kept(Fitted f) => new()
    {
        ["x"] = NdArray.Vector(f.Line.X),
        ["fit"] = NdArray.Vector(f.Line.Fit),
        ["lower"] = NdArray.Vector(f.Line.Lower),
        ["upper"] = NdArray.Vector(f.Line.Upper),
        ["n"] = NdArray.Scalar((long)f.Trend.Count),
        ["edof"] = NdArray.Scalar(f.Trend.EffectiveDegrees),
        ["adj_r2"] = NdArray.Scalar(f.Trend.AdjustedRSquared),
    };

    private static string Summaries(List<Fitted> all) => TrajectoryCells.Csv(
        new Column("group", [.. all.Select(f => f.Group)]),
        new Column("feature", [.. all.Select(f => f.Feature)]),
        new Column("n", [.. all.Select(f => f.Trend.Count)]),
        new Column("edof", [.. all.Select(f => f.Trend.EffectiveDegrees)]),
        new Column("residual_variance", [.. all.Select(f => f.Trend.ResidualVariance)]),
        new Column("r2", [.. all.Select(f => f.Trend.RSquared)]),
        new Column("adj_r2", [.. all.Select(f => f.Trend.AdjustedRSquared)]));

    private static string Lines(List<Fitted> all) => TrajectoryCells.Csv(
        new Column("group", [.. all.SelectMany(f => f.Line.X.Select(_ => f.Group))]),
        new Column("feature", [.. all.SelectMany(f => f.Line.X.Select(_ => f.Feature))]),
        new Column("time", [.. all.SelectMany(f => f.Line.X)]),
        new Column("fit", [.. all.SelectMany(f => f.Line.Fit)]),
        new Column("lower", [.. all.SelectMany(f => f.Line.Lower)]),
        new Column("upper", [.. all.SelectMany(f => f.Line.Upper)]));

    private static Settings Read(StepSettings settings)
    {
        string[] features = settings.List("features");
        if (features.Length == 0) throw new UsageException("--steps gam: features is empty; variables or columns of obs, separated by semicolons, were expected.");
        (double Lower, double Upper) part = TrajectoryTime.ReadPercentiles(settings, "gam");
        double width = settings.Number("width", 0, 1);
        if (width is 0 or 1) throw new UsageException($"--steps gam: width={width}; a number above 0 and below 1 was expected.");
        return new Settings(features, new TrajectoryGroups(settings.Text("groupby"), "", settings.List("groups")), settings.Text("time"), settings.Text("layer"), settings.Integer("n_splines", 4), settings.Number("lam", 0, double.MaxValue),
            part, width, settings.Integer("points", 2));
    }
}
