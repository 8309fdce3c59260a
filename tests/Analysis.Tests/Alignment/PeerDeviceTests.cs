using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Faults that users reported of other solvers on GPUs, on the (emulated) device.</summary>
[Collection("cuda")]
public sealed class PeerDeviceTests
{
    private static readonly DomainCostOptions s_euclid = new() { Cost = DomainCost.Euclidean, RowNormalisation = RowNormalisation.None };

    private static CudaDevice Open()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        return device!;
    }

    [Fact]
    public void Ott_496_single_precision_converges_on_the_device_as_on_the_host()
    {
        // One TF32 product of costs would be off by 2^-11, which over epsilon is more than one in the exponent: Sinkhorn then never settles.
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        using Matrix<double> x = Clouds.Normal(host, 30, 3, 13), y = Clouds.Normal(host, 24, 3, 14);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using Matrix<double> d1 = c1.Cost.CopyAt(gpu), d2 = c2.Cost.CopyAt(gpu);
        GromovOptions options = new() { Epsilon = 2e-3, MaxIterations = 60, Tolerance = 1e-4, Inner = SinkhornOptions.Pot with { Tolerance = 1e-5 } };
        using GromovResult expected = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options), found = EntropicGromovWasserstein.Solve(d1, d2, options with { Precision = GromovPrecision.Single });
        Assert.True(found.Converged && found.InnerNotConverged == 0, string.Join(" ", found.Warnings));
        Assert.Equal(expected.Loss, found.Loss, 1e-4);
        Assert.InRange(found.RowError + found.ColumnError, 0, 1e-3);
    }

    [Theory]
    [InlineData(MarginalConstraint.SemiRelaxed)]
    [InlineData(MarginalConstraint.Unbalanced)]
    [InlineData(MarginalConstraint.Partial)]
    public void Moscot_802_free_marginals_run_on_the_device_that_was_asked_for(MarginalConstraint marginals)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> x = Clouds.Normal(host, 8, 2, 1), y = Clouds.Normal(host, 7, 2, 2);
        using DomainCostResult c1 = DomainCosts.Build(x, s_euclid), c2 = DomainCosts.Build(y, s_euclid);
        using Matrix<double> d1 = c1.Cost.CopyAt(gpu), d2 = c2.Cost.CopyAt(gpu);
        GromovOptions options = new()
        {
            Epsilon = 0.1, Marginals = marginals, Mass = marginals == MarginalConstraint.Partial ? 0.5 : 1, MaxIterations = 11,
            Solver = marginals == MarginalConstraint.SemiRelaxed ? GromovSolverKind.Ppa : GromovSolverKind.Pgd,
        };
        // What a balanced problem needs is there already: what is loaded after it are the kernels of the free marginals.
        using GromovResult balanced = EntropicGromovWasserstein.Solve(d1, d2, new GromovOptions { Epsilon = 0.1, MaxIterations = 11 });
        int loaded = gpu.Kernels.Compiled + gpu.Kernels.FromCache;
        using GromovResult found = EntropicGromovWasserstein.Solve(d1, d2, options), expected = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
        Assert.True(gpu.Kernels.Compiled + gpu.Kernels.FromCache > loaded, "no kernel of its own ran");
        Assert.Equal(expected.Loss, found.Loss, 1e-7);
    }

    [Fact]
    public void Moscot_802_what_does_not_run_on_the_device_is_refused_and_not_run_elsewhere()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        using Matrix<double> x = Clouds.Normal(host, 8, 2, 1), features = x.CopyAt(gpu);
        using DomainCostResult c = DomainCosts.Build(x, s_euclid);
        using Matrix<double> there = c.Cost.CopyAt(gpu);
        string[] labels = ["a", "a", "a", "a", "b", "b", "b", "b"];
        Action[] solves =
        [
            () => LabelBlockGromovWasserstein.Solve(there, there, new BlockLabels(labels, labels), new GromovOptions { Epsilon = 0.1 }),
            () => LowRankGromovWasserstein.SolveCosts(there, there, new LowRankOptions { Rank = 2 }),
            () => CoOptimalTransport.Solve(features, features, new CoOptimalOptions()),
        ];
        foreach (Action solve in solves) Assert.Contains("--device cpu", Assert.Throws<DeviceException>(solve).Message, StringComparison.Ordinal);
    }
}
