using System.Diagnostics;
using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using BioSup.Data;
using BioSup.Runtime;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Benchmarks;

/// <summary>
/// Tokens from disk: the shuffled reader over a store that is cold or in the page cache, what memory it takes, and the same blocks read by position
/// and through a memory mapping. Further arguments: folder of the store (made when it is not there, and left), millions of tokens.
/// </summary>
internal static unsafe partial class TokenSuite
{
    private const int Width = 512, Batch = 2048, BlockRows = 32;

    public static void Run(SuiteOptions options)
    {
        string folder = options.Rest.Count > 0 ? options.Rest[0] : Path.Combine(Path.GetTempPath(), "biosup-token-suite");
        long rows = (long)(1e6 * (options.Rest.Count > 1 ? double.Parse(options.Rest[1], CultureInfo.InvariantCulture) : options.Quick ? 0.1 : 1));
        ResultTable table = new("Tokens from disk",
            $"Store: {rows.ToString(CultureInfo.InvariantCulture)} tokens × {Width}, bfloat16, shards of 256 MiB. Shuffled reader: windows of 256 MiB, blocks of {BlockRows} rows (32 KiB on disk), batches of {Batch},",
            "a consumer that does nothing but take them. Cold: the shards' pages were dropped (posix_fadvise) before. Peak: highest resident size of the process less that before opening.", "");
        if (!File.Exists(Path.Combine(folder, TokenIndex.FileName))) table.Line($"Writing (checksums included): {Fill(folder, rows):F0} MB/s.\n");
        using TokenShards shards = TokenShards.Open(folder);
        table.Header("shuffled epoch", "tokens", "s", "tokens/s", "MB/s of the store", "stated MiB", "peak MiB");
        Epoch(table, shards, cold: true);
        Epoch(table, shards, cold: false);
        table.Line("");
        table.Header("random blocks of 32 KiB", "threads", "cold MB/s", "warm MB/s", "resident after, MiB");
        foreach (int threads in new[] { 1, 4 })
        {
            Blocks(table, shards, threads, mapped: false);
            Blocks(table, shards, threads, mapped: true);
        }
        table.Write(options.Output);
    }

    private static double Fill(string folder, long rows)
    {
        using CpuDevice device = new(1);
        using Matrix<float> table = device.AllocateMatrix<float>(4096, Width), batch = device.AllocateMatrix<float>(1024, Width);
        CounterRandom random = new(1);
        foreach (ref float value in table.Buffer.View.Host) value = (float)(random.NextNormal() / Math.Sqrt(Width));
        Stopwatch clock = Stopwatch.StartNew();
        using TokenShardWriter writer = new(folder, Width, ElementType.BFloat16);
        for (long start = 0; start < rows; start += batch.Rows)
        {
            int count = (int)Math.Min(batch.Rows, rows - start);
            for (int i = 0; i < count; i++)
            {
                Span<float> row = batch.Row(i);
                ReadOnlySpan<float> a = table.Row(random.NextInt32(4096)), b = table.Row(random.NextInt32(4096));
                for (int j = 0; j < row.Length; j++) row[j] = a[j] + 0.5f * b[j];
            }
            writer.Append(batch.View.RowBlock(0, count));
        }
        writer.Complete();
        return rows * Width * 2 / 1e6 / clock.Elapsed.TotalSeconds;
    }

    private static void Epoch(ResultTable table, TokenShards shards, bool cold)
    {
        if (cold) Drop(shards);
        long before = Resident("VmRSS");
        File.WriteAllText("/proc/self/clear_refs", "5");
        using CpuDevice device = new(1);
        using Matrix<float> batch = device.AllocateMatrix<float>(Batch, Width);
        Stopwatch clock = Stopwatch.StartNew();
        using ShuffledTokens shuffled = new(shards, 1);
        long done = 0;
        for (int count; clock.Elapsed.TotalSeconds < 80 && (count = shuffled.Next(batch.View)) > 0;) done += count;
        double seconds = clock.Elapsed.TotalSeconds;
        table.Row(cold ? "cold" : "page cache", $"{done}", $"{seconds:F1}", $"{done / seconds:F0}", $"{done * Width * 2 / 1e6 / seconds:F0}",
            $"{shuffled.Plan.MemoryBytes >> 20}", $"{(Resident("VmHWM") - before) >> 20}");
    }

