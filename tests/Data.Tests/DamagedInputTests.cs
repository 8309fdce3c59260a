using System.Diagnostics;
using BioSup.Runtime;
using CsCheck;

namespace BioSup.Data.Tests;

/// <summary>
/// Random bytes and damaged copies of valid files are thrown at every reader. Whatever they hold, the answer is a result or a
/// <see cref="DataException"/> that names the file, after bounded time and with bounded memory.
/// </summary>
public sealed class DamagedInputTests
{
    private const long MaxMilliseconds = 20_000;

    // The largest ratio of any compressed format we read (deflate), and room for buffers.
    private const long MaxRatio = 4 * 1032, Slack = 768L << 20;
    private static readonly CpuDevice s_device = new(1);

    private static readonly Dictionary<string, Action<string>> s_readers = new(StringComparer.Ordinal)
    {
        [".npy"] = ReadNpy,
        [".npz"] = ReadNpz,
        [".safetensors"] = ReadSafetensors,
        [".csv"] = ReadCsv,
        [".gmt"] = path => GmtFile.Read(path),
        [".txt"] = path => ColumnReader.Read(path),
        [".h5ad"] = ReadAnnData,
        [".h5"] = path => TenXFile.Read(path),
    };

    public static TheoryData<string, int> Files => new()
    {
        { "c_f4.npy", 400 }, { "fortran_f4.npy", 200 }, { "version3.npy", 200 }, { "unicode.npy", 200 }, { "bytes.npy", 100 },
        { "object_p2.npy", 300 }, { "object_p4.npy", 300 }, { "object_mixed.npy", 400 }, { "object_hostile.npy", 100 },
        { "cache_stored.npz", 300 }, { "cache_deflated.npz", 300 }, { "mixed.safetensors", 400 },
        { "anndata08.h5ad", 100 }, { "anndata08_gzip.h5ad", 50 }, { "dense_lzf.h5ad", 100 }, { "newer.h5ad", 100 },
        { "legacy06.h5ad", 100 }, { "legacy07.h5ad", 100 }, { "tenx_v2.h5", 100 }, { "tenx_v3.h5", 100 },
    };

    [Theory]
    [MemberData(nameof(Files))]
    public void Damaged_files_are_typed_errors(string name, int samples)
    {
        byte[] valid = File.ReadAllBytes(Golden.File(name));
        Action<string> read = s_readers[Path.GetExtension(name)];
        using TemporaryFolder folder = new();
        string path = folder["x" + Path.GetExtension(name)];
        Mutations(valid).Sample(bytes => Throw(path, bytes, read), iter: samples, threads: 1);
    }

    public static TheoryData<string> Extensions => [.. s_readers.Keys];

    [Theory]
    [MemberData(nameof(Extensions))]
    public void Random_bytes_are_typed_errors(string extension)
    {
        using TemporaryFolder folder = new();
        string path = folder["x" + extension];
        byte[] magic = extension switch
        {
            ".npy" => [0x93, .. "NUMPY"u8, 1, 0, 20, 0],
            ".npz" => [.. "PK\x03\x04"u8],
            ".h5ad" or ".h5" => [0x89, .. "HDF\r\n"u8, 0x1A, 0x0A],
            _ => [],
        };
        Gen<byte[]> text = Gen.OneOf(Gen.Const((byte)','), Gen.Const((byte)'"'), Gen.Const((byte)'\n'), Gen.Const((byte)'\r'), Gen.Const((byte)'\t'), Gen.Const((byte)'1'), Gen.Byte).Array[0, 300];
        Gen.OneOf(Gen.Byte.Array[0, 2000], text, Gen.Byte.Array[0, 2000].Select(rest => magic.Concat(rest).ToArray()))
            .Sample(bytes => Throw(path, bytes, s_readers[extension]), iter: 300, threads: 1);
    }

    [Theory]
    [InlineData("a,b\n1,2\n\"x\ny\",4\r\n5,\n", ".csv")]
    [InlineData("SET1\thttp\tTP53\tACTB\nSET2\tna\tA\n", ".gmt")]
    [InlineData("TP53\nACTB\n1.5\n", ".txt")]
    public void Damaged_text_is_a_typed_error(string text, string extension)
    {
        using TemporaryFolder folder = new();
        string path = folder["x" + extension];
        Mutations(System.Text.Encoding.UTF8.GetBytes(text)).Sample(bytes => Throw(path, bytes, s_readers[extension]), iter: 300, threads: 1);
    }

    [Theory]
    [InlineData("matrix.mtx.gz")]
    [InlineData("features.tsv.gz")]
    [InlineData("barcodes.tsv.gz")]
    [InlineData("matrix.mtx")]
    [InlineData("genes.tsv")]
    public void Damaged_10x_folders_are_typed_errors(string name)
    {
        using TemporaryFolder folder = new();
        string source = Golden.File(name.EndsWith(".gz", StringComparison.Ordinal) ? "tenx_v3" : "tenx_v2");
        foreach (string file in Directory.GetFiles(source)) File.Copy(file, folder[Path.GetFileName(file)]);
        Mutations(File.ReadAllBytes(Path.Combine(source, name))).Sample(bytes => Throw(folder[name], bytes, _ => TenXFile.Read(folder.Path)), iter: 200, threads: 1);
    }

