using System.Numerics.Tensors;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Starts from landmarks of both domains: what they promise exactly, and what they are for.</summary>
public sealed class QuantisedStartTests
{
    private static readonly DomainCostOptions s_squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
    private static readonly DomainCostOptions s_hops = DomainCostOptions.Scot(8) with { GraphMetric = DistanceMetric.Euclidean, RowNormalisation = RowNormalisation.None };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Clusters_are_never_empty_and_their_costs_are_means_over_their_points(bool known)
    {
        using CpuDevice device = new(1);
        const int n = 90;
        using Matrix<double> x = Clouds.Normal(device, n, 3, 5);
        for (int i = 30; i < 60; i++) x.Row(0).CopyTo(x.Row(i));
        using DomainCostResult points = DomainCosts.Build(x, s_squared), cost = known ? DomainCosts.Build(x, s_squared) : DomainCosts.Build(points.Cost, new DomainCostOptions { Cost = DomainCost.Precomputed, Scale = CostScale.None });
        using Quantisation quantised = Quantisation.Of(cost, 7, 0, default);
        int clusters = Quantisation.Count(n);
        Assert.Equal(clusters, quantised.Labels.Distinct().Count());
        Assert.Equal(1, quantised.Masses.Sum(), 1e-14);
        int[] sizes = [.. Enumerable.Range(0, clusters).Select(k => quantised.Labels.Count(label => label == k))];
        double[,] sums = new double[clusters, clusters];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) sums[quantised.Labels[i], quantised.Labels[j]] += points.Cost.Row(i)[j];
        for (int k = 0; k < clusters; k++)
        {
            Assert.Equal(sizes[k] / (double)n, quantised.Masses[k], 1e-15);
            for (int l = 0; l < clusters; l++) Assert.Equal(sums[k, l] / (sizes[k] * sizes[l]), quantised.Costs.Row(k)[l], 1e-12);
        }
        // From points and from their costs the same clusters.
        using Quantisation other = Quantisation.Of(points, 7, 0, default);
        Assert.Equal(other.Labels, quantised.Labels);
    }

    [Fact]
    public void As_many_clusters_as_points_where_there_are_few()
    {
        using CpuDevice device = new(1);
        using Matrix<double> same = device.AllocateMatrix<double>(3, 3);
        same.Buffer.Clear();
        using DomainCostResult cost = DomainCosts.Build(same, new DomainCostOptions { Cost = DomainCost.Precomputed, Scale = CostScale.None });
        using Quantisation all = Quantisation.Of(cost, 1, 0, default);
        Assert.Equal([0, 1, 2], all.Labels.Order());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_spread_coupling_keeps_the_masses_exactly_and_its_moments_are_those_of_the_points(bool points)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 80, 3, 1), y = Clouds.Normal(device, 65, 2, 2);
        using DomainCostResult c1 = DomainCosts.Build(x, points ? s_squared : s_hops), c2 = DomainCosts.Build(y, points ? s_squared : s_hops);
        using QuantisedStart start = QuantisedStart.Of(c1, c2, new AlignmentOptions { Gromov = new GromovOptions { Epsilon = 0.02 } }.Screening, 3, default);
        using Matrix<double> coupling = start.Expand();
        double[] columns = new double[65];
        for (int i = 0; i < 80; i++)
        {
            Assert.Equal(1.0 / 80, TensorPrimitives.Sum<double>(coupling.Row(i)), 1e-16);
            Assert.True(TensorPrimitives.Min<double>(coupling.Row(i)) >= 0);
            TensorPrimitives.Add(columns, coupling.Row(i), columns);
        }
        foreach (double column in columns) Assert.Equal(1.0 / 65, column, 1e-16);
        Assert.True(start.CoarseLoss.Best <= start.CoarseLoss.Product);
        if (!points) return;
        using SquaredDistanceDomain first = new(x, c1.Divisor, "x"), second = new(y, c2.Divisor, "y");
        using Matrix<double> gamma = start.Moments(first, second);
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 2; b++)
            {
                double sum = 0;
                for (int i = 0; i < 80; i++)
                    for (int j = 0; j < 65; j++) sum += first.Points.Row(i)[a] * coupling.Row(i)[j] * second.Points.Row(j)[b];
                Assert.Equal(sum, gamma.Row(a)[b], 1e-13);
            }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_turned_copy_with_noise_is_found_where_the_product_of_the_masses_ends_in_a_poor_optimum(int seed)
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, Matrix<double> y) = TurnedCopy(device, 150, (ulong)seed, Arms);
        using (x)
        using (y)
        {
            AlignmentOptions options = Options(s_hops, 0.005);
            using AlignmentResult product = GromovAlignment.Align(x, y, options), quantised = GromovAlignment.Align(x, y, options with { FirstStart = FirstStart.Quantised });
            Report(product, quantised);
            Assert.Equal(("product", "quantised"), (product.SelectedStart, quantised.SelectedStart));
            Assert.True(product.Gromov.Converged && quantised.Gromov.Converged);
            // The arms are nearly alike: the product of the masses ends with one turned into another, at a higher loss.
            Assert.InRange(product.Foscttm!.Average, 0.3, 1);
            Assert.InRange(quantised.Foscttm!.Average, 0, 0.05);
            Assert.True(quantised.Gromov.Loss < 0.98 * product.Gromov.Loss);
        }
    }

    [Fact]
    public void Fewer_outer_iterations_lead_to_the_same_optimum()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, Matrix<double> y) = TurnedCopy(device, 150, 4, Box);
        using (x)
        using (y)
        {
            AlignmentOptions options = Options(s_hops, 0.02);
            using AlignmentResult product = GromovAlignment.Align(x, y, options), quantised = GromovAlignment.Align(x, y, options with { FirstStart = FirstStart.Quantised });
            Report(product, quantised);
            Assert.Equal(product.Gromov.Loss, quantised.Gromov.Loss, 1e-7);
            Assert.InRange(quantised.Foscttm!.Average, 0, 0.05);
            Assert.True(3 * quantised.Gromov.Iterations <= 2 * product.Gromov.Iterations + 10);
            Assert.True(quantised.Gromov.InnerIterations < product.Gromov.InnerIterations);
        }
    }

    [Theory]
    [InlineData(CouplingForm.Stored)]
    [InlineData(CouplingForm.Implicit)]
    public void Bytes_do_not_depend_on_the_number_of_threads(CouplingForm form)
    {
        double[]? first = null;
        foreach (int threads in (int[])[1, 3])
        {
            using CpuDevice device = new(threads);
            (Matrix<double> x, Matrix<double> y) = TurnedCopy(device, 100, 5, Arms);
            using (x)
            using (y)
            using (AlignmentResult result = GromovAlignment.Align(x, y, Options(s_squared, 0.02) with { FirstStart = FirstStart.Quantised, Coupling = form }))
            {
                using Matrix<double>? made = result.Gromov.Implicit?.ToMatrix();
                double[] plan = (made ?? result.Coupling).Buffer.View.Host.ToArray();
                first ??= plan;
                Assert.Equal(first, plan);
                Assert.InRange(result.Foscttm!.Average, 0, 0.05);
            }
        }
    }

    [Fact]
    public void Problems_without_such_a_start_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 20, 2, 1), between = device.AllocateMatrix<double>(20, 20);
        between.Buffer.Clear();
        AlignmentOptions options = Options(s_squared, 0.05) with { FirstStart = FirstStart.Quantised };
        Assert.Contains("balanced problem", Assert.Throws<UsageException>(() => GromovAlignment.Align(x, x, options, fused: between)).Message, StringComparison.Ordinal);
        Assert.Contains("balanced problem", Assert.Throws<UsageException>(() => GromovAlignment.Align(x, x, options, initial: between)).Message, StringComparison.Ordinal);
        GromovOptions partial = options.Gromov with { Marginals = MarginalConstraint.Partial, Mass = 0.5 };
        Assert.Contains("balanced problem", Assert.Throws<UsageException>(() => GromovAlignment.Align(x, x, options with { Gromov = partial })).Message, StringComparison.Ordinal);
    }

    private static void Report(AlignmentResult product, AlignmentResult quantised)
    {
        foreach (AlignmentResult result in (AlignmentResult[])[product, quantised])
            TestContext.Current.TestOutputHelper?.WriteLine($"{result.SelectedStart}: {result.Gromov.Iterations} outer, {result.Gromov.InnerIterations} inner, loss {result.Gromov.Loss:g5}, FOSCTTM {result.Foscttm!.Average:F3}");
    }

    private static AlignmentOptions Options(DomainCostOptions cost, double epsilon) => new()
    {
        FirstCost = cost, SecondCost = cost, Gromov = new GromovOptions { Epsilon = epsilon }, TruthIsIdentity = true, Seed = 1,
    };

    private delegate (double X, double Y, double Z) Shape(int i, ref CounterRandom random);

    /// <summary>Three arms of a spiral that differ by 4 % in length and a little in height.</summary>
    private static (double X, double Y, double Z) Arms(int i, ref CounterRandom random)
    {
        double along = random.NextDouble(), angle = 2.0944 * (i % 3) + 1.5 * along, length = along * (1 + 0.04 * (i % 3));
        return (length * Math.Cos(angle), length * Math.Sin(angle), 0.05 * (i % 3) * along);
    }

    /// <summary>A box whose edges differ by a twentieth.</summary>
    private static (double X, double Y, double Z) Box(int i, ref CounterRandom random)
    {
        random.NextDouble();
        return (random.NextDouble(), 0.95 * random.NextDouble(), 0.9 * random.NextDouble());
    }

    /// <summary>A cloud, and the same turned in space with a little noise on every coordinate.</summary>
    private static (Matrix<double> X, Matrix<double> Y) TurnedCopy(CpuDevice device, int n, ulong seed, Shape point)
    {
        CounterRandom random = new(seed);
        Matrix<double> x = device.AllocateMatrix<double>(n, 3), y = device.AllocateMatrix<double>(n, 3);
        (double sine, double cosine) = Math.SinCos(2.5);
        for (int i = 0; i < n; i++)
        {
            (double a, double b, double c) = point(i, ref random);
            (x.Row(i)[0], x.Row(i)[1], x.Row(i)[2]) = (a, b, c);
            (y.Row(i)[0], y.Row(i)[1], y.Row(i)[2]) = (c, cosine * a - sine * b, sine * a + cosine * b);
            for (int d = 0; d < 3; d++) y.Row(i)[d] += 0.02 * random.NextNormal();
        }
        return (x, y);
    }
}
