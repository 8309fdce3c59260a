using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Semi-relaxed, unbalanced and partial alignments on a GPU, or the emulated one: the golden problems, and the host's results.</summary>
[Collection("cuda")]
public sealed class FreeMarginalsCudaTests
{
    public static TheoryData<MarginalConstraint> Free => [MarginalConstraint.SemiRelaxed, MarginalConstraint.Unbalanced, MarginalConstraint.Partial];

    public static TheoryData<int> Of(string kind) => MarginalsCase.Of(kind);

    private static CudaDevice Open()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        return device!;
    }

    [Theory]
    [MemberData(nameof(Of), "semi-relaxed")]
    public void Semi_relaxed_golden_problems_are_met(int index)
    {
        using CudaDevice gpu = Open();
        using MarginalsCase c = new(index);
        using GromovResult result = c.Solve(new GromovOptions { Marginals = MarginalConstraint.SemiRelaxed, Solver = GromovSolverKind.Ppa, MaxIterations = 400 }, device: gpu);
        c.AssertCoupling(result, 1e-9);
        double[] expected = c.Numbers("err");
        Assert.Equal(expected.Length, result.ErrorTrace.Count);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], result.ErrorTrace[i], 1e-6 * expected[i] + 1e-12);
    }

    /// <summary>A large and a small price; the others take thousands of outer iterations.</summary>
    [Theory]
    [InlineData(4)]
    [InlineData(6)]
    public void Unbalanced_golden_problems_are_met(int index)
    {
        using CudaDevice gpu = Open();
        using MarginalsCase c = new(index);
        using GromovResult result = c.Solve(new GromovOptions
        {
            Marginals = MarginalConstraint.Unbalanced, Convention = EpsilonConvention.Ott, Rho = c.Number("rho"), Tolerance = 1e-11, MaxIterations = 3000,
            Inner = SinkhornOptions.Pot with { Tolerance = 1e-11, MaxIterations = 5000 },
        }, device: gpu);
        Assert.True(result.Converged && result.InnerNotConverged == 0);
        c.AssertCoupling(result, 1e-8);
        Assert.Equal(c.Number("objective"), result.RegularisedObjective, 1e-8);
    }

    /// <summary>Those of less than the whole mass: with all of it POT's inner iterates do not converge.</summary>
    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    public void Partial_golden_problems_are_met(int index)
    {
        using CudaDevice gpu = Open();
        using MarginalsCase c = new(index);
        GromovOptions options = new()
        {
            Marginals = MarginalConstraint.Partial, Convention = EpsilonConvention.Ott, Mass = c.Number("mass"), Tolerance = 1e-10, MaxIterations = 400,
            Inner = SinkhornOptions.Pot with { Tolerance = 1e-10, MaxIterations = 20_000 },
        };
        using GromovResult result = c.Solve(options, device: gpu);
        c.AssertCoupling(result, 1e-7);
        Assert.InRange(result.RowError + result.ColumnError, 0, 1e-8);
        Assert.Equal(options.Mass, result.Mass, 1e-12);
    }

    /// <summary>Costs that are not symmetric, and a cost between the domains: step by step what the host does.</summary>
    [Theory]
    [MemberData(nameof(Free))]
    public void A_few_steps_are_the_hosts(MarginalConstraint marginals)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> c1 = Positive(host, 33, 33, 21), c2 = Positive(host, 29, 29, 22), between = Positive(host, 33, 29, 23), d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu);
        GromovOptions options = Options(marginals) with { MaxIterations = 4, CheckEvery = 1, Alpha = 0.7, Inner = SinkhornOptions.Pot with { Tolerance = 1e-10, MaxIterations = 400 } };
        using GromovResult expected = EntropicGromovWasserstein.Solve(c1, c2, options, between), found = EntropicGromovWasserstein.Solve(d1, d2, options, between);
        Assert.Equal((false, expected.InnerIterations), (found.Symmetric, found.InnerIterations));
        Assert.Equal(expected.Loss, found.Loss, 1e-10);
        Assert.Equal(expected.Mass, found.Mass, 1e-10);
        Assert.Equal(expected.RegularisedObjective, found.RegularisedObjective, 1e-9);
        Near(expected, found, 1e-8);
        for (int k = 0; k < expected.ErrorTrace.Count; k++) Assert.Equal(expected.ErrorTrace[k], found.ErrorTrace[k], 1e-6 * expected.ErrorTrace[k] + 1e-10);
        using GromovResult single = EntropicGromovWasserstein.Solve(d1, d2, options with { Precision = GromovPrecision.Single, Inner = options.Inner with { Tolerance = 1e-5 } }, between);
        Assert.Equal(expected.Loss, single.Loss, 1e-4);
        Near(expected, single, 1e-3);
    }

    [Theory]
    [MemberData(nameof(Free))]
    public void A_warm_outer_step_allocates_nothing_on_the_host(MarginalConstraint marginals)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> c1 = Positive(host, 20, 20, 24), c2 = Positive(host, 17, 17, 25), d1 = c1.CopyAt(gpu), d2 = c2.CopyAt(gpu);
        double[] p = EntropicGromovWasserstein.Uniform(20), q = EntropicGromovWasserstein.Uniform(17);
        GromovOptions options = Options(marginals) with { Inner = SinkhornOptions.Pot with { MaxIterations = 5 } };
        using GromovIteration<double> iteration = new(new GromovIterationInput<double>(d1, d2), options, null, null, p, q);
        for (int k = 0; k < 4; k++) iteration.Step(k);
        WarmAllocation rounds = new();
        while (rounds.Again()) iteration.Step(4);
        Assert.Equal(0, rounds.Least);
    }

    private static GromovOptions Options(MarginalConstraint marginals) => new()
    {
        Epsilon = 0.1, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? 0.6 : 1, Rho = 2,
        Solver = marginals == MarginalConstraint.SemiRelaxed ? GromovSolverKind.Ppa : GromovSolverKind.Pgd,
    };

    private static void Near(GromovResult expected, GromovResult found, double tolerance)
    {
        double[] e = expected.Coupling.Buffer.View.Host.ToArray(), f = found.Coupling.Buffer.View.Host.ToArray();
        double error = e.Zip(f, (x, y) => Math.Abs(x - y)).Max();
        Assert.True(error <= tolerance * e.Max(), $"the largest difference is {error:E2}, the largest mass {e.Max():E2}");
    }

    private static Matrix<double> Positive(CpuDevice device, int rows, int columns, ulong seed)
    {
        CounterRandom random = new(seed);
        Matrix<double> matrix = device.AllocateMatrix<double>(rows, columns);
        foreach (ref double v in matrix.Buffer.View.Host) v = 0.2 + random.NextDouble();
        return matrix;
    }
}
