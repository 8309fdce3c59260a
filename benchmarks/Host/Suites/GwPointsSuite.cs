using System.Globalization;
using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Alignment of two clouds by squared distances, with and without forming the costs: n = m points of 30 coordinates in clusters, a fixed number of outer iterations
/// in alternating runs. The first further argument is n.
/// </summary>
internal static class GwPointsSuite
{
    private const int Coordinates = 30, Iterations = 21;

    public static void Run(SuiteOptions options)
    {
        int n = options.Rest.Count > 0 ? int.Parse(options.Rest[0], CultureInfo.InvariantCulture) : options.Quick ? 500 : 2000;
        using CpuDevice device = new();
        using Matrix<double> x = Cloud(device, n, 1), y = Cloud(device, n, 2);
        DomainCostOptions squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
        using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
        GromovOptions settings = new() { Epsilon = 5e-2, MaxIterations = Iterations, Tolerance = 0 };
        _ = (c1.Cost, c2.Cost);

        ResultTable table = new($"Squared distances of points, {n} × {n} of {Coordinates} coordinates, epsilon 5e-2 of the mean, {Iterations} outer iterations",
            "Alternating runs in one process; solve only. The costs are formed beforehand for the runs that read them and never for the others. Wall time of the parts.");
        table.Header("products", "inner", "seconds", "products", "linear cost", "Sinkhorn", "coupling", "loss", "difference of the loss");
        double loss = 0;
        for (int repeat = 0; repeat < 2; repeat++)
        {
            using GromovResult points = EntropicGromovWasserstein.Solve(c1, c2, settings);
            Row(table, "of points, double", points, loss = repeat == 0 ? points.Loss : loss);
            using GromovResult changes = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings);
            Row(table, "of costs, changes in single", changes, loss);
        }
        using GromovResult exact = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, settings with { ExactProducts = true });
        Row(table, "of costs, double", exact, loss);
        table.Write(options.Output);
    }

    private static void Row(ResultTable table, string name, GromovResult result, double loss)
    {
        string F(double v, string format) => v.ToString(format, CultureInfo.InvariantCulture);
        GromovTiming t = result.Timing;
        table.Row(name, $"{result.InnerIterations}", F(t.Total, "F2"), F(t.Products, "F3"), F(t.Linearise, "F3"), F(t.Sinkhorn, "F2"), F(t.Coupling, "F3"), F(result.Loss, "G12"),
            F(Math.Abs(result.Loss - loss), "e1"));
    }

    /// <summary>Ten clusters with shrinking coordinates.</summary>
    private static Matrix<double> Cloud(CpuDevice device, int n, ulong seed)
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
