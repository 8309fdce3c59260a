using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>A matrix in the memory in which it is needed: the given one where it lies there already, else a copy that goes with this object.</summary>
internal readonly struct Relocated<T>(Matrix<T> matrix, bool isCopy) : IDisposable where T : unmanaged
{
    public Matrix<T> Matrix { get; } = matrix;

    public void Dispose()
    {
        if (isCopy) Matrix.Dispose();
    }
}

/// <summary>Matrices between memories. Steps that look at single rows (graphs, labels, ranks) run on the host, and say so by asking for a matrix there.</summary>
internal static unsafe class Relocation
{
    private const int ElementsAtOnce = 1 << 22;
    private static readonly Lazy<CpuDevice> s_host = new(() => new CpuDevice(1));

    /// <summary>The matrix in memory that the host can read.</summary>
    public static Relocated<T> OnHost<T>(this Matrix<T> matrix) where T : unmanaged => matrix.At(HostOf(matrix.Device));

    /// <summary>The matrix in the memory of a device.</summary>
    public static Relocated<T> At<T>(this Matrix<T> matrix, ComputeDevice device) where T : unmanaged =>
        ReferenceEquals(matrix.Device, device) || (matrix.Device.IsHost && device.IsHost) ? new(matrix, false) : new(matrix.CopyAt(device), true);

    /// <summary>A copy in memory that the host can read.</summary>
    public static Matrix<T> CopyOnHost<T>(this Matrix<T> matrix) where T : unmanaged => matrix.CopyAt(HostOf(matrix.Device));

    /// <summary>The matrix itself where the host can read it, else a copy in its place.</summary>
    public static Matrix<T> MoveToHost<T>(this Matrix<T> matrix) where T : unmanaged
    {
        if (matrix.Device.IsHost) return matrix;
        using (matrix) return matrix.CopyOnHost();
    }

    /// <summary>Memory that the host can read: the device's own where it is such.</summary>
    public static ComputeDevice HostOf(ComputeDevice device) => device.IsHost ? device : s_host.Value;

    /// <summary>A copy in the memory of a device, rows by the block.</summary>
    public static Matrix<T> CopyAt<T>(this Matrix<T> source, ComputeDevice device) where T : unmanaged
    {
        Matrix<T> target = device.AllocateMatrix<T>(source.Rows, source.Columns);
        int rows = Math.Max(1, ElementsAtOnce / Math.Max(1, source.Columns));
        T[]? between = source.Device.IsHost || device.IsHost ? null : new T[(long)Math.Min(rows, source.Rows) * source.Columns];
        for (int first = 0; first < source.Rows; first += rows)
        {
            int count = Math.Min(rows, source.Rows - first);
            MatrixView<T> from = source.View.RowBlock(first, count), to = target.View.RowBlock(first, count);
            if (source.Device.IsHost) to.CopyFrom(new ReadOnlySpan<T>(from.Pointer, count * source.Columns));
            else if (device.IsHost) from.CopyTo(new Span<T>(to.Pointer, count * source.Columns));
            else
            {
                Span<T> span = between.AsSpan(0, count * source.Columns);
                from.CopyTo(span);
                to.CopyFrom(span);
            }
        }
        return target;
    }
}
