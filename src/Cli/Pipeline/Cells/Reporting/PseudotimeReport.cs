using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>One group of cells along pseudotime.</summary>
/// <param name="Name">Of the group.</param>
/// <param name="Time">[cells] pseudotime.</param>
/// <param name="Value">[cells] the value.</param>
/// <param name="Fit">The smooth trend.</param>
/// <param name="Line">The trend at points, with its band.</param>
internal sealed record TrendGroup(string Name, double[] Time, double[] Value, SplineTrend Fit, TrendLine Line);

/// <summary>What happens along a pseudotime.</summary>
internal static class PseudotimeReport
{
    /// <summary>A value along pseudotime with a smooth trend for each group of cells.</summary>
    /// <param name="valueName">What the value is, with its unit.</param>
    /// <param name="groups">The cells, and the trend that was fitted to a part of them.</param>
    /// <param name="width">Confidence of the bands, such as 0.95.</param>
    /// <param name="timeName">What stands on the horizontal axis.</param>
    /// <param name="fitted">To what the curves were fitted, for the caption; empty for all.</param>
    public static FigureItem Trends(string valueName, IReadOnlyList<TrendGroup> groups, double width = 0.95, string timeName = "diffusion pseudotime", string fitted = "")
    {
        IReadOnlyDictionary<string, uint>? colors = CellColoring.ColorsOf(groups.Select(g => g.Name));
        TrendPlot figure = new()
        {
            Trends = [.. groups.Select(g => new Trend(g.Name, g.Time, g.Value) { Color = colors?[g.Name], CurveX = g.Line.X, Curve = g.Line.Fit, Lower = g.Line.Lower, Upper = g.Line.Upper })],
            XLabel = timeName, YLabel = valueName, View = (0.5, 99.5), Note = groups.Count == 1 ? $"adjusted R² {Numbers.Fixed(groups[0].Fit.AdjustedRSquared, 3)}" : "", Width = groups.Count > 1 ? 560 : 472,
        };
        string cells = string.Join("; ", groups.Select(g => $"{g.Name} {Captions.Cells(g.Time.Zip(g.Value, (t, v) => double.IsFinite(t) && double.IsFinite(v)).Count(f => f))}, adjusted R² {Numbers.Fixed(g.Fit.AdjustedRSquared, 3)}, {Numbers.Short(g.Fit.EffectiveDegrees, 3)} effective degrees of freedom"));
        return new FigureItem(figure, $"`{valueName}` along {timeName} ({cells}). Curves: penalised cubic splines{fitted}; bands: {Numbers.Percent(width, 0)} confidence of the mean. "
            + "Rings at an edge: cells beyond the 0.5th or 99.5th percentile.", GeneTests.FileName($"trend_{valueName}"));
    }

