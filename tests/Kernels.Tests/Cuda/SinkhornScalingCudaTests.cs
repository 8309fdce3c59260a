using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SinkhornScalingCudaTests(CudaDeviceFixture fixture)
{
    private static readonly SinkhornOptions s_log = SinkhornOptions.Pot with { Form = SinkhornForm.LogDomain };

    /// <summary>One row or column, primes, one either side of a strip of columns, a chunk of rows, and the threads of a row.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 7)]
    [InlineData(5, 1)]
    [InlineData(31, 33)]
    [InlineData(64, 65)]
    [InlineData(257, 31)]
    [InlineData(13, 521)]
    public void Iterates_follow_the_double_reference_closer_than_the_host_in_single_precision(int n, int m)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, n, m, seed: 3);
        SinkhornOptions options = s_log with { MaxIterations = 15 };
        double[] expected = problem.SolveOnHost(KernelVariant.Reference, 0.02, options), plain = problem.SolveOnHost(KernelVariant.Portable, 0.02, options);
        double[] found = problem.SolveOnDevice(0.02, options, out SinkhornResult result);
        double scale = expected.Max(), error = Worst(expected, found) / scale, plainError = Worst(expected, plain) / scale;
        // An exponential in single precision is within 2 units in the last place, and the exponents of the terms that matter are small.
        Assert.True(error <= Math.Max(2 * plainError, 2.5e-7), $"{n}x{m}: {error:E2}, plain {plainError:E2}");
        Assert.True(result.Iterations is > 0 and <= 15);
    }

    [Fact]
    public void Stopping_rule_is_that_of_pot()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, 40, 50, seed: 5);
        SinkhornOptions options = s_log with { Tolerance = 1e-6 };
        problem.SolveOnDevice(0.1, options, out SinkhornResult converged);
        problem.SolveOnHost(KernelVariant.Reference, 0.1, options, out SinkhornResult expected);
        Assert.Equal((expected.Iterations, true), (converged.Iterations, converged.Converged));
        Assert.Equal(expected.MarginalError, converged.MarginalError, 1e-7);
        problem.SolveOnDevice(0.01, s_log with { MaxIterations = 5 }, out SinkhornResult stopped);
        Assert.Equal((5, false), (stopped.Iterations, stopped.Converged));
    }

    [Theory]
    [InlineData(1e-2)]
    [InlineData(1e-4)]
    [InlineData(1e-6)]
    public void Tiny_epsilon_neither_under_nor_overflows(double epsilon)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, 40, 29, seed: 7);
        SinkhornOptions options = s_log with { MaxIterations = 12 };
        double[] expected = problem.SolveOnHost(KernelVariant.Reference, epsilon, options), found = problem.SolveOnDevice(epsilon, options, out _);
        Assert.All(found, value => Assert.True(double.IsFinite(value) && value >= 0));
        // Potentials and differences are in double precision: epsilon does not multiply the error of the single-precision exponentials.
        double error = Worst(expected, found) / expected.Max();
        Assert.True(error <= 1e-5, $"{error:E2}");
    }

    [Fact]
    public void The_same_bytes_every_time_and_a_warm_solve_allocates_nothing()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, 67, 45, seed: 11);
        SinkhornOptions options = s_log with { MaxIterations = 6, CheckEvery = 2 };
        double[] first = problem.SolveOnDevice(0.05, options, out _);
        Assert.Equal(first, problem.SolveOnDevice(0.05, options, out _));
        long before = GC.GetAllocatedBytesForCurrentThread();
        problem.Run(0.05, options);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void The_coupling_and_its_change_are_those_of_the_host()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, 37, 300, seed: 13);
        double[] expected = problem.SolveOnDevice(0.05, s_log with { MaxIterations = 8 }, out _);
        using Matrix<float> coupling = device.AllocateMatrix<float>(37, 300), change = device.AllocateMatrix<float>(37, 300);
        using DeviceBuffer<double> squares = device.Allocate<double>(37);
        double norm = problem.UpdateCoupling(0.05, coupling, squares, change);
        float[] found = coupling.ToHost();
        double largest = expected.Max();
        for (int i = 0; i < found.Length; i++) Assert.True(Math.Abs(found[i] - expected[i]) <= 1e-5 * largest);
        Assert.Equal(Math.Sqrt(found.Sum(v => (double)v * v)), norm, 1e-12);
        Assert.Equal(found, change.ToHost());
        Assert.Equal(0.0, problem.UpdateCoupling(0.05, coupling, squares, change));
        Assert.All(change.ToHost(), value => Assert.Equal(0f, value));
    }

    [Fact]
    public void Impossible_requests_are_refused()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Problem problem = new(host, device, 4, 5, seed: 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => problem.Run(0, s_log));
        problem.A.CopyFrom([1, 1, 0, 1]);
        Assert.Contains("Mass 2", Assert.Throws<ArgumentException>(() => problem.Run(0.1, s_log)).Message);
        Assert.Contains("--device cpu", Assert.Throws<DeviceException>(() => new SinkhornWorkspace<double>(device, 2, 2)).Message);
    }

    private static double Worst(double[] expected, double[] actual) => expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();

    /// <summary>One problem on the host and on the device.</summary>
    private sealed class Problem : IDisposable
    {
        private readonly CpuDevice _host;
        private readonly Matrix<float> _hostCost, _cost;
        private readonly double[] _a, _b;
        private readonly DeviceBuffer<double> _deviceB, _f, _g;
        private readonly SinkhornWorkspace<float> _workspace;

        public Problem(CpuDevice host, CudaDevice device, int n, int m, ulong seed)
        {
            CounterRandom random = new(seed);
            _host = host;
            _hostCost = host.AllocateMatrix<float>(n, m);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) _hostCost.Row(i)[j] = (float)random.NextDouble();
            (_a, _b) = (Masses(n, ref random), Masses(m, ref random));
            _cost = _hostCost.To(device);
            (A, _deviceB, _f, _g) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n), device.Allocate<double>(m));
            A.CopyFrom(_a);
            _deviceB.CopyFrom(_b);
            _workspace = new SinkhornWorkspace<float>(device, n, m);
        }

        public DeviceBuffer<double> A { get; }

        public SinkhornResult Run(double epsilon, SinkhornOptions options)
        {
            _f.Clear();
            return SinkhornScaling.Solve(_workspace, _cost.View, A.View, _deviceB.View, epsilon, _f.View, _g.View, options);
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
            using SinkhornWorkspace<float> workspace = new(_host, _a.Length, _b.Length);
            a.CopyFrom(_a);
            b.CopyFrom(_b);
            using (KernelDispatch.Force(variant)) result = SinkhornScaling.Solve(workspace, _hostCost.View, a.View, b.View, epsilon, f.View, g.View, options);
            return Plan(epsilon, f.ToHost(), g.ToHost());
        }

        public double UpdateCoupling(double epsilon, Matrix<float> coupling, DeviceBuffer<double> squares, Matrix<float> change) =>
            SinkhornScaling.UpdateCoupling(_cost.View, _f.View, _g.View, epsilon, coupling.View, squares.View, change.View);

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { _hostCost, _cost, A, _deviceB, _f, _g, _workspace }) owned.Dispose();
        }

        private double[] Plan(double epsilon, double[] f, double[] g)
        {
            double[] plan = new double[f.Length * g.Length];
            for (int i = 0; i < f.Length; i++)
                for (int j = 0; j < g.Length; j++) plan[i * g.Length + j] = Math.Exp((f[i] + g[j] - _hostCost.Row(i)[j]) / epsilon);
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
