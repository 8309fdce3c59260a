using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>What the steps about trajectories read alike: control cells and mutations from a column, a kept diffusion map, features by name.</summary>
internal static class TrajectoryCells
{
    public static StepParameter Groupby { get; } = new("groupby", "superclass", "column of obs with the groups of cells");

    public static StepParameter Control { get; } = new("control", "Control", "group where the trajectory begins");

    public static StepParameter Groups { get; } = new("groups", "", "groups to evaluate, separated by semicolons; empty for all but the control");

    public static StepParameter Value { get; } = new("value", "cell_death", "column of obs with the measured value; empty cells are left out");

    public static StepParameter NeighborsKey { get; } = new("neighbors_key", "neighbors", "key of uns that describes the neighbour graph");

    public static StepParameter Rule { get; } = new("rule", "scanpy", "scanpy: eigenvalues from 0.9994 on count 1; exact: only trivial eigenvectors are left out");

    public static PseudotimeRule ReadRule(StepSettings settings) => settings.Choice("rule", "scanpy", "exact") == "exact" ? PseudotimeRule.Exact : PseudotimeRule.Scanpy;

    /// <summary>Rows of one group of a column.</summary>
    /// <exception cref="UsageException">No cell is in that group.</exception>
    public static int[] InGroup(CellsContext context, string column, string group)
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, column);
        int code = Array.IndexOf(names, group);
        int[] rows = code < 0 ? [] : [.. Enumerable.Range(0, codes.Length).Where(i => codes[i] == code)];
        return rows.Length > 0 ? rows : throw new UsageException($"no cell has {column} = {group}; the groups are {string.Join(", ", names.Take(20))}.");
    }

    /// <summary>The groups asked for, or all but the control in the order of the column's categories.</summary>
    public static IReadOnlyList<MutationCells> Mutations(CellsContext context, string column, string control, string[] asked)
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, column);
        return [.. (asked.Length > 0 ? asked : names.Where((n, c) => n != control && codes.Contains(c))).Select(name => new MutationCells(name, InGroup(context, column, name)))];
    }

    /// <summary>Those groups of which enough cells have what is needed; each of the others gets a sentence.</summary>
    /// <param name="groups">All groups.</param>
    /// <param name="needed">[cells] what has to be finite, such as the pseudotime.</param>
    /// <param name="beside">[cells] what has to be finite too, such as the value; null for nothing.</param>
    /// <param name="what">What is not done for the others: "no trend".</param>
    /// <param name="warnings">Receives the sentences.</param>
    /// <exception cref="UsageException">No group is left.</exception>
    public static IReadOnlyList<MutationCells> Usable(IReadOnlyList<MutationCells> groups, double[] needed, double[]? beside, string what, List<string> warnings)
    {
        string finite = beside is null ? "a finite number" : "a finite time and value";
        List<MutationCells> usable = [];
        foreach (MutationCells group in groups)
        {
            int cells = group.Cells.Count(c => double.IsFinite(needed[c]) && (beside is null || double.IsFinite(beside[c])));
            if (cells >= PseudotimeSweep.FewestCells) usable.Add(group);
            else warnings.Add($"{group.Name}: {what}, because {cells} of its cells have {finite}; {PseudotimeSweep.FewestCells} are needed.");
        }
        return usable.Count > 0 ? usable : throw new UsageException($"no group has {PseudotimeSweep.FewestCells} cells with {finite}.");
    }

    /// <summary>The diffusion map that the step 'diffmap' left.</summary>
    public static DiffusionMap StoredMap(CellsContext context, string neighborsKey)
    {
        CellGraph graph = CellMatrices.Connectivities(context, neighborsKey);
        using Matrix<double> coordinates = CellMatrices.Embedding(context, context.Host, "X_diffmap", "diffmap");
        if (context.Cells.Uns.GetValueOrDefault("diffmap_evals") is not NdArray { Type: not ElementType.Text } eigenvalues) throw CellMatrices.Missing("uns/diffmap_evals", "diffmap");
        if (eigenvalues.Length != coordinates.Columns)
            throw new DataException(context.Source, "uns/diffmap_evals", $"has {eigenvalues.Length} eigenvalues beside {coordinates.Columns} columns of obsm/X_diffmap");
        return DiffusionMap.FromStored(context.Host, graph, eigenvalues.ToDoubles(), coordinates.Buffer.View.Host);
    }

    /// <summary>A variable of X or of a layer by its name, or a numeric column of obs.</summary>
    public static double[] Feature(CellsContext context, string name, string layer)
    {
        int column = Array.IndexOf(context.Cells.Var.Index, name);
        if (column < 0 && !context.Cells.Obs.Contains(name)) throw new UsageException($"'{name}' is neither a variable nor a column of obs.");
        if (column < 0) return CellMatrices.Numbers(context, name);
        if (CellMatrices.Stored(context, layer) is not SparseMatrix sparse) return ((NdArray)CellMatrices.Stored(context, layer)).TakeColumns([column]).ToDoubles();
        using Matrix<double> dense = sparse.SelectColumns([column]).ToDouble(context.Host);
        return dense.Buffer.View.Host.ToArray();
    }

    /// <summary>The values of some rows.</summary>
    public static double[] At(double[] values, int[] rows) => Array.ConvertAll(rows, row => values[row]);

    /// <summary>The beginning of a file name from the labels that the published tables carry: norm, layer and seed.</summary>
    public static string Label(string norm, string layer, ulong seed) => $"{norm}_{layer}_seed{seed}";

    /// <summary>A name as a key of uns: HDF5 has no / in names.</summary>
    public static string Key(string name) => name.Replace('/', '_');

    /// <summary>"pca50_k15": what the neighbour graph was made with, as far as the file says.</summary>
    public static (string Label, int? Components, int? Neighbours) GraphOf(CellsContext context, string neighborsKey)
    {
        AnnDictionary? described = (context.Cells.Uns.GetValueOrDefault(neighborsKey) as AnnDictionary)?.GetValueOrDefault("params") as AnnDictionary;
        int? neighbours = Number(described, "n_neighbors"), components = Number(described, "n_pcs");
        components ??= context.Cells.Obsm.GetValueOrDefault("X_pca") is NdArray { Rank: 2 } scores ? (int)scores.Shape[1] : null;
        return ($"pca{components?.ToString() ?? "NA"}_k{neighbours?.ToString() ?? "NA"}", components, neighbours);
    }

    public static string Csv(params Column[] columns) => CsvFile.ToText(new Table(columns));

    private static int? Number(AnnDictionary? described, string key) =>
        described?.GetValueOrDefault(key) is NdArray { Length: 1 } value && value.Type.IsInteger() && value.ToInt64()[0] is > 0 and <= int.MaxValue ? (int)value.ToInt64()[0] : null;
}
