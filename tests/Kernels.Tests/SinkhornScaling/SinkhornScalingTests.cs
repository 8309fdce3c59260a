using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Sinkhorn;

public sealed class SinkhornScalingTests
{
    private static readonly SinkhornOptions s_log = SinkhornOptions.Pot with { Form = SinkhornForm.LogDomain };

    public static TheoryData<int, int> Shapes => new() { { 1, 1 }, { 1, 7 }, { 5, 1 }, { 3, 4 }, { 8, 8 }, { 17, 31 }, { 64, 65 }, { 97, 130 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_variant_and_form_follows_the_double_reference(int n, int m)
    {
        using CpuDevice device = new(2);
        using Problem<double> exact = new(device, n, m, seed: 3);
        double[] expected = exact.Solve(KernelVariant.Reference, 0.02, s_log with { MaxIterations = 60 });
        using Problem<float> single = new(device, n, m, seed: 3);
        foreach (KernelVariant variant in new[] { KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable })
        {
            foreach (SinkhornForm form in Enum.GetValues<SinkhornForm>())
            {
                SinkhornOptions options = SinkhornOptions.Pot with { Form = form, MaxIterations = 60 };
                AssertClose(expected, exact.Solve(variant, 0.02, options), 1e-11, $"{variant} {form} double");
                // C / epsilon reaches 50, so half a unit in the last place of an exponent is 3e-6 relative.
                AssertClose(expected, single.Solve(variant, 0.02, options), 1e-4, $"{variant} {form} single");
            }
        }
    }

    [Fact]
    public void Stopping_rule_is_that_of_pot()
    {
        using CpuDevice device = new(1);
        using Problem<double> problem = new(device, 40, 50, seed: 5);
        SinkhornResult converged = problem.Run(KernelVariant.Avx2, 0.1, SinkhornOptions.Pot);
        Assert.True(converged.Converged);
        Assert.Equal(1, converged.Iterations % 10);
        Assert.True(converged.MarginalError < 1e-9);
        SinkhornResult stopped = problem.Run(KernelVariant.Avx2, 0.001, SinkhornOptions.Pot with { MaxIterations = 25 });
        Assert.False(stopped.Converged);
        Assert.Equal(25, stopped.Iterations);
    }

    [Theory]
    [InlineData(1e-2)]
    [InlineData(1e-4)]
    [InlineData(1e-6)]
    public void Tiny_epsilon_neither_under_nor_overflows(double epsilon)
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 60, 45, seed: 7);
        double[] expected = problem.Solve(KernelVariant.Reference, epsilon, s_log with { MaxIterations = 40 });
        foreach (SinkhornForm form in Enum.GetValues<SinkhornForm>())
        {
            double[] actual = problem.Solve(KernelVariant.Avx2, epsilon, SinkhornOptions.Pot with { Form = form, MaxIterations = 40 });
            Assert.All(actual, value => Assert.True(double.IsFinite(value) && value >= 0));
            // The exponent (f + g - C) / epsilon carries an error of 1e-16 / epsilon.
            AssertClose(expected, actual, Math.Max(1e-11, 1e-13 / epsilon), $"{form} {epsilon}");
        }
        using Problem<float> single = new(device, 60, 45, seed: 7);
        foreach (SinkhornForm form in Enum.GetValues<SinkhornForm>())
            Assert.All(single.Solve(KernelVariant.Avx2, epsilon, SinkhornOptions.Pot with { Form = form, MaxIterations = 40 }), value => Assert.True(double.IsFinite(value) && value >= 0));
    }

