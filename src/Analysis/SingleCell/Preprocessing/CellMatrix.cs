using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Cells × variables in single precision, dense or sparse, in memory of its own: what the steps before principal components work on. A sparse matrix stays sparse
/// unless a caller asks for <see cref="ToDense"/>; its columns ascend within a cell, none is there twice and no stored value is 0. Sums are in double precision.
/// </summary>
public sealed class CellMatrix : IDisposable
{
    private const int CellsPerBlock = 256, MostBlocks = 64;
    private readonly Matrix<float>? _dense;
    private readonly long[] _pointers;
    private readonly int[] _places;
    private readonly float[] _values;

    private CellMatrix(ComputeDevice host, int cells, int variables, Matrix<float>? dense, long[] pointers, int[] places, float[] values) =>
        (Host, Cells, Variables, _dense, _pointers, _places, _values) = (host, cells, variables, dense, pointers, places, values);

    /// <summary>Takes over a matrix in host memory.</summary>
    public CellMatrix(Matrix<float> dense) : this(dense.Device.Host, dense.Rows, dense.Columns, dense, [], [.. Enumerable.Range(0, dense.Columns)], [])
    {
    }

    /// <summary>Whose threads work.</summary>
    public ComputeDevice Host { get; }

    public int Cells { get; }

    public int Variables { get; }

    public bool IsSparse => _dense is null;

    /// <summary>Values in memory: all of a dense matrix, those that are not 0 of a sparse one.</summary>
    public long StoredCount => _dense is null ? _values.Length : (long)Cells * Variables;

    /// <summary>The dense matrix.</summary>
    /// <exception cref="InvalidOperationException">The matrix is sparse.</exception>
    public Matrix<float> Dense => _dense ?? throw new InvalidOperationException("The matrix is sparse.");

    /// <summary>Copies an array or a sparse matrix of an annotated matrix.</summary>
    /// <param name="x">X, a layer or raw/X.</param>
    /// <param name="host">Holds the copy.</param>
    /// <param name="source">Name of the file, for messages.</param>
    /// <param name="key">Where in the file.</param>
    /// <exception cref="DataException">There is no matrix, it holds no numbers, or one of them is not finite.</exception>
    public static CellMatrix From(IAnnElement? x, CpuDevice host, string source, string key)
    {
        CellMatrix matrix = x switch
        {
            NdArray { Rank: 2, Type: not ElementType.Text } array => FromDense(array, host),
            SparseMatrix sparse => FromSparse(sparse, host),
            null => throw new DataException(source, key, "there is no matrix here"),
            _ => throw new DataException(source, key, "a matrix of numbers, dense or sparse, was expected"),
        };
        for (int i = 0; i < matrix.Cells; i++)
        {
            ReadOnlySpan<float> values = matrix.Values(i);
            for (int k = 0; k < values.Length; k++)
            {
                if (float.IsFinite(values[k])) continue;
                int place = matrix.Places(i)[k];
                float found = values[k];
                matrix.Dispose();
                throw new DataException(source, key, $"row {i}, column {place} (from 0) is {found}; finite numbers were expected");
            }
        }
        return matrix;
    }

    /// <summary>The values of one cell: a row of the dense matrix, or the stored ones. Changing them changes the matrix.</summary>
    public Span<float> Values(int cell) => _dense is not null ? _dense.Row(cell) : _values.AsSpan((int)_pointers[cell], (int)(_pointers[cell + 1] - _pointers[cell]));

    /// <summary>The variables to which <see cref="Values"/> belong, ascending.</summary>
    public ReadOnlySpan<int> Places(int cell) => _dense is not null ? _places : _places.AsSpan((int)_pointers[cell], (int)(_pointers[cell + 1] - _pointers[cell]));

    /// <summary>An array or a sparse matrix with a copy of the values.</summary>
    public IAnnElement ToElement() => _dense is not null
        ? NdArray.FromMatrix(_dense.View)
        : new SparseMatrix(Cells, Variables, SparseLayout.Csr, _pointers, _places, NdArray.Vector((float[])_values.Clone()));

    /// <summary>A dense copy: cells × variables × 4 bytes.</summary>
    public Matrix<float> ToDense()
    {
        Matrix<float> dense = Host.AllocateMatrix<float>(Cells, Variables);
        BlockLoop.Run(Host, Cells, i =>
        {
            Span<float> row = dense.Row(i);
            ReadOnlySpan<float> values = Values(i);
            ReadOnlySpan<int> places = Places(i);
            row.Clear();
            for (int k = 0; k < values.Length; k++) row[places[k]] = values[k];
        });
        return dense;
    }

    /// <summary>A copy of some cells, in the order given.</summary>
    public CellMatrix SelectCells(int[] cells)
    {
        if (_dense is not null) return new CellMatrix(Gather.Rows(_dense, cells));
        long[] pointers = new long[cells.Length + 1];
        for (int i = 0; i < cells.Length; i++) pointers[i + 1] = pointers[i] + Values(cells[i]).Length;
        int[] places = new int[pointers[^1]];
        float[] values = new float[places.Length];
        for (int i = 0; i < cells.Length; i++)
        {
            Places(cells[i]).CopyTo(places.AsSpan((int)pointers[i]));
            Values(cells[i]).CopyTo(values.AsSpan((int)pointers[i]));
        }
        return new CellMatrix(Host, cells.Length, Variables, null, pointers, places, values);
    }