    private static void Blocks(ResultTable table, TokenShards shards, int threads, bool mapped)
    {
        long before = Resident("VmRSS");
        string[] files = [.. shards.Index.Shards.Select(shard => Path.Combine(shards.Folder, shard.File))];
        long bytes = new FileInfo(files[0]).Length;
        List<(SafeFileHandle File, MemoryMappedViewAccessor? View, MemoryMappedFile? Map)> open = [];
        foreach (string file in files)
        {
            SafeFileHandle handle = File.OpenHandle(file, options: FileOptions.RandomAccess);
            MemoryMappedFile? map = mapped ? MemoryMappedFile.CreateFromFile(file, FileMode.Open, null, 0, MemoryMappedFileAccess.Read) : null;
            open.Add((handle, map?.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read), map));
        }
        double[] rates = new double[2];
        long resident = 0;
        for (int pass = 0; pass < 2; pass++)
        {
            if (pass == 0) Drop(shards);
            Stopwatch clock = Stopwatch.StartNew();
            Thread[] workers = [.. Enumerable.Range(0, threads).Select(worker => new Thread(() => ReadBlocks(open, bytes, worker, threads)))];
            foreach (Thread worker in workers) worker.Start();
            foreach (Thread worker in workers) worker.Join();
            rates[pass] = 16384 * 32768.0 / 1e6 / clock.Elapsed.TotalSeconds;
            resident = Resident("VmRSS") - before;
        }
        table.Row(mapped ? "memory mapping" : "by position", $"{threads}", $"{rates[0]:F0}", $"{rates[1]:F0}", $"{resident >> 20}");
        foreach ((SafeFileHandle file, MemoryMappedViewAccessor? view, MemoryMappedFile? map) in open)
        {
            view?.Dispose();
            map?.Dispose();
            file.Dispose();
        }
    }

    // The same 16,384 blocks, 512 MiB, in every pass: the first finds them on the disk, the second in the page cache.
    private static void ReadBlocks(List<(SafeFileHandle File, MemoryMappedViewAccessor? View, MemoryMappedFile? Map)> open, long bytes, int worker, int threads)
    {
        CounterRandom random = new(5);
        byte[] raw = new byte[BlockRows * Width * 2];
        for (int i = 0; i < 16384; i++)
        {
            int file = random.NextInt32(Math.Max(1, open.Count - 1)), block = random.NextInt32((int)(bytes / raw.Length) - 1);
            if (i % threads != worker) continue;
            long offset = 128 + (long)block * raw.Length;
            if (open[file].View is not { } view) RandomAccess.Read(open[file].File, raw, offset);
            else
            {
                byte* start = null;
                view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
                new ReadOnlySpan<byte>(start + view.PointerOffset + offset, raw.Length).CopyTo(raw);
                view.SafeMemoryMappedViewHandle.ReleasePointer();
            }
        }
    }

    private static void Drop(TokenShards shards)
    {
        const int DontNeed = 4;
        foreach (TokenShard shard in shards.Index.Shards)
        {
            using SafeFileHandle file = File.OpenHandle(Path.Combine(shards.Folder, shard.File));
            if (Advise(file, 0, 0, DontNeed) != 0) throw new InvalidOperationException($"{shard.File}: the page cache cannot be dropped.");
        }
    }

    private static long Resident(string line) =>
        long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith(line + ":", StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(SafeFileHandle file, long offset, long length, int advice);
}
