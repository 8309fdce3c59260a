using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Lower bounds, stationarity gap and transport bounds on problems small enough to look at every coupling.</summary>
public sealed class CertificateTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.None };

    [Theory]
    [InlineData(5, 5, 1)]
    [InlineData(5, 5, 2)]
    [InlineData(4, 6, 3)]
    [InlineData(3, 7, 4)]
    public void No_coupling_has_a_loss_below_the_bounds(int n, int m, ulong seed)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, n, 2, seed), y = Clouds.Normal(device, m, 3, seed + 10);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        LowerBounds bounds = LowerBounds.Of(c1.Cost, c2.Cost);
        Assert.True(bounds.First > 0);
        Assert.Equal(0, bounds.ThirdSlack);
        Assert.True(bounds.Third >= bounds.First - 1e-12);
        Assert.True(bounds.Third >= bounds.Second - 1e-12);
        double least = double.PositiveInfinity;
        foreach (double[,] coupling in Couplings(n, m)) least = Math.Min(least, Loss(c1.Cost, c2.Cost, coupling));
        TestContext.Current.TestOutputHelper?.WriteLine($"FLB {bounds.First:g4} SLB {bounds.Second:g4} TLB {bounds.Third:g4} least {least:g4}");
        Assert.True(bounds.Best <= least + 1e-12, $"{bounds} against {least}");
    }

    [Fact]
    public void Bounds_are_the_transports_they_stand_for()
    {
        // All three by assignment of equal parts, without sorting.
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 4, 2, 5), y = Clouds.Normal(device, 6, 2, 6);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        LowerBounds bounds = LowerBounds.Of(c1.Cost, c2.Cost);
        double[] all1 = c1.Cost.ToArray(), all2 = c2.Cost.ToArray();
        double[] ecc1 = [.. Enumerable.Range(0, 4).Select(i => Math.Sqrt(all1.Skip(4 * i).Take(4).Average(d => d * d)))];
        double[] ecc2 = [.. Enumerable.Range(0, 6).Select(j => Math.Sqrt(all2.Skip(6 * j).Take(6).Average(d => d * d)))];
        Assert.Equal(Transport(ecc1, ecc2, (a, b) => (a - b) * (a - b)), bounds.First, 1e-12);
        Assert.Equal(Transport(all1, all2, (a, b) => (a - b) * (a - b)), bounds.Second!.Value, 1e-12);
        int[] rows = [.. Enumerable.Range(0, 4)], columns = [.. Enumerable.Range(0, 6)];
        double third = Transport(rows, columns, (i, j) => Transport([.. all1.Skip(4 * i).Take(4)], [.. all2.Skip(6 * j).Take(6)], (a, b) => (a - b) * (a - b)));
        Assert.Equal(third, bounds.Third!.Value, 1e-12);
    }

    [Fact]
    public void Isometric_copies_have_bounds_of_zero()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 3, 1), y = Clouds.Permuted(x, Clouds.Order(60, 2));
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        LowerBounds bounds = LowerBounds.Of(c1.Cost, c2.Cost);
        Assert.InRange(bounds.Best, 0, 1e-24);
    }

    [Theory]
    [InlineData(40, 40)]
    [InlineData(40, 50)]
    [InlineData(37, 41)]
    public void Transport_bounds_enclose_the_least_cost(int n, int m)
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(9);
        using Matrix<double> cost = device.AllocateMatrix<double>(n, m);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++) cost.Row(i)[j] = random.NextDouble() - 0.3;
        TransportBounds bounds = LinearTransport.Minimise(cost);
        double[] values = cost.ToArray();
        int size = n * m;
        double exact = n == m ? double.NaN : Transport([.. Enumerable.Range(0, n)], [.. Enumerable.Range(0, m)], (i, j) => values[i * m + j]);
        TestContext.Current.TestOutputHelper?.WriteLine($"{bounds.Lower} {exact} {bounds.Upper}, parts {size}");
        if (n == m) exact = bounds.Upper;
        Assert.True(bounds.Lower <= exact + 1e-12 && exact <= bounds.Upper + 1e-12);
        Assert.InRange(bounds.Upper - bounds.Lower, -1e-12, 0.01);
    }

    [Fact]
    public void Rounding_meets_the_masses_and_moves_little()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(4);
        using Matrix<double> coupling = device.AllocateMatrix<double>(7, 9);
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 9; j++) coupling.Row(i)[j] = (1 + 0.1 * random.NextDouble()) / 63;
        LinearTransport.Round(coupling);
        double[] columns = new double[9];
        for (int i = 0; i < 7; i++)
        {
            double sum = 0;
            for (int j = 0; j < 9; j++)
            {
                Assert.True(coupling.Row(i)[j] >= 0);
                sum += coupling.Row(i)[j];
                columns[j] += coupling.Row(i)[j];
            }
            Assert.Equal(1.0 / 7, sum, 1e-14);
        }
        foreach (double c in columns) Assert.Equal(1.0 / 9, c, 1e-14);
    }

    [Theory]
    [InlineData(30, EpsilonConvention.Pot, GromovLoss.Square)]
    [InlineData(24, EpsilonConvention.Ott, GromovLoss.Square)]
    [InlineData(24, EpsilonConvention.Pot, GromovLoss.KullbackLeibler)]
    public void The_gap_closes_as_the_solve_converges(int m, EpsilonConvention convention, GromovLoss loss)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 30, 2, 4), y = Clouds.Normal(device, m, 3, 5);
        DomainCostOptions scaled = s_euclid with { Scale = CostScale.Max };
        using DomainCostResult c1 = DomainCosts.Build(x, scaled), c2 = DomainCosts.Build(y, scaled);
        GromovOptions options = new() { Epsilon = 5e-3, Convention = convention, Loss = loss, MaxIterations = 2000 };
        using GromovResult done = EntropicGromovWasserstein.Solve(c1, c2, options), early = EntropicGromovWasserstein.Solve(c1, c2, options with { MaxIterations = 2 });
        StationarityGap there = StationarityGap.Of(c1, c2, done.Coupling, options), before = StationarityGap.Of(c1, c2, early.Coupling, options);
        TestContext.Current.TestOutputHelper?.WriteLine($"{there} after {done.Iterations}, {before} after 2");
        Assert.True(done.Converged);
        Assert.Equal(SolveState.Converged, AlignmentCertificates.StateOf(done));
        Assert.Equal(SolveState.IterationLimit, AlignmentCertificates.StateOf(early));
        Assert.InRange(there.Objective, 0, 1e-6);
        Assert.True(before.Objective > 100 * there.Objective);
        // The entropy term holds back a gap of the loss alone of at most epsilon times the entropies' difference.
        double epsilon = convention == EpsilonConvention.Pot ? 5e-3 : 1e-2;
        Assert.InRange(there.Loss, 0, epsilon * 2 * Math.Log(30.0 * m));
    }

    [Fact]
    public void The_gap_is_the_largest_decrease_over_all_matchings()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 5, 2, 7), y = Clouds.Normal(device, 5, 2, 8);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using Matrix<double> product = device.AllocateMatrix<double>(5, 5);
        for (int i = 0; i < 5; i++) product.Row(i).Fill(1.0 / 25);
        GromovOptions options = new() { Solver = GromovSolverKind.Ppa, Epsilon = 0.1 };
        StationarityGap gap = StationarityGap.Of(c1, c2, product, options);
        double[,] here = new double[5, 5];
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++) here[i, j] = 1.0 / 25;
        double most = 0;
        foreach (double[,] other in Couplings(5, 5))
        {
            double slope = 0;
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < 5; j++)
                    for (int k = 0; k < 5; k++)
                        for (int l = 0; l < 5; l++)
                            slope += 2 * Math.Pow(c1.Cost.Row(i)[k] - c2.Cost.Row(j)[l], 2) * here[k, l] * (here[i, j] - other[i, j]);
            most = Math.Max(most, slope);
        }
        Assert.Equal(most, gap.Loss, 1e-12);
        Assert.Equal(gap.Loss, gap.Objective);
        Assert.Equal(Loss(c1.Cost, c2.Cost, here), gap.Scale, 1e-12);
        Assert.Equal(0, gap.Slack);
    }

    /// <summary>Every vertex that greedy filling in some order of columns reaches: all matchings where n = m.</summary>
    private static IEnumerable<double[,]> Couplings(int n, int m)
    {
        foreach (int[] order in Permutations(m))
        {
            double[,] coupling = new double[n, m];
            int row = 0, left = m;
            foreach (int column in order)
                for (int units = n; units > 0;)
                {
                    int step = Math.Min(units, left);
                    coupling[row, column] += (double)step / (n * m);
                    units -= step;
                    left -= step;
                    if (left == 0) (row, left) = (row + 1, m);
                }
            yield return coupling;
        }
    }

    private static IEnumerable<int[]> Permutations(int count)
    {
        if (count == 0)
        {
            yield return [];
            yield break;
        }
        foreach (int[] rest in Permutations(count - 1))
            for (int place = 0; place < count; place++) yield return [.. rest[..place], count - 1, .. rest[place..]];
    }

    private static double Loss(Matrix<double> c1, Matrix<double> c2, double[,] t)
    {
        double loss = 0;
        for (int i = 0; i < c1.Rows; i++)
            for (int j = 0; j < c2.Rows; j++)
            {
                if (t[i, j] == 0) continue;
                for (int k = 0; k < c1.Rows; k++)
                    for (int l = 0; l < c2.Rows; l++) loss += Math.Pow(c1.Row(i)[k] - c2.Row(j)[l], 2) * t[i, j] * t[k, l];
            }
        return loss;
    }

    /// <summary>Exact transport of equal masses by assignment of equal parts.</summary>
    private static double Transport<T>(T[] a, T[] b, Func<T, T, double> cost)
    {
        int size = a.Length * b.Length;
        double[] parts = new double[size * size];
        for (int i = 0; i < size; i++)
            for (int j = 0; j < size; j++) parts[i * size + j] = cost(a[i / b.Length], b[j / a.Length]);
        int[] columns = LinearAssignment.Minimise<double>(parts, size, size);
        return Enumerable.Range(0, size).Sum(i => parts[i * size + columns[i]]) / size;
    }
}
