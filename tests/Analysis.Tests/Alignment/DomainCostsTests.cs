using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

public sealed class DomainCostsTests
{
    [Theory]
    [InlineData(GraphWeights.Hops, true)]
    [InlineData(GraphWeights.Hops, false)]
    [InlineData(GraphWeights.Distance, false)]
    public void Geodesics_equal_floyd_and_warshall(GraphWeights weights, bool includeSelf)
    {
        using CpuDevice device = new(2);
        const int n = 90, k = 5;
        using Matrix<double> x = Clouds.Normal(device, n, 3, 1);
        using DomainCostResult result = DomainCosts.Build(x, new DomainCostOptions
        {
            Neighbours = k, GraphMetric = DistanceMetric.Euclidean, GraphWeights = weights, IncludeSelf = includeSelf, RowNormalisation = RowNormalisation.None, Scale = CostScale.None,
        });
        double[,] expected = FloydWarshall(x, includeSelf ? k - 1 : k, weights, out bool connected);
        double largest = expected.Cast<double>().Where(double.IsFinite).Max();
        Assert.Equal(connected, result.Components == 1);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) Assert.Equal(double.IsFinite(expected[i, j]) ? expected[i, j] : largest, result.Cost.Row(i)[j], 1e-9);
    }

    [Fact]
    public void Separate_components_get_the_largest_finite_distance_or_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 40, 2, 2);
        for (int i = 20; i < 40; i++) x.Row(i)[0] += 1e4;
        DomainCostOptions options = new() { Neighbours = 4, GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None };
        using DomainCostResult result = DomainCosts.Build(x, options);
        Assert.True(result.Components >= 2);
        Assert.True(result.UnreachablePairs >= 2 * 20 * 20);
        Assert.Equal(1, result.Cost.Row(0)[30]);
        Assert.Contains("components", Assert.Throws<DataException>(() => DomainCosts.Build(x, options with { Components = ComponentRule.Refuse }, "X")).Message);
    }

    [Theory]
    [InlineData(CostScale.Max)]
    [InlineData(CostScale.Mean)]
    [InlineData(CostScale.Median)]
    public void Costs_are_scaled_over_all_entries(CostScale scale)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 15, 3, 3);
        DomainCostOptions options = new() { Cost = DomainCost.Cosine, RowNormalisation = RowNormalisation.None, Scale = scale };
        using DomainCostResult scaled = DomainCosts.Build(x, options), raw = DomainCosts.Build(x, options with { Scale = CostScale.None });
        double[] all = raw.Cost.Buffer.View.Host.ToArray().Order().ToArray();
        double expected = scale switch { CostScale.Max => all[^1], CostScale.Mean => all.Average(), _ => all[all.Length / 2] };
        Assert.Equal(expected, scaled.Divisor, 1e-12);
        Assert.Equal(raw.Cost.Row(2)[7] / expected, scaled.Cost.Row(2)[7], 1e-12);
    }

    [Fact]
    public void Rows_without_a_direction_are_counted_and_impossible_graphs_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 10, 3, 4);
        x.Row(6).Fill(2.5);
        using DomainCostResult counted = DomainCosts.Build(x, DomainCostOptions.Scot(4), "X");
        Assert.Equal(1, counted.DirectionlessRows);
        Assert.Throws<UsageException>(() => DomainCosts.Build(x, DomainCostOptions.GwMap(10), "X"));
        using Matrix<double> same = device.AllocateMatrix<double>(4, 2);
        Assert.Throws<DataException>(() => DomainCosts.Build(same, new DomainCostOptions { Cost = DomainCost.Euclidean }, "X"));
    }

    private static double[,] FloydWarshall(Matrix<double> x, int k, GraphWeights weights, out bool connected)
    {
        int n = x.Rows;
        double[,] d = new double[n, n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) d[i, j] = i == j ? 0 : double.PositiveInfinity;
        for (int i = 0; i < n; i++)
        {
            double[] distance = [.. Enumerable.Range(0, n).Select(j => Enumerable.Range(0, x.Columns).Sum(c => Math.Pow(x.Row(i)[c] - x.Row(j)[c], 2)))];
            foreach (int j in Enumerable.Range(0, n).Where(j => j != i).OrderBy(j => distance[j]).Take(k))
                d[i, j] = d[j, i] = weights == GraphWeights.Hops ? 1 : Math.Sqrt(distance[j]);
        }
        for (int via = 0; via < n; via++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) d[i, j] = Math.Min(d[i, j], d[i, via] + d[via, j]);
        connected = !d.Cast<double>().Any(double.IsInfinity);
        return d;
    }
}
