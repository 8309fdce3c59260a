using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Low-rank couplings: against the papers' formulas, against the published algorithm in NumPy (tests/golden/gromov/make_lowrank.py), and what must hold of them.</summary>
public sealed class LowRankTests
{
    private static readonly GromovGolden s_golden = new("lowrank.json");

    public static TheoryData<int> Cases => s_golden.Indices();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Factors_with_pot_s_step_are_those_of_the_published_algorithm(int index)
    {
        GoldenCase c = s_golden[index], start = c["start"];
        using CpuDevice device = new(2);
        using Matrix<double> x = c.Matrix(device, "x"), y = c.Matrix(device, "y"), q = start.Matrix(device, "q"), r = start.Matrix(device, "r");
        double[] divisors = c.Numbers("divisors");
        LowRankOptions options = new() { Rank = q.Columns, Step = LowRankStep.Pot, Tolerance = 0, MaxIterations = c.Integer("iterations") };
        using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, options, divisors[0], divisors[1], new LowRankFactors(q, r, start.Numbers("g")));
        c.AssertClose("q", result.Coupling.First, 1e-8);
        c.AssertClose("r", result.Coupling.Second, 1e-8);
        Assert.Equal(c.Number("gw"), result.Loss, 1e-8);
    }

    [Fact]
    public void Steps_are_those_of_the_formulas_with_everything_formed()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 21, 3, 5), y = Clouds.Normal(device, 17, 2, 6);
        double[,] c1 = SquaredDistances(x), c2 = SquaredDistances(y);
        const int rank = 4;
        LowRankOptions options = new() { Rank = rank, Start = LowRankStart.Random, Seed = 3 };
        using PointCosts first = new(new SquaredDistanceDomain(x, 1, "x"), rank), second = new(new SquaredDistanceDomain(y, 1, "y"), rank);
        using LowRankFactor q = new(device, 21, rank), r = new(device, 17, rank);
        double[] weights = new double[rank];
        LowRankStarts.Fill(first, second, options, q, r, weights, default);
        (double[,] Q, double[,] R, double[] G) expected = (Dense(q.Values), Dense(r.Values), (double[])weights.Clone());
        using LowRankIteration iteration = new(first, second, options, q, r, weights);
        iteration.Settle();
        expected = LowRankReference.Project(expected.Q, expected.R, expected.G, 1e-13);
        double last = double.PositiveInfinity;
        for (int step = 0; step < 4; step++)
        {
            iteration.Step(step);
            expected = LowRankReference.Step(c1, c2, expected.Q, expected.R, expected.G, iteration.LastShare, 1e-13);
            AssertClose(expected.Q, Dense(q.Values), 1e-9);
            AssertClose(expected.R, Dense(r.Values), 1e-9);
            for (int k = 0; k < rank; k++) Assert.Equal(expected.G[k], weights[k], 1e-9);
            double loss = LowRankReference.Loss(c1, c2, LowRankReference.Coupling(expected.Q, expected.R, expected.G));
            Assert.Equal(loss, iteration.Loss, 1e-8 * loss);
            Assert.True(loss <= last);
            last = loss;
        }
    }

    [Fact]
    public void Loss_through_factors_is_the_loss_of_the_coupling_and_the_marginals_are_the_masses()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 40, 3, 7), y = Clouds.Normal(device, 33, 5, 8);
        using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 6 });
        Assert.True(result.Converged);
        Assert.InRange(result.RowError + result.ColumnError, 0, 2e-9);
        using Matrix<double> t = result.Coupling.ToMatrix();
        double loss = LowRankReference.Loss(SquaredDistances(x), SquaredDistances(y), Dense(t));
        Assert.Equal(loss, result.Loss, 1e-10 * loss);
        for (int i = 0; i < t.Rows; i++) Assert.Equal(1.0 / 40, t.Row(i).ToArray().Sum(), 1e-9);
        // The costs as matrices are the same problem; rounding decides which of nearby factors is reached.
        using Matrix<double> c1 = From(device, SquaredDistances(x)), c2 = From(device, SquaredDistances(y));
        using LowRankResult stored = LowRankGromovWasserstein.SolveCosts(c1, c2, new LowRankOptions { Rank = 6 });
        Assert.Equal(result.Loss, stored.Loss, 0.02 * result.Loss);
    }

    [Fact]
    public void Full_rank_comes_to_the_loss_of_couplings_without_a_rank()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, _) = Clouds.Clusters(device, 40, 3, 9);
        (Matrix<double> y, _) = Clouds.Clusters(device, 36, 4, 10);
        using (x)
        using (y)
        using (Matrix<double> c1 = From(device, SquaredDistances(x)), c2 = From(device, SquaredDistances(y)))
        {
            using GromovResult dense = EntropicGromovWasserstein.Solve(c1, c2, new GromovOptions { Epsilon = 5, Tolerance = 1e-8 });
            double last = double.PositiveInfinity;
            foreach (int rank in new[] { 2, 6, 36 })
            {
                using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = rank });
                TestContext.Current.TestOutputHelper?.WriteLine($"rank {rank}: {result.Loss:g5} after {result.Iterations} ({result.ProjectionIterations} projections, {result.RejectedSteps} rejected), dense {dense.Loss:g5}");
                Assert.True(result.Loss < last, $"rank {rank}");
                last = result.Loss;
            }
            // With an entropy of 1e-3 of the product coupling's loss; no entropy is added here, so a full rank may do better.
            Assert.True(last <= 1.02 * dense.Loss, $"{last} against {dense.Loss}");
        }
    }

    [Theory]
    [InlineData(LowRankStart.Clusters)]
    [InlineData(LowRankStart.Random)]
    [InlineData(LowRankStart.RankTwo)]
    public void Ott_issue_83_low_rank_gives_no_constant_column_transition_table_on_clusters(LowRankStart start)
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 150, 3, 11);
        (Matrix<double> y, string[] others) = Clouds.Clusters(device, 120, 5, 12);
        using (x)
        using (y)
        using (LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 10, Start = start, Seed = 1 }))
        {
            string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
            using Matrix<double> sums = result.Coupling.LabelSums([.. others.Select(l => Array.IndexOf(classes, l))], classes.Length);
            double[][] table = [.. classes.Select(c => Enumerable.Range(0, classes.Length).Select(k => Enumerable.Range(0, 150).Where(i => labels[i] == c).Average(i => 150 * sums.Row(i)[k])).ToArray())];
            for (int c = 0; c < classes.Length; c++) Assert.True(table[c][c] > 0.9, $"{start}: class {c} gives itself {table[c][c]:F3}");
        }
    }

    [Fact]
    public void A_turned_and_shuffled_copy_is_recognised_by_its_clusters()
    {
        using CpuDevice device = new(2);
        (Matrix<double> x, string[] labels) = Clouds.Clusters(device, 120, 3, 13);
        int[] order = Clouds.Order(120, 14);
        using (x)
        using (Matrix<double> y = Clouds.Permuted(x, order))
        {
            for (int i = 0; i < 120; i++)
            {
                Span<double> row = y.Row(i);
                (row[0], row[1], row[2]) = (1000 + 0.6 * row[0] - 0.8 * row[1], 0.8 * row[0] + 0.6 * row[1], -row[2]);
            }
            using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 12 });
            using Matrix<double> coupling = result.Coupling.ToMatrix();
            (int[] best, double[] entropies) = result.Coupling.Scan();
            int right = Enumerable.Range(0, 120).Count(i => labels[order[best[i]]] == labels[i]);
            Assert.Equal(120, right);
            for (int i = 0; i < 120; i++)
            {
                double[] row = coupling.Row(i).ToArray();
                Assert.Equal(Array.IndexOf(row, row.Max()), best[i]);
                Assert.Equal(-row.Sum(t => t * 120 * Math.Log(t * 120)), entropies[i], 1e-6);
            }
        }
    }

    [Fact]
    public void Results_do_not_depend_on_the_threads_or_on_the_scale_of_the_costs()
    {
        byte[] one = Bytes(1, 1), three = Bytes(3, 1);
        Assert.Equal(one, three);
        double[] plain = Losses(1), scaled = Losses(1 << 20);
        for (int i = 0; i < plain.Length; i++) Assert.Equal(plain[i], scaled[i] * Math.Pow(2, 40), 1e-9 * plain[i]);

        static double[] Losses(double divisor)
        {
            using CpuDevice device = new(1);
            using Matrix<double> x = Clouds.Normal(device, 60, 3, 15), y = Clouds.Normal(device, 50, 2, 16);
            using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 5, MaxIterations = 20 }, divisor, divisor);
            return [.. result.LossTrace];
        }

        static byte[] Bytes(int threads, double divisor)
        {
            using CpuDevice device = new(threads);
            // Enough rows for several blocks.
            using Matrix<double> x = Clouds.Normal(device, 6000, 3, 15), y = Clouds.Normal(device, 5000, 2, 16);
            using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 7, MaxIterations = 12 }, divisor, divisor);
            return System.Runtime.InteropServices.MemoryMarshal.AsBytes(result.Coupling.First.Buffer.View.Host).ToArray();
        }
    }

    [Fact]
    public void Warm_steps_allocate_nothing()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 300, 3, 17), y = Clouds.Normal(device, 250, 2, 18);
        const int rank = 6;
        LowRankOptions options = new() { Rank = rank, Tolerance = 0 };
        using PointCosts first = new(new SquaredDistanceDomain(x, 1, "x"), rank), second = new(new SquaredDistanceDomain(y, 1, "y"), rank);
        using LowRankFactor q = new(device, 300, rank), r = new(device, 250, rank);
        double[] weights = new double[rank];
        LowRankStarts.Fill(first, second, options, q, r, weights, default);
        using LowRankIteration iteration = new(first, second, options, q, r, weights);
        iteration.Settle();
        for (int step = 0; step < 20; step++) iteration.Step(step);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 20; step < 30; step++) iteration.Step(step);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Input_without_a_meaning_is_refused_in_one_sentence()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 8, 2, 19), skewed = Clouds.Normal(device, 8, 8, 20);
        Assert.Contains("rank is 0", Assert.Throws<UsageException>(() => LowRankGromovWasserstein.Solve(x, x, new LowRankOptions { Rank = 0 })).Message);
        Assert.Contains("not symmetric", Assert.Throws<DataException>(() => LowRankGromovWasserstein.SolveCosts(skewed, skewed, new LowRankOptions())).Message);
        x.Row(3)[1] = double.NaN;
        Assert.Contains("row 3", Assert.Throws<DataException>(() => LowRankGromovWasserstein.Solve(x, x, new LowRankOptions())).Message);
    }

    [Fact]
    public void Points_that_coincide_and_ranks_above_the_points_are_solved()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = device.AllocateMatrix<double>(12, 2), y = Clouds.Normal(device, 9, 2, 22);
        x.Buffer.Clear();
        x.Row(11)[0] = 1;
        using LowRankResult result = LowRankGromovWasserstein.Solve(x, y, new LowRankOptions { Rank = 50 });
        Assert.Equal(9, result.Coupling.Rank);
        Assert.True(double.IsFinite(result.Loss) && result.Loss >= 0);
        Assert.InRange(result.RowError + result.ColumnError, 0, 1e-6);
    }

    private static double[,] SquaredDistances(Matrix<double> x)
    {
        double[,] c = new double[x.Rows, x.Rows];
        for (int i = 0; i < x.Rows; i++)
            for (int k = 0; k < x.Rows; k++)
                for (int d = 0; d < x.Columns; d++) c[i, k] += Math.Pow(x.Row(i)[d] - x.Row(k)[d], 2);
        return c;
    }

    private static void AssertClose(double[,] expected, double[,] actual, double tolerance)
    {
        for (int i = 0; i < expected.GetLength(0); i++)
            for (int j = 0; j < expected.GetLength(1); j++)
                Assert.True(Math.Abs(expected[i, j] - actual[i, j]) < tolerance, $"({i}, {j}): {expected[i, j]:r} expected, {actual[i, j]:r} found");
    }

    private static double[,] Dense(Matrix<double> matrix)
    {
        double[,] dense = new double[matrix.Rows, matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) dense[i, j] = matrix.Row(i)[j];
        return dense;
    }

    private static Matrix<double> From(CpuDevice device, double[,] values)
    {
        Matrix<double> matrix = device.AllocateMatrix<double>(values.GetLength(0), values.GetLength(1));
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = values[i, j];
        return matrix;
    }
}
