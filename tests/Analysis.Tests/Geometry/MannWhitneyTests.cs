using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Geometry;

/// <summary>Mann–Whitney's U and its ties by counting pairs, whatever form the values have.</summary>
public sealed class MannWhitneyTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_statistic_and_its_ties_are_those_of_counted_pairs(int kind)
    {
        CounterRandom random = new(8, stream: (ulong)kind);
        foreach ((int n, int m) in new[] { (1, 1), (3, 40), (150, 77), (260, 190) })
        {
            // Whole numbers with zeros and both signs; doubles that single precision holds; doubles that agree in their upper half; a mixture with infinities and both zeros.
            double[] Sample(int count) => [.. Enumerable.Range(0, count).Select(_ => kind switch
            {
                0 => random.NextInt32(9) - 4.0,
                1 => (float)random.NextNormal(),
                2 => 1 + 1e-13 * random.NextInt32(30),
                _ => new[] { 0.0, -0.0, 0.1, -0.1, double.PositiveInfinity, double.NegativeInfinity, random.NextNormal() }[random.NextInt32(7)],
            })];
            double[] x = Sample(n), y = Sample(m);
            double u = x.Sum(a => y.Sum(b => a > b ? 1 : a == b ? 0.5 : 0)), ties = 0;
            double[] all = [.. x, .. y];
            // Every member of a tie of t values is equal to t of them: t terms of t² − 1.
            foreach (double a in all) ties += Math.Pow(all.Count(b => a == b), 2) - 1;
            RankSumTest test = RankStatistics.MannWhitney(x, y);
            Assert.Equal(u, test.U);
            Assert.Equal((double)n * m - u, RankStatistics.MannWhitney(y, x).U);
            Assert.Equal(RankStatistics.LogMannWhitney(u, n, m, ties) / Math.Log(10), test.Log10P);
            Assert.Equal(test.Log10P, RankStatistics.MannWhitney(y, x).Log10P);
        }
    }

    [Fact]
    public void Both_sides_need_values()
    {
        Assert.Throws<UsageException>(() => RankStatistics.MannWhitney([], [1]));
        Assert.Throws<UsageException>(() => RankStatistics.MannWhitney([1], []));
    }

    [Fact]
    public void Latents_of_small_groups_are_tested_exactly_and_constant_ones_not_at_all()
    {
        using CpuDevice device = new(1);
        // Three against three: the extreme order is 1 of 20 on each side. The second latent is constant in both groups, the third in one.
        using Matrix<float> latents = Matrix<float>.From(device, 7, 3, [1, 1, 1, 9, 9, 9, 2, 1, 1, 3, 1, 1, 4, 2, 1, 5, 2, 1, 6, 2, 4]);
        LatentComparison found = LatentDifference.Compare(latents, [0, 2, 3], [4, 5, 6], new LatentDifferenceOptions());
        double third = Math.Pow(10, RankStatistics.MannWhitney([1, 1, 1], [1, 1, 4]).Log10P);
        Assert.InRange(third, 0.3, 0.7);
        Assert.Equal([0.1 * 3, 1, third * 3 / 2], found.Log10Q.Select(q => Math.Round(Math.Pow(10, q), 12)), (a, b) => Math.Abs(a - b) < 1e-11);
        Assert.Equal(Math.Log2(5 / 2.0), found.Log2FoldChange[0], 1e-9);
    }
}
