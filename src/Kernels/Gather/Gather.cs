using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Chosen rows or columns of a matrix, in any order and as often as they are named: subsets, folds, permutations. Elements of four or eight bytes are moved bit by bit.
/// </summary>
public static unsafe partial class Gather
{
    /// <summary>y[i, :] = x[rows[i], :].</summary>
    /// <param name="x">[n, d]</param>
    /// <param name="rows">m row numbers on the matrix's device. One outside 0 … n - 1 gives a row with every bit set: NaN, or -1.</param>
    /// <param name="y">[m, d], not overlapping x</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Rows<T>(MatrixView<T> x, DeviceSpan<int> rows, MatrixView<T> y) where T : unmanaged
    {
        if (y.Rows != rows.Length || y.Columns != x.Columns) throw new ArgumentException($"{rows.Length} rows of {x.Columns} elements do not make a {y.Rows} x {y.Columns} matrix.");
        Run(x, rows, y, byRow: true);
    }

    /// <summary>y[:, j] = x[:, columns[j]].</summary>
    /// <param name="x">[n, d]</param>
    /// <param name="columns">m column numbers on the matrix's device. One outside 0 … d - 1 gives a column with every bit set: NaN, or -1.</param>
    /// <param name="y">[n, m], not overlapping x</param>
    /// <exception cref="ArgumentException">Shapes or devices differ.</exception>
    public static void Columns<T>(MatrixView<T> x, DeviceSpan<int> columns, MatrixView<T> y) where T : unmanaged
    {
        if (y.Columns != columns.Length || y.Rows != x.Rows) throw new ArgumentException($"{columns.Length} columns of {x.Rows} elements do not make a {y.Rows} x {y.Columns} matrix.");
        Run(x, columns, y, byRow: false);
    }

    /// <summary>A new matrix, on the device of <paramref name="x"/>, of its chosen rows.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A row number is outside the matrix.</exception>
    public static Matrix<T> Rows<T>(Matrix<T> x, ReadOnlySpan<int> rows) where T : unmanaged
    {
        Require(rows, x.Rows, nameof(rows));
        using DeviceBuffer<int> chosen = x.Device.Allocate<int>(rows.Length);
        chosen.CopyFrom(rows);
        Matrix<T> y = x.Device.AllocateMatrix<T>(rows.Length, x.Columns);
        Rows(x.View, chosen.View, y.View);
        return y;
    }

    /// <summary>A new matrix, on the device of <paramref name="x"/>, of its chosen columns.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A column number is outside the matrix.</exception>
    public static Matrix<T> Columns<T>(Matrix<T> x, ReadOnlySpan<int> columns) where T : unmanaged
    {
        Require(columns, x.Columns, nameof(columns));
        using DeviceBuffer<int> chosen = x.Device.Allocate<int>(columns.Length);
        chosen.CopyFrom(columns);
        Matrix<T> y = x.Device.AllocateMatrix<T>(x.Rows, columns.Length);
        Columns(x.View, chosen.View, y.View);
        return y;
    }

    private static void Require(ReadOnlySpan<int> indices, int count, string name)
    {
        foreach (int index in indices)
            if ((uint)index >= (uint)count) throw new ArgumentOutOfRangeException(name, $"{index} is not one of 0 to {count - 1}.");
    }

    private static void Run<T>(MatrixView<T> x, DeviceSpan<int> indices, MatrixView<T> y, bool byRow) where T : unmanaged
    {
        if (sizeof(T) is not (4 or 8)) throw new NotSupportedException($"Gather moves elements of 4 or 8 bytes; {typeof(T).Name} has {sizeof(T)}.");
        if (y.Rows == 0 || y.Columns == 0) return;
        if (y.Device != x.Device || indices.Device != x.Device) throw new ArgumentException("The matrices and the indices must lie on the same device.");
        if (x.Device is CudaDevice gpu)
        {
            Cuda(gpu, x, indices, y, byRow);
            return;
        }
        CpuDevice cpu = x.Device as CpuDevice ?? throw new DeviceException($"Gather has no implementation for device '{x.Device.Name}'.");
        if (KernelDispatch.Select(nameof(Gather)) == KernelVariant.Reference) Reference(x, indices, y, byRow);
        else Cpu(cpu, x, indices, y, byRow);
    }
}
