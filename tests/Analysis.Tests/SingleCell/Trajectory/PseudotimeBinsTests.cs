using BioSup.Analysis.SingleCell;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>Ordered trends against every permutation of small samples, SciPy, and a textbook's numbers.</summary>
public sealed class PseudotimeBinsTests
{
    [Theory]
    [InlineData(new double[] { 1, 2 }, new double[] { 2, 3, 3 }, new double[] { 1, 3, 3 })]
    [InlineData(new double[] { 5, 5, 4 }, new double[] { 5, 2 }, new double[] { 2, 2 })]
    [InlineData(new double[] { 0.4 }, new double[] { 0.1, 0.9, 0.5 }, new double[] { 0.2, 0.3, 0.8 })]
    public void Mean_and_variance_are_those_over_all_permutations_of_tied_values(double[] a, double[] b, double[] c)
    {
        JonckheereTest test = OrderedTrend.JonckheereFalling([a, b, c]);
        double[] pooled = [.. a, .. b, .. c];
        int[] sizes = [a.Length, b.Length, c.Length];
        (double sum, double squares, double count) = (0, 0, 0);
        foreach (int[] labels in Labels(sizes, pooled.Length))
        {
            double j = Count([.. Enumerable.Range(0, 3).Select(g => pooled.Where((_, i) => labels[i] == g).ToArray())]);
            (sum, squares, count) = (sum + j, squares + j * j, count + 1);
        }
        Assert.Equal(sum / count, test.Mean, 1e-10);
        Assert.Equal(squares / count - sum / count * (sum / count), test.Variance, 1e-10);
        Assert.Equal(Count([a, b, c]), test.Statistic);
        bool ties = pooled.Distinct().Count() < pooled.Length;
        Assert.Equal(ties, test.PartialTies!.Variance < test.Variance);
        if (!ties) Assert.Equal(test.Variance, test.PartialTies.Variance, 1e-12);
    }

    [Fact]
    public void The_basket_makers_of_the_textbook_have_the_published_statistic()
    {
        // Hollander, Wolfe and Chicken 2014, example 6.2: J = 79 for a rise over three groups of six, mean 54, one tie between groups; the values are turned round to fall.
        double[] none = [40, 35, 38, 43, 44, 41], rough = [38, 40, 47, 44, 40, 42], accurate = [48, 40, 45, 43, 46, 44];
        JonckheereTest test = OrderedTrend.JonckheereFalling([[.. none.Select(v => -v)], [.. rough.Select(v => -v)], [.. accurate.Select(v => -v)]]);
        Assert.Equal((79.0, 54.0), (test.Statistic, test.Mean));
        Assert.Equal(150.29, test.Variance, 0.005);
        Assert.Equal((79 - 54 - 0.5) / Math.Sqrt(test.Variance), test.Z, 1e-12);
        Assert.InRange(test.P, 0.02, 0.025);
    }

    [Fact]
    public void A_rise_has_a_p_value_near_one_and_equal_values_have_a_half()
    {
        double[] low = [.. Enumerable.Range(0, 40).Select(i => i + 0.0)], high = [.. low.Select(v => v + 100)];
        Assert.InRange(OrderedTrend.JonckheereFalling([low, high]).P, 0.999999, 1);
        Assert.True(OrderedTrend.JonckheereFalling([high, low]).Log10P < -12);
        Assert.Equal(0.5, OrderedTrend.JonckheereFalling([[1, 1], [1, 1, 1]]).P);
        Assert.Equal((1.0, -1.0, "large"), (OrderedTrend.CliffsDelta(high, low), OrderedTrend.CliffsDelta(low, high), OrderedTrend.Magnitude(-1)));
        Assert.Equal(["negligible", "small", "small", "medium", "large"], new[] { 0.1469, 0.147, -0.3299, 0.33, 0.474 }.Select(OrderedTrend.Magnitude));
    }

    [Fact]
    public void Bins_and_their_pairs_are_those_of_numpy_and_scipy()
    {
        string? python = Python.Find("import scipy.stats", out string reason);
        Assert.SkipWhen(python is null, reason);
        CounterRandom random = new(8);
        double[] time = [.. Enumerable.Range(0, 240).Select(_ => random.NextDouble())], value = [.. time.Select(t => Math.Round(4 * (random.NextNormal() - t)) / 4)];
        double[][] lines = PointsFile.Run(time.Select((t, i) => new[] { t, value[i] }), file => Python.Run(python!, PointsFile.Script("bins.py"), file));
        // Two cells that cannot be used stand in between.
        PseudotimeBins bins = PseudotimeBins.Compute([double.PositiveInfinity, .. time, 0.5], [1, .. value, double.NaN]);
        Assert.Equal(242 - lines.Skip(1).Take(3).Sum(l => (int)l[0]), bins.LeftOut);
        for (int b = 0; b < 3; b++)
        {
            PseudotimeBin bin = bins.Bins[b];
            Assert.Equal(lines[0][b], bin.From, 1e-12);
            Assert.Equal(lines[0][b + 1], bin.To, 1e-12);
            Assert.Equal((int)lines[1 + b][0], bin.Values.Length);
            Assert.Equal(lines[1 + b][1], bin.Mean, 1e-12);
            Assert.Equal(lines[1 + b][2], bin.Deviation, 1e-12);
            Assert.InRange(bins.Pairs[b].Test.P / lines[4 + b][0], 1 - 1e-9, 1 + 1e-9);
            Assert.Equal(Math.Min(1, 3 * bins.Pairs[b].Test.P), bins.Pairs[b].Adjusted);
            Assert.Equal(lines[4 + b][1], bins.Pairs[b].CliffsDelta, 1e-12);
        }
        Assert.Equal(["Proximal", "Intermediate", "Distal"], bins.Bins.Select(b => b.Name));
        Assert.True(bins.Trend.Log10P < -2);
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        Assert.Contains("Group 1", Assert.Throws<UsageException>(() => OrderedTrend.JonckheereFalling([[1], []])).Message);
        Assert.Contains("cannot be cut", Assert.Throws<UsageException>(() => PseudotimeBins.Compute([1, 1, 1], [1, 2, 3])).Message);
        Assert.Contains("Intermediate", Assert.Throws<UsageException>(() => PseudotimeBins.Compute([0, 0.01, 0.99, 1], [1, 2, 3, 4], lower: 0, upper: 100)).Message);
        Assert.Contains("nothing to evaluate", Assert.Throws<UsageException>(() => PseudotimeBins.Compute([double.PositiveInfinity], [1])).Message);
        Assert.Contains("bound no range", Assert.Throws<UsageException>(() => PseudotimeBins.Compute([0, 1], [1, 2], lower: 60, upper: 40)).Message);
    }

    private static double Count(double[][] groups)
    {
        double j = 0;
        for (int a = 0; a < groups.Length; a++)
            for (int b = a + 1; b < groups.Length; b++)
                foreach (double x in groups[a])
                    foreach (double y in groups[b]) j += x > y ? 1 : x == y ? 0.5 : 0;
        return j;
    }

    private static IEnumerable<int[]> Labels(int[] sizes, int left)
    {
        if (left == 0) yield return [];
        else
            for (int g = 0; g < sizes.Length; g++)
            {
                if (sizes[g] == 0) continue;
                int[] rest = [.. sizes];
                rest[g]--;
                foreach (int[] labels in Labels(rest, left - 1)) yield return [g, .. labels];
            }
    }
}
