using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text.Json;
using BioSup.Data;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Benchmarks;

/// <summary>Reading of whole h5ad files, written by anndata, against anndata and h5py, from the page cache, the peer's process between two runs of ours.</summary>
internal static class CellFilesSuite
{
    private const int Rounds = 3;

    public static void Run(SuiteOptions options)
    {
        int cells = options.Quick ? 5000 : 50_000;
        ResultTable table = new("Reading h5ad",
            $"{cells} × 512, float32, one value in ten is not zero; files written by anndata, from the page cache; ours: AnnDataFile.Read, best of {Rounds} before and {Rounds} after the peer.",
            "Peer: benchmarks/peers/cells_h5ad.py; anndata.read_h5ad reads the whole file as ours does, h5py the arrays of X alone, beside which stands our reading of X with its checks. Ratios: the peer's time over ours.");
        table.Header("file", "MB on disk", "ours s", "anndata s", "ratio", "ours, X alone s", "h5py s", "ratio", "relative difference of the sums");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-h5ad-");
        string versions = "", floors = "";
        try
        {
            using (PythonPeer.Run("cells_h5ad.py", "write", folder.FullName, $"{cells}", "512"))
                foreach (string name in (string[])["dense_gzip", "dense", "csr"]) versions = Compare(table, Path.Combine(folder.FullName, name + ".h5ad"));
            floors = Floors(folder.FullName);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
        table.Line("");
        table.Line($"Peer: {versions}. {floors}");
        table.Write(options.Output);
    }

    private static string Compare(ResultTable table, string path)
    {
        (double ours, double sum) = Own(() => AnnDataFile.Read(path).X, path);
        (double matrix, _) = Own(() => MatrixOf(path), path);
        using JsonDocument peer = PythonPeer.Run("cells_h5ad.py", "read", path, $"{Rounds}");
        ours = Math.Min(ours, Own(() => AnnDataFile.Read(path).X, path).Best);
        matrix = Math.Min(matrix, Own(() => MatrixOf(path), path).Best);
        JsonElement found = peer.RootElement;
        double whole = found.GetProperty("anndata_seconds").GetDouble(), plain = found.GetProperty("h5py_seconds").GetDouble();
        string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
        table.Row(Path.GetFileNameWithoutExtension(path), F(new FileInfo(path).Length / 1e6, "F0"), F(ours, "F4"), F(whole, "F4"), F(whole / ours, "F2"), F(matrix, "F4"), F(plain, "F4"), F(plain / matrix, "F2"),
            F(Math.Abs(sum / found.GetProperty("sum").GetDouble() - 1), "e1"));
        return $"anndata {found.GetProperty("anndata").GetString()}, h5py {found.GetProperty("h5py").GetString()}";
    }

    /// <summary>What reading costs at least: the bytes of the plain file into memory that is in use already, and the chunks of the packed one inflated, each into a buffer that is used again.</summary>
    private static string Floors(string folder)
    {
        const int Piece = 4 << 20;
        byte[] stored = File.ReadAllBytes(Path.Combine(folder, "chunks.bin"));
        List<ReadOnlyMemory<byte>> chunks = [];
        for (int at = 0; at < stored.Length; at += chunks[^1].Length + 4) chunks.Add(stored.AsMemory(at + 4, BitConverter.ToInt32(stored, at)));
        string path = Path.Combine(folder, "dense.h5ad");
        byte[] bytes = new byte[new FileInfo(path).Length];
        using SafeFileHandle handle = File.OpenHandle(path);
        double read = double.MaxValue, inflate = double.MaxValue;
        for (int round = 0; round < 2 * Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            Parallel.For(0, (bytes.Length + Piece - 1) / Piece, p => RandomAccess.Read(handle, bytes.AsSpan(p * Piece, Math.Min(Piece, bytes.Length - p * Piece)), (long)p * Piece));
            read = Math.Min(read, Stopwatch.GetElapsedTime(start).TotalSeconds);
            start = Stopwatch.GetTimestamp();
            Parallel.For(0, chunks.Count, () => new byte[1 << 20], (c, _, chunk) =>
            {
                MemoryMarshal.TryGetArray(chunks[c], out ArraySegment<byte> packed);
                using ZLibStream zlib = new(new MemoryStream(packed.Array!, packed.Offset, packed.Count), CompressionMode.Decompress);
                while (zlib.Read(chunk) > 0) ;
                return chunk;
            }, _ => { });
            inflate = Math.Min(inflate, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return string.Create(CultureInfo.InvariantCulture,
            $"Floors, on every processor: the bytes of dense into memory that is in use already {read:F4} s ({bytes.Length / read / 1e9:F1} GB/s); inflating the {chunks.Count} chunks of dense_gzip, each into a buffer that is used again, {inflate:F4} s.");
    }

    private static IAnnElement? MatrixOf(string path)
    {
        using IStoreFile file = PureHdfFile.Open(path);
        return new AnnDataReader(path, file).ReadMatrixElement(file.Root.Find("X")!);
    }

    private static (double Best, double Sum) Own(Func<IAnnElement?> read, string path)
    {
        double best = double.MaxValue, sum = 0;
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            IAnnElement? x = read();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            float[] values = x is SparseMatrix sparse ? sparse.Values.As<float>() : x is NdArray array ? array.As<float>() : throw new DataException(path, "X", "a matrix was expected");
            sum = values.Sum(v => (double)v);
        }
        return (best, sum);
    }
}
