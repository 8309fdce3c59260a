using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.Modules;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Modules;

/// <summary>Against exact rational arithmetic, SciPy and statsmodels: tests/golden/modules/make_enrichment.py.</summary>
public sealed class HypergeometricTests
{
    private static readonly JsonNode s_golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "modules", "enrichment.json")))!;

    [Fact]
    public void Upper_tails_are_those_of_exact_arithmetic_and_of_scipy()
    {
        foreach (JsonNode? tail in s_golden["tails"]!.AsArray())
        {
            int k = (int)tail!["k"]!, universe = (int)tail["universe"]!, marked = (int)tail["marked"]!, drawn = (int)tail["drawn"]!;
            double log = Hypergeometric.LogUpperTail(k, universe, marked, drawn), p = Hypergeometric.UpperTail(k, universe, marked, drawn);
            double exact = tail["log"] is JsonNode value ? (double)value : double.NegativeInfinity;
            // A relative error of p is an absolute error of its logarithm; where p is next to 1 the logarithm's own digits count.
            if (double.IsNegativeInfinity(exact)) Assert.Equal(exact, log);
            else Assert.True(Math.Abs(log - exact) <= 2e-12 * Math.Min(1, Math.Max(Math.Abs(exact), 1e-300)) + 1e-15 * Math.Abs(exact), $"P(X >= {k}) of ({universe}, {marked}, {drawn}): ln p {log:R}, exact {exact:R}");
            double scipy = (double)tail["scipy"]!;
            Assert.True(Math.Abs(p - scipy) <= 1e-10 * scipy, $"P(X >= {k}) of ({universe}, {marked}, {drawn}): {p:R}, SciPy {scipy:R}");
        }
    }

    [Fact]
    public void All_tails_of_small_universes_add_up()
    {
        for (int universe = 1; universe <= 12; universe++)
            for (int marked = 0; marked <= universe; marked++)
                for (int drawn = 0; drawn <= universe; drawn++)
                    for (int k = 0; k <= universe + 1; k++)
                    {
                        double ways = 0;
                        for (int x = k; x <= drawn; x++) ways += Choose(marked, x) * Choose(universe - marked, drawn - x);
                        Assert.Equal(ways / Choose(universe, drawn), Hypergeometric.UpperTail(k, universe, marked, drawn), 13);
                    }
    }

    [Fact]
    public void Impossible_counts_are_refused()
    {
        Assert.Throws<UsageException>(() => Hypergeometric.LogUpperTail(1, 10, 11, 2));
        Assert.Throws<UsageException>(() => Hypergeometric.LogUpperTail(1, 10, 2, 11));
        Assert.Throws<UsageException>(() => Hypergeometric.LogUpperTail(1, 10, -1, 2));
    }

    [Fact]
    public void Adjusted_p_values_are_those_of_statsmodels()
    {
        foreach (JsonNode? family in s_golden["families"]!.AsArray())
        {
            double[] p = [.. family!["p"]!.AsArray().Select(v => (double)v!)], q = [.. family["q"]!.AsArray().Select(v => (double)v!)];
            double[] adjusted = BenjaminiHochberg.Adjust(p, (int?)family["tests"]);
            for (int i = 0; i < q.Length; i++) Assert.True(Math.Abs(adjusted[i] - q[i]) <= 1e-14 * q[i], $"{adjusted[i]:R} instead of {q[i]:R}");
        }
        Assert.Empty(BenjaminiHochberg.Adjust([]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.Adjust([0.1, 1.5]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.Adjust([double.NaN]));
        Assert.Throws<UsageException>(() => BenjaminiHochberg.Adjust([0.1, 0.2], 1));
    }

    private static double Choose(int n, int k)
    {
        if (k < 0 || k > n) return 0;
        double ways = 1;
        for (int i = 0; i < k; i++) ways = ways * (n - i) / (i + 1);
        return Math.Round(ways);
    }
}
