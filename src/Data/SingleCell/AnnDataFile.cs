using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// AnnData in HDF5 (.h5ad) and, for reading, in zarr of version 3 (a folder FILE.zarr, or FILE.zarr.zip). Files of every version of anndata from 0.6 on are read; what is written
/// is HDF5 and follows the on-disk format 0.1.0 that anndata 0.8 and later read.
/// </summary>
public static class AnnDataFile
{
    /// <summary>A sparse matrix is made dense without being asked only up to this size.</summary>
    public const long MaxDensifiedBytes = 8L << 30;

    /// <summary>The whole file. Elements of a kind that is not known are left out and named in <see cref="AnnData.Warnings"/>.</summary>
    public static AnnData Read(string path) => SourceGuard.Read(path, KindOf(path), () =>
    {
        using IStoreFile file = Open(path);
        return new AnnDataReader(path, file).ReadAll();
    });

    /// <summary>What can be read as a matrix: X, layers/NAME, obsm/NAME, varm/NAME, obsp/NAME, varp/NAME, raw/X.</summary>
    public static IReadOnlyList<string> MatrixKeys(string path) => SourceGuard.Read(path, KindOf(path), () =>
    {
        using IStoreFile file = Open(path);
        return new AnnDataReader(path, file).MatrixKeys();
    });

    /// <summary>One matrix as float32; sparse ones become dense (up to <see cref="MaxDensifiedBytes"/>).</summary>
    public static Matrix<float> ReadSingle(ComputeDevice device, string path, string key) => ReadMatrix<float>(device, path, key);

    /// <summary>One matrix as float64; sparse ones become dense (up to <see cref="MaxDensifiedBytes"/>).</summary>
    public static Matrix<double> ReadDouble(ComputeDevice device, string path, string key) => ReadMatrix<double>(device, path, key);

    /// <summary>One column, "obs/NAME" or "var/NAME"; NAME "_index" gives the row names.</summary>
    public static FrameColumn ReadColumn(string path, string key) => SourceGuard.Read(path, KindOf(path), () =>
    {
        if (key.Split('/', 2) is not [("obs" or "var") and string axis, string name]) throw new UsageException($"{path}:{key}: name a column as obs/NAME or var/NAME.");
        using IStoreFile file = Open(path);
        return new AnnDataReader(path, file).ReadColumn(axis, name);
    });

    /// <summary>Row names of obs.</summary>
    public static string[] ReadObservationNames(string path) => ReadColumn(path, "obs/_index").ToColumn(path).Text;

    /// <summary>Writes a file that anndata 0.8 and later open with equal content.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="data">Checked against its own axes first.</param>
    /// <param name="compress">Shuffle and deflate arrays of more than a thousand elements.</param>
    public static void Write(string path, AnnData data, bool compress = true)
    {
        data.Validate(path);
        Hdf5Group root = AnnDataWriter.Build(data);
        AtomicFile.Write(path, stream => PureHdfWriter.Write(stream, root, compress));
    }

    /// <summary>Writes a host matrix as X, with variables numbered from 0.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="x">[observations, variables].</param>
    /// <param name="observations">Names of the rows; null numbers them from 0.</param>
    public static void Write<T>(string path, MatrixView<T> x, string[]? observations = null) where T : unmanaged
    {
        MatrixParts<T> parts = new(x);
        AnnData frame = new(observations is null ? DataFrame.OfRows(x.Rows) : new DataFrame(observations), DataFrame.OfRows(x.Columns));
        if (frame.Obs.Rows != x.Rows) throw new ArgumentException($"There are {frame.Obs.Rows} names for {x.Rows} rows.", nameof(observations));
        frame.Validate(path);
        Hdf5Group root = AnnDataWriter.Build(frame);
        root.Children["X"] = AnnDataWriter.Mark(new Hdf5Dataset { Rows = new Hdf5Rows(ElementTypes.Of<T>(), x.Rows, x.Columns, parts.CopyRows) }, "array", "0.2.0");
        AtomicFile.Write(path, stream => PureHdfWriter.Write(stream, root, compress: true));
    }

    private static IStoreFile Open(string path) => ZarrFile.IsStore(path) ? ZarrFile.Open(path) : PureHdfFile.Open(path);

    private static string KindOf(string path) => ZarrFile.IsStore(path) ? "zarr" : "h5ad";

