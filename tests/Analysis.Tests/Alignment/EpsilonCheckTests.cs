using System.Globalization;
using System.Text.RegularExpressions;
using BioSup.Analysis.Alignment;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>An epsilon from which no coupling comes is an error that names one from which a coupling does come.</summary>
public sealed class EpsilonCheckTests
{
    [Theory]
    [InlineData(1e-300, GromovPrecision.Double)]
    [InlineData(1e-30, GromovPrecision.Double)]
    [InlineData(1e-16, GromovPrecision.Double)]
    [InlineData(1e-300, GromovPrecision.Single)]
    [InlineData(1e-12, GromovPrecision.Single)]
    public void A_hopeless_epsilon_fails_and_the_value_it_names_works(double epsilon, GromovPrecision precision)
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Clouds.Normal(device, 60, 4, seed: 1), y = Clouds.Normal(device, 50, 3, seed: 2);
        AlignmentOptions options = Options(epsilon, precision);
        ConvergenceException error = Assert.Throws<ConvergenceException>(() => GromovAlignment.Align(x, y, options));
        Assert.Equal(5, error.ExitCode);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"epsilon {epsilon:g6} gives no coupling"), error.Message, StringComparison.Ordinal);
        Match named = Regex.Match(error.Message, @"the smallest power of ten whose first iteration meets the masses of these data is (\S+)\.$");
        Assert.True(named.Success, error.Message);
        double useful = double.Parse(named.Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.InRange(useful, 1e-6, 1);

        using AlignmentResult result = GromovAlignment.Align(x, y, Options(useful, precision));
        Assert.InRange(result.Gromov.RowError + result.Gromov.ColumnError, 0, EpsilonCheck.NoCoupling);
        using AlignmentResult first = GromovAlignment.Align(x, y, Options(useful, precision, iterations: 1)), below = GromovAlignment.Align(x, y, Options(useful / 10, precision, iterations: 1));
        Assert.InRange(first.Gromov.RowError + first.Gromov.ColumnError, 0, AlignmentVerdict.MarginalLimit);
        Assert.True(below.Gromov.RowError + below.Gromov.ColumnError > AlignmentVerdict.MarginalLimit);
    }

    [Fact]
    public void A_result_that_misses_a_quarter_of_the_mass_is_refused_even_where_the_first_look_was_not_suspicious()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 60, 4, seed: 1), y = Clouds.Normal(device, 50, 3, seed: 2);
        // Two inner iterations from zero potentials cannot meet the masses at this epsilon, ten thousand can.
        AlignmentOptions options = Options(1e-4, GromovPrecision.Double);
        options = options with { Gromov = options.Gromov with { InnerSolve = InnerSolve.PotIterates, Inner = options.Gromov.Inner with { MaxIterations = 2 } } };
        ConvergenceException error = Assert.Throws<ConvergenceException>(() => GromovAlignment.Align(x, y, options));
        Assert.Contains("the masses are missed by", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ordinary_epsilon_that_only_misses_the_tolerance_is_a_result_with_a_warning()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 60, 4, seed: 1), y = Clouds.Normal(device, 50, 3, seed: 2);
        using AlignmentResult result = GromovAlignment.Align(x, y, Options(1e-3, GromovPrecision.Double, iterations: 2));
        Assert.False(result.Gromov.Converged);
        Assert.Contains(result.Warnings, warning => warning.Contains("did not converge", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(60, true, "knn is 60, but there are only 50 points in the second domain.")]
    [InlineData(61, false, "knn is 61, but there are only 60 points in the first domain.")]
    [InlineData(1, true, "knn is 1; the graph needs at least one neighbour besides the point itself.")]
    public void A_graph_that_the_points_cannot_have_is_refused_before_any_cost_is_built(int neighbours, bool includeSelf, string message)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Clouds.Normal(device, 60, 4, seed: 1), y = Clouds.Normal(device, 50, 3, seed: 2);
        DomainCostOptions graph = DomainCostOptions.Scot(neighbours) with { IncludeSelf = includeSelf };
        Reports reports = new();
        UsageException error = Assert.Throws<UsageException>(() => GromovAlignment.Align(x, y, new AlignmentOptions { FirstCost = graph, SecondCost = graph }, progress: reports));
        Assert.Equal(message, error.Message);
        Assert.Equal(0, reports.Count);
        // The point itself is one of its neighbours where it is counted, so n neighbours of n points can be had.
        (DomainCostOptions.Scot(50) with { IncludeSelf = true }).RequirePoints(50, "a");
        Assert.Throws<UsageException>(() => (DomainCostOptions.Scot(50) with { IncludeSelf = false }).RequirePoints(50, "a"));
        (DomainCostOptions.Scot(50) with { Cost = DomainCost.Euclidean }).RequirePoints(3, "a");
    }

    private static AlignmentOptions Options(double epsilon, GromovPrecision precision, int iterations = 40)
    {
        DomainCostOptions cost = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };
        return new AlignmentOptions { FirstCost = cost, SecondCost = cost, Gromov = new GromovOptions { Epsilon = epsilon, Precision = precision, MaxIterations = iterations } };
    }

    private sealed class Reports : IProgressReporter
    {
        public int Count { get; private set; }

        public void Report(string stage, long done, long total, string? detail = null) => Count++;
    }
}
