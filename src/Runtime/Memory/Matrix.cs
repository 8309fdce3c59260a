using System.Runtime.CompilerServices;

namespace BioSup.Runtime;

/// <summary>A row-major matrix in one device's memory. Owns its buffer.</summary>
public sealed unsafe class Matrix<T> : IDisposable where T : unmanaged
{
    public Matrix(DeviceBuffer<T> buffer, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (buffer.Length < (long)rows * columns) throw new ArgumentException($"A {rows} x {columns} matrix does not fit into {buffer.Length} elements.");
        Buffer = buffer;
        Rows = rows;
        Columns = columns;
    }

    public DeviceBuffer<T> Buffer { get; }
    public int Rows { get; }
    public int Columns { get; }
    public ComputeDevice Device => Buffer.Device;

    /// <summary>The whole matrix as a borrowed view.</summary>
    public MatrixView<T> View => new(Buffer.View.Pointer, Rows, Columns, Columns, Device);

    /// <summary>One row as a host span. Only for host devices.</summary>
    public Span<T> Row(int row) => View.Row(row);

    /// <summary>Copies host rows (row-major, Rows * Columns elements) into a new matrix on <paramref name="device"/>.</summary>
    public static Matrix<T> From(ComputeDevice device, int rows, int columns, ReadOnlySpan<T> values)
    {
        if (values.Length != (long)rows * columns) throw new ArgumentException($"{rows} x {columns} needs {(long)rows * columns} values, got {values.Length}.");
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        matrix.Buffer.CopyFrom(values);
        return matrix;
    }

    /// <summary>The values in the memory of a device: this very matrix where they lie there already, else a copy that goes with the result.</summary>
    public PlacedMatrix<T> At(ComputeDevice device) => ReferenceEquals(Device, device) || (Device.IsHost && device.IsHost) ? new(this, false) : new(CopyAt(device), true);

    /// <summary>The values where the host can read them.</summary>
    public PlacedMatrix<T> OnHost() => At(Device.Host);

    /// <summary>A copy in memory that the host can read.</summary>
    public Matrix<T> CopyOnHost() => CopyAt(Device.Host);

    /// <summary>This very matrix where the host can read it, else a copy in its place.</summary>
    public Matrix<T> MoveToHost()
    {
        if (Device.IsHost) return this;
        using (this) return CopyOnHost();
    }

    /// <summary>A copy in the memory of a device. It travels in blocks of rows, so that any size does.</summary>
    public Matrix<T> CopyAt(ComputeDevice device)
    {
        Matrix<T> copy = device.AllocateMatrix<T>(Rows, Columns);
        int rows = Math.Max(1, (1 << 22) / Math.Max(1, Columns));
        T[] between = Device.IsHost || device.IsHost ? [] : new T[Math.Min(rows, Rows) * Columns];
        for (int first = 0; first < Rows; first += rows)
        {
            int count = Math.Min(rows, Rows - first);
            MatrixView<T> from = View.RowBlock(first, count), to = copy.View.RowBlock(first, count);
            if (Device.IsHost) to.CopyFrom(new ReadOnlySpan<T>(from.Pointer, count * Columns));
            else if (device.IsHost) from.CopyTo(new Span<T>(to.Pointer, count * Columns));
            else
            {
                from.CopyTo(between);
                to.CopyFrom(between.AsSpan(0, count * Columns));
            }
        }
        return copy;
    }

    /// <summary>Lets host code change the values: in place where the memory is the host's, else in a copy that goes back to the device.</summary>
    public void EditOnHost(Action<Matrix<T>> edit)
    {
        using PlacedMatrix<T> readable = OnHost();
        edit(readable.Matrix);
        if (!ReferenceEquals(readable.Matrix, this)) View.CopyFrom(readable.Matrix.Buffer.View.Host);
    }

    /// <summary>Every value, row after row.</summary>
    public T[] ToArray()
    {
        T[] values = new T[checked(Rows * Columns)];
        View.CopyTo(values);
        return values;
    }

    public void Dispose() => Buffer.Dispose();
}

/// <summary>A matrix in the memory in which it is needed: a given one, or a copy that goes with this object.</summary>
public readonly struct PlacedMatrix<T> : IDisposable where T : unmanaged
{
    private readonly bool _isCopy;

    internal PlacedMatrix(Matrix<T> matrix, bool isCopy) => (Matrix, _isCopy) = (matrix, isCopy);

    public Matrix<T> Matrix { get; }

    public void Dispose()
    {
        if (_isCopy) Matrix.Dispose();
    }
}

/// <summary>
/// A borrowed row-major matrix: element (i, j) lies at <c>Pointer[i * Stride + j]</c>. Rows may be padded (Stride ≥ Columns);
/// a view never owns memory and must not outlive its owner.
/// </summary>
public readonly unsafe ref struct MatrixView<T> where T : unmanaged
{
    public readonly T* Pointer;
    public readonly int Rows;
    public readonly int Columns;
    public readonly long Stride;
    public readonly ComputeDevice Device;

    public MatrixView(T* pointer, int rows, int columns, long stride, ComputeDevice device)
    {
        if (stride < columns) throw new ArgumentException("The stride is shorter than a row.", nameof(stride));
        Pointer = pointer;
        Rows = rows;
        Columns = columns;
        Stride = stride;
        Device = device;
    }

    /// <summary>One row as a host span. Only for host devices.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Row(int row)
    {
        Device.RequireHost();
        if ((uint)row >= (uint)Rows) throw new ArgumentOutOfRangeException(nameof(row));
        return new Span<T>(Pointer + row * Stride, Columns);
    }

    /// <summary>Copies the elements to host memory, row after row without gaps.</summary>
    public void CopyTo(Span<T> destination)
    {
        if (destination.Length < (long)Rows * Columns) throw new ArgumentException($"{Rows} x {Columns} elements do not fit into {destination.Length}.", nameof(destination));
        if (Stride == Columns) Device.Download(new DeviceSpan<T>(Pointer, (long)Rows * Columns, Device), destination[..(Rows * Columns)]);
        else
            for (int i = 0; i < Rows; i++) Device.Download(new DeviceSpan<T>(Pointer + i * Stride, Columns, Device), destination.Slice(i * Columns, Columns));
    }

    /// <summary>Copies host elements, row after row without gaps, into the view.</summary>
    public void CopyFrom(ReadOnlySpan<T> source)
    {
        if (source.Length != (long)Rows * Columns) throw new ArgumentException($"{Rows} x {Columns} needs {(long)Rows * Columns} values, got {source.Length}.", nameof(source));
        if (Stride == Columns) Device.Upload(source, new DeviceSpan<T>(Pointer, source.Length, Device));
        else
            for (int i = 0; i < Rows; i++) Device.Upload(source.Slice(i * Columns, Columns), new DeviceSpan<T>(Pointer + i * Stride, Columns, Device));
    }

    /// <summary>A block of consecutive rows.</summary>
    public MatrixView<T> RowBlock(int start, int count)
    {
        if (start < 0 || count < 0 || start > Rows - count) throw new ArgumentOutOfRangeException(nameof(start));
        return new MatrixView<T>(Pointer + start * Stride, count, Columns, Stride, Device);
    }

    /// <summary>A block of consecutive columns (same stride).</summary>
    public MatrixView<T> ColumnBlock(int start, int count)
    {
        if (start < 0 || count < 0 || start > Columns - count) throw new ArgumentOutOfRangeException(nameof(start));
        return new MatrixView<T>(Pointer + start, Rows, count, Stride, Device);
    }
}
