using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SinkhornScalingCudaTests(CudaDeviceFixture fixture)
{
    private static readonly SinkhornOptions s_log = SinkhornOptions.Pot with { Form = SinkhornForm.LogDomain };

    /// <summary>
    /// One row or column, primes, one either side of a strip of columns, a chunk of rows, the threads of a row, and a panel of rows.
    /// </summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 7)]
    [InlineData(5, 1)]
    [InlineData(31, 33)]
    [InlineData(64, 65)]
    [InlineData(257, 31)]
    [InlineData(13, 521)]
    [InlineData(134, 64)]
    public void Iterates_follow_the_double_reference_closer_than_the_host_in_single_precision(int n, int m)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, n, m, seed: 3);
        SinkhornOptions options = s_log with { MaxIterations = 15 };
        double[] expected = problem.SolveOnHost(KernelVariant.Reference, 0.02, options), plain = problem.SolveOnHost(KernelVariant.Portable, 0.02, options);
        foreach (SinkhornPasses passes in new[] { SinkhornPasses.Two, SinkhornPasses.One })
        {
            double[] found = problem.SolveOnDevice(0.02, options with { Passes = passes }, out SinkhornResult result);
            double scale = expected.Max(), error = Worst(expected, found) / scale, plainError = Worst(expected, plain) / scale;
            // An exponential in single precision is within 2 units in the last place, and the exponents of the terms that matter are small.
            Assert.True(error <= Math.Max(2 * plainError, 2.5e-7), $"{n}x{m}, passes {passes}: {error:E2}, plain {plainError:E2}");
            Assert.True(result.Iterations is > 0 and <= 15);
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(31, 33)]
    [InlineData(257, 31)]
    [InlineData(13, 521)]
    [InlineData(135, 64)]
    public void Iterates_in_double_precision_follow_the_reference(int n, int m)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> problem = new(host, device, n, m, seed: 3);
        SinkhornOptions options = s_log with { MaxIterations = 15 };
        double[] expected = problem.SolveOnHost(KernelVariant.Reference, 0.02, options), plain = problem.SolveOnHost(KernelVariant.Portable, 0.02, options);
        foreach (SinkhornPasses passes in new[] { SinkhornPasses.Two, SinkhornPasses.One })
        {
            double[] found = problem.SolveOnDevice(0.02, options with { Passes = passes }, out _);
            double scale = expected.Max(), error = Worst(expected, found) / scale, plainError = Worst(expected, plain) / scale;
            Assert.True(error <= Math.Max(2 * plainError, 1e-13), $"{n}x{m}, passes {passes}: {error:E2}, plain {plainError:E2}");
        }
    }

    [Theory]
    [InlineData(SinkhornPasses.One)]
    [InlineData(SinkhornPasses.Two)]
    public void Stopping_rule_is_that_of_pot(SinkhornPasses passes)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 40, 50, seed: 5);
        SinkhornOptions options = s_log with { Tolerance = 1e-6, Passes = passes };
        problem.SolveOnDevice(0.1, options, out SinkhornResult converged);
        problem.SolveOnHost(KernelVariant.Reference, 0.1, options, out SinkhornResult expected);
        Assert.Equal((expected.Iterations, true), (converged.Iterations, converged.Converged));
        Assert.Equal(expected.MarginalError, converged.MarginalError, 1e-7);
        problem.SolveOnDevice(0.01, s_log with { MaxIterations = 5, Passes = passes }, out SinkhornResult stopped);
        Assert.Equal((5, false), (stopped.Iterations, stopped.Converged));
    }

    /// <summary>Iterations between two checks are replayed as a graph where their number is even; what is left of the limit is not.</summary>
    [Fact]
    public void A_replayed_graph_makes_the_iterates_of_single_launches()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> problem = new(host, device, 37, 29, seed: 9);
        foreach (int limit in new[] { 24, 31 })
        {
            double[] replayed = problem.SolveOnDevice(0.02, s_log with { MaxIterations = limit, Tolerance = 0 }, out SinkhornResult result);
            double[] launched = problem.SolveOnDevice(0.02, s_log with { MaxIterations = limit, Tolerance = 0, CheckEvery = 1 }, out SinkhornResult every);
            Assert.Equal(launched, replayed);
            Assert.Equal((limit, limit), (result.Iterations, every.Iterations));
        }
    }

    [Theory]
    [InlineData(1e-2)]
    [InlineData(1e-4)]
    [InlineData(1e-6)]
    public void Tiny_epsilon_neither_under_nor_overflows(double epsilon)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 40, 29, seed: 7);
        foreach (SinkhornPasses passes in new[] { SinkhornPasses.Two, SinkhornPasses.One })
        {
            SinkhornOptions options = s_log with { MaxIterations = 12, Passes = passes };
            double[] expected = problem.SolveOnHost(KernelVariant.Reference, epsilon, options), found = problem.SolveOnDevice(epsilon, options, out _);
            Assert.All(found, value => Assert.True(double.IsFinite(value) && value >= 0));
            // Potentials and differences are in double precision: epsilon does not multiply the error of the single-precision exponentials.
            double error = Worst(expected, found) / expected.Max();
            Assert.True(error <= 1e-5, $"{passes}: {error:E2}");
        }
    }

    /// <summary>Groups of points that are almost apart: mass moves between them slowly, and plain iterations crawl.</summary>
    [Theory]
    [InlineData(SinkhornPasses.One)]
    [InlineData(SinkhornPasses.Two)]
    public void Acceleration_finds_the_plan_in_far_fewer_iterations_as_on_the_host(SinkhornPasses passes)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> problem = new(host, device, 40, 50, seed: 21, groups: 3);
        const double Epsilon = 0.02;
        SinkhornOptions options = new(2000, 1e-9, 1, SinkhornForm.Scaling, Accelerate: true, Passes: passes);
        double[] expected = problem.SolveOnHost(KernelVariant.Portable, Epsilon, options, out SinkhornResult onHost);
        problem.SolveOnHost(KernelVariant.Portable, Epsilon, options with { Accelerate = false }, out SinkhornResult slow);
        double[] found = problem.SolveOnDevice(Epsilon, options, out SinkhornResult result);
        Assert.True(result.Converged && onHost.Converged && result.MarginalError < 1e-9, $"{result}, host {onHost}");
        Assert.True(result.Iterations <= 1.5 * onHost.Iterations + 8, $"device {result.Iterations}, host {onHost.Iterations}, plain {slow.Iterations}");
        Assert.True(3 * result.Iterations < slow.Iterations, $"device {result.Iterations}, plain {slow.Iterations}");
        // The last iterate of either is within its tolerance of the solution, times the slowest direction's factor.
        Assert.True(Worst(expected, found) <= 1e-6 * expected.Max(), $"{Worst(expected, found) / expected.Max():E2}");
        Assert.Equal(found, problem.SolveOnDevice(Epsilon, options, out _));
    }

    [Fact]
    public void Acceleration_in_single_precision_stops_at_what_it_can_reach()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 40, 50, seed: 21, groups: 3);
        double[] found = problem.SolveOnDevice(0.02, new(2000, 1e-12, 1, SinkhornForm.Scaling, Accelerate: true), out SinkhornResult result);
        Assert.True(result.Converged, result.ToString());
        double[] expected = problem.SolveOnHost(KernelVariant.Reference, 0.02, new(4000, 1e-9, 10, SinkhornForm.LogDomain));
        Assert.True(Worst(expected, found) <= 1e-4 * expected.Max(), $"{Worst(expected, found) / expected.Max():E2}");
    }

    [Theory]
    [InlineData(SinkhornPasses.One, false)]
    [InlineData(SinkhornPasses.Two, false)]
    [InlineData(SinkhornPasses.Two, true)]
    public void The_same_bytes_every_time_and_a_warm_solve_allocates_nothing(SinkhornPasses passes, bool accelerate)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 67, 45, seed: 11);
        SinkhornOptions options = s_log with { MaxIterations = 9, CheckEvery = 4, Tolerance = 0, Passes = passes, Accelerate = accelerate };
        double[] first = problem.SolveOnDevice(0.05, options, out _);
        Assert.Equal(first, problem.SolveOnDevice(0.05, options, out _));
        WarmAllocation rounds = new();
        while (rounds.Again()) problem.Run(0.05, options);
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void The_coupling_and_its_change_are_those_of_the_host()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 37, 300, seed: 13);
        double[] expected = problem.SolveOnDevice(0.05, s_log with { MaxIterations = 8 }, out _);
        using Matrix<float> coupling = device.AllocateMatrix<float>(37, 300), change = device.AllocateMatrix<float>(37, 300);
        using DeviceBuffer<double> squares = device.Allocate<double>(37);
        double norm = problem.UpdateCoupling(0.05, coupling, squares, change);
        float[] found = coupling.ToHost();
        double largest = expected.Max();
        for (int i = 0; i < found.Length; i++) Assert.True(Math.Abs(found[i] - expected[i]) <= 1e-7 * largest);
        Assert.Equal(Math.Sqrt(found.Sum(v => (double)v * v)), norm, 1e-12);
        Assert.Equal(found, change.ToHost());
        WarmAllocation rounds = new();
        while (rounds.Again()) norm = problem.UpdateCoupling(0.05, coupling, squares, change);
        Assert.Equal(0, rounds.Least);
        Assert.Equal(0.0, norm);
        Assert.All(change.ToHost(), value => Assert.Equal(0f, value));
    }

    [Fact]
    public void The_coupling_in_double_precision_is_the_plan()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<double> problem = new(host, device, 23, 70, seed: 13);
        double[] expected = problem.SolveOnDevice(0.05, s_log with { MaxIterations = 8 }, out _);
        using Matrix<double> coupling = device.AllocateMatrix<double>(23, 70);
        using DeviceBuffer<double> squares = device.Allocate<double>(23);
        problem.UpdateCoupling(0.05, coupling, squares, null);
        double[] found = coupling.ToHost();
        for (int i = 0; i < found.Length; i++) Assert.True(Math.Abs(found[i] - expected[i]) <= 1e-14 * expected.Max());
    }

    [Fact]
    public void Impossible_requests_are_refused()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem<float> problem = new(host, device, 4, 5, seed: 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.Run(0, s_log));
        problem.A.CopyFrom([1, 1, 0, 1]);
        Assert.Contains("Mass 2", Assert.Throws<ArgumentException>(() => problem.Run(0.1, s_log)).Message);
    }

    /// <summary>Rows fit into shared memory in panels of 4, 2 and 1 and then no more; short problems have too few rows to share.</summary>
    [Theory]
    [InlineData(2000, 2000, 4, 4, true)]
    [InlineData(12000, 12000, 4, 2, true)]
    [InlineData(12000, 12000, 8, 1, true)]
    [InlineData(12000, 16385, 4, 0, false)]
    [InlineData(100, 2000, 4, 4, false)]
    public void The_form_follows_from_the_shape(int rows, int columns, int elementBytes, int panelRows, bool onePass)
    {
        SinkhornCudaConfig config = SinkhornCudaConfig.For(rows, columns, elementBytes, 227 << 10);
        Assert.Equal((panelRows, onePass), (config.PanelRows, config.Worthwhile));
        if (panelRows > 0) Assert.True((long)config.Panel.Grid.X * config.RowsPerBlock >= rows && config.Panel.SharedBytes <= 227 << 10);
    }

    private static double Worst(double[] expected, double[] actual) => expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();

    /// <summary>One problem on the host and on the device.</summary>
    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly CpuDevice _host;
        private readonly Matrix<T> _hostCost, _cost;
        private readonly double[] _a, _b;
        private readonly DeviceBuffer<double> _deviceB, _f, _g;
        private readonly SinkhornWorkspace<T> _workspace;

        public Problem(CpuDevice host, CudaDevice device, int n, int m, ulong seed, int groups = 1)
        {
            CounterRandom random = new(seed);
            _host = host;
            _hostCost = host.AllocateMatrix<T>(n, m);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) _hostCost.Row(i)[j] = T.CreateTruncating((groups == 1 ? 1 : 0.05) * random.NextDouble() + (i % groups == j % groups ? 0 : 0.15));
            (_a, _b) = (Masses(n, ref random), Masses(m, ref random));
            _cost = _hostCost.To(device);
            (A, _deviceB, _f, _g) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n), device.Allocate<double>(m));
            A.CopyFrom(_a);
            _deviceB.CopyFrom(_b);
            _workspace = new SinkhornWorkspace<T>(device, n, m);
        }

        public DeviceBuffer<double> A { get; }

        public SinkhornResult Run(double epsilon, SinkhornOptions options)
        {
            _f.Clear();
            return Solve(_workspace, _cost.View, A.View, _deviceB.View, epsilon, _f.View, _g.View, options);
        }

        public double[] SolveOnDevice(double epsilon, SinkhornOptions options, out SinkhornResult result)
        {
            result = Run(epsilon, options);
            return Plan(epsilon, _f.ToHost(), _g.ToHost());
        }

        public double[] SolveOnHost(KernelVariant variant, double epsilon, SinkhornOptions options) => SolveOnHost(variant, epsilon, options, out _);

        public double[] SolveOnHost(KernelVariant variant, double epsilon, SinkhornOptions options, out SinkhornResult result)
        {
            using DeviceBuffer<double> a = _host.Allocate<double>(_a.Length), b = _host.Allocate<double>(_b.Length), f = _host.Allocate<double>(_a.Length), g = _host.Allocate<double>(_b.Length);
            using SinkhornWorkspace<T> workspace = new(_host, _a.Length, _b.Length);
            a.CopyFrom(_a);
            b.CopyFrom(_b);
            using (KernelDispatch.Force(variant)) result = Solve(workspace, _hostCost.View, a.View, b.View, epsilon, f.View, g.View, options);
            return Plan(epsilon, f.ToHost(), g.ToHost());
        }

        public double UpdateCoupling(double epsilon, Matrix<T> coupling, DeviceBuffer<double> squares, Matrix<float>? change) =>
            SinkhornScaling.UpdateCoupling(_cost.View, _f.View, _g.View, epsilon, coupling.View, squares.View, change is null ? default : change.View);

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { _hostCost, _cost, A, _deviceB, _f, _g, _workspace }) owned.Dispose();
        }

        private static unsafe SinkhornResult Solve(SinkhornWorkspace<T> workspace, MatrixView<T> cost, DeviceSpan<double> a, DeviceSpan<double> b, double epsilon, DeviceSpan<double> f,
            DeviceSpan<double> g, SinkhornOptions options) => workspace is SinkhornWorkspace<double> wide
            ? SinkhornScaling.Solve(wide, new MatrixView<double>((double*)cost.Pointer, cost.Rows, cost.Columns, cost.Stride, cost.Device), a, b, epsilon, f, g, options)
            : SinkhornScaling.Solve((SinkhornWorkspace<float>)(object)workspace, new MatrixView<float>((float*)cost.Pointer, cost.Rows, cost.Columns, cost.Stride, cost.Device), a, b, epsilon, f, g, options);

        private double[] Plan(double epsilon, double[] f, double[] g)
        {
            double[] plan = new double[f.Length * g.Length];
            for (int i = 0; i < f.Length; i++)
                for (int j = 0; j < g.Length; j++) plan[i * g.Length + j] = Math.Exp((f[i] + g[j] - double.CreateTruncating(_hostCost.Row(i)[j])) / epsilon);
            return plan;
        }

        private static double[] Masses(int count, ref CounterRandom random)
        {
            double[] mass = new double[count];
            for (int i = 0; i < count; i++) mass[i] = 0.5 + random.NextDouble();
            double sum = mass.Sum();
            for (int i = 0; i < count; i++) mass[i] /= sum;
            return mass;
        }
    }
}
