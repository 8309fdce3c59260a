using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report.Drawing;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>paga</c>: how strongly groups of cells are connected, as <c>sc.tl.paga</c>, with the composition of the groups that the paper prints beside it.</summary>
internal sealed class PagaStep : ICellStep
{
    private sealed record Settings(string Groups, string NeighborsKey, double Threshold, string Composition, string Control, string Norm, string WhichLayer);

    public string Name => "paga";

    public string Summary => "connections between groups of cells (PAGA); needs neighbors, and leiden for the default groups";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("groups", "leiden", "column of obs with the groups"),
        new("neighbors_key", "neighbors", "key of uns that describes the neighbour graph"),
        new("threshold", "0.1", "connections from here on are listed and shape the layout, 0 to 1"),
        new("composition", "", "column of obs whose classes are counted in each group; empty for none"),
        new("control", "Control", "the class that does not appear in the name of the tables"),
        new("norm", "log_std", "name of the preparation in file names"),
        new("which_layer", "X", "name of the representation in file names"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        CellGraph distances = CellMatrices.Distances(context, s.NeighborsKey);
        (int[] group, string[] names) = CellMatrices.Groups(context, s.Groups, s.Groups == "leiden" ? "leiden" : null);
        int missing = Array.IndexOf(group, -1);
        if (missing >= 0) throw new DataException(context.Source, $"obs/{s.Groups}, row {missing}", "the cell has no group; every cell needs one");
        Paga paga = Paga.Compute(distances, group, names.Length);
        context.Cells.Uns["paga"] = new AnnDictionary
        {
            ["connectivities"] = Sparse(names.Length, (a, b) => paga.Connectivities[a, b]),
            ["connectivities_tree"] = Sparse(names.Length, (a, b) => paga.Tree.Contains((a, b)) ? paga.Connectivities[a, b] : 0),
            ["groups"] = NdArray.Scalar(s.Groups),
            ["pos"] = Places(paga, s.Threshold),
        };
        context.Cells.Uns[$"{s.Groups}_sizes"] = NdArray.Vector(Array.ConvertAll(paga.Sizes, n => (long)n));
        int strong = Pairs(names.Length).Count(p => paga.Connectivities[p.A, p.B] >= s.Threshold), any = Pairs(names.Length).Count(p => paga.Connectivities[p.A, p.B] > 0);
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture, $"{names.Length} groups of '{s.Groups}', {any} of {names.Length * (names.Length - 1) / 2} pairs connected, {strong} with {s.Threshold:0.###} or more"))
        {
            Tables = Tables(s, paga, group, names, context),
            Report = PagaReport.Of(context, s.Groups, paga.Connectivities, s.Composition, s.Threshold, s.NeighborsKey),
        };
    }

    private static Settings Read(StepSettings settings) => new(settings.Text("groups"), settings.Text("neighbors_key"), settings.Number("threshold", 0, 1), settings.Text("composition"),
        settings.Text("control"), settings.Text("norm"), settings.Text("which_layer"));

    private static IEnumerable<(int A, int B)> Pairs(int groups) => Enumerable.Range(0, groups).SelectMany(a => Enumerable.Range(a + 1, groups - a - 1).Select(b => (a, b)));

    private static SparseMatrix Sparse(int groups, Func<int, int, double> entry)
    {
        List<int> columns = [];
        List<double> values = [];
        long[] rows = new long[groups + 1];
        for (int a = 0; a < groups; a++)
        {
            for (int b = 0; b < groups; b++)
            {
                if (entry(a, b) == 0) continue;
                columns.Add(b);
                values.Add(entry(a, b));
            }
            rows[a + 1] = columns.Count;
        }
        return new SparseMatrix(groups, groups, SparseLayout.Csr, rows, [.. columns], NdArray.Vector(values.ToArray()));
    }

    /// <summary>A layout by the strong connections and by the tree, which holds the parts of the graph together.</summary>
    private static NdArray Places(Paga paga, double threshold)
    {
        int groups = paga.Sizes.Length;
        double[,] weights = new double[groups, groups];
        foreach ((int a, int b) in Pairs(groups))
            if (paga.Connectivities[a, b] >= threshold || paga.Tree.Contains((a, b))) weights[a, b] = weights[b, a] = paga.Connectivities[a, b];
        return new NdArray(StressLayout.Place(weights, lying: true).SelectMany(p => new[] { p.X, p.Y }).ToArray(), groups, 2);
    }

    private static List<(string FileName, string Csv)> Tables(Settings s, Paga paga, int[] group, string[] names, CellsContext context)
    {
        (int A, int B)[] strong = [.. Pairs(names.Length).Where(p => paga.Connectivities[p.A, p.B] >= s.Threshold && paga.Connectivities[p.A, p.B] > 0).OrderByDescending(p => paga.Connectivities[p.A, p.B])];
        Table edges = new([
            new Column("group_a", [.. strong.Select(p => names[p.A])]),
            new Column("group_b", [.. strong.Select(p => names[p.B])]),
            new Column("connectivity", [.. strong.Select(p => paga.Connectivities[p.A, p.B])]),
            new Column("in_tree", [.. strong.Select(p => paga.Tree.Contains(p) ? "True" : "False")]),
        ]);
        if (s.Composition.Length == 0) return [($"paga_edges_{Label(s, [])}.csv", CsvFile.ToText(edges))];
        (int[] classOf, string[] classes) = CellMatrices.Groups(context, s.Composition);
        int[,] counts = new int[names.Length, classes.Length];
        for (int i = 0; i < group.Length; i++) if (classOf[i] >= 0) counts[group[i], classOf[i]]++;
        IEnumerable<Column> shares = classes.Select((name, c) => new Column(name, Enumerable.Range(0, names.Length).Select(g => counts[g, c]).ToArray()));
        string label = Label(s, classes.Where(c => c != s.Control));
        return [($"paga_edges_{label}.csv", CsvFile.ToText(edges)), ($"paga_composition_{label}.csv", CsvFile.ToText(new Table([new Column(s.Groups, names), .. shares])))];
    }

    /// <summary>What the published tables carry in their names: preparation, representation and the classes compared with the control.</summary>
    private static string Label(Settings s, IEnumerable<string> classes) => string.Join('_', new[] { s.Norm, s.WhichLayer }.Concat(classes)).Replace('/', '_');
}
