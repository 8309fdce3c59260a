using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>terciles</c>: does a value fall along pseudotime, in bins of equal width?</summary>
internal sealed class TercilesStep : ICellStep
{
    private sealed record Settings(TrajectoryGroups Groups, string Value, string Time, int Bins, (double Lower, double Upper) Part, TrajectoryFiles Files);

    public string Name => "terciles";

    public string Summary => "a value in bins of pseudotime: Jonckheere-Terpstra trend, pairwise Mann-Whitney, Cliff's delta; needs dpt";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. TrajectoryGroups.Parameters,
        TrajectoryCells.Value,
        TrajectoryTime.Column,
        new("bins", "3", "bins of equal width, 2 or more"),
        .. TrajectoryTime.Percentiles,
        .. TrajectoryFiles.Parameters,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        double[] time = TrajectoryTime.Of(context, s.Time), value = CellMatrices.Numbers(context, s.Value);
        List<string> warnings = [];
        (string Name, PseudotimeBins Bins)[] all = [.. s.Groups.Usable(context, time, value, "no test", warnings)
            .Select(m => (m.Name, PseudotimeBins.Compute(TrajectoryCells.At(time, m.Cells), TrajectoryCells.At(value, m.Cells), s.Bins, s.Part.Lower, s.Part.Upper)))];
        AnnDictionary kept = new() { ["params"] = settings.Used };
        foreach ((string name, PseudotimeBins bins) in all) kept[TrajectoryCells.Key(name)] = Kept(bins);
        context.Cells.Uns["terciles"] = kept;
        string label = $"{s.Files.Label(context)}_{TrajectoryFiles.GraphOf(context, TrajectoryTime.GraphKey(context)).Label}";
        return new StepOutcome(string.Join(", ", all.Select(a => string.Create(CultureInfo.InvariantCulture, $"{a.Name} z {a.Bins.Trend.Z:0.00}, p 10^{a.Bins.Trend.Log10P:0.00}"))))
        {
            Warnings = warnings,
            Report = [.. all.Select(a => PseudotimeReport.Bins(a.Name, a.Bins, s.Value)).Chunk(3).Select(row => new FigureRowBlock(row))],
            Tables = [($"terciles_jt_{label}.csv", Trends(all)), ($"terciles_bins_{label}.csv", Bins(all)), ($"terciles_pairs_{label}.csv", Pairs(all))],
        };
    }

    private static AnnDictionary Kept(PseudotimeBins bins) => new()
    {
        ["edges"] = NdArray.Vector<double>([.. bins.Bins.Select(b => b.From), bins.Bins[^1].To]),
        ["n"] = NdArray.Vector(bins.Bins.Select(b => (long)b.Values.Length).ToArray()),
        ["mean"] = NdArray.Vector(bins.Bins.Select(b => b.Mean).ToArray()),
        ["sem"] = NdArray.Vector(bins.Bins.Select(b => b.StandardError).ToArray()),
        ["z"] = NdArray.Scalar(bins.Trend.Z),
        ["log10_p"] = NdArray.Scalar(bins.Trend.Log10P),
    };

    private static string Trends((string Name, PseudotimeBins Bins)[] all) => TrajectoryCells.Csv(
        new Column("Mutation", [.. all.Select(a => a.Name)]),
        new Column("n", [.. all.Select(a => a.Bins.Bins.Sum(b => b.Values.Length))]),
        new Column("left_out", [.. all.Select(a => a.Bins.LeftOut)]),
        new Column("J", [.. all.Select(a => a.Bins.Trend.Statistic)]),
        new Column("mean", [.. all.Select(a => a.Bins.Trend.Mean)]),
        new Column("variance", [.. all.Select(a => a.Bins.Trend.Variance)]),
        new Column("z", [.. all.Select(a => a.Bins.Trend.Z)]),
        new Column("p_decreasing", [.. all.Select(a => a.Bins.Trend.P)]),
        new Column("log10_p", [.. all.Select(a => a.Bins.Trend.Log10P)]),
        new Column("z_partial_ties", [.. all.Select(a => a.Bins.Trend.PartialTies!.Z)]),
        new Column("p_partial_ties", [.. all.Select(a => a.Bins.Trend.PartialTies!.P)]));

    private static string Bins((string Name, PseudotimeBins Bins)[] all)
    {
        (string Name, PseudotimeBin Bin)[] rows = [.. all.SelectMany(a => a.Bins.Bins.Select(b => (a.Name, b)))];
        return TrajectoryCells.Csv(
            new Column("Mutation", [.. rows.Select(r => r.Name)]),
            new Column("Bin", [.. rows.Select(r => r.Bin.Name)]),
            new Column("from", [.. rows.Select(r => r.Bin.From)]),
            new Column("to", [.. rows.Select(r => r.Bin.To)]),
            new Column("n", [.. rows.Select(r => r.Bin.Values.Length)]),
            new Column("mean", [.. rows.Select(r => r.Bin.Mean)]),
            new Column("std", [.. rows.Select(r => r.Bin.Deviation)]),
            new Column("sem", [.. rows.Select(r => r.Bin.StandardError)]));
    }

    private static string Pairs((string Name, PseudotimeBins Bins)[] all)
    {
        (string Name, PseudotimeBins Bins, BinPair Pair)[] rows = [.. all.SelectMany(a => a.Bins.Pairs.Select(p => (a.Name, a.Bins, p)))];
        return TrajectoryCells.Csv(
            new Column("Mutation", [.. rows.Select(r => r.Name)]),
            new Column("Bin1", [.. rows.Select(r => r.Bins.Bins[r.Pair.First].Name)]),
            new Column("Bin2", [.. rows.Select(r => r.Bins.Bins[r.Pair.Second].Name)]),
            new Column("U", [.. rows.Select(r => r.Pair.Test.U)]),
            new Column("p", [.. rows.Select(r => r.Pair.Test.P)]),
            new Column("log10_p", [.. rows.Select(r => r.Pair.Test.Log10P)]),
            new Column("p_bonferroni", [.. rows.Select(r => r.Pair.Adjusted)]),
            new Column("stars", [.. rows.Select(r => r.Pair.Stars)]),
            new Column("cliffs_delta", [.. rows.Select(r => r.Pair.CliffsDelta)]),
            new Column("magnitude", [.. rows.Select(r => OrderedTrend.Magnitude(r.Pair.CliffsDelta))]));
    }

    private static Settings Read(StepSettings settings) => new(TrajectoryGroups.Read(settings), settings.Text("value"), settings.Text("time"), settings.Integer("bins", 2),
        TrajectoryTime.ReadPercentiles(settings, "terciles"), TrajectoryFiles.Read(settings));
}
