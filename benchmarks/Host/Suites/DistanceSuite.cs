using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>Pairwise distances and nearest neighbours within one matrix against scikit-learn, in alternating runs, and as a share of the floor.</summary>
internal static class DistanceSuite
{
    private const int Threads = 2, Neighbours = 15;
    private static readonly string[] s_operations = ["knn", "pairwise"], s_metrics = ["euclidean", "cosine", "cityblock"], s_sizes = ["10000x512", "20000x50"];

    public static void Run(SuiteOptions options)
    {
        double peak = PeakRate.SingleThread() * Threads, bandwidth = WriteBandwidth();
        (string Core, string Versions) peer = ("-", "-");
        ResultTable table = new("Pairwise distances and nearest neighbours against scikit-learn",
            $"float32, standard normal, distances within one matrix; k = {Neighbours}; {Threads} threads; best of the rounds, ours and the peer's alternating. Peer: benchmarks/peers/sklearn_distance.py;",
            "its Euclidean distances are summed in float64, its cosine is a float32 product, its cityblock runs in float64 loops (one thread).",
            $"Floor: the larger of n² d operations (each pair once; cityblock needs three instructions a coordinate where a product needs one) at {F(peak * 1e-9, "F0")} GFLOP/s and of the bytes of the result at {F(bandwidth * 1e-9, "F1")} GB/s (streamed writes, measured in this run).",
            "Our result matrix is allocated before the clock starts, the peer's inside its call.");
        table.Header("operation", "metric", "n × d", "floor s", "ours s", "of floor", "peer s", "ratio", "peer core");
        foreach ((int n, int d) in (ReadOnlySpan<(int, int)>)[(10_000, 512), (20_000, 50)])
            foreach (string what in s_operations)
                foreach (string metric in s_metrics)
                {
                    if (!Chosen(options, s_operations, what) || !Chosen(options, s_metrics, metric) || !Chosen(options, s_sizes, $"{n}x{d}")) continue;
                    // scikit-learn's cityblock takes a minute at these sizes: timed once at most, and not in a quick run.
                    bool slow = metric == "cityblock";
                    if (options.Quick && slow) continue;
                    Compare(table, what, metric, n, d, slow ? 1 : 2, peak, bandwidth, ref peer);
                }
        table.Line("");
        table.Line($"Peer versions: {peer.Versions}; OpenBLAS core {peer.Core}.");
        table.Write(options.Output);
    }

    /// <summary>Arguments such as "knn cosine 20000x50" narrow the suite down; a kind that is not named is run in full.</summary>
    private static bool Chosen(SuiteOptions options, string[] known, string value) => options.Rest.Contains(value) || !options.Rest.Exists(known.Contains);

    private static void Compare(ResultTable table, string what, string metric, int n, int d, int rounds, double peak, double bandwidth, ref (string Core, string Versions) peer)
    {
        double ours = double.MaxValue, theirs = double.MaxValue;
        for (int round = 0; round < rounds; round++)
        {
            ours = Math.Min(ours, Own(what, DistanceMetrics.Parse(metric), n, d));
            using JsonDocument result = Peer(what, metric, n, d);
            theirs = Math.Min(theirs, result.RootElement.GetProperty("seconds")[0].GetDouble());
            peer = (result.RootElement.GetProperty("openblas_core").GetString()!,
                string.Join(", ", ((string[])["sklearn", "scipy", "numpy"]).Select(name => $"{name} {result.RootElement.GetProperty(name).GetString()}")));
        }
        double operations = (double)n * n * d * (metric == "cityblock" ? 3.0 : 1);
        double floor = Math.Max(operations / peak, (what == "knn" ? 2.0 * n * Neighbours : (double)n * n) * sizeof(float) / bandwidth);
        table.Row(what, metric, $"{n} × {d}", F(floor, "F3"), F(ours, "F3"), F(100 * floor / ours, "F0") + " %", F(theirs, "F2"), F(theirs / ours, "F1"), peer.Core);
    }

    private static double Own(string what, DistanceMetric metric, int n, int d)
    {
        using CpuDevice device = new(Threads);
        using Matrix<float> x = device.AllocateMatrix<float>(n, d);
        CounterRandom random = new(1);
        foreach (ref float v in x.Buffer.View.Host) v = (float)random.NextNormal();
        using Matrix<float> distances = device.AllocateMatrix<float>(n, what == "knn" ? Neighbours : n);
        using Matrix<int> indices = device.AllocateMatrix<int>(n, Neighbours);
        double best = double.MaxValue;
        for (int run = 0; run < 4; run++)
        {
            long start = Stopwatch.GetTimestamp();
            if (what == "knn") KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
            else PairwiseDistance.ComputeSelf(metric, x.View, distances.View);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    /// <summary>Bytes per second that all threads together can store to fresh cache lines.</summary>
    private static double WriteBandwidth()
    {
        using CpuDevice device = new(Threads);
        using AlignedBuffer<float> buffer = new(device, 64L << 20);
        double best = double.MaxValue;
        for (int run = 0; run < 5; run++)
        {
            StoreJob job = new(buffer);
            long start = Stopwatch.GetTimestamp();
            device.Pool.Run(StoreJob.Blocks, ref job);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return buffer.Length * sizeof(float) / best;
    }

    private readonly unsafe struct StoreJob(AlignedBuffer<float> buffer) : IBlockJob
    {
        public const long Blocks = 64;
        private readonly float* _start = buffer.Pointer;
        private readonly long _count = buffer.Length / Blocks;

        public void Execute(long block, int worker)
        {
            System.Runtime.Intrinsics.Vector128<float> one = System.Runtime.Intrinsics.Vector128.Create(1f);
            float* end = _start + (block + 1) * _count;
            for (float* p = _start + block * _count; p < end; p += 4) System.Runtime.Intrinsics.Vector128.StoreAlignedNonTemporal(one, p);
        }
    }

    private static JsonDocument Peer(string what, string metric, int n, int d)
    {
        ProcessStartInfo start = new(Environment.GetEnvironmentVariable("PYTHON") ?? "python3") { RedirectStandardOutput = true };
        string script = Path.Combine(RepositoryRoot.Path, "benchmarks", "peers", "sklearn_distance.py");
        foreach (string argument in (string[])[script, "--what", what, "--metric", metric, "--n", $"{n}", "--d", $"{d}", "--k", $"{Neighbours}"]) start.ArgumentList.Add(argument);
        start.Environment["OPENBLAS_CORETYPE"] = Environment.GetEnvironmentVariable("OPENBLAS_CORETYPE")
            ?? (CpuFeatures.HasAvx512 ? "SkylakeX" : CpuFeatures.ModelName.Contains("AMD", StringComparison.Ordinal) ? "Zen" : "Haswell");
        start.Environment["OMP_NUM_THREADS"] = $"{Threads}";
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{script} failed with exit code {process.ExitCode}; PYTHON names an interpreter that has scikit-learn.");
        return JsonDocument.Parse(output);
    }

    private static string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
