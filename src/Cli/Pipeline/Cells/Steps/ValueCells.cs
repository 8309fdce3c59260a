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

    /// <summary>Each group's representation and values; the caller disposes of the matrices.</summary>
    /// <param name="context">The cells.</param>
    /// <param name="settings">Holds <see cref="Parameters"/>.</param>
    /// <param name="device">Where the matrices shall live.</param>
    /// <exception cref="UsageException">A group has no cell with the value.</exception>
    public static IEnumerable<(string Group, Matrix<double> X, double[] Values)> Groups(CellsContext context, StepSettings settings, ComputeDevice device)
    {
        string value = settings.Text("value"), use = settings.Text("use_rep"), groupby = settings.Text("groupby");
        string[] asked = settings.List("groups");
        double[] values = CellMatrices.Numbers(context, value);
        (int[] codes, string[] names) = groupby.Length == 0 ? (new int[values.Length], ["all"]) : CellMatrices.Groups(context, groupby);
        if (asked.Length == 0) asked = [.. names.Where((_, g) => codes.Where((code, i) => code == g && double.IsFinite(values[i])).Any())];
        using Matrix<double> all = use == "X" ? CellMatrices.Double(context, context.Host) : CellMatrices.Embedding(context, context.Host, use, use == "X_pca" ? "pca" : null);
        foreach (string name in asked)
        {
            int code = Array.IndexOf(names, name);
            int[] rows = [.. Enumerable.Range(0, values.Length).Where(i => code >= 0 && codes[i] == code && double.IsFinite(values[i]))];
            if (rows.Length == 0) throw new UsageException($"no cell of group '{name}' of {groupby} has a value in {value}.");
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
