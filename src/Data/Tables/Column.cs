using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>One named column of a table: text, with numbers beside it when every cell that is not empty is a number.</summary>
public sealed class Column
{
    private readonly string _source;
    private string[]? _text;
    private double[]? _numbers;
    private readonly string? _notANumber;

    /// <summary>A column read as text. Cells that are empty, or say NA, NaN or null, are missing numbers.</summary>
    /// <param name="name">The heading.</param>
    /// <param name="text">One entry per row; null is read as empty.</param>
    /// <param name="source">Where it came from, for messages.</param>
    public Column(string name, string[] text, string source = "table")
    {
        Name = name;
        _source = source;
        _text = text;
        Length = text.Length;
        double[] numbers = new double[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            text[i] ??= "";
            if (Data.Numbers.TryParse(text[i], out numbers[i])) continue;
            _notANumber = $"row {i}, counted from 0: '{NpyHeader.Printable(text[i])}' is not a number";
            return;
        }
        _numbers = numbers;
    }

    /// <summary>A column of numbers; NaN is written as an empty cell.</summary>
    public Column(string name, double[] numbers, string source = "table")
    {
        Name = name;
        _source = source;
        _numbers = numbers;
        Length = numbers.Length;
    }

    /// <summary>A column of float32 numbers; their text is the shortest that reads back as the same float32.</summary>
    public Column(string name, float[] numbers, string source = "table")
        : this(name, Array.ConvertAll(numbers, value => (double)value), source) =>
        _text = Array.ConvertAll(numbers, value => float.IsNaN(value) ? "" : value.ToString(CultureInfo.InvariantCulture));

    /// <summary>A column of whole numbers.</summary>
    public Column(string name, int[] numbers, string source = "table") : this(name, Array.ConvertAll(numbers, value => (double)value), source) { }

    public string Name { get; }
    public int Length { get; }

    /// <summary>True when every cell is a number or missing.</summary>
    public bool IsNumeric => _numbers is not null;

    /// <summary>The cells as they stand in the file; for number columns in the shortest form that reads back to the same value.</summary>
    public string[] Text => _text ??= Array.ConvertAll(_numbers!, value => double.IsNaN(value) ? "" : value.ToString(CultureInfo.InvariantCulture));

    /// <summary>The numbers, NaN where a cell is missing.</summary>
    /// <exception cref="DataException">A cell is neither a number nor missing.</exception>
    public double[] Numbers => _numbers ?? throw new DataException(_source, $"column '{Name}'", $"{_notANumber}");

    /// <summary>Codes 0..k-1 per row and the k distinct texts in ordinal order; empty cells get code -1.</summary>
    public (int[] Codes, string[] Categories) Categorise()
    {
        string[] categories = [.. Text.Where(text => text.Length > 0).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        Dictionary<string, int> code = new(StringComparer.Ordinal) { [""] = -1 };
        for (int i = 0; i < categories.Length; i++) code[categories[i]] = i;
        return (Array.ConvertAll(Text, text => code[text]), categories);
    }
}

/// <summary>Named columns of equal length.</summary>
public sealed class Table
{
    private readonly string _source;

    public Table(IReadOnlyList<Column> columns, string source = "table")
    {
        for (int i = 1; i < columns.Count; i++)
            if (columns[i].Length != columns[0].Length)
                throw new ArgumentException($"Column '{columns[i].Name}' has {columns[i].Length} rows, column '{columns[0].Name}' has {columns[0].Length}.");
        Columns = columns;
        _source = source;
    }

    public Table(params Column[] columns) : this((IReadOnlyList<Column>)columns) { }

    public IReadOnlyList<Column> Columns { get; }
    public int Rows => Columns.Count == 0 ? 0 : Columns[0].Length;

    public bool Contains(string name) => Columns.Any(column => column.Name == name);

    /// <exception cref="DataException">There is no such column, or more than one.</exception>
    public Column this[string name]
    {
        get
        {
            Column[] found = [.. Columns.Where(column => column.Name == name)];
            if (found.Length == 1) return found[0];
            throw new DataException(_source, $"column '{name}'", found.Length > 1
                ? "the table has more than one column of this name"
                : $"there is no such column; the table has {Listing.Of(Columns.Select(column => column.Name))}");
        }
    }
}
