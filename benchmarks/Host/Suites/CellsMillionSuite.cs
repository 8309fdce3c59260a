using System.Diagnostics;
using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Neighbours, weights, layout and communities of a million cells of 50 coordinates: seconds, recall, trustworthiness, modularity, and the most memory the process has held after each.
/// A further argument is the number of cells.
/// </summary>
internal static class CellsMillionSuite
{
    private const int K = 15, Coordinates = 50, RecallRows = 1000, TrustRows = 300;

    public static void Run(SuiteOptions options)
    {
        int n = options.Rest.Count > 0 ? int.Parse(options.Rest[0], CultureInfo.InvariantCulture) : options.Quick ? 5000 : 1_000_000;
        using CpuDevice device = new();
        ResultTable table = new($"{n} cells of {Coordinates} coordinates",
            $"{K} neighbours, {device.Pool.Threads} threads; in one process, one after the other; memory is the most it has held so far. Recall over {RecallRows} cells, trustworthiness over {TrustRows}, each against all cells.");
        table.Header("step", "seconds", "memory, GB", "result");
        IProgressReporter progress = new ConsoleProgress();
        using Matrix<float> x = Timed(table, "cells", () => CellsSuite.Cells(device, n, Coordinates), x => $"{x.Rows} x {x.Columns}");
        NearestCells nearest = Timed(table, "neighbours", () => NearestCells.FindApproximate(x, K, progress: progress), found => $"recall {F(Recall(x, found), "F4")}");
        CellGraph graph = Timed(table, "weights", () => Connectivities.Umap(nearest), g => $"{g.Entries} entries");
        using Matrix<float> layout = Timed(table, "UMAP", () => Umap.Run(device, graph, new UmapOptions(), progress), l => $"trustworthiness {F(SampledTrustworthiness.Of(x, l, K, TrustRows), "F4")}");
        Timed(table, "Leiden", () => Leiden.Run(graph.ToLeiden(), new LeidenOptions(), progress, device: device),
            found => $"modularity {F(found.Modularity, "F5")}, {found.Sizes.Length} communities, {found.Iterations} passes until nothing changed");
        table.Write(options.Output);
    }

    private static T Timed<T>(ResultTable table, string step, Func<T> run, Func<T, string> describe)
    {
        Console.Error.WriteLine($"{step} …");
        Stopwatch clock = Stopwatch.StartNew();
        T result = run();
        double seconds = clock.Elapsed.TotalSeconds, memory = PeakMemory();
        table.Row(step, F(seconds, "F1"), F(memory / 1e9, "F2"), describe(result));
        return result;
    }

    /// <summary>The share of the true nearest others that was found.</summary>
    private static double Recall(Matrix<float> x, NearestCells nearest)
    {
        int rows = Math.Min(RecallRows, x.Rows);
        int[] hits = new int[rows];
        Parallel.For(0, rows, new ParallelOptions { MaxDegreeOfParallelism = ProcessorAllowance.Current.Usable }, r =>
        {
            int row = (int)((long)r * x.Rows / rows);
            HashSet<int> truth = [.. SampledTrustworthiness.Nearest(x, row, nearest.Others)];
            foreach (int j in nearest.Of(row)) if (truth.Contains(j)) hits[r]++;
        });
        return hits.Sum() / ((double)rows * nearest.Others);
    }

    /// <summary>Bytes; what the system says, which has the memory outside the managed heap too.</summary>
    private static double PeakMemory()
    {
        foreach (string line in File.Exists("/proc/self/status") ? File.ReadLines("/proc/self/status") : [])
            if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) return 1024 * double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture);
        return Process.GetCurrentProcess().PeakWorkingSet64;
    }

    private static string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private sealed class ConsoleProgress : IProgressReporter
    {
        private long _last;

        public void Report(string stage, long done, long total, string? detail = null)
        {
            if (Stopwatch.GetElapsedTime(_last).TotalSeconds < 5) return;
            _last = Stopwatch.GetTimestamp();
            Console.Error.WriteLine($"  {stage} {done}{(total > 0 ? $" of {total}" : "")}");
        }
    }
}
