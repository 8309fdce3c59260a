using System.Numerics;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Which dimension of a <see cref="SparseMatrix"/> is compressed.</summary>
public enum SparseLayout
{
    /// <summary>Rows are compressed (CSR).</summary>
    Csr,

    /// <summary>Columns are compressed (CSC).</summary>
    Csc,
}

/// <summary>
/// A compressed sparse matrix as files hold it: entry k of row i (CSR) lies in column <c>Indices[k]</c> for
/// <c>Pointers[i] ≤ k &lt; Pointers[i + 1]</c>; CSC the same with rows and columns exchanged.
/// </summary>
public sealed partial class SparseMatrix : IAnnElement
{
    /// <summary>Checks that pointers ascend from 0 to the number of values and that every index is inside the matrix.</summary>
    /// <exception cref="DataException">They do not.</exception>
    public SparseMatrix(int rows, int columns, SparseLayout layout, long[] pointers, int[] indices, NdArray values, string source = "sparse matrix")
    {
        (Rows, Columns, Layout, Pointers, Indices, Values) = (rows, columns, layout, pointers, indices, values);
        int major = layout == SparseLayout.Csr ? rows : columns, minor = layout == SparseLayout.Csr ? columns : rows;
        if (values.Type == ElementType.Text) throw new DataException(source, null, "a sparse matrix holds text; numbers were expected");
        if (pointers.Length != major + 1L) throw new DataException(source, "indptr", $"has {pointers.Length} entries; {major + 1L} were expected for {rows} x {columns}");
        if (indices.Length != values.Length) throw new DataException(source, "indices", $"has {indices.Length} entries, data has {values.Length}");
        if (pointers[0] != 0 || pointers[^1] != indices.Length) throw new DataException(source, "indptr", $"must run from 0 to {indices.Length}, not from {pointers[0]} to {pointers[^1]}");
        for (int i = 0; i < major; i++)
            if (pointers[i + 1] < pointers[i]) throw new DataException(source, $"indptr[{i + 1}]", "the pointers must not descend");
        if (FirstOutside(indices, minor) is int bad and >= 0) throw new DataException(source, $"indices[{bad}]", $"the index {indices[bad]} lies outside 0 to {minor - 1L}");
    }

    /// <summary>The first place whose index is not 0 … <paramref name="extent"/> - 1; -1 where all are.</summary>
    internal static int FirstOutside(ReadOnlySpan<int> indices, int extent)
    {
        int at = 0;
        if (Vector.IsHardwareAccelerated && extent > 0)
        {
            // As unsigned numbers the negative ones are too large.
            Vector<uint> last = new((uint)extent - 1);
            ReadOnlySpan<uint> places = MemoryMarshal.Cast<int, uint>(indices);
            while (at <= places.Length - Vector<uint>.Count && Vector.LessThanOrEqualAll(new Vector<uint>(places[at..]), last)) at += Vector<uint>.Count;
        }
        for (; at < indices.Length; at++)
            if ((uint)indices[at] >= (uint)extent) return at;
        return -1;
    }

    public int Rows { get; }
    public int Columns { get; }
    public SparseLayout Layout { get; }
    public long[] Pointers { get; }
    public int[] Indices { get; }

    /// <summary>The stored values, in any numeric type.</summary>
    public NdArray Values { get; }

    /// <summary>Stored entries, explicit zeros included.</summary>
    public int StoredCount => Indices.Length;

    /// <summary>The same matrix with rows compressed; columns ascend in each row where they come from CSC.</summary>
    public SparseMatrix ToCsr() => Layout == SparseLayout.Csr ? this : Recompress();

    /// <summary>Rows and columns exchanged, without moving data.</summary>
    public SparseMatrix Transpose() =>
        new(Columns, Rows, Layout == SparseLayout.Csr ? SparseLayout.Csc : SparseLayout.Csr, Pointers, Indices, Values);

    /// <summary>A dense matrix on <paramref name="device"/>; entries given twice are added, as SciPy does.</summary>
    public Matrix<float> ToSingle(ComputeDevice device) => ToDense<float>(device);

    /// <inheritdoc cref="ToSingle"/>
    public Matrix<double> ToDouble(ComputeDevice device) => ToDense<double>(device);

    /// <summary>Keeps the non-zero entries of a host matrix as CSR.</summary>
    public static SparseMatrix FromDense(MatrixView<float> matrix)
    {
        List<int> indices = [];
        List<float> values = [];
        long[] pointers = new long[matrix.Rows + 1];
        for (int i = 0; i < matrix.Rows; i++)
        {
            ReadOnlySpan<float> row = matrix.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                if (row[j] == 0) continue;
                indices.Add(j);
                values.Add(row[j]);
            }
            pointers[i + 1] = indices.Count;
        }
        return new SparseMatrix(matrix.Rows, matrix.Columns, SparseLayout.Csr, pointers, [.. indices], NdArray.Vector(values.ToArray()));
    }

    internal Matrix<T> ToDense<T>(ComputeDevice device) where T : unmanaged, INumberBase<T>
    {
        Matrix<T> dense = device.Host.AllocateMatrix<T>(Rows, Columns);
        T[] values = Values.Values as T[] ?? new T[Values.Length];
        if (Values.Values is not T[]) ElementDecoder.Convert(Values, values);
        MatrixView<T> view = dense.View;
        for (int major = 0; major + 1 < Pointers.Length; major++)
            for (long k = Pointers[major]; k < Pointers[major + 1]; k++)
            {
                int minor = Indices[k];
                if (Layout == SparseLayout.Csr) view.Row(major)[minor] += values[k];
                else view.Row(minor)[major] += values[k];
            }
        if (device.IsHost) return dense;
        using (dense) return dense.CopyAt(device);
    }

    private SparseMatrix Recompress()
    {
        long[] pointers = new long[Rows + 1];
        foreach (int row in Indices) pointers[row + 1]++;
        for (int i = 0; i < Rows; i++) pointers[i + 1] += pointers[i];
        long[] next = [.. pointers];
        int[] columns = new int[Indices.Length], order = new int[Indices.Length];
        for (int j = 0; j < Columns; j++)
            for (long k = Pointers[j]; k < Pointers[j + 1]; k++)
            {
                long at = next[Indices[k]]++;
                columns[at] = j;
                order[at] = (int)k;
            }
        return new SparseMatrix(Rows, Columns, SparseLayout.Csr, pointers, columns, Values.Take(order));
    }
}
