using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Dense alignment in double precision against POT at 500, 1000 and 2000 points: both get the costs as matrices and run to tolerance 1e-9, in turn ours, POT, ours. Arguments replace the sizes.
/// </summary>
internal static class GwSizesSuite
{
    /// <summary>More outer iterations than any of these problems takes: POT ends by its own rule.</summary>
    private const int EveryStep = 1000;

    public static void Run(SuiteOptions options)
    {
        int[] sizes = options.Rest.Count > 0 ? [.. options.Rest.Select(text => int.Parse(text, CultureInfo.InvariantCulture))] : options.Quick ? [200] : [500, 1000, 2000];
        using CpuDevice device = new();
        ResultTable table = new("Entropic Gromov-Wasserstein with costs as matrices against POT, double precision",
            "Clouds of 30 coordinates in ten clusters, squared distances over their mean, epsilon 5e-2, tolerance 1e-9. Runs ours, POT, ours in one process; solve only, costs given to both. Peer: benchmarks/peers/pot_gw_points.py.");
        table.Header("points", "solver", "outer", "inner", "seconds", "ratio", "products", "linear cost", "Sinkhorn", "coupling", "converged", "loss", "column error");
        foreach (int n in sizes) Compare(device, n, table);
        table.Write(options.Output);
    }

    private static void Compare(CpuDevice device, int n, ResultTable table)
    {
        using Matrix<double> x = GwPointsSuite.Cloud(device, n, 1), y = GwPointsSuite.Cloud(device, n, 2);
        DomainCostOptions squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
        using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
        GromovOptions settings = new() { Epsilon = GwPointsPeerSuite.Epsilon };
        using GromovResult first = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings);
        using JsonDocument peer = GwPointsPeerSuite.Peer(x, y, EveryStep);
        using GromovResult second = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings);
        double[] steps = [.. peer.RootElement.GetProperty("step_seconds").EnumerateArray().Select(e => e.GetDouble())];
        double theirs = steps.Sum();
        Row(table, n, "ours, 1st", first, theirs);
        table.Row($"{n}", $"POT {peer.RootElement.GetProperty("pot").GetString()}, OpenBLAS core {peer.RootElement.GetProperty("openblas_core").GetString()}, 2 threads", $"{steps.Length}", "-", F($"{theirs:F2}"), "1.0", "-", "-", "-", "-", "-", "-", "-");
        Row(table, n, "ours, 2nd", second, theirs);
    }

    private static void Row(ResultTable table, int n, string name, GromovResult result, double theirs) =>
        table.Row($"{n}", name, $"{result.Iterations}", $"{result.InnerIterations}", F($"{result.Timing.Total:F3}"), F($"{theirs / result.Timing.Total:F1}"),
            F($"{result.Timing.Products:F3}"), F($"{result.Timing.Linearise:F3}"), F($"{result.Timing.Sinkhorn:F3}"), F($"{result.Timing.Coupling:F3}"), result.Converged ? "yes" : "no", F($"{result.Loss:G10}"), F($"{result.ColumnError:e1}"));

    private static string F(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
