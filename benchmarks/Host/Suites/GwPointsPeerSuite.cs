using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Benchmarks;

/// <summary>
/// Alignment of two clouds by squared distances to POT's tolerance against POT, which forms costs, coupling and kernel: n = m points of 30 coordinates in clusters, tolerance 1e-9 in both. The further
/// arguments are n (5000) and how many of POT's outer iterations are timed (2); the rest of them is taken to be no slower than the fastest of those, which bounds POT's time from below.
/// </summary>
internal static class GwPointsPeerSuite
{
    internal const double Epsilon = 5e-2;

    public static void Run(SuiteOptions options)
    {
        int n = Argument(options, 0, options.Quick ? 500 : 5000), timed = Argument(options, 1, 2);
        using CpuDevice device = new();
        using Matrix<double> x = GwPointsSuite.Cloud(device, n, 1), y = GwPointsSuite.Cloud(device, n, 2);
        DomainCostOptions squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
        using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
        GromovOptions settings = new() { Epsilon = Epsilon };
        using OnlineGromovResult first = OnlineGromovWasserstein.Solve(c1, c2, settings);
        using JsonDocument peer = Peer(x, y, timed);
        using OnlineGromovResult second = OnlineGromovWasserstein.Solve(c1, c2, settings), single = OnlineGromovWasserstein.Solve(c1, c2, settings with { Precision = GromovPrecision.Single });
        // Plain steps are POT's, so this is how many of them POT needs.
        using OnlineGromovResult plain = OnlineGromovWasserstein.Solve(c1, c2, settings with { Extrapolate = false });

        double[] steps = [.. peer.RootElement.GetProperty("step_seconds").EnumerateArray().Select(e => e.GetDouble())];
        double theirs = steps.Sum() + Math.Max(0, plain.Iterations - steps.Length) * steps.Min();
        ResultTable table = new($"Squared distances of points against POT, {n} × {n} of 30 coordinates in ten clusters, epsilon 5e-2 of the mean, tolerance 1e-9",
            "Runs ours, POT, ours in one process; solve only, costs given to POT. Peer: benchmarks/peers/pot_gw_points.py "
                + $"(POT {peer.RootElement.GetProperty("pot").GetString()}, OpenBLAS core {peer.RootElement.GetProperty("openblas_core").GetString()}, 2 threads).",
            F($"POT's first {steps.Length} outer iterations took {string.Join(", ", steps.Select(s => s.ToString("F1", CultureInfo.InvariantCulture)))} s; the other {Math.Max(0, plain.Iterations - steps.Length)} of {plain.Iterations} are counted as its fastest: a lower bound of its time."));
        table.Header("solver", "outer", "passes", "seconds", "ratio", "converged", "loss", "column error");
        Row(table, "no coupling stored, double, 1st", first, theirs);
        table.Row("POT, at least", $"{plain.Iterations}", "-", F($"{theirs:F1}"), "1.0", "-", "-", "-");
        Row(table, "no coupling stored, double, 2nd", second, theirs);
        Row(table, "no coupling stored, single", single, theirs);
        Row(table, "no coupling stored, double, plain steps", plain, theirs);
        table.Line("");
        table.Line(F($"Ratio of POT to the better of ours in double precision: {theirs / Math.Min(first.Timing.Total, second.Timing.Total):F1}, in single precision: {theirs / single.Timing.Total:F1}."));
        table.Write(options.Output);
    }

    private static int Argument(SuiteOptions options, int index, int otherwise) => options.Rest.Count > index ? int.Parse(options.Rest[index], CultureInfo.InvariantCulture) : otherwise;

    private static void Row(ResultTable table, string name, OnlineGromovResult result, double theirs) =>
        table.Row(name, $"{result.Iterations}", $"{result.InnerIterations}", F($"{result.Timing.Total:F2}"), F($"{theirs / result.Timing.Total:F1}"), result.Converged ? "yes" : "no", F($"{result.Loss:G10}"), F($"{result.ColumnError:e1}"));

    internal static JsonDocument Peer(Matrix<double> x, Matrix<double> y, int timed)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-gw-points-");
        try
        {
            MatrixWriter.Write(Path.Combine(folder.FullName, "x.npy"), x.View);
            MatrixWriter.Write(Path.Combine(folder.FullName, "y.npy"), y.View);
            return PythonPeer.Run("pot_gw_points.py", folder.FullName, "--epsilon", Epsilon.ToString(CultureInfo.InvariantCulture), "--steps", $"{timed}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string F(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