    [Theory]
    [InlineData("index.json", ElementType.Float32, TokenContainer.Npy)]
    [InlineData("tokens-00001*", ElementType.Float32, TokenContainer.Npy)]
    [InlineData("tokens-00001*", ElementType.BFloat16, TokenContainer.Npy)]
    [InlineData("index.json", ElementType.BFloat16, TokenContainer.Safetensors)]
    [InlineData("tokens-00001*", ElementType.Float16, TokenContainer.Safetensors)]
    public void Damaged_token_folders_are_typed_errors(string pattern, ElementType type, TokenContainer container)
    {
        using TemporaryFolder folder = new();
        using (TokenShardWriter writer = new(folder.Path, 3, type, 4, container))
        {
            using Matrix<float> image = Matrix<float>.From(s_device, 3, 3, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
            for (int i = 0; i < 4; i++) writer.AppendImage($"image{i}", image.View);
            writer.Complete();
        }
        string path = Directory.GetFiles(folder.Path, pattern)[0];
        Mutations(File.ReadAllBytes(path)).Sample(bytes => Throw(path, bytes, _ =>
        {
            using Matrix<float> all = MatrixReader.ReadSingle(s_device, folder.Path);
        }), iter: 250, threads: 1);
    }

    /// <summary>One to four wounds: bytes changed, fields set to extreme numbers, cuts, insertions, repetitions.</summary>
    internal static Gen<byte[]> Mutations(byte[] valid)
    {
        Gen<Func<byte[], byte[]>> wound = Gen.Select(Gen.Int[0, 6], Gen.Int[0, Math.Max(0, valid.Length - 1)], Gen.Int[1, 64], Gen.ULong, Gen.Int[0, 5]).Select((kind, at, length, value, extreme) =>
        {
            byte[] field = BitConverter.GetBytes(extreme switch { 0 => ulong.MaxValue, 1 => long.MaxValue, 2 => int.MaxValue, 3 => 0UL, 4 => 1UL << 40, _ => value });
            return (Func<byte[], byte[]>)(bytes =>
            {
                int start = bytes.Length == 0 ? 0 : at % bytes.Length, end = Math.Min(bytes.Length, start + length);
                byte[] copy = [.. bytes];
                switch (kind)
                {
                    case 0 when copy.Length > 0: copy[start] = (byte)value; return copy;
                    case 1 when copy.Length > 0: copy[start] ^= (byte)(1 << (int)(value % 8)); return copy;
                    case 2:
                        field.AsSpan(0, Math.Min(1 << (int)(value % 4), copy.Length - start)).CopyTo(copy.AsSpan(start));
                        return copy;
                    case 3: return copy[..start];
                    case 4: return [.. copy[..start], .. copy[end..]];
                    case 5: return [.. copy[..end], .. copy[start..]];
                    default:
                        int from = (int)(value % (ulong)Math.Max(1, copy.Length));
                        for (int i = start; i < end; i++) copy[i] = bytes[(from + i) % bytes.Length];
                        return copy;
                }
            });
        });
        return wound.Array[1, 4].Select(wounds => wounds.Aggregate(valid, (bytes, apply) => apply(bytes)));
    }

    internal static void Throw(string path, byte[] bytes, Action<string> read, string? named = null)
    {
        File.WriteAllBytes(path, bytes);
        long start = Stopwatch.GetTimestamp(), before = GC.GetAllocatedBytesForCurrentThread(), native = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        try
        {
            read(path);
        }
        catch (DataException e)
        {
            Assert.Contains(named ?? Path.GetDirectoryName(path)!, e.Message, StringComparison.Ordinal);
        }
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        Assert.True(elapsed.TotalMilliseconds < MaxMilliseconds, $"{elapsed} for {bytes.Length} bytes");
        long limit = bytes.Length * MaxRatio + Slack, allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < limit, $"{allocated} bytes were allocated for a file of {bytes.Length}");
        Assert.True(MemoryAccounting.PeakBytes - native < limit, $"{MemoryAccounting.PeakBytes - native} native bytes were allocated for a file of {bytes.Length}");
    }

    private static void ReadNpy(string path)
    {
        Attempt(() => NpyFile.Read(path));
        Attempt(() => NpyFile.Map<float>(s_device, path).Dispose());
        Attempt(() => ColumnReader.Read(path));
        MatrixReader.ReadDouble(s_device, path, requireFinite: false).Dispose();
    }

    private static void ReadNpz(string path)
    {
        using NpzFile npz = NpzFile.Open(path);
        foreach (string member in npz.Members)
        {
            Attempt(() => npz.Read(member));
            Attempt(() => npz.ReadSingle(s_device, member).Dispose());
        }
    }

    private static void ReadSafetensors(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        foreach (string name in file.Names)
        {
            Attempt(() => file.Read(name));
            Attempt(() => file.ReadSingle(s_device, name).Dispose());
        }
    }

    private static void ReadCsv(string path)
    {
        Attempt(() => MatrixReader.ReadSingle(s_device, path).Dispose());
        Attempt(() => ColumnReader.Read(path + ":a"));
        CsvFile.Read(path);
    }

    internal static void ReadAnnData(string path)
    {
        Attempt(() => AnnDataFile.ReadObservationNames(path));
        Attempt(() => MatrixReader.ReadSingle(s_device, path, requireFinite: false).Dispose());
        Attempt(() => MatrixReader.ReadDouble(s_device, path + ":obsm/X_pca", requireFinite: false).Dispose());
        AnnDataFile.Read(path);
    }

    // A first error must not hide what the next reader does with the same bytes.
    private static void Attempt(Action read)
    {
        try
        {
            read();
        }
        catch (DataException)
        {
        }
    }
}
