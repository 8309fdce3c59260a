using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Named columns of any type over one index of row names.</summary>
public sealed class DataFrame : IAnnElement
{
    private readonly List<FrameColumn> _columns = [];

    public DataFrame(string[] index, string? indexName = null)
    {
        Index = index;
        IndexName = indexName;
    }

    /// <summary>An index 0, 1, 2, ….</summary>
    public static DataFrame OfRows(int rows) => new([.. Enumerable.Range(0, rows).Select(i => i.ToString(System.Globalization.CultureInfo.InvariantCulture))]);

    /// <summary>Row names.</summary>
    public string[] Index { get; }

    /// <summary>Heading of the index; null for none.</summary>
    public string? IndexName { get; }

    public int Rows => Index.Length;
    public IReadOnlyList<FrameColumn> Columns => _columns;

    public bool Contains(string name) => _columns.Exists(column => column.Name == name);

    public FrameColumn this[string name] => _columns.Find(column => column.Name == name)
        ?? throw new DataException("data frame", $"column '{name}'", $"there is no such column; there are {Listing.Of(_columns.Select(column => column.Name))}");

    /// <summary>Adds a column.</summary>
    /// <exception cref="DataException">Its length is not the number of rows, or its name is taken.</exception>
    public DataFrame Add(FrameColumn column)
    {
        if (column.Length != Rows) throw new DataException("data frame", $"column '{column.Name}'", $"has {column.Length} rows; {Rows} were expected");
        if (Contains(column.Name)) throw new DataException("data frame", $"column '{column.Name}'", "there are two columns of this name");
        _columns.Add(column);
        return this;
    }

    /// <summary>Adds a column, or puts it in the place of the one of the same name.</summary>
    /// <exception cref="DataException">Its length is not the number of rows.</exception>
    public DataFrame Set(FrameColumn column)
    {
        int at = _columns.FindIndex(old => old.Name == column.Name);
        if (at < 0) return Add(column);
        if (column.Length != Rows) throw new DataException("data frame", $"column '{column.Name}'", $"has {column.Length} rows; {Rows} were expected");
        _columns[at] = column;
        return this;
    }

    /// <summary>The given rows in the order given. Categories that no row has any more are dropped, as anndata does.</summary>
    public DataFrame Select(int[] rows)
    {
        DataFrame selected = new(Array.ConvertAll(rows, row => Index[row]), IndexName);
        foreach (FrameColumn column in _columns) selected._columns.Add(column.Select(rows));
        return selected;
    }

    /// <summary>The same columns in a new frame.</summary>
    public DataFrame Snapshot()
    {
        DataFrame copy = new(Index, IndexName);
        copy._columns.AddRange(_columns);
        return copy;
    }

    /// <summary>Adds a column of plain values.</summary>
    public DataFrame Add<T>(string name, T[] values) => Add(FrameColumn.Of(name, values));
}

/// <summary>
/// One column: plain values; or categories with a code per row (-1 = missing); or values with a mask of missing rows (pandas' nullable types).
/// </summary>
public sealed class FrameColumn : IAnnElement
{
    private FrameColumn(string name, NdArray values, int[]? codes, bool ordered, bool[]? missing)
    {
        Name = name;
        Values = values;
        Codes = codes;
        Ordered = ordered;
        Missing = missing;
    }

    public string Name { get; }

    /// <summary>One value per row; for a categorical column one per category.</summary>
    public NdArray Values { get; }

    /// <summary>Category of each row, -1 where missing; null for a column that is not categorical.</summary>
    public int[]? Codes { get; }

    /// <summary>Whether the order of the categories means something.</summary>
    public bool Ordered { get; }

    /// <summary>True for rows without a value; null for columns that cannot miss values.</summary>
    public bool[]? Missing { get; }

    public bool IsCategorical => Codes is not null;
    public int Length => Codes?.Length ?? Values.Length;

    public static FrameColumn Of<T>(string name, T[] values) => new(name, NdArray.Vector(values), null, false, null);

    public static FrameColumn Of(string name, NdArray values) => new(name, values, null, false, null);

    /// <summary>A categorical column from codes.</summary>
    /// <exception cref="DataException">A code is not -1 … categories - 1.</exception>
    public static FrameColumn Categorical(string name, int[] codes, NdArray categories, bool ordered = false)
    {
        for (int i = 0; i < codes.Length; i++)
            if (codes[i] < -1 || codes[i] >= categories.Length)
                throw new DataException("data frame", $"column '{name}', row {i}", $"the code {codes[i]} is none of the {categories.Length} categories");
        return new FrameColumn(name, categories, codes, ordered, null);
    }

    /// <summary>A categorical column from labels; categories in ordinal order, empty labels missing.</summary>
    public static FrameColumn Categorical(string name, string[] labels)
    {
        (int[] codes, string[] categories) = new Column(name, labels).Categorise();
        return new FrameColumn(name, NdArray.Vector(categories), codes, false, null);
    }

    /// <summary>Integers, bool or text of which some are missing.</summary>
    public static FrameColumn Nullable(string name, NdArray values, bool[] missing) => missing.Length == values.Length
        ? new FrameColumn(name, values, null, false, missing)
        : throw new DataException("data frame", $"column '{name}'", $"has {values.Length} values and a mask of {missing.Length}");

    /// <summary>The given rows in the order given; categories that none of them has are dropped.</summary>
    public FrameColumn Select(int[] rows)
    {
        if (Codes is null) return new FrameColumn(Name, Values.Take(rows), null, false, Missing is null ? null : Array.ConvertAll(rows, row => Missing[row]));
        int[] used = CategoriesOf(rows), renamed = new int[Values.Length];
        for (int c = 0; c < used.Length; c++) renamed[used[c]] = c;
        return new FrameColumn(Name, Values.Take(used), Array.ConvertAll(rows, row => Codes[row] < 0 ? -1 : renamed[Codes[row]]), Ordered, null);
    }

    /// <summary>The categories that some rows of a categorical column have, ascending.</summary>
    internal int[] CategoriesOf(int[] rows)
    {
        bool[] seen = new bool[Values.Length];
        foreach (int row in rows)
            if (Codes![row] >= 0) seen[Codes[row]] = true;
        return [.. Enumerable.Range(0, seen.Length).Where(c => seen[c])];
    }

    public FrameColumn Rename(string name) => new(name, Values, Codes, Ordered, Missing);

    /// <summary>Text per row (empty where missing), with numbers where all are.</summary>
    public Column ToColumn(string source)
    {
        if (Codes is null && Missing is null && Values.Type is not (ElementType.Int64 or ElementType.UInt64)) return ColumnReader.FromArray(Values, Name, source);
        string[] text = Values.ToText();
        string[] rows = new string[Length];
        for (int i = 0; i < rows.Length; i++)
            rows[i] = Codes is not null ? (Codes[i] < 0 ? "" : text[Codes[i]]) : Missing is not null && Missing[i] ? "" : text[i];
        return new Column(Name, rows, source);
    }
}
