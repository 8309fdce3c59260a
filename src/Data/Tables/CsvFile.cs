using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Comma-, semicolon- or tab-separated text in UTF-8. The first line is a header unless all its cells, the first one (a row name) perhaps
/// excepted, are numbers; a first cell without a number followed by exactly 0, 1, 2, … is the header of an unnamed data frame.
/// </summary>
public static class CsvFile
{
    private const string Kind = "csv";

    /// <summary>The whole table as text columns.</summary>
    public static Table Read(string path) => SourceGuard.Read(path, Kind, () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        return Read(stream, path);
    });

    /// <summary>One column, without holding the others.</summary>
    public static Column ReadColumn(string path, string name) => SourceGuard.Read(path, Kind, () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        CsvTokenizer csv = new(stream, path, DelimiterOf(path));
        (string[] names, bool hasHeader) = ReadHeader(csv, path);
        int[] found = [.. Enumerable.Range(0, names.Length).Where(i => names[i] == name)];
        if (found.Length == 0) throw new DataException(path, $"column '{name}'", $"there is no such column; the file has {Listing.Of(names)}");
        if (found.Length > 1) throw new DataException(path, $"column '{name}'", "the file has more than one column of this name");
        List<string> cells = [];
        for (bool more = hasHeader ? csv.Read() : csv.Count > 0; more; more = csv.Read())
        {
            RequireWidth(csv, names.Length, path);
            cells.Add(csv.Text(found[0]));
        }
        return new Column(name, [.. cells], path);
    });

    /// <summary>Numbers only, as float32. Row names (a first column of text or without heading) are left out; empty cells are NaN.</summary>
    public static Matrix<float> ReadSingle(ComputeDevice device, string path) => ReadMatrix<float>(device, path);

    /// <summary>Numbers only, as float64. Row names (a first column of text or without heading) are left out; empty cells are NaN.</summary>
    public static Matrix<double> ReadDouble(ComputeDevice device, string path) => ReadMatrix<double>(device, path);

    /// <summary>Writes a table: header, commas, LF, quotes only where needed, numbers in the shortest exact form.</summary>
    public static void Write(string path, Table table) => AtomicFile.Write(path, stream => Write(stream, table));

    /// <summary>A table as <see cref="Write(string, Table)"/> would put it into a file.</summary>
    public static string ToText(Table table)
    {
        using MemoryStream stream = new();
        Write(stream, table);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Stream stream, Table table)
    {
        using StreamWriter writer = NewWriter(stream);
        WriteRecord(writer, table.Columns.Count, j => table.Columns[j].Name);
        for (int i = 0; i < table.Rows; i++)
        {
            int row = i;
            WriteRecord(writer, table.Columns.Count, j => table.Columns[j].Text[row]);
        }
    }

    /// <summary>Writes a matrix; without column names there is no header.</summary>
    public static void Write<T>(string path, MatrixView<T> matrix, IReadOnlyList<string>? columnNames = null) where T : unmanaged, INumberBase<T>
    {
        MatrixParts<T> parts = new(matrix);
        AtomicFile.Write(path, stream =>
        {
            MatrixView<T> view = parts.View;
            using StreamWriter writer = NewWriter(stream);
            if (columnNames is not null) WriteRecord(writer, columnNames.Count, j => columnNames[j]);
            Span<char> cell = stackalloc char[64];
            for (int i = 0; i < view.Rows; i++)
            {
                ReadOnlySpan<T> row = view.Row(i);
                for (int j = 0; j < row.Length; j++)
                {
                    if (j > 0) writer.Write(',');
                    if (T.IsNaN(row[j])) writer.Write("nan");
                    else if (row[j].TryFormat(cell, out int length, default, CultureInfo.InvariantCulture)) writer.Write(cell[..length]);
                }
                writer.Write('\n');
            }
        });
    }

    internal static Table Read(Stream stream, string path)
    {
        CsvTokenizer csv = new(stream, path, DelimiterOf(path));
        (string[] names, bool hasHeader) = ReadHeader(csv, path);
        List<string>[] cells = [.. names.Select(_ => new List<string>())];
        for (bool more = hasHeader ? csv.Read() : csv.Count > 0; more; more = csv.Read())
        {
            RequireWidth(csv, names.Length, path);
            for (int j = 0; j < names.Length; j++) cells[j].Add(csv.Text(j));
        }
        return new Table([.. names.Select((name, j) => new Column(name, [.. cells[j]], path))], path);
    }

    internal static Matrix<T> ReadMatrix<T>(ComputeDevice device, string path) where T : unmanaged, IFloatingPointIeee754<T> => SourceGuard.Read(path, Kind, () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        return ReadMatrix<T>(device, stream, path);
    });

    internal static Matrix<T> ReadMatrix<T>(ComputeDevice device, Stream stream, string path) where T : unmanaged, IFloatingPointIeee754<T>
    {
        CsvTokenizer csv = new(stream, path, DelimiterOf(path));
        (string[] names, bool hasHeader) = ReadHeader(csv, path);
        List<T> values = [];
        int rows = 0, skip = hasHeader && names.Length > 1 && names[0].Length == 0 ? 1 : 0;
        for (bool more = hasHeader ? csv.Read() : csv.Count > 0; more; more = csv.Read())
        {
            RequireWidth(csv, names.Length, path);
            if (rows == 0 && skip == 0 && names.Length > 1 && !csv.TryNumber(0, out T _)) skip = 1;
            for (int j = skip; j < names.Length; j++)
            {
                if (!csv.TryNumber(j, out T value))
                    throw new DataException(path, $"line {csv.Line}, column '{names[j]}'", $"'{NpyHeader.Printable(csv.Text(j))}' is not a number");
                values.Add(value);
            }
            rows++;
        }
        return Matrix<T>.From(device, rows, names.Length - skip, CollectionsMarshal.AsSpan(values));
    }

    private static byte DelimiterOf(string path) => path.EndsWith(".tsv", StringComparison.OrdinalIgnoreCase) ? (byte)'\t' : (byte)0;

    /// <summary>Column names; without a header they are 0, 1, 2, … and the tokenizer stands on the first data record.</summary>
    private static (string[] Names, bool HasHeader) ReadHeader(CsvTokenizer csv, string path)
    {
        if (!csv.Read()) throw new DataException(path, null, "the file is empty");
        string[] names = new string[csv.Count];
        bool firstIsNumber = false, textFollows = false, counting = csv.Count > 1;
        for (int j = 0; j < names.Length; j++)
        {
            names[j] = csv.Text(j);
            bool number = csv.TryNumber(j, out double value);
            if (j == 0) firstIsNumber = number && names[0].Length > 0;
            else
            {
                textFollows |= !number;
                counting &= value == j - 1;
            }
        }
        // A text first cell alone is a row name; followed by 0, 1, 2, ... it heads the row names of a data frame.
        bool header = textFollows || (!firstIsNumber && (counting || (csv.Count == 1 && names[0].Length > 0)));
        if (header) return (names, true);
        for (int j = 0; j < names.Length; j++) names[j] = j.ToString(CultureInfo.InvariantCulture);
        return (names, false);
    }

    private static void RequireWidth(CsvTokenizer csv, int width, string path)
    {
        if (csv.Count != width) throw new DataException(path, $"line {csv.Line}", $"has {csv.Count} cells; {width} were expected, as in the first line");
    }

    // The stream belongs to AtomicFile.
    private static StreamWriter NewWriter(Stream stream) => new(stream, new UTF8Encoding(false), 1 << 16, leaveOpen: true);

    private static void WriteRecord(StreamWriter writer, int count, Func<int, string> cell)
    {
        for (int j = 0; j < count; j++)
        {
            if (j > 0) writer.Write(',');
            string text = cell(j);
            // A lone empty cell would be a blank line, which readers skip.
            bool quote = text.AsSpan().ContainsAny(",\"\r\n".AsSpan()) || (count == 1 && text.Length == 0) || text.StartsWith(' ') || text.EndsWith(' ');
            if (!quote) writer.Write(text);
            else
            {
                writer.Write('"');
                writer.Write(text.Replace("\"", "\"\"", StringComparison.Ordinal));
                writer.Write('"');
            }
        }
        writer.Write('\n');
    }
}
