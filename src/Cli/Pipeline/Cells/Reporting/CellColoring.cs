using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Reporting;

/// <summary>What the colour of a cell can say: a column of obs, or a variable of the matrix.</summary>
/// <param name="Name">Name of the column or variable.</param>
/// <param name="From">Where it was found: obs, X, a layer or raw.</param>
/// <param name="Categories">[cells] the category, empty where missing; null for numbers.</param>
/// <param name="Order">The categories in the file's order.</param>
/// <param name="Values">[cells] the number, NaN where missing; null for categories.</param>
internal sealed record CellColoring(string Name, string From, string[]? Categories, string[] Order, double[]? Values)
{
    /// <summary>The published colours of the classes of cell lines.</summary>
    public static IReadOnlyDictionary<string, uint> ClassColors { get; } = new Dictionary<string, uint> { ["Control"] = 0xA6A6A6, ["SNCA"] = 0xD97A7A, ["GBA"] = 0xEEA363, ["LRRK2"] = 0x7BA4DB };

    /// <summary>The published colours where every category is one of the published classes; otherwise null, for the palette's.</summary>
    public static IReadOnlyDictionary<string, uint>? ColorsOf(IEnumerable<string> categories) => categories.All(ClassColors.ContainsKey) ? ClassColors : null;

    /// <summary>The cells that are context for the others: those called control.</summary>
    public static string? ContextOf(IEnumerable<string> categories) => categories.FirstOrDefault(c => c.Equals("control", StringComparison.OrdinalIgnoreCase));

    /// <summary>Finds a column of obs, else a variable of X (or of a layer), else one of raw.</summary>
    /// <exception cref="UsageException">There is none of this name.</exception>
    public static CellColoring Of(CellsContext context, string name, string layer = "X")
    {
        AnnData cells = context.Cells;
        if (cells.Obs.Contains(name)) return OfColumn(context, name);
        int variable = Array.IndexOf(cells.Var.Index, name);
        if (variable >= 0) return new CellColoring(name, layer, null, [], Variable(CellMatrices.Stored(context, layer), variable));
        int raw = cells.Raw is null ? -1 : Array.IndexOf(cells.Raw.Var.Index, name);
        if (raw >= 0 && cells.Raw!.X is { } stored) return new CellColoring(name, "raw", null, [], Variable(stored, raw));
        throw new UsageException($"there is no '{name}': neither a column of obs ({string.Join(", ", cells.Obs.Columns.Select(c => c.Name).Take(20))}) nor one of the {cells.VariableCount} variables.");
    }

    private static CellColoring OfColumn(CellsContext context, string name)
    {
        FrameColumn found = context.Cells.Obs[name];
        if (!found.IsCategorical)
        {
            Column column = found.ToColumn($"{context.Source}:obs/{name}");
            if (column.IsNumeric) return new CellColoring(name, "obs", null, [], column.Numbers);
        }
        (int[] codes, string[] names) = CellMatrices.Groups(context, name);
        string[] categories = new string[codes.Length];
        for (int i = 0; i < categories.Length; i++) categories[i] = codes[i] < 0 ? "" : names[codes[i]];
        return new CellColoring(name, "obs", categories, [.. names.Where((_, code) => codes.Contains(code))], null);
    }

    /// <summary>One column of a matrix; nothing else of it is copied.</summary>
    public static double[] Variable(IAnnElement matrix, int variable)
    {
        if (matrix is NdArray array)
        {
            long columns = array.Shape[1];
            double[] dense = new double[array.Shape[0]];
            for (long i = 0; i < dense.Length; i++)
                dense[i] = array.Values switch
                {
                    float[] single => single[i * columns + variable],
                    double[] wide => wide[i * columns + variable],
                    Array other => Convert.ToDouble(other.GetValue(i * columns + variable)),
                };
            return dense;
        }
        SparseMatrix sparse = (SparseMatrix)matrix;
        double[] values = new double[sparse.Rows];
        bool byRow = sparse.Layout == SparseLayout.Csr;
        for (int major = byRow ? 0 : variable; major < (byRow ? sparse.Rows : variable + 1); major++)
            for (long e = sparse.Pointers[major]; e < sparse.Pointers[major + 1]; e++)
                if (!byRow || sparse.Indices[e] == variable)
                    values[byRow ? major : sparse.Indices[e]] += sparse.Values.Values switch
                    {
                        float[] single => single[e],
                        double[] wide => wide[e],
                        Array other => Convert.ToDouble(other.GetValue(e)),
                    };
        return values;
    }
}
