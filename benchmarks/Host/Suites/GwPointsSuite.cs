using System.Globalization;
using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Alignment of two clouds by squared distances, with and without forming the costs and the coupling: n = m points of 30 coordinates in clusters, a fixed number of outer
/// iterations in alternating runs. The first further argument is n; past 3000 the costs are never formed, and past 12 000 neither is the coupling.
/// </summary>
internal static class GwPointsSuite
{
    private const int Coordinates = 30, Iterations = 21, MostForCosts = 3000, MostForCoupling = 12_000;

    public static void Run(SuiteOptions options)
    {
        int n = options.Rest.Count > 0 ? int.Parse(options.Rest[0], CultureInfo.InvariantCulture) : options.Quick ? 500 : 2000;
        using CpuDevice device = new();
        using Matrix<double> x = Cloud(device, n, 1), y = Cloud(device, n, 2);
        DomainCostOptions squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
        using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
        GromovOptions settings = new() { Epsilon = 5e-2, MaxIterations = Iterations, Tolerance = 0 };
        ResultTable table = new($"Squared distances of points, {n} × {n} of {Coordinates} coordinates, epsilon 5e-2 of the mean, {Iterations} outer iterations",
            "Alternating runs in one process; solve only. Forming the costs is not in the times. Without a stored coupling, linear cost is within Sinkhorn, and coupling is the time to measure its change. Wall time of the parts.");
        table.Header("products", "inner", "seconds", "products", "linear cost", "Sinkhorn", "coupling", "loss", "difference of the loss");
        double loss = double.NaN;
        for (int repeat = 0; repeat < 2; repeat++)
        {
            loss = Online(table, "no coupling stored, double", c1, c2, settings, loss);
            Online(table, "no coupling stored, single", c1, c2, settings with { Precision = GromovPrecision.Single }, loss);
            if (n <= MostForCoupling) Dense(table, "of points, double", () => EntropicGromovWasserstein.Solve(c1, c2, settings), loss);
            if (n <= MostForCosts) Dense(table, "of costs, changes in single", () => EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings), loss);
        }
        if (n <= MostForCosts) Dense(table, "of costs, double", () => EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings with { ExactProducts = true }), loss);
        table.Write(options.Output);
    }

    private static void Dense(ResultTable table, string name, Func<GromovResult> solve, double loss)
    {
        using GromovResult result = solve();
        Row(table, name, result.Timing, result.InnerIterations, result.Loss, loss);
    }

    private static double Online(ResultTable table, string name, DomainCostResult c1, DomainCostResult c2, GromovOptions settings, double loss)
    {
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, settings);
        Row(table, name, result.Timing, result.InnerIterations, result.Loss, double.IsNaN(loss) ? result.Loss : loss);
        return double.IsNaN(loss) ? result.Loss : loss;
    }

    private static void Row(ResultTable table, string name, GromovTiming t, long inner, double value, double loss)
    {
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        table.Row(name, $"{inner}", F(t.Total, "F2"), F(t.Products, "F3"), F(t.Linearise, "F3"), F(t.Sinkhorn, "F2"), F(t.Coupling, "F3"), F(value, "G12"), F(Math.Abs(value - loss), "e1"));
    }

    /// <summary>Ten clusters with shrinking coordinates.</summary>
    internal static Matrix<double> Cloud(CpuDevice device, int n, ulong seed)
    {
        CounterRandom centres = new(99), random = new(seed);
        double[] centre = new double[10 * Coordinates];
        for (int e = 0; e < centre.Length; e++) centre[e] = 3 * centres.NextNormal();
        Matrix<double> x = device.AllocateMatrix<double>(n, Coordinates);
        for (int i = 0; i < n; i++)
            for (int d = 0; d < Coordinates; d++) x.Row(i)[d] = (centre[i % 10 * Coordinates + d] + random.NextNormal()) / (1 + 0.2 * d);
        return x;
    }
}
