namespace BioSup.Data;

public sealed partial class AnnData
{
    /// <summary>
    /// A new matrix of some observations, in the order given: rows of X, layers, obs, obsm and raw, rows and columns of obsp; uns is carried over.
    /// As in anndata, categories that no row has any more are dropped, with their colours in <c>uns/COLUMN_colors</c>.
    /// </summary>
    /// <param name="rows">Distinct row numbers, from 0.</param>
    /// <exception cref="ArgumentException">A number is out of range or given twice.</exception>
    public AnnData SelectCells(int[] rows)
    {
        RequireDistinct(rows, ObservationCount);
        AnnData selected = new(Obs.Select(rows), Var) { X = RowsOf(X, rows), Raw = Raw is null ? null : Raw with { X = RowsOf(Raw.X, rows) } };
        Fill(selected.Layers, Layers, value => RowsOf(value, rows));
        Fill(selected.Obsm, Obsm, value => RowsOf(value, rows));
        Fill(selected.Obsp, Obsp, value => ColumnsOf(RowsOf(value, rows), rows));
        Fill(selected.Varm, Varm, value => value);
        Fill(selected.Varp, Varp, value => value);
        CarryOver(selected, Obs, rows);
        return selected;
    }

    /// <summary>
    /// A new matrix of some variables, in the order given: columns of X and layers, rows of var and varm, rows and columns of varp;
    /// uns is carried over and raw, which has variables of its own, stays as it is.
    /// </summary>
    /// <param name="columns">Distinct column numbers, from 0.</param>
    /// <exception cref="ArgumentException">A number is out of range or given twice.</exception>
    public AnnData SelectVariables(int[] columns)
    {
        RequireDistinct(columns, VariableCount);
        AnnData selected = new(Obs, Var.Select(columns)) { X = ColumnsOf(X, columns), Raw = Raw };
        Fill(selected.Layers, Layers, value => ColumnsOf(value, columns));
        Fill(selected.Obsm, Obsm, value => value);
        Fill(selected.Obsp, Obsp, value => value);
        Fill(selected.Varm, Varm, value => RowsOf(value, columns));
        Fill(selected.Varp, Varp, value => ColumnsOf(RowsOf(value, columns), columns));
        CarryOver(selected, Var, columns);
        return selected;
    }

    /// <summary>The same matrix as a new object: what is added to, set in or taken from one does not show in the other. Arrays are shared, since none is ever changed in place.</summary>
    public AnnData Snapshot()
    {
        AnnData copy = new(Obs.Snapshot(), Var.Snapshot()) { X = X, Raw = Raw };
        Fill(copy.Layers, Layers, value => value);
        Fill(copy.Obsm, Obsm, value => value);
        Fill(copy.Varm, Varm, value => value);
        Fill(copy.Obsp, Obsp, value => value);
        Fill(copy.Varp, Varp, value => value);
        Fill(copy.Uns, Uns, Copy);
        foreach (string warning in Warnings) copy.Warnings.Add(warning);
        return copy;
    }

    private void CarryOver(AnnData selected, DataFrame frame, int[] rows)
    {
        Fill(selected.Uns, Uns, Copy);
        foreach (FrameColumn column in frame.Columns.Where(c => c.IsCategorical))
            if (Uns.GetValueOrDefault($"{column.Name}_colors") is NdArray { Rank: 1 } colours && colours.Length == column.Values.Length)
                selected.Uns[$"{column.Name}_colors"] = colours.Take(column.CategoriesOf(rows));
        foreach (string warning in Warnings) selected.Warnings.Add(warning);
    }

    // Branches are copied, so that a key set in one matrix does not appear in the other; arrays are never changed in place.
    private static IAnnElement? Copy(IAnnElement? value)
    {
        if (value is not AnnDictionary branch) return value;
        AnnDictionary copy = [];
        Fill(copy, branch, Copy);
        return copy;
    }

    private static void Fill(AnnDictionary target, AnnDictionary source, Func<IAnnElement?, IAnnElement?> select)
    {
        foreach ((string key, IAnnElement? value) in source) target[key] = select(value);
    }

    private static IAnnElement? RowsOf(IAnnElement? value, int[] rows) => value switch
    {
        NdArray array => array.TakeRows(rows),
        SparseMatrix sparse => sparse.SelectRows(rows),
        DataFrame frame => frame.Select(rows),
        _ => value,
    };

    private static IAnnElement? ColumnsOf(IAnnElement? value, int[] columns) => value switch
    {
        NdArray array => array.TakeColumns(columns),
        SparseMatrix sparse => sparse.SelectColumns(columns),
        _ => value,
    };

    private static void RequireDistinct(int[] places, int count)
    {
        bool[] seen = new bool[count];
        foreach (int place in places)
        {
            if ((uint)place >= (uint)count) throw new ArgumentException($"{place} was selected of {count}, counted from 0.", nameof(places));
            if (seen[place]) throw new ArgumentException($"{place} was selected twice.", nameof(places));
            seen[place] = true;
        }
    }
}
