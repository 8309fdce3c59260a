using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>What the steps about trajectories read alike: cells of a group, a kept diffusion map, features by name.</summary>
internal static class TrajectoryCells
{
    public static StepParameter Control { get; } = new("control", "Control", "group where the trajectory begins");

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

    /// <summary>A name as a key of uns: HDF5 has no / in names.</summary>
    public static string Key(string name) => name.Replace('/', '_');

    public static string Csv(params Column[] columns) => CsvFile.ToText(new Table(columns));
}
