using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>
/// SCOT's SNARE-seq alignment (1047 × 1047 cells, epsilon 1e-3, POT's tolerances) against POT in alternating runs: ours, POT, ours, and ours with POT's own
/// inner iterates, which follows the published trace. The first further argument limits the outer iterations of both.
/// </summary>
internal static class GwSuite
{
    public static void Run(SuiteOptions options)
    {
        string folder = SharedData.Find("gw_snareseq", out string reason) ?? throw new UsageException(reason);
        int iterations = options.Rest.Count > 0 ? int.Parse(options.Rest[0], CultureInfo.InvariantCulture) : options.Quick ? 21 : 1000;
        using CpuDevice device = new();
        using Matrix<double> atac = MatrixReader.ReadDouble(device, Path.Combine(folder, "atac.npy")), rna = MatrixReader.ReadDouble(device, Path.Combine(folder, "rna.npy"));
        using DomainCostResult c1 = DomainCosts.Build(atac, DomainCostOptions.Scot(110)), c2 = DomainCosts.Build(rna, DomainCostOptions.Scot(110));
        GromovOptions settings = new() { Epsilon = 1e-3, MaxIterations = iterations };

        using GromovResult first = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings);
        using JsonDocument peer = PythonPeer.Run("pot_gw.py", folder, "--max-iter", $"{iterations}");
        using GromovResult second = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings);

        using GromovResult iterates = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings with { InnerSolve = InnerSolve.PotIterates });

        double theirs = peer.RootElement.GetProperty("seconds").GetDouble(), ours = Math.Min(first.Timing.Total, second.Timing.Total);
        double[] trace = [.. peer.RootElement.GetProperty("err").EnumerateArray().Select(e => e.GetDouble())];
        double worst = trace.Zip(iterates.ErrorTrace, (t, o) => Math.Abs(o / t - 1)).Max();
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        ResultTable table = new("Entropic Gromov-Wasserstein, SNARE-seq (1047 × 1047), epsilon 1e-3, tolerance 1e-9",
            "Alternating runs ours, POT, ours, ours with POT's inner iterates in one process; solve only, costs given. Peer: benchmarks/peers/pot_gw.py "
                + $"(POT {peer.RootElement.GetProperty("pot").GetString()}, OpenBLAS core {peer.RootElement.GetProperty("openblas_core").GetString()}, 2 threads).",
            $"Largest relative difference of POT's error trace to ours with POT's inner iterates: {F(worst, "e1")}.");
        table.Header("solver", "outer", "inner", "seconds", "ratio", "products", "linear cost", "Sinkhorn", "coupling", "inner not converged", "marginal error", "kernel fill");
        Row(table, "ours, 1st", first, theirs);
        table.Row("POT", $"{Outer(trace.Length)}", "-", F(theirs, "F2"), "1.0", "-", "-", "-", "-", "-", "-", "1.00");
        Row(table, "ours, 2nd", second, theirs);
        Row(table, "ours, POT's iterates", iterates, theirs);
        table.Line("");
        table.Line(Floor(device, c1.Cost, second));
        table.Line($"Ratio of POT to the better of ours: {F(theirs / ours, "F1")}.");
        table.Write(options.Output);

        int Outer(int checks) => Math.Min(iterations, 10 * (checks - 1) + 1);
    }

    private static void Row(ResultTable table, string name, GromovResult result, double theirs)
    {
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        GromovTiming t = result.Timing;
        table.Row(name, $"{result.Iterations}", $"{result.InnerIterations}", F(t.Total, "F2"), F(theirs / t.Total, "F1"), F(t.Products, "F2"), F(t.Linearise, "F2"), F(t.Sinkhorn, "F2"),
            F(t.Coupling, "F2"), $"{result.InnerNotConverged}", F(result.RowError + result.ColumnError, "e1"), F(result.KernelFill, "F2"));
    }

    /// <summary>What the same work would take if the products ran at Gemm's rate and every inner iteration read the kept kernel once at the rate of a plain sum.</summary>
    private static string Floor(CpuDevice device, Matrix<double> cost, GromovResult result)
    {
        int n = cost.Rows;
        using Matrix<float> a = device.AllocateMatrix<float>(n, n), c = device.AllocateMatrix<float>(n, n);
        double product = double.PositiveInfinity, read = double.PositiveInfinity;
        for (int repeat = 0; repeat < 5; repeat++)
        {
            long start = Stopwatch.GetTimestamp();
            Gemm.Multiply(Transpose.No, Transpose.No, 1f, a.View, a.View, 0f, c.View);
            product = Math.Min(product, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        long kept = (long)(result.KernelFill * n * n);
        for (int repeat = 0; repeat < 20; repeat++)
        {
            SumJob job = new(a, kept, 2 * device.Pool.Threads);
            long start = Stopwatch.GetTimestamp();
            device.Pool.Run(2 * device.Pool.Threads, ref job);
            read = Math.Min(read, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        double floor = 2 * result.Iterations * product + result.InnerIterations * read;
        return string.Create(CultureInfo.InvariantCulture,
            $"Floor: {2 * result.Iterations} products at {1e3 * product:F1} ms and {result.InnerIterations} readings of the kept kernel ({kept * 4 / 1e6:F1} MB, single precision) at {1e6 * read:F0} µs: {floor:F2} s, {100 * floor / result.Timing.Total:F0} % of the second run.");
    }

    private readonly unsafe struct SumJob(Matrix<float> source, long count, int blocks) : IBlockJob
    {
        private readonly float* _source = source.Buffer.Pointer;

        public void Execute(long block, int worker)
        {
            System.Numerics.Vector<float> x = default, y = default;
            int width = System.Numerics.Vector<float>.Count;
            long end = count * (block + 1) / blocks;
            for (long i = count * block / blocks; i + 2 * width <= end; i += 2 * width)
            {
                x += System.Runtime.CompilerServices.Unsafe.Read<System.Numerics.Vector<float>>(_source + i);
                y += System.Runtime.CompilerServices.Unsafe.Read<System.Numerics.Vector<float>>(_source + i + width);
            }
            GC.KeepAlive(System.Numerics.Vector.Sum(x + y) > 1e30f ? source : null);
        }
    }
}
