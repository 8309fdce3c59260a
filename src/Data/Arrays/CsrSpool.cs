using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Rows of a large matrix that is mostly zeros, on their way to a compressed sparse file: entries wait in unnamed temporary files beside the result,
/// because files of this kind begin with a count that is known last. Memory does not depend on the number of rows.
/// </summary>
public sealed class CsrSpool : IDisposable
{
    private const int BlockElements = 1 << 16;
    private readonly string _path;
    private readonly FileStream _values, _indices, _pointers;
    private readonly float[] _rowValues;
    private readonly int[] _rowIndices;

    /// <param name="path">The file that will be written; its folder is made.</param>
    /// <param name="columns">Columns of the matrix.</param>
    public CsrSpool(string path, int columns)
    {
        _path = path;
        Columns = columns;
        (_rowValues, _rowIndices) = (new float[columns], new int[columns]);
        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        List<FileStream> open = [];
        try
        {
            AtomicFile.Guard(path, () =>
            {
                Directory.CreateDirectory(folder);
                for (int i = 0; i < 3; i++)
                    open.Add(new FileStream(Path.Combine(folder, $".{Guid.NewGuid():N}.tmp"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 18, FileOptions.DeleteOnClose));
            });
        }
        catch
        {
            foreach (FileStream file in open) file.Dispose();
            throw;
        }
        (_values, _indices, _pointers) = (open[0], open[1], open[2]);
        Append(_pointers, [0L]);
    }

    public int Columns { get; }
    public long Rows { get; private set; }

    /// <summary>Entries that are not zero.</summary>
    public long Stored { get; private set; }

    /// <summary>Appends a row, of which entries other than zero are kept.</summary>
    /// <exception cref="DataException">The disk is full.</exception>
    public void Add(ReadOnlySpan<float> row)
    {
        if (row.Length != Columns) throw new ArgumentException($"The row has {row.Length} entries, the matrix {Columns} columns.", nameof(row));
        int count = 0;
        for (int j = row.IndexOfAnyExcept(0f); j < row.Length && j >= 0;)
        {
            (_rowValues[count], _rowIndices[count++]) = (row[j], j);
            int next = row[(j + 1)..].IndexOfAnyExcept(0f);
            j = next < 0 ? -1 : j + 1 + next;
        }
        Stored += count;
        Rows++;
        try
        {
            Append<float>(_values, _rowValues.AsSpan(0, count));
            Append<int>(_indices, _rowIndices.AsSpan(0, count));
            Append(_pointers, [Stored]);
        }
        catch (Exception e) when (AtomicFile.IsWriteFailure(e))
        {
            throw AtomicFile.Translate(_path, e);
        }
    }

    /// <summary>Writes the file that <c>scipy.sparse.load_npz</c> reads: data, indices, indptr, shape, format; and the given names of rows as "ids".</summary>
    public void WriteNpz(string[]? ids = null) => NpzFile.Write(_path, writer =>
    {
        writer.Add<int>("indices", Stored, stream => Copy<int>(stream, _indices, Stored));
        // Pointers are as wide as they need to be; SciPy widens the indices to match.
        if (WidePointers) writer.Add<long>("indptr", Rows + 1, stream => Copy<long>(stream, _pointers, Rows + 1));
        else
        {
            writer.Add<int>("indptr", Rows + 1, stream =>
            {
                for (long start = 0; start <= Rows; start += BlockElements) stream.Write(MemoryMarshal.AsBytes<int>(Narrow(ReadBlock<long>(_pointers, start, (int)Math.Min(BlockElements, Rows + 1 - start)))));
            });
        }
        writer.Add("format", NdArray.Scalar("csr"));
        writer.Add("shape", new long[] { Rows, Columns });
        writer.Add<float>("data", Stored, stream => Copy<float>(stream, _values, Stored));
        if (ids is not null) writer.Add("ids", ids);
    });

    /// <summary>Writes an h5ad file with X as a csr_matrix and variables numbered from 0.</summary>
    /// <param name="observations">Names of the rows; null numbers them from 0.</param>
    public void WriteH5ad(string[]? observations = null)
    {
        if (Rows > int.MaxValue) throw new UsageException($"{Rows} rows are too many for an h5ad file, which names each of them; write .npz.");
        AnnData frame = new(observations is null ? DataFrame.OfRows((int)Rows) : new DataFrame(observations), DataFrame.OfRows(Columns));
        if (frame.Obs.Rows != Rows) throw new ArgumentException($"There are {frame.Obs.Rows} names for {Rows} rows.", nameof(observations));
        frame.Validate(_path);
        Hdf5Group root = AnnDataWriter.Build(frame), x = AnnDataWriter.Mark(new Hdf5Group(), "csr_matrix", "0.1.0");
        x.Attributes["shape"] = NdArray.Vector(new long[] { Rows, Columns });
        x.Children["data"] = Deferred<float>(_values, Stored, ElementType.Float32);
        x.Children["indices"] = Deferred<int>(_indices, Stored, ElementType.Int32);
        x.Children["indptr"] = WidePointers ? Deferred<long>(_pointers, Rows + 1, ElementType.Int64)
            : new Hdf5Dataset { Vector = new Hdf5Vector(ElementType.Int32, Rows + 1, (start, count) => Narrow(ReadBlock<long>(_pointers, start, count))) };
        root.Children["X"] = x;
        AtomicFile.Write(_path, stream => PureHdfWriter.Write(stream, root, compress: true));
    }

    public void Dispose()
    {
        _values.Dispose();
        _indices.Dispose();
        _pointers.Dispose();
    }

    private bool WidePointers => Stored > int.MaxValue;

    private static Hdf5Dataset Deferred<T>(FileStream file, long length, ElementType type) where T : unmanaged =>
        length == 0 ? new Hdf5Dataset { Array = NdArray.Vector(Array.Empty<T>()) } : new Hdf5Dataset { Vector = new Hdf5Vector(type, length, (start, count) => ReadBlock<T>(file, start, count)) };

    private static void Append<T>(FileStream file, ReadOnlySpan<T> values) where T : unmanaged => file.Write(MemoryMarshal.AsBytes(values));

    private static unsafe T[] ReadBlock<T>(FileStream file, long start, int count) where T : unmanaged
    {
        T[] block = new T[count];
        file.Position = start * sizeof(T);
        file.ReadExactly(MemoryMarshal.AsBytes(block.AsSpan()));
        return block;
    }

    private static void Copy<T>(Stream target, FileStream file, long length) where T : unmanaged
    {
        for (long start = 0; start < length; start += BlockElements) target.Write(MemoryMarshal.AsBytes<T>(ReadBlock<T>(file, start, (int)Math.Min(BlockElements, length - start))));
    }

    private static int[] Narrow(long[] block) => Array.ConvertAll(block, p => checked((int)p));
}
