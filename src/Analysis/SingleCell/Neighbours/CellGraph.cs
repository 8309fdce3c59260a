using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// A sparse cells × cells matrix in compressed rows, the columns of every row ascending and named once: what scanpy keeps in <c>obsp</c>
/// (distances to neighbours, connectivities).
/// </summary>
public sealed class CellGraph
{
    private readonly int[] _start, _columns;
    private readonly float[] _values;

    /// <param name="start">[cells + 1]: where each row begins.</param>
    /// <param name="columns">Column of each entry, ascending in each row.</param>
    /// <param name="values">Value of each entry, finite.</param>
    /// <exception cref="UsageException">The rows are malformed, or a value is not finite.</exception>
    public CellGraph(int[] start, int[] columns, float[] values)
    {
        (_start, _columns, _values) = (start, columns, values);
        if (start.Length == 0 || start[0] != 0 || start[^1] != columns.Length || values.Length != columns.Length)
            throw new UsageException($"A graph of {columns.Length} columns and {values.Length} values needs row starts from 0 to that number.");
        for (int i = 0; i < Cells; i++)
        {
            if (start[i + 1] < start[i]) throw new UsageException($"Row {i} of the graph ends before it begins.");
            for (int e = start[i]; e < start[i + 1]; e++)
            {
                if ((uint)columns[e] >= (uint)Cells) throw new UsageException($"Row {i} of the graph names the cell {columns[e]}; cells are numbered 0 to {Cells - 1}.");
                if (e > start[i] && columns[e] <= columns[e - 1]) throw new UsageException($"Row {i} of the graph does not name its cells in ascending order, each once.");
                if (!float.IsFinite(values[e])) throw new UsageException($"The entry ({i}, {columns[e]}) of the graph is {values[e]}; finite values were expected.");
            }
        }
    }

    /// <summary>Number of cells: rows, and columns.</summary>
    public int Cells => _start.Length - 1;

    /// <summary>Number of stored entries.</summary>
    public int Entries => _columns.Length;

    /// <summary>The cells that a row names, ascending.</summary>
    public ReadOnlySpan<int> Neighbours(int cell) => _columns.AsSpan(_start[cell].._start[cell + 1]);

    /// <summary>The values beside <see cref="Neighbours"/>.</summary>
    public ReadOnlySpan<float> Values(int cell) => _values.AsSpan(_start[cell].._start[cell + 1]);

    /// <summary>The entry of a row and a column, 0 where none is stored.</summary>
    public float this[int row, int column]
    {
        get
        {
            int at = Neighbours(row).BinarySearch(column);
            return at < 0 ? 0 : Values(row)[at];
        }
    }

    /// <summary>Rows and columns exchanged.</summary>
    public CellGraph Transpose()
    {
        int[] start = new int[_start.Length], columns = new int[Entries];
        float[] values = new float[Entries];
        foreach (int column in _columns) start[column + 1]++;
        for (int i = 0; i < Cells; i++) start[i + 1] += start[i];
        int[] next = start[..^1];
        for (int i = 0; i < Cells; i++)
            for (int e = _start[i]; e < _start[i + 1]; e++)
            {
                int at = next[_columns[e]]++;
                (columns[at], values[at]) = (i, _values[e]);
            }
        return new CellGraph(start, columns, values);
    }

    /// <summary>Every pair of cells that either names is joined to one entry in both rows.</summary>
    /// <param name="join">From the entries (i, j) and (j, i), 0 where one is missing, to both of the result; must not depend on the order of its arguments. Zeros are dropped.</param>
    /// <exception cref="UsageException">The result could have more entries than an array holds.</exception>
    public CellGraph Symmetrise(Func<float, float, float> join)
    {
        if (2L * Entries > Array.MaxLength) throw new UsageException($"A graph of {Entries} entries can have {2L * Entries} when both directions are joined; at most {Array.MaxLength} fit. Take fewer neighbours.");
        CellGraph other = Transpose();
        int[] start = new int[_start.Length], columns = new int[2 * Entries];
        float[] values = new float[2 * Entries];
        int count = 0;
        for (int i = 0; i < Cells; i++)
        {
            int a = _start[i], b = other._start[i];
            while (a < _start[i + 1] || b < other._start[i + 1])
            {
                int left = a < _start[i + 1] ? _columns[a] : int.MaxValue, right = b < other._start[i + 1] ? other._columns[b] : int.MaxValue;
                float value = join(left <= right ? _values[a] : 0, right <= left ? other._values[b] : 0);
                if (value != 0) (columns[count], values[count++]) = (Math.Min(left, right), value);
                if (left <= right) a++;
                if (right <= left) b++;
            }
            start[i + 1] = count;
        }
        return new CellGraph(start, columns[..count], values[..count]);
    }

    /// <summary>[cells] number of the connected component of every cell, entries read as edges in both directions; components are numbered by their first cell.</summary>
    /// <param name="count">How many there are.</param>
    public int[] Components(out int count)
    {
        int[] parent = [.. Enumerable.Range(0, Cells)];
        for (int i = 0; i < Cells; i++)
            foreach (int j in Neighbours(i))
            {
                (int a, int b) = (Root(parent, i), Root(parent, j));
                // The lower number stays the root, so that a root is the first cell of its component.
                if (a != b) parent[Math.Max(a, b)] = Math.Min(a, b);
            }
        int[] component = new int[Cells];
        count = 0;
        for (int i = 0; i < Cells; i++) component[i] = Root(parent, i) == i ? count++ : component[Root(parent, i)];
        return component;
    }

    /// <summary>[cells] all cells in the order in which a breadth-first walk meets them, along stored entries: from the first cell, and from the first that is left when it ends.</summary>
    public int[] BreadthFirst()
    {
        int[] order = new int[Cells];
        bool[] met = new bool[Cells];
        int count = 0;
        for (int start = 0, at = 0; start < Cells; start++)
        {
            if (met[start]) continue;
            met[start] = true;
            order[count++] = start;
            for (; at < count; at++)
                foreach (int j in Neighbours(order[at]))
                {
                    if (met[j]) continue;
                    met[j] = true;
                    order[count++] = j;
                }
        }
        return order;
    }

    /// <summary>As it is written to <c>obsp</c>.</summary>
    public SparseMatrix ToSparse() => new(Cells, Cells, SparseLayout.Csr, Array.ConvertAll(_start, s => (long)s), _columns, NdArray.Vector(_values));

    /// <summary>For a community search.</summary>
    /// <exception cref="UsageException">A value is negative, or the graph is not symmetric.</exception>
    public LeidenGraph ToLeiden() => LeidenGraph.FromSymmetric(_start, _columns, Array.ConvertAll(_values, v => (double)v));

    private static int Root(int[] parent, int cell)
    {
        while (parent[cell] != cell) cell = parent[cell] = parent[parent[cell]];
        return cell;
    }
}
