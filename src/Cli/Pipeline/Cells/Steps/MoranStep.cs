using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>moran</c>: how alike neighbouring cells are, for variables and columns of obs.</summary>
internal sealed class MoranStep : ICellStep
{
    private sealed record Settings(string[] Vals, string NeighborsKey, string Layer, string Key);

    public string Name => "moran";

    public string Summary => "Moran's I of variables or columns of obs on the neighbour graph; needs neighbors";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("vals", "", "variables, or columns of obs, separated by semicolons; empty for all variables"),
        new("neighbors_key", "neighbors", "key of uns that describes the neighbour graph"),
        GeneTests.Layer,
        new("key_added", "moranI", "key of uns, and name of the table"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        CellGraph graph = CellMatrices.Connectivities(context, s.NeighborsKey);
        (string[] names, MoranResult[] found) = s.Vals.Length == 0
            ? (context.Cells.Var.Index, GraphAutocorrelation.Moran(context.Host, CellMatrices.Stored(context, s.Layer), graph, context.Source, context.Cancellation))
            : Chosen(context, s, graph);
        // squidpy's table: strongest first; columns that do not vary have no value and stand last.
        int[] order = [.. Enumerable.Range(0, found.Length).OrderByDescending(i => double.IsNaN(found[i].I) ? double.NegativeInfinity : found[i].I)];
        int[] tested = [.. order.Where(i => !double.IsNaN(found[i].I))];
        double[] adjusted = BenjaminiHochberg.AdjustLog10(Array.ConvertAll(tested, i => found[i].Log10P));
        double[] log10Q = [.. adjusted, .. Enumerable.Repeat(double.NaN, order.Length - tested.Length)];
        double[] Of(Func<MoranResult, double> value) => Array.ConvertAll(order, i => double.IsNaN(found[i].I) ? double.NaN : value(found[i]));
        (string Name, double[] Values)[] columns =
        [
            ("I", Of(r => r.I)),
            ("pval_norm", GeneTests.Powers(Of(r => r.Log10P))),
            ("var_norm", Of(r => r.Variance)),
            ("pval_norm_fdr_bh", GeneTests.Powers(log10Q)),
            ("z", Of(r => r.Z)),
            ("log10_pval_norm", Of(r => r.Log10P)),
            ("log10_pval_norm_fdr_bh", log10Q),
            ("moran_z_paper", Of(r => r.PaperZ)),
        ];
        string[] rows = Array.ConvertAll(order, i => names[i]);
        DataFrame frame = new(rows);
        foreach ((string name, double[] values) in columns) frame.Add(name, values);
        context.Cells.Uns[s.Key] = frame;
        int constant = order.Length - tested.Length;
        string best = tested.Length == 0 ? "" : $"; most {rows[0]} {found[order[0]].I.ToString("0.000", CultureInfo.InvariantCulture)}";
        return new StepOutcome($"Moran's I of {found.Length} columns, {adjusted.Count(q => q < Math.Log10(0.05))} with adjusted p < 0.05{best}")
        {
            Tables = [($"{GeneTests.FileName(s.Key)}.csv", CsvFile.ToText(new Table([new Column("name", rows), .. columns.Select(c => new Column(c.Name, c.Values))])))],
            Report = MeasureReport.Moran(context, s.NeighborsKey, rows[..tested.Length], columns[0].Values[..tested.Length], adjusted, s.Key),
            Warnings = constant == 0 ? [] : [$"{constant} columns hold one value alone and have no Moran's I."],
        };
    }

    /// <summary>Named columns, each from the variables or, where there is none of that name, from obs.</summary>
    private static (string[] Names, MoranResult[] Found) Chosen(CellsContext context, Settings s, CellGraph graph)
    {
        MoranResult[] found = new MoranResult[s.Vals.Length];
        int[] variable = [.. s.Vals.Select(name => Array.IndexOf(context.Cells.Var.Index, name))];
        int[] places = [.. Enumerable.Range(0, variable.Length).Where(v => variable[v] >= 0)], other = [.. Enumerable.Range(0, variable.Length).Where(v => variable[v] < 0)];
        if (places.Length > 0)
        {
            int[] taken = Array.ConvertAll(places, v => variable[v]);
            IAnnElement stored = CellMatrices.Stored(context, s.Layer), columns = stored is SparseMatrix sparse ? sparse.SelectColumns(taken) : ((NdArray)stored).TakeColumns(taken);
            MoranResult[] results = GraphAutocorrelation.Moran(context.Host, columns, graph, context.Source, context.Cancellation);
            for (int v = 0; v < places.Length; v++) found[places[v]] = results[v];
        }
        foreach (int v in other)
        {
            if (!context.Cells.Obs.Contains(s.Vals[v])) throw new UsageException($"'{s.Vals[v]}' is neither a variable nor a column of obs.");
            double[] values = CellMatrices.Numbers(context, s.Vals[v]);
            if (values.Any(x => !double.IsFinite(x))) throw new DataException(context.Source, $"obs/{s.Vals[v]}", "a value is missing or not finite; select the cells that have one first");
            found[v] = GraphAutocorrelation.Moran(context.Host, new NdArray(values, values.Length, 1), graph, context.Source, context.Cancellation)[0];
        }
        return (s.Vals, found);
    }

    private static Settings Read(StepSettings settings) => new(settings.List("vals"), settings.Text("neighbors_key"), settings.Text("layer"), settings.Text("key_added"));
}
