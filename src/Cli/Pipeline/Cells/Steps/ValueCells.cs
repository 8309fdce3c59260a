using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>What the steps that measure a value over a representation share: the rows of each group that have the value.</summary>
internal static class ValueCells
{
    public static IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("value", "cell_death", "column of obs with the measured value; cells without one are left out"),
        new("use_rep", "X", "representation: X, or a matrix of obsm such as X_pca"),
        new("groupby", "superclass", "column of obs; each group is measured on its own; empty for all cells together"),
        new("groups", "", "groups to measure, separated by semicolons; empty for all"),
    ];

    /// <summary>The representation as a caption names it.</summary>
    public static string Representation(StepSettings settings) => settings.Text("use_rep") is var use && use == "X" ? "X" : $"obsm/{use}";

    /// <summary>Each group's representation and values; the caller disposes of the matrices.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="settings">Holds <see cref="Parameters"/>.</param>
    /// <param name="device">Where the matrices shall live.</param>
    /// <exception cref="UsageException">A group has no cell with the value.</exception>
    /// <exception cref="DataException">All values of a group are equal.</exception>
    public static IEnumerable<(string Group, Matrix<double> X, double[] Values)> Groups(CellsContext context, StepSettings settings, ComputeDevice device)
    {
        string value = settings.Text("value"), use = settings.Text("use_rep"), groupby = settings.Text("groupby");
        string[] asked = settings.List("groups");
        double[] values = CellMatrices.Numbers(context, value);
        (int[] codes, string[] names) = groupby.Length == 0 ? (new int[values.Length], ["all"]) : CellMatrices.Groups(context, groupby);
        if (asked.Length == 0) asked = [.. names.Where((_, g) => codes.Where((code, i) => code == g && double.IsFinite(values[i])).Any())];
        if (asked.Length == 0) throw new DataException(context.Source, $"obs/{value}", $"no cell{(groupby.Length == 0 ? "" : $" of a group of {groupby}")} has a value");
        using Matrix<double> all = use == "X" ? CellMatrices.Double(context, context.Host) : CellMatrices.Embedding(context, context.Host, use, use == "X_pca" ? "pca" : null);
        foreach (string name in asked)
        {
            int code = Array.IndexOf(names, name);
            int[] rows = [.. Enumerable.Range(0, values.Length).Where(i => code >= 0 && codes[i] == code && double.IsFinite(values[i]))];
            if (rows.Length == 0) throw new UsageException($"no cell of group '{name}' of {groupby} has a value in {value}.");
            if (rows.All(i => values[i] == values[rows[0]]))
                throw new DataException(context.Source, $"obs/{value}", $"all {rows.Length} values of {(groupby.Length == 0 ? "the cells" : $"the group '{name}' of {groupby}")} are equal; name the groups to measure with groups=");
            Matrix<double> own = Gather.Rows(all, rows);
            if (!device.IsHost)
            {
                using Matrix<double> host = own;
                own = host.CopyAt(device);
            }
            yield return (name, own, Array.ConvertAll(rows, i => values[i]));
        }
    }
}
