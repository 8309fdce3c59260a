using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// NumPy's single-array format. Read: bool, integers, float16/32/64, either byte order, C and Fortran order, text (<c>&lt;U</c>, <c>|S</c>)
/// and pickled object arrays of strings, versions 1 to 3. Written: version 1, little-endian, C order.
/// </summary>
public static class NpyFile
{
    private const string Kind = "npy";

    /// <summary>The header alone.</summary>
    public static NpyHeader ReadHeader(string path) => SourceGuard.Read(path, Kind, () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        return NpyHeader.Read(stream, path);
    });

    /// <summary>The whole array in managed memory, in C order.</summary>
    public static NdArray Read(string path) => SourceGuard.Read(path, Kind, () =>
    {
        using FileStream stream = SourceGuard.Open(path);
        return NpyDecoder.ReadArray(stream, stream.Length, path, null);
    });

    /// <summary>
    /// A two-dimensional (or one-dimensional: n x 1) C-order, little-endian array of exactly <typeparamref name="T"/>, read in place:
    /// constant time and no copy, whatever the size. The memory must only be read.
    /// </summary>
    /// <exception cref="DataException">The array cannot be mapped: other type, Fortran order, big-endian, or damaged.</exception>
    public static Matrix<T> Map<T>(ComputeDevice device, string path) where T : unmanaged
    {
        NpyHeader header = ReadHeader(path);
        if (!CanMap<T>(header))
            throw new DataException(path, null, $"holds {header.Type.Name()}{(header.FortranOrder ? " in Fortran order" : "")}; only little-endian C-order {ElementTypes.Of<T>().Name()} can be mapped");
        return MapChecked<T>(device, path, header);
    }

    /// <summary>Writes a host matrix.</summary>
    public static void Write<T>(string path, MatrixView<T> matrix) where T : unmanaged
    {
        // A ref struct cannot be captured by the delegate, its parts can.
        MatrixParts<T> parts = new(matrix);
        AtomicFile.Write(path, stream => Write(stream, parts.View));
    }

    /// <summary>Writes an array of any supported type; text as <c>&lt;U</c>.</summary>
    public static void Write(string path, NdArray array) => AtomicFile.Write(path, stream => Write(stream, array));

    /// <summary>Writes a host matrix to a stream.</summary>
    public static void Write<T>(Stream stream, MatrixView<T> matrix) where T : unmanaged
    {
        stream.Write(NpyHeader.Compose(NpyHeader.Descr(ElementTypes.Of<T>()), [matrix.Rows, matrix.Columns]));
        for (int i = 0; i < matrix.Rows; i++) stream.Write(MemoryMarshal.AsBytes(matrix.Row(i)));
    }

    /// <summary>Writes the header alone: the caller then writes the elements in C order, little-endian.</summary>
    public static void WriteHeader<T>(Stream stream, params ReadOnlySpan<long> shape) where T : unmanaged =>
        stream.Write(NpyHeader.Compose(NpyHeader.Descr(ElementTypes.Of<T>()), shape));

    /// <summary>Writes an array to a stream.</summary>
    public static void Write(Stream stream, NdArray array)
    {
        if (array.Type == ElementType.Text)
        {
            NpyText.Write(stream, array);
            return;
        }
        stream.Write(NpyHeader.Compose(NpyHeader.Descr(array.Type), [.. array.Shape]));
        stream.Write(ElementDecoder.Bytes(array.Values));
    }

    internal static bool CanMap<T>(NpyHeader header) where T : unmanaged =>
        header.Storage == NpyStorage.Numeric && header.Type == ElementTypes.Of<T>() && !header.BigEndian && !header.FortranOrder && header.Shape.Count is 1 or 2;

    internal static Matrix<T> MapChecked<T>(ComputeDevice device, string path, NpyHeader header) where T : unmanaged => SourceGuard.Read(path, Kind, () =>
    {
        (int rows, int columns) = MatrixLoader.MatrixShape(header.ShapeArray, path);
        long length = new FileInfo(path).Length;
        NpyDecoder.RequireBytes(header, length - header.DataOffset, path, null);
        return header.Count == 0
            ? device.AllocateMatrix<T>(rows, columns)
            : new Matrix<T>(new MappedFile(path).Buffer<T>(device, header.DataOffset, header.Count), rows, columns);
    });

    /// <summary>A file mapped into memory; released with the buffer that reads from it.</summary>
    private sealed unsafe class MappedFile : IDisposable
    {
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;
        private readonly byte* _start;

        public MappedFile(string path)
        {
            FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1);
            // Private pages keep a stray write away from the file; the kernel refuses them beyond the size of the memory.
            MemoryMappedFileAccess access = stream.Length < GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2
                ? MemoryMappedFileAccess.CopyOnWrite
                : MemoryMappedFileAccess.Read;
            _file = MemoryMappedFile.CreateFromFile(stream, null, 0, access, HandleInheritability.None, leaveOpen: false);
            _view = _file.CreateViewAccessor(0, 0, access);
            byte* start = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            _start = start + _view.PointerOffset;
        }

        public ForeignBuffer<T> Buffer<T>(ComputeDevice device, long offset, long count) where T : unmanaged =>
            new(device, (T*)(_start + offset), count, this);

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }
}
