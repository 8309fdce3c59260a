using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Geometry;

/// <summary>Tails, adjusted p-values and the Kruskal–Wallis test against SciPy, statsmodels and mpmath: tests/golden/differential.</summary>
public sealed class TailTests
{
    [Fact]
    public void Logarithms_of_tails_are_right_to_the_last_digits_however_far_out()
    {
        foreach (string[] line in File.ReadLines(Path.Combine(RepositoryRoot.Path, "tests", "golden", "differential", "log_tails.txt")).Select(l => l.Split(' ')))
        {
            double[] v = [.. line[1..].Select(f => double.Parse(f, CultureInfo.InvariantCulture))];
            double found = line[0] switch { "normal" => NormalTail.LogUpper(v[0]), "t" => StudentTail.LogUpper(v[0], v[1]), _ => ChiSquareTail.LogUpper(v[0], v[1]) };
            Assert.True(Math.Abs(found - v[^1]) <= 1e-11 * Math.Abs(v[^1]), $"{string.Join(' ', line)}: {found:R}");
        }
    }

    [Fact]
    public void Tails_have_their_limits()
    {
        Assert.Equal(double.NegativeInfinity, NormalTail.LogUpper(double.PositiveInfinity));
        Assert.Equal(0, NormalTail.LogUpper(double.NegativeInfinity));
        Assert.Equal(-Math.Log(2), StudentTail.LogUpper(0, 3));
        Assert.Equal(-Math.Log(2), StudentTail.LogUpper(1e-170, 3), 1e-15);
        Assert.Equal(double.NegativeInfinity, StudentTail.LogUpper(double.PositiveInfinity, 3));
        Assert.Equal(0, StudentTail.LogUpper(double.NegativeInfinity, 3));
        Assert.Equal(NormalTail.LogUpper(2), StudentTail.LogUpper(2, double.PositiveInfinity));
        Assert.Equal(double.NaN, StudentTail.LogUpper(double.NaN, 3));
        Assert.Equal(double.NaN, StudentTail.LogUpper(1, 0));
        Assert.Equal(0, ChiSquareTail.LogUpper(0, 3));
        Assert.Equal(double.NegativeInfinity, ChiSquareTail.LogUpper(double.PositiveInfinity, 3));
        Assert.Equal(double.NaN, ChiSquareTail.LogUpper(double.NaN, 3));
        Assert.Equal(double.NaN, ChiSquareTail.LogUpper(1, double.NaN));
        Assert.Equal(1e-10, NearOne.ExpMinusOne(1e-10), 1e-19);
        Assert.Equal(double.PositiveInfinity, NearOne.ExpMinusOne(1000));
        Assert.Equal(Math.E - 1, NearOne.ExpMinusOne(1), 1e-15);
        Assert.Equal(Math.Exp(-3) - 1, NearOne.ExpMinusOne(-3));
        Assert.Equal(1e-20, NearOne.LogOnePlus(1e-20));
        Assert.Equal(double.NegativeInfinity, NearOne.LogOnePlus(-1));
        Assert.Equal(double.PositiveInfinity, NearOne.LogOnePlus(double.PositiveInfinity));
    }

    [Fact]
    public void Adjusted_logarithms_reach_beyond_the_doubles_and_keep_the_order()
    {
        // Ranks 1 to 4: -1000 + log10 4, then -5 twice (the later of equal ones has the smaller factor 4/3), then 0.
        double[] q = BenjaminiHochberg.AdjustLog10([0, -5, -1000, -5]);
        Assert.Equal([0, -5 + Math.Log10(4 / 3.0), -1000 + Math.Log10(4), -5 + Math.Log10(4 / 3.0)], q);
        Assert.Equal([0, 0], BenjaminiHochberg.AdjustLog10([Math.Log10(0.9), Math.Log10(0.6)], 3));
        Assert.Equal([double.NegativeInfinity], BenjaminiHochberg.AdjustLog10([double.NegativeInfinity]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.AdjustLog10([0.1]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.AdjustLog10([double.NaN]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.AdjustLog10([-1, -2], 1));
    }

    [Fact]
    public void Kruskal_Wallis_is_scipys()
    {
        string? python = Python.Find("import scipy.stats", out string reason);
        Assert.SkipWhen(python is null, reason);
        CounterRandom random = new(7);
        double[][][] cases =
        [
            [[2.5, 1, 7], [3, 9, 11, 4], [0.5, 6]],
            [[1, 1, 2, 2], [2, 3, 3], [1, 2, 2, 5, 5]],
            [.. Enumerable.Range(0, 5).Select(g => Enumerable.Range(0, 200).Select(_ => Math.Round(20 * (random.NextDouble() + g))).ToArray())],
            [[1, 2, 3, 4], [5, 6, 7, 8]],
        ];
        foreach (double[][] groups in cases)
        {
            string lists = string.Join(", ", groups.Select(g => $"[{string.Join(", ", g.Select(v => v.ToString("R", CultureInfo.InvariantCulture)))}]"));
            string[] output = Python.Run(python!, "-c", $"from scipy.stats import kruskal\nr = kruskal({lists})\nprint(repr(float(r.statistic)), repr(float(r.pvalue)))").Split(' ');
            double h = double.Parse(output[0], CultureInfo.InvariantCulture), p = double.Parse(output[1], CultureInfo.InvariantCulture);
            KruskalTest test = RankStatistics.KruskalWallis(groups);
            Assert.True(Math.Abs(test.H - h) <= 1e-10 * h && Math.Abs(test.P - p) <= 1e-10 * p && Math.Abs(test.Log10P - Math.Log10(p)) <= 1e-10 * Math.Abs(Math.Log10(p)), $"H {test.H:R} and p {test.P:R}; scipy {h:R} and {p:R}");
        }
        Assert.Equal(new KruskalTest(0, 1, 0), RankStatistics.KruskalWallis([[2, 2], [2]]));
        Assert.Throws<UsageException>(() => RankStatistics.KruskalWallis([[1, 2]]));
        Assert.Throws<UsageException>(() => RankStatistics.KruskalWallis([[1, 2], []]));
    }
}