    /// <summary>Features along pseudotime.</summary>
    /// <param name="map">The profiles.</param>
    /// <param name="names">[features] names of the columns; empty for their numbers.</param>
    /// <param name="name">Of the cells.</param>
    /// <param name="options">With which the profiles were made.</param>
    public static FigureItem HeatMap(PseudotimeHeatMap map, IReadOnlyList<string> names, string name, HeatMapOptions options)
    {
        int rows = map.Profiles.Length, bins = map.BinTimes.Length;
        double[,] values = new double[rows, bins];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < bins; j++) values[i, j] = map.Profiles[i][j];
        RowGroup[] clusters = [.. map.Clusters.GroupBy(c => c).OrderBy(g => g.Key).Select(g => new RowGroup($"cluster {g.Key + 1} ({g.Count()})", g.Count(), g.Key))];
        bool few = rows <= 40 && names.Count > 0;
        Heatmap figure = new()
        {
            Values = values, Scale = ColorScale.BlueOrange, Min = -2, Max = 2, ValueLabel = "z-score over the bins", XLabel = $"bins of cells along pseudotime, {Numbers.Short(map.BinTimes[0], 2)} to {Numbers.Short(map.BinTimes[^1], 2)}",
            RowGroups = few ? null : clusters, RowNames = few ? [.. map.Features.Select(f => names[f])] : null, Width = 640, Height = Math.Clamp(120 + rows * (few ? 13 : 1), 320, 640),
        };
        string smoothed = options.Sigma > 0 ? $", smoothed by a Gaussian of {Numbers.Short(options.Sigma)} bins" : "";
        return new FigureItem(figure, $"{Numbers.Integer(rows)} features along the pseudotime of {Captions.Cells(map.BinCells.Sum())} ({name}) in {bins} bins of {map.BinCells.Min()} to {map.BinCells.Max()} cells: means standardised over the bins{smoothed}, colours end at ±2. "
            + $"{clusters.Length} clusters of profiles ({options.Neighbours} neighbours, Leiden at resolution {Numbers.Short(options.Resolution)}), ordered by where they peak.{(map.Constant > 0 ? $" {Numbers.Integer(map.Constant)} constant features are left out." : "")}", GeneTests.FileName($"dpt_heatmap_{name}"));
    }

    /// <summary>One annotated heat map per mutation of a statistic over components and neighbours.</summary>
    public static FigureItem Sweep(IReadOnlyList<SweepPoint> points, string symbol, Func<PseudotimeEvaluation, double> statistic, string valueName)
    {
        int[] dimensions = [.. points.Select(p => p.Dimensions).Distinct()], neighbours = [.. points.Select(p => p.Neighbours).Distinct()];
        string[] mutations = [.. points.Select(p => p.Mutation).Distinct()];
        double limit = Math.Max(0.05, Math.Ceiling(20 * points.Select(p => Math.Abs(statistic(p.Evaluation))).Where(double.IsFinite).DefaultIfEmpty(0).Max()) / 20);
        PanelGrid grid = new() { Columns = Math.Min(3, mutations.Length), Panels = [.. mutations.Select(Panel)] };
        string cells = string.Join(", ", mutations.Select(m => $"{m} {Captions.Cells(points.First(p => p.Mutation == m).Evaluation.Cells)}"));
        return new FigureItem(grid, $"{symbol} of pseudotime and {valueName} on the mutant cells ({cells}), over principal components and neighbours. Colours are symmetric about 0.", GeneTests.FileName($"dpt_sweep_{symbol.Replace("ρ", "rho")}"));

        Figure Panel(string mutation)
        {
            double[,] values = new double[dimensions.Length, neighbours.Length];
            for (int i = 0; i < dimensions.Length; i++)
                for (int j = 0; j < neighbours.Length; j++)
                    values[i, j] = points.Where(p => p.Mutation == mutation && p.Dimensions == dimensions[i] && p.Neighbours == neighbours[j]).Select(p => statistic(p.Evaluation)).DefaultIfEmpty(double.NaN).Average();
            return new Heatmap
            {
                Title = mutation, Values = values, Decimals = 3, Scale = ColorScale.BlueOrange, Min = -limit, Max = limit, ValueLabel = symbol, XLabel = "neighbours", YLabel = "components",
                RowNames = [.. dimensions.Select(d => $"{d}")], ColumnNames = [.. neighbours.Select(n => $"{n}")], Width = Math.Max(320, 140 + 46 * neighbours.Length), Height = Math.Max(190, 90 + 36 * dimensions.Length),
            };
        }
    }

    /// <summary>Correlations from each root as bars with points.</summary>
    public static FigureItem Roots(IReadOnlyList<(string Mutation, RootRobustness Result, int Cells)> results, string valueName)
    {
        PointBars figure = new() { Groups = [.. results.Select(r => new ValueGroup(r.Mutation, r.Result.Spearman) { Color = CellColoring.ClassColors.TryGetValue(r.Mutation, out uint rgb) ? rgb : null })], YLabel = $"Spearman ρ with {valueName}", XLabel = "n: roots" };
        return new FigureItem(figure, $"Spearman's correlation of pseudotime and {valueName} from each of the control cells nearest to their mean as the root ({string.Join(", ", results.Select(r => $"{r.Mutation}: {Captions.Cells(r.Cells)}"))}). Bars: mean ± standard deviation over the roots (divisor n).", "root_robustness");
    }

    /// <summary>The bins of a pseudotime as bars with the tests between them.</summary>
    public static FigureItem Bins(string name, PseudotimeBins bins, string valueName)
    {
        PointBars figure = new()
        {
            Groups = [.. bins.Bins.Select((b, i) => new ValueGroup(b.Name, b.Values) { Color = CellColoring.ClassColors.TryGetValue(name, out uint rgb) ? rgb : null })],
            Comparisons = [.. bins.Pairs.Select(p => new GroupComparison(p.First, p.Second, p.Stars))],
            YLabel = valueName, Spread = Spread.StandardError, ShowPoints = bins.Bins.Sum(b => b.Values.Length) <= 3 * PointBars.MostPoints, Test = $"Jonckheere–Terpstra, falling: {Captions.P(bins.Trend.Log10P)}{(bins.Trend.Z < 0 ? " (rises)" : "")}", Height = 360,
        };
        return new FigureItem(figure, $"{valueName} in {bins.Bins.Count} bins of equal width of pseudotime, {name} ({Captions.Cells(bins.Bins.Sum(b => (long)b.Values.Length))}): mean ± standard error. {Trend(bins.Trend)} "
            + "Pairs: two-sided Mann–Whitney, Bonferroni; *** below 0.001, ** 0.01, * 0.05.", GeneTests.FileName($"terciles_{name}"));
    }

    /// <summary>The test asks for a fall alone: of values that rise it can only say that they do not fall.</summary>
    private static string Trend(JonckheereTest trend)
    {
        const string test = "one-sided test of Jonckheere and Terpstra for falling values";
        return trend.Z < 0 ? $"The values rise: the {test} has z = {Numbers.Fixed(trend.Z, 2)} and a p-value above ½, which is no measure of the rise." : $"{char.ToUpperInvariant(test[0])}{test[1..]}: z = {Numbers.Fixed(trend.Z, 2)}.";
    }
}
