using System.Numerics;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Streams raw elements of any type into a device matrix of float or double, a block at a time.</summary>
internal static unsafe class MatrixLoader
{
    private const int BlockBytes = 1 << 20;

    /// <summary>How the elements that follow in a stream are laid out.</summary>
    public readonly record struct Layout(ElementType Type, bool BigEndian, bool FortranOrder);

    /// <summary>Rows and columns of a one- or two-dimensional shape; a vector of n is n x 1.</summary>
    public static (int Rows, int Columns) MatrixShape(IReadOnlyList<long> shape, string locator)
    {
        if (shape.Count is not (1 or 2))
            throw new DataException(locator, null, $"the array has the shape {NdArray.Describe(shape)}; a matrix (two dimensions) was expected");
        long rows = shape[0], columns = shape.Count == 2 ? shape[1] : 1;
        if (rows > int.MaxValue || columns > int.MaxValue)
            throw new DataException(locator, null, $"the matrix {rows} x {columns} has more than {int.MaxValue} rows or columns");
        return ((int)rows, (int)columns);
    }

    /// <summary>Reads rows x columns elements. The caller has checked that the stream can hold them.</summary>
    public static Matrix<T> Load<T>(ComputeDevice device, Stream stream, Layout layout, int rows, int columns) where T : unmanaged, INumberBase<T>
    {
        if (!device.IsHost)
        {
            using Matrix<T> staged = Load<T>(device.Host, stream, layout, rows, columns);
            return staged.CopyAt(device);
        }
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        try
        {
            if (layout.FortranOrder && rows > 1 && columns > 1) ReadColumns(stream, layout, matrix.View);
            else ReadElements(stream, layout, matrix.Buffer.View.Pointer, (long)rows * columns);
            return matrix;
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }

    /// <summary>Converts a managed array to a matrix.</summary>
    public static Matrix<T> FromArray<T>(ComputeDevice device, NdArray array, string locator) where T : unmanaged, INumberBase<T>
    {
        (int rows, int columns) = MatrixShape(array.Shape, locator);
        if (array.Type == ElementType.Text) throw new DataException(locator, null, "holds text; numbers were expected");
        if (array.Values is T[] same) return Matrix<T>.From(device, rows, columns, same);
        T[] converted = new T[array.Length];
        ElementDecoder.Convert(array, converted);
        return Matrix<T>.From(device, rows, columns, converted);
    }

    /// <summary>Reads consecutive elements, converting block by block.</summary>
    public static void ReadElements<T>(Stream stream, Layout layout, T* destination, long count) where T : unmanaged, INumberBase<T>
    {
        int size = layout.Type.Size();
        if (layout.Type == ElementTypes.Of<T>() && !layout.BigEndian)
        {
            for (long done = 0; done < count;)
            {
                int block = (int)Math.Min(count - done, (1 << 28) / size);
                stream.ReadExactly(new Span<byte>(destination + done, block * size));
                done += block;
            }
            return;
        }
        byte[] raw = new byte[(int)Math.Min(count * size, BlockBytes)];
        for (long done = 0; done < count;)
        {
            int block = (int)Math.Min(count - done, raw.Length / size);
            Span<byte> bytes = raw.AsSpan(0, block * size);
            stream.ReadExactly(bytes);
            ElementDecoder.Decode(layout.Type, layout.BigEndian, bytes, new Span<T>(destination + done, block));
            done += block;
        }
    }

    // Fortran order: a block of whole columns is read and converted, then laid down row by row.
    private static void ReadColumns<T>(Stream stream, Layout layout, MatrixView<T> matrix) where T : unmanaged, INumberBase<T>
    {
        int width = (int)Math.Clamp(16L * BlockBytes / ((long)matrix.Rows * sizeof(T)), 1, matrix.Columns);
        T* columns = (T*)NativeMemory.Alloc((nuint)((long)width * matrix.Rows), (nuint)sizeof(T));
        try
        {
            for (int start = 0; start < matrix.Columns; start += width)
            {
                int block = Math.Min(width, matrix.Columns - start);
                ReadElements(stream, layout, columns, (long)block * matrix.Rows);
                for (int i = 0; i < matrix.Rows; i++)
                {
                    Span<T> row = matrix.Row(i).Slice(start, block);
                    for (int j = 0; j < row.Length; j++) row[j] = columns[(long)j * matrix.Rows + i];
                }
            }
        }
        finally
        {
            NativeMemory.Free(columns);
        }
    }
}
