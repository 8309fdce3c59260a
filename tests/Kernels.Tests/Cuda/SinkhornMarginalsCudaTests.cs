using System.Numerics;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>Half iterations under every constraint on a marginal, on the device against the host's double reference.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class SinkhornMarginalsCudaTests(CudaDeviceFixture fixture)
{
    private const double Epsilon = 0.02;

    public static TheoryData<string, int, int> Cases
    {
        get
        {
            TheoryData<string, int, int> data = [];
            foreach (string kind in (string[])["fixed", "priced", "at most"])
                foreach ((int n, int m) in new[] { (1, 1), (1, 7), (31, 33), (257, 31), (13, 300) }) data.Add(kind, n, m);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Iterations_in_double_precision_are_those_of_the_reference(string kind, int n, int m)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        double[] expected, plain;
        using (KernelDispatch.Force(KernelVariant.Reference)) expected = Run<double>(host, kind, n, m);
        using (KernelDispatch.Force(KernelVariant.Portable)) plain = Run<double>(host, kind, n, m);
        Near(expected, plain, Run<double>(device, kind, n, m), 1e-12);
    }

    [Theory]
    [InlineData("priced")]
    [InlineData("at most")]
    public void Iterations_in_single_precision_are_as_close_as_the_hosts(string kind)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        double[] expected, plain;
        using (KernelDispatch.Force(KernelVariant.Reference)) expected = Run<float>(host, kind, 31, 33);
        using (KernelDispatch.Force(KernelVariant.Portable)) plain = Run<float>(host, kind, 31, 33);
        Near(expected, plain, Run<float>(device, kind, 31, 33), 2e-6);
    }

    [Fact]
    public void The_same_bytes_every_time_and_a_warm_iteration_allocates_nothing()
    {
        CudaDevice device = fixture.Require();
        Assert.Equal(Run<float>(device, "priced", 67, 45), Run<float>(device, "priced", 67, 45));
        using Problem<double> problem = new(device, 20, 30);
        WarmAllocation rounds = new();
        while (rounds.Again()) problem.Iterate(MarginalStep.Priced(0.5, Epsilon, 0.1), 0.5);
        Assert.Equal(0, rounds.Least);
    }

    [Fact]
    public void Sums_of_logarithms_and_moving_terms_are_the_hosts()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        double[] expected = Terms(host), found = Terms(device);
        for (int k = 0; k < expected.Length; k++) Assert.Equal(expected[k], found[k], 1e-12 * Math.Max(1, Math.Abs(expected[k])));
    }

    /// <summary>Potentials, change and mass after four iterations.</summary>
    private static double[] Run<T>(ComputeDevice device, string kind, int n, int m) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using Problem<T> problem = new(device, n, m);
        MarginalProgress progress = default;
        if (kind == "at most")
        {
            double mass = Epsilon * (Math.Log(0.6) - problem.FreeMass());
            for (int k = 0; k < 4; k++)
            {
                progress = problem.Iterate(MarginalStep.AtMost(mass), 0);
                mass = Epsilon * (Math.Log(0.6) - progress.LogMass);
            }
        }
        else
            for (int k = 0; k < 4; k++) progress = kind == "fixed" ? problem.Iterate(MarginalStep.Fixed, 0) : problem.Iterate(MarginalStep.Priced(0.5, Epsilon, 0.1), 0.5);
        return [.. problem.Potentials(), progress.Change, Epsilon * progress.LogMass];
    }

    private static void Near(double[] expected, double[] plain, double[] found, double cap)
    {
        double scale = expected.Max(Math.Abs), error = 0, plainError = 0;
        for (int k = 0; k < expected.Length; k++)
        {
            error = Math.Max(error, Math.Abs(expected[k] - found[k]));
            plainError = Math.Max(plainError, Math.Abs(expected[k] - plain[k]));
        }
        Assert.True(error <= Math.Max(2 * plainError, 1e-14 * scale) && error <= cap * scale, $"{error:E2}, the host's own {plainError:E2}, the largest potential {scale:E2}");
    }

    private static double[] Terms(ComputeDevice device)
    {
        using CpuDevice host = new(1);
        List<double> all = [];
        foreach (GromovLoss loss in Enum.GetValues<GromovLoss>())
        {
            using Matrix<double> x = TestMatrices.Normal<double>(host, 37, 37, 1), y = TestMatrices.Normal<double>(host, 5, 5, 2), t = TestMatrices.Normal<double>(host, 37, 5, 3);
            foreach (Matrix<double> matrix in (ReadOnlySpan<Matrix<double>>)[x, y, t])
                foreach (ref double v in matrix.Buffer.View.Host) v = Math.Abs(v);
            t.Row(3)[2] = 0;
            using Matrix<double> c1 = x.CopyAt(device), c2 = y.CopyAt(device), coupling = t.CopyAt(device);
            using DeviceBuffer<double> rows = device.Allocate<double>(37), columns = device.Allocate<double>(5), scratch = device.Allocate<double>(37);
            Reductions.RowSums(coupling.View, rows.View);
            Reductions.ColumnSums(coupling.View, columns.View);
            using GromovOperands<double> operands = GromovProduct.Prepare(loss, c1.View, c2.View, rows.View, columns.View);
            using GromovTermCosts<double> costs = GromovProduct.PrepareTerms(loss, c1.View, c2.View);
            GromovProduct.UpdateTerms(costs, operands, rows.View, columns.View);
            all.AddRange([.. operands.RowTerm.ToHost(), .. operands.ColumnTerm.ToHost(), SinkhornScaling.SumLogarithms(coupling.View, scratch.View)]);
        }
        return [.. all];
    }

    private sealed class Problem<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
    {
        private readonly Matrix<T> _cost;
        private readonly DeviceBuffer<double> _a, _b, _f, _g;
        private readonly SinkhornWorkspace<T> _workspace;
        private readonly MarginalWorkspace _memory;

        public Problem(ComputeDevice device, int n, int m)
        {
            using CpuDevice host = new(1);
            CounterRandom random = new(3);
            using Matrix<T> cost = host.AllocateMatrix<T>(n, m);
            for (int i = 0; i < n; i++)
                for (int j = 0; j < m; j++) cost.Row(i)[j] = T.CreateTruncating(random.NextDouble());
            _cost = cost.CopyAt(device);
            (_a, _b, _f, _g) = (device.Allocate<double>(n), device.Allocate<double>(m), device.Allocate<double>(n), device.Allocate<double>(m));
            _a.CopyFrom([.. Enumerable.Range(0, n).Select(i => (1 + 0.3 * Math.Sin(i)) / n)]);
            _b.CopyFrom([.. Enumerable.Range(0, m).Select(j => (1 + 0.3 * Math.Cos(j)) / m)]);
            _workspace = new SinkhornWorkspace<T>(device, n, m);
            _memory = new MarginalWorkspace(device, n, m);
        }

        public double FreeMass()
        {
            SinkhornScaling.UpdateColumns(_workspace, _memory, _cost.View, _b.View, _f.View, Epsilon, MarginalStep.Free, _g.View);
            return SinkhornScaling.Settle(_memory, _a.View, _b.View, Epsilon, 0, _f.View, _g.View).LogMass;
        }

        public MarginalProgress Iterate(in MarginalStep step, double rho)
        {
            SinkhornScaling.UpdateRows(_workspace, _memory, _cost.View, _a.View, _g.View, Epsilon, step, _f.View);
            SinkhornScaling.UpdateColumns(_workspace, _memory, _cost.View, _b.View, _f.View, Epsilon, step, _g.View);
            MarginalProgress progress = SinkhornScaling.Settle(_memory, _a.View, _b.View, Epsilon, rho, _f.View, _g.View);
            SinkhornScaling.AddMasses(_f.View, _a.View, 1e-3, 0.5);
            SinkhornScaling.AddMasses(_f.View, _a.View, -1e-3, -0.5);
            return progress;
        }

        public double[] Potentials() => [.. _f.ToHost(), .. _g.ToHost()];

        public void Dispose()
        {
            foreach (IDisposable owned in new IDisposable[] { _cost, _a, _b, _f, _g, _workspace, _memory }) owned.Dispose();
        }
    }
}