    /// <summary>A copy of some variables, ascending.</summary>
    public CellMatrix SelectVariables(int[] variables)
    {
        if (_dense is not null) return new CellMatrix(Gather.Columns(_dense, variables));
        int[] position = new int[Variables];
        Array.Fill(position, -1);
        for (int j = 0; j < variables.Length; j++)
        {
            if (j > 0 && variables[j] <= variables[j - 1]) throw new ArgumentException("The variables must ascend.", nameof(variables));
            position[variables[j]] = j;
        }
        long[] pointers = new long[Cells + 1];
        for (int i = 0; i < Cells; i++)
        {
            pointers[i + 1] = pointers[i];
            foreach (int place in Places(i))
                if (position[place] >= 0) pointers[i + 1]++;
        }
        int[] places = new int[pointers[^1]];
        float[] values = new float[places.Length];
        BlockLoop.Run(Host, Cells, i =>
        {
            ReadOnlySpan<int> from = Places(i);
            ReadOnlySpan<float> own = Values(i);
            long at = pointers[i];
            for (int k = 0; k < from.Length; k++)
                if (position[from[k]] >= 0) (places[at], values[at++]) = (position[from[k]], own[k]);
        });
        return new CellMatrix(Host, Cells, variables.Length, null, pointers, places, values);
    }

    public void Dispose() => _dense?.Dispose();

    /// <summary>Does something for every cell, on all threads; it must depend on the cell alone.</summary>
    internal void ForEachCell(Action<int> body, CancellationToken cancellation = default) => InBlocks((_, first, end) =>
    {
        for (int i = first; i < end && !cancellation.IsCancellationRequested; i++) body(i);
    }, cancellation);

    /// <summary>Σ over cells of what <paramref name="add"/> adds to one number per variable. The order of the additions depends on the number of cells alone.</summary>
    internal double[] SumByVariable(Action<int, double[]> add, CancellationToken cancellation = default)
    {
        double[][] parts = new double[Blocks][];
        InBlocks((block, first, end) =>
        {
            double[] part = parts[block] = new double[Variables];
            for (int i = first; i < end && !cancellation.IsCancellationRequested; i++) add(i, part);
        }, cancellation);
        double[] sum = parts[0];
        for (int block = 1; block < parts.Length; block++)
            for (int j = 0; j < sum.Length; j++) sum[j] += parts[block][j];
        return sum;
    }

    private int Blocks => Math.Clamp((Cells + CellsPerBlock - 1) / CellsPerBlock, 1, MostBlocks);

    private void InBlocks(Action<int, int, int> body, CancellationToken cancellation)
    {
        int blocks = Blocks;
        BlockLoop.Run(Host, blocks, block => body(block, (int)((long)block * Cells / blocks), (int)((block + 1L) * Cells / blocks)));
        cancellation.ThrowIfCancellationRequested();
    }

    private static CellMatrix FromDense(NdArray array, CpuDevice host)
    {
        int rows = (int)array.Shape[0], columns = (int)array.Shape[1];
        Matrix<float> dense = host.AllocateMatrix<float>(rows, columns);
        if (array.Values is float[] same) dense.View.CopyFrom(same);
        else
        {
            double[] values = array.ToDoubles();
            for (int i = 0; i < rows; i++)
            {
                Span<float> row = dense.Row(i);
                for (int j = 0; j < columns; j++) row[j] = (float)values[(long)i * columns + j];
            }
        }
        return new CellMatrix(dense);
    }

    private static CellMatrix FromSparse(SparseMatrix sparse, CpuDevice host)
    {
        SparseMatrix rows = sparse.ToCsr();
        float[] values = rows.Values.Values is float[] same ? (float[])same.Clone() : Array.ConvertAll(rows.Values.ToDoubles(), v => (float)v);
        return IsCanonical(rows, values)
            ? new CellMatrix(host, rows.Rows, rows.Columns, null, rows.Pointers, rows.Indices, values)
            : Canonical(rows, values, host);
    }

    private static bool IsCanonical(SparseMatrix rows, float[] values)
    {
        for (int i = 0; i < rows.Rows; i++)
            for (long k = rows.Pointers[i]; k < rows.Pointers[i + 1]; k++)
                if (values[k] == 0 || (k > rows.Pointers[i] && rows.Indices[k] <= rows.Indices[k - 1])) return false;
        return true;
    }

    /// <summary>Columns in order, entries that are there twice added as SciPy adds them, zeros left out.</summary>
    private static CellMatrix Canonical(SparseMatrix rows, float[] values, CpuDevice host)
    {
        long[] pointers = new long[rows.Rows + 1];
        int[] places = (int[])rows.Indices.Clone();
        int count = 0;
        for (int i = 0; i < rows.Rows; i++)
        {
            int first = (int)rows.Pointers[i], end = (int)rows.Pointers[i + 1];
            Array.Sort(places, values, first, end - first);
            for (int k = first; k < end;)
            {
                int place = places[k];
                float sum = 0;
                for (; k < end && places[k] == place; k++) sum += values[k];
                if (sum != 0) (places[count], values[count++]) = (place, sum);
            }
            pointers[i + 1] = count;
        }
        return new CellMatrix(host, rows.Rows, rows.Columns, null, pointers, places[..count], values[..count]);
    }
}
