using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>local_sd</c>: how smoothly a value varies over a representation, by the paper's local standard deviations.</summary>
internal sealed class LocalSdStep : ICellStep
{
    // The permutations of the p-values have streams of their own.
    private const ulong ShuffleStream = 1;

    public string Name => "local_sd";

    public string Summary => "standard deviation of a value among nearest neighbours over that of all cells, and Moran's I, by groups";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. ValueCells.Parameters,
        new("k", "5;10;15;20;25", "neighbourhood sizes (the cell itself not counted), separated by semicolons"),
        new("permutations", "0", "permutations of the value behind the p-values; 0 for none"),
        new("source", "SAE", "text of the column source"),
        new("key_added", "local_sd", "name of the table"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (int[] sizes, int permutations, string source, string key) = Read(settings);
        List<LocalSdGroup> groups = [];
        foreach ((string group, Matrix<double> x, double[] values) in ValueCells.Groups(context, settings, context.Device))
            using (x)
            {
                if (x.Rows <= sizes.Max()) throw new UsageException($"k={sizes.Max()}; {(group == "all" ? "there are" : $"the group '{group}' has")} {x.Rows} cells with a value, and {sizes.Max() + 1} are needed: take smaller k, or name the groups to measure with groups=.");
                using NeighbourTable neighbours = NeighbourTable.Build(x, sizes.Max());
                LocalLinearityResult[] results = [.. sizes.Select(k => LocalLinearity.Measure(neighbours, values, k, permutations, context.Seed, context.Cancellation))];
                double[] shuffled = [.. values];
                new CounterRandom(context.Seed, ShuffleStream).Shuffle<double>(shuffled);
                groups.Add(new LocalSdGroup(group, results, LocalLinearity.Measure(neighbours, shuffled, sizes[0], cancellation: context.Cancellation).Ratios));
            }
        (string Group, LocalLinearityResult Result)[] all = [.. groups.SelectMany(g => g.Sizes.Select(r => (g.Name, r)))];
        Column Of(string name, Func<LocalLinearityResult, double> value) => new(name, [.. all.Select(a => value(a.Result))]);
        Table table = new([
            new Column("source", [.. all.Select(_ => source)]),
            new Column("mutation", [.. all.Select(a => a.Group)]),
            Of("k", r => r.K),
            Of("n", r => r.N),
            Of("mean_ratio", r => r.MeanRatio),
            Of("median_ratio", r => r.MedianRatio),
            Of("global_std", r => r.GlobalStd),
            Of("wilcoxon_p", r => r.Wilcoxon.P),
            Of("wilcoxon_log10_p", r => r.Wilcoxon.Log10P),
            Of("perm_pval", r => r.PermutationP ?? double.NaN),
            Of("morans_I", r => r.Moran.I),
            Of("morans_z", r => r.Moran.Z),
            Of("morans_p", r => r.Moran.P),
            Of("morans_log10_p", r => r.Moran.Log10P),
            Of("moran_z_paper", r => r.Moran.PaperZ),
            Of("morans_perm_pval", r => r.Moran.PermutationP ?? double.NaN),
        ]);
        context.Cells.Uns[key] = new AnnDictionary { ["params"] = settings.Used, ["results"] = Frame(table) };
        return new StepOutcome(string.Join(", ", all.Where(a => a.Result.K == sizes[0]).Select(a => string.Create(CultureInfo.InvariantCulture, $"{a.Group} {a.Result.MeanRatio:0.000}"))) + $" of the standard deviation of all cells among {sizes[0]} neighbours")
        {
            Tables = [($"{GeneTests.FileName(key)}.csv", CsvFile.ToText(table))],
            Report = MeasureReport.LocalSd(settings.Text("value"), ValueCells.Representation(settings), groups, key),
        };
    }

    private static DataFrame Frame(Table table)
    {
        DataFrame frame = DataFrame.OfRows(table.Rows);
        foreach (Column column in table.Columns) frame.Add(column.IsNumeric ? FrameColumn.Of(column.Name, column.Numbers) : FrameColumn.Categorical(column.Name, column.Text));
        return frame;
    }

    private static (int[] Sizes, int Permutations, string Source, string Key) Read(StepSettings settings)
    {
        int[] sizes = [.. settings.List("k").Select(k => int.TryParse(k, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size > 0 ? size
            : throw new UsageException($"--steps local_sd: k={k}; whole numbers from 1 on, separated by semicolons, were expected."))];
        if (sizes.Length == 0) throw new UsageException("--steps local_sd: k is empty; at least one neighbourhood size was expected.");
        return (sizes, settings.Integer("permutations", 0, 1_000_000), settings.Text("source"), settings.Text("key_added"));
    }
}