    [Fact]
    public void Compact_kernel_and_known_base_give_the_same_plan()
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 150, 170, seed: 11, clusters: 3);
        double[] full = problem.Solve(KernelVariant.Avx2, 0.005, SinkhornOptions.Pot with { MaxIterations = 400 });
        // Solved again from the same cold start, now relative to the potentials just found, on the reordered and compact kernel.
        for (int repeat = 0; repeat < 3; repeat++)
        {
            double[] compact = problem.Solve(KernelVariant.Avx2, 0.005, SinkhornOptions.Pot with { MaxIterations = 400, CompactKernel = true });
            AssertClose(full, compact, 1e-6, $"repeat {repeat}");
            double[] again = problem.Solve(KernelVariant.Avx2, 0.005, SinkhornOptions.Pot with { MaxIterations = 400 });
            AssertClose(full, again, 1e-10, $"full, repeat {repeat}");
        }
        Assert.True(problem.Workspace.Fill < 0.6, $"the kernel of three clusters is {problem.Workspace.Fill:P0} full");
    }

    [Theory]
    [InlineData(0.02)]
    [InlineData(0.004)]
    public void Acceleration_reaches_the_same_plan_in_far_fewer_iterations(double epsilon)
    {
        // Mass moves between the clusters only through the few entries that join them: plain Sinkhorn takes thousands of iterations.
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 150, 170, seed: 11, clusters: 3);
        SinkhornOptions plain = SinkhornOptions.Pot with { MaxIterations = 200_000, Tolerance = 1e-11 };
        SinkhornResult slow = problem.Run(KernelVariant.Avx2, epsilon, plain);
        double[] expected = problem.Plan(epsilon);
        foreach (KernelVariant variant in new[] { KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable })
        {
            problem.Workspace.Forget();
            SinkhornResult fast = problem.Run(variant, epsilon, plain with { Accelerate = true, CheckEvery = 1 });
            Assert.True(slow.Converged && fast.Converged);
            Assert.True(fast.MarginalError < 1e-11);
            Assert.True(fast.Iterations * 5 < slow.Iterations, $"{variant}: {fast.Iterations} accelerated iterations, {slow.Iterations} plain ones");
            AssertClose(expected, problem.Plan(epsilon), 1e-6, $"{variant}");
        }
    }

    [Fact]
    public void An_accelerated_solve_that_is_cut_short_ends_on_a_plan_with_exact_row_sums()
    {
        using CpuDevice device = new(2);
        using Problem<double> problem = new(device, 150, 170, seed: 11, clusters: 3);
        for (int iterations = 1; iterations < 30; iterations++)
        {
            problem.Workspace.Forget();
            double[] plan = problem.Solve(KernelVariant.Avx2, 0.004, SinkhornOptions.Pot with { MaxIterations = iterations, Accelerate = true, CheckEvery = 1 });
            for (int i = 0; i < 150; i++)
            {
                double sum = 0;
                for (int j = 0; j < 170; j++) sum += plan[i * 170 + j];
                Assert.Equal(problem.A.View.Host[i], sum, 1e-12);
            }
        }
    }

    [Fact]
    public void Accelerated_single_precision_stops_at_what_it_can_reach()
    {
        using CpuDevice device = new(2);
        using Problem<float> problem = new(device, 150, 170, seed: 11, clusters: 3);
        SinkhornResult result = problem.Run(KernelVariant.Avx2, 0.02, SinkhornOptions.Pot with { Accelerate = true, CheckEvery = 1 });
        Assert.True(result.Converged && result.Iterations < 300, $"{result}");
        Assert.InRange(result.MarginalError, 0, 1e-7);
    }

    [Fact]
    public void Bytes_do_not_depend_on_the_number_of_threads()
    {
        double[]? first = null;
        foreach (int threads in new[] { 1, 2, 5 })
        {
            using CpuDevice device = new(threads);
            using Problem<double> problem = new(device, 700, 600, seed: 13, clusters: 4);
            SinkhornOptions options = SinkhornOptions.Pot with { MaxIterations = 50, CompactKernel = true, Accelerate = true };
            problem.Solve(KernelVariant.Avx2, 0.01, options);
            double[] plan = problem.Solve(KernelVariant.Avx2, 0.01, options);
            first ??= plan;
            Assert.Equal(first, plan);
        }
    }

    [Fact]
    public void Warm_solves_allocate_nothing()
    {
        using CpuDevice device = new(1);
        using Problem<double> problem = new(device, 90, 80, seed: 17);
        SinkhornOptions options = SinkhornOptions.Pot with { CompactKernel = true, Accelerate = true };
        for (int i = 0; i < 3; i++) problem.Run(KernelVariant.Avx2, 0.01, options);
        WarmAllocation rounds = new();
        while (rounds.Again())
        {
            for (int i = 0; i < 4; i++) problem.Run(KernelVariant.Avx2, 0.01, options);
            problem.UpdateCoupling(0.01);
        }
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void Impossible_requests_are_refused()
    {
        using CpuDevice device = new(1);
        using Problem<double> problem = new(device, 4, 5, seed: 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.Run(KernelVariant.Avx2, 0, SinkhornOptions.Pot));
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.Run(KernelVariant.Avx2, double.NaN, SinkhornOptions.Pot));
        problem.A.View.Host[2] = 0;
        Assert.Throws<ArgumentException>(() => problem.Run(KernelVariant.Avx2, 0.1, SinkhornOptions.Pot));
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance, string what)
    {
        double scale = expected.Max(), worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max() / scale;
        Assert.True(worst <= tolerance, $"{what}: largest error {worst:e2} of the largest mass, allowed {tolerance:e2}");
    }

    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly Matrix<T> _cost, _coupling;
        private readonly DeviceBuffer<double> _b, _f, _g, _change;

        public Problem(CpuDevice device, int n, int m, ulong seed, int clusters = 0)
        {
            CounterRandom random = new(seed);
            _cost = device.AllocateMatrix<T>(n, m);
            _coupling = device.AllocateMatrix<T>(n, m);
            (A, _b, _f, _g, _change) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n));
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++)
                    _cost.Row(i)[j] = T.CreateTruncating(random.NextDouble() * (clusters == 0 ? 1 : 0.2) + (clusters > 0 && i % clusters != j % clusters ? 0.8 : 0));
            Fill(A, ref random);
            Fill(_b, ref random);
            Workspace = new SinkhornWorkspace<T>(device, n, m);
        }

        public DeviceBuffer<double> A { get; }
        public SinkhornWorkspace<T> Workspace { get; }

        public SinkhornResult Run(KernelVariant variant, double epsilon, SinkhornOptions options)
        {
            using KernelDispatch.ForcedVariant scope = KernelDispatch.Force(variant);
            _f.Clear();
            if (typeof(T) == typeof(double))
                return SinkhornScaling.Solve((SinkhornWorkspace<double>)(object)Workspace, ((Matrix<double>)(object)_cost).View, A.View, _b.View, epsilon, _f.View, _g.View, options);
            return SinkhornScaling.Solve((SinkhornWorkspace<float>)(object)Workspace, ((Matrix<float>)(object)_cost).View, A.View, _b.View, epsilon, _f.View, _g.View, options);
        }

        public void UpdateCoupling(double epsilon) => SinkhornScaling.UpdateCoupling(_cost.View, _f.View, _g.View, epsilon, _coupling.View, _change.View, default);

        public double[] Solve(KernelVariant variant, double epsilon, SinkhornOptions options)
        {
            Run(variant, epsilon, options);
            return Plan(epsilon);
        }

        public double[] Plan(double epsilon)
        {
            double[] plan = new double[_cost.Rows * _cost.Columns];
            for (int i = 0; i < _cost.Rows; i++)
                for (int j = 0; j < _cost.Columns; j++)
                    plan[i * _cost.Columns + j] = Math.Exp((_f.View.Host[i] + _g.View.Host[j] - double.CreateTruncating(_cost.Row(i)[j])) / epsilon);
            return plan;
        }

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { _cost, _coupling, A, _b, _f, _g, _change, Workspace }) owned.Dispose();
        }

        private static void Fill(DeviceBuffer<double> mass, ref CounterRandom random)
        {
            double sum = 0;
            for (int i = 0; i < mass.Length; i++) sum += mass.View.Host[i] = 0.5 + random.NextDouble();
            for (int i = 0; i < mass.Length; i++) mass.View.Host[i] /= sum;
        }
    }
}
