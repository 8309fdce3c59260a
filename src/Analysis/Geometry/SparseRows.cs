using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// Samples of which most features are zero, in host memory: 8 bytes for each that is not. Rows are appended one by one; entries lie in pieces, so that growing copies nothing.
/// </summary>
/// <param name="columns">Features of a sample.</param>
/// <param name="mostEntries">How many entries may be held.</param>
public sealed class SparseRows(int columns, long mostEntries = long.MaxValue)
{
    private const int PieceEntries = 1 << 18;
    private readonly List<(int[] Columns, float[] Values)> _pieces = [];
    private readonly List<(int Piece, int First, int Count)> _rows = [];
    private int _free;

    public int Rows => _rows.Count;
    public int Columns { get; private set; } = columns;

    /// <summary>Features that are not zero, of all samples together.</summary>
    public long Entries { get; private set; }

    /// <summary>Whether a row was turned away because it would have exceeded the limit; from then on none is taken.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Bytes that so many entries take at most, with what a probe makes of them (<see cref="LinearProbe"/>).</summary>
    public static long Bytes(long entries) => 2 * (sizeof(int) + sizeof(float)) * entries + (sizeof(int) + sizeof(float)) * (long)PieceEntries;

    /// <summary>Appends a sample; false where the limit stands against it.</summary>
    public bool Add(ReadOnlySpan<float> row)
    {
        if (row.Length != Columns) throw new ArgumentException($"The row has {row.Length} features, {Columns} were expected.", nameof(row));
        int count = row.Length - row.Count(0f);
        IsFull |= Entries + count > mostEntries;
        if (IsFull) return false;
        if (_pieces.Count == 0 || _free < count)
        {
            _free = Math.Max(PieceEntries, count);
            _pieces.Add((new int[_free], new float[_free]));
        }
        (int[] columns, float[] values) = _pieces[^1];
        int at = values.Length - _free;
        _rows.Add((_pieces.Count - 1, at, count));
        for (int j = row.IndexOfAnyExcept(0f); j >= 0;)
        {
            (columns[at], values[at++]) = (j, row[j]);
            int next = row[(j + 1)..].IndexOfAnyExcept(0f);
            j = next < 0 ? -1 : j + 1 + next;
        }
        _free -= count;
        Entries += count;
        return true;
    }

    /// <summary>The sample's features that are not zero: their columns, ascending, and values.</summary>
    public void Row(int row, out ReadOnlySpan<int> columns, out ReadOnlySpan<float> values)
    {
        (int piece, int first, int count) = _rows[row];
        columns = _pieces[piece].Columns.AsSpan(first, count);
        values = _pieces[piece].Values.AsSpan(first, count);
    }

    /// <summary>Forgets the features that no sample has and numbers the others anew, in their order.</summary>
    public void DropEmptyColumns()
    {
        int[] place = new int[Columns];
        for (int t = 0; t < Rows; t++)
        {
            Row(t, out ReadOnlySpan<int> columns, out _);
            foreach (int j in columns) place[j] = 1;
        }
        int used = 0;
        for (int j = 0; j < place.Length; j++) place[j] = place[j] > 0 ? used++ : -1;
        for (int t = 0; t < Rows; t++)
        {
            (int piece, int first, int count) = _rows[t];
            foreach (ref int j in _pieces[piece].Columns.AsSpan(first, count)) j = place[j];
        }
        Columns = used;
    }

    /// <summary>Chosen columns of a matrix in host memory, numbered in the order given (ascending).</summary>
    public static SparseRows From(Matrix<float> matrix, ReadOnlySpan<int> columns)
    {
        SparseRows rows = new(columns.Length);
        float[] row = new float[columns.Length];
        for (int t = 0; t < matrix.Rows; t++)
        {
            ReadOnlySpan<float> all = matrix.Row(t);
            for (int j = 0; j < row.Length; j++) row[j] = all[columns[j]];
            rows.Add(row);
        }
        return rows;
    }
}
