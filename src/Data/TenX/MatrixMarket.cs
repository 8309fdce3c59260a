using System.Buffers.Text;
using System.Globalization;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>NIST's MatrixMarket coordinate format: "row column value" per line, counted from 1; general, integer, real or pattern.</summary>
internal static class MatrixMarket
{
    /// <summary>Reads the matrix transposed (columns of the file become rows), as CSR with columns ascending in each row.</summary>
    public static SparseMatrix ReadTransposed(Stream stream, string source)
    {
        LineReader lines = new(stream, source);
        if (!lines.Next() || !lines.Line.StartsWith("%%MatrixMarket"u8)) throw new DataException(source, "line 1", "does not start with %%MatrixMarket");
        string[] banner = Encoding.Latin1.GetString(lines.Line).ToLowerInvariant().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (banner.Length < 5 || banner[1] != "matrix" || banner[2] != "coordinate" || banner[3] is not ("integer" or "real" or "pattern") || banner[4] != "general")
            throw new DataException(source, "line 1", "only 'matrix coordinate integer|real|pattern general' is read");
        bool pattern = banner[3] == "pattern";
        do
        {
            if (!lines.Next()) throw new DataException(source, $"line {lines.Number}", "the file ends before its size line");
        }
        while (lines.Line.Length == 0 || lines.Line[0] == '%');
        ReadOnlySpan<byte> size = lines.Line;
        long rows = lines.Integer(ref size, "row count"), columns = lines.Integer(ref size, "column count"), count = lines.Integer(ref size, "entry count");
        if (rows > int.MaxValue || columns >= Array.MaxLength || count > Array.MaxLength) throw new DataException(source, $"line {lines.Number}", $"{rows} x {columns} with {count} entries is too large");

        // Lists, not arrays of the promised length: a short file cannot make us allocate what it only claims.
        List<int> rowOf = [], columnOf = [];
        List<float> values = [];
        while (lines.Next())
        {
            ReadOnlySpan<byte> line = lines.Line;
            if (line.Trim(" \t"u8).Length == 0) continue;
            long i = lines.Integer(ref line, "row"), j = lines.Integer(ref line, "column");
            if (i < 1 || i > rows || j < 1 || j > columns) throw new DataException(source, $"line {lines.Number}", $"the entry ({i}, {j}) lies outside {rows} x {columns}");
            rowOf.Add((int)i - 1);
            columnOf.Add((int)j - 1);
            values.Add(pattern ? 1 : lines.Number32(line));
            if (values.Count > count) break;
        }
        if (values.Count != count) throw new DataException(source, $"line {lines.Number}", $"the header promises {count} entries, {(values.Count > count ? "there are more" : $"there are {values.Count}")}");
        return Compress((int)rows, (int)columns, rowOf, columnOf, values, source);
    }

    private static SparseMatrix Compress(int rows, int columns, List<int> rowOf, List<int> columnOf, List<float> values, string source)
    {
        RequirePlausible(columns, values.Count, source);
        long[] pointers = new long[columns + 1L];
        foreach (int column in columnOf) pointers[column + 1]++;
        for (int j = 0; j < columns; j++) pointers[j + 1] += pointers[j];
        long[] next = [.. pointers];
        int[] indices = new int[values.Count];
        float[] sorted = new float[values.Count];
        for (int k = 0; k < values.Count; k++)
        {
            long at = next[columnOf[k]]++;
            indices[at] = rowOf[k];
            sorted[at] = values[k];
        }
        for (int j = 0; j < columns; j++)
        {
            int start = (int)pointers[j], length = (int)(pointers[j + 1] - pointers[j]);
            Array.Sort(indices, sorted, start, length);
        }
        return new SparseMatrix(columns, rows, SparseLayout.Csr, pointers, indices, NdArray.Vector(sorted), source);
    }

    // Empty cells are real (unfiltered droplets), but not by the billion in a file without entries.
    private static void RequirePlausible(int columns, int entries, string source)
    {
        if (columns > 50_000_000 && columns / 1000 > entries) throw new DataException(source, null, $"{columns} columns for {entries} entries are not plausible");
    }

    private sealed class LineReader(Stream stream, string source)
    {
        private const int MaxLine = 1 << 20;
        private byte[] _buffer = new byte[1 << 16];
        private int _start, _end, _lineStart, _lineLength;
        private bool _ended;

        public long Number { get; private set; }
        public ReadOnlySpan<byte> Line => _buffer.AsSpan(_lineStart, _lineLength);

        public bool Next()
        {
            while (true)
            {
                int length = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n');
                if (length >= 0 || _ended)
                {
                    if (length < 0 && _start == _end) return false;
                    int end = length >= 0 ? _start + length : _end;
                    _lineStart = _start;
                    _lineLength = end - _start;
                    if (_lineLength > 0 && _buffer[end - 1] == '\r') _lineLength--;
                    _start = Math.Min(end + 1, _end);
                    Number++;
                    return true;
                }
                if (_end - _start > MaxLine) throw new DataException(source, $"line {Number + 1}", "is longer than 1 MiB");
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                (_start, _end) = (0, _end - _start);
                if (_end == _buffer.Length) Array.Resize(ref _buffer, 2 * _buffer.Length);
                int count = stream.Read(_buffer.AsSpan(_end));
                _ended = count == 0;
                _end += count;
            }
        }

        public long Integer(ref ReadOnlySpan<byte> rest, string what)
        {
            rest = rest.TrimStart(" \t"u8);
            if (!Utf8Parser.TryParse(rest, out long value, out int used) || value < 0) throw new DataException(source, $"line {Number}", $"a {what} (a whole number) was expected");
            rest = rest[used..];
            return value;
        }

        public float Number32(ReadOnlySpan<byte> rest)
        {
            rest = rest.Trim(" \t"u8);
            return float.TryParse(rest, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value)
                ? value
                : throw new DataException(source, $"line {Number}", "the value is not a finite number");
        }
    }
}