    internal static Matrix<T> ReadMatrix<T>(ComputeDevice device, string path, string key) where T : unmanaged, INumberBase<T> => SourceGuard.Read(path, KindOf(path), () =>
    {
        using IStoreFile file = Open(path);
        AnnDataReader reader = new(path, file);
        string locator = $"{path}:{key}";
        reader.RequireUniqueObservations(key);
        object found = reader.FindMatrix(key);
        if (found is IStoreArray { IsRecord: false, IsNull: false, Type: { } type, Shape.Count: 2 } dataset && type != ElementType.Text) return ReadRows<T>(device, dataset, locator);
        IAnnElement? element = found is IStoreNode node ? reader.ReadMatrixElement(node) : (NdArray)found;
        switch (element)
        {
            case NdArray array: return MatrixLoader.FromArray<T>(device, array, locator);
            case SparseMatrix sparse:
                RequireDensifiable(sparse, locator, ElementTypes.Of<T>().Size());
                return sparse.ToDense<T>(device);
            default: throw new DataException(path, key, $"holds nothing (null); the file has {Listing.Of(reader.MatrixKeys())}");
        }
    });

    /// <summary>Hands over the wanted rows of a matrix that can be read in blocks.</summary>
    /// <returns>False where it has to be read whole: compressed by columns, or an array of records.</returns>
    internal static bool TryVisitRows(string path, string key, RowEntries rows) => SourceGuard.Read(path, KindOf(path), () =>
    {
        using IStoreFile file = Open(path);
        AnnDataReader reader = new(path, file);
        reader.RequireUniqueObservations(key);
        object found = reader.FindMatrix(key);
        if (found is IStoreArray { IsRecord: false, IsNull: false, Type: { } type, Shape.Count: 2 } dataset && type != ElementType.Text) VisitDense(dataset, $"{path}:{key}", rows);
        else if (found is IStoreGroup group && reader.IsCsr(group)) reader.VisitCsr(group, rows);
        else return false;
        return true;
    });

    private static void VisitDense(IStoreArray dataset, string locator, RowEntries rows)
    {
        (int count, int columns) = MatrixLoader.MatrixShape(dataset.Shape, locator);
        int block = BlockRows(dataset, count, columns);
        float[] values = new float[(long)block * columns];
        for (int start = 0; start < count; start += block)
        {
            int here = Math.Min(block, count - start);
            ReadOnlySpan<int> wanted = rows.Between(start, start + here);
            if (wanted.Length == 0) continue;
            ElementDecoder.Convert(dataset.ReadRows(start, here), values.AsSpan(0, here * columns));
            foreach (int row in wanted) rows.Take(row, values.AsSpan((row - start) * columns, columns));
        }
    }

    /// <summary>Extents of what <see cref="ReadMatrix"/> reads; only an array of records is read for it.</summary>
    internal static (int Rows, int Columns) ReadShape(string path, string key) => SourceGuard.Read(path, KindOf(path), () =>
    {
        using IStoreFile file = Open(path);
        AnnDataReader reader = new(path, file);
        IReadOnlyList<long> shape = reader.FindMatrix(key) switch
        {
            IStoreArray { IsRecord: false, IsNull: false } dataset => dataset.Shape,
            IStoreGroup group => reader.SparseShape(group),
            NdArray array => array.Shape,
            _ => throw new DataException(path, key, $"holds no matrix; the file has {Listing.Of(reader.MatrixKeys())}"),
        };
        return MatrixLoader.MatrixShape(shape, $"{path}:{key}");
    });

    internal static void RequireDensifiable(SparseMatrix sparse, string locator, int elementBytes)
    {
        long bytes = (long)sparse.Rows * sparse.Columns * elementBytes;
        if ((long)sparse.Rows * sparse.Columns > MaxDensifiedBytes || bytes > MaxDensifiedBytes)
            throw new DataException(locator, null,
                $"the sparse matrix of {sparse.Rows} x {sparse.Columns} with {sparse.StoredCount} entries would need {bytes / (double)(1L << 30):F1} GiB when made dense; the limit is {MaxDensifiedBytes >> 30} GiB");
    }

    // A block of rows is a whole number of chunks, so that every chunk is decompressed once.
    private static int BlockRows(IStoreArray dataset, int rows, int columns)
    {
        const int BlockElements = 1 << 22;
        int block = (int)Math.Min(rows, Math.Max(1, BlockElements / Math.Max(1, columns)));
        return (int)Math.Min(rows, ((long)block + dataset.RowsPerChunk - 1) / dataset.RowsPerChunk * dataset.RowsPerChunk);
    }

    private static Matrix<T> ReadRows<T>(ComputeDevice device, IStoreArray dataset, string locator) where T : unmanaged, INumberBase<T>
    {
        (int rows, int columns) = MatrixLoader.MatrixShape(dataset.Shape, locator);
        if (!device.IsHost) return MatrixLoader.FromArray<T>(device, dataset.Read(), locator);
        // A first block that can be read shows that the extents are plausible before they are allocated.
        int block = BlockRows(dataset, rows, columns);
        NdArray first = dataset.ReadRows(0, block);
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        try
        {
            for (int start = 0; start < rows; start += block)
            {
                NdArray part = start == 0 ? first : dataset.ReadRows(start, Math.Min(block, rows - start));
                ElementDecoder.Convert(part, matrix.Buffer.View.Slice((long)start * columns, part.Length).Host);
            }
            return matrix;
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }
}
