using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Alignment;

/// <summary>Alignments without a stored coupling on a GPU, or the emulated one, against the same on the host.</summary>
[Collection("cuda")]
public sealed class OnlineGromovCudaTests
{
    private static CudaDevice Open()
    {
        CudaDevice? device = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(device is null, reason);
        return device!;
    }

    [Fact]
    public void Host_and_device_each_keep_to_their_part_of_the_plan()
    {
        using CudaDevice gpu = Open();
        using Matrix<double> x = Clouds.Normal(gpu.Host, 60, 4, 1), y = Clouds.Normal(gpu.Host, 50, 3, 2), xThere = x.CopyAt(gpu), yThere = y.CopyAt(gpu);
        GromovOptions options = new() { Epsilon = 50, MaxIterations = 3, Inner = SinkhornOptions.Pot with { MaxIterations = 3 } };
        MemoryPlan plan = OnlineGromovWasserstein.Plan((60, 4), (50, 3), GromovPrecision.Double, gpu), host = OnlineGromovWasserstein.Plan((60, 4), (50, 3), GromovPrecision.Double, gpu.Host);
        Assert.Empty(host.OnDevice);
        Assert.True(plan.TotalBytes < host.TotalBytes, "scratch of passes that run on the device is not held here");
        OnlineGromovWasserstein.Solve(xThere, yThere, options).Dispose();
        long before = gpu.Pool.BytesInUse, most = 0;
        Watcher watcher = new(() => most = Math.Max(most, gpu.Pool.BytesInUse - before));
        using OnlineGromovResult result = OnlineGromovWasserstein.Solve(xThere, yThere, options, progress: watcher);
        Assert.InRange(most, 1, plan.DeviceBytes);
        Assert.Contains("on the device", plan.ToString(), StringComparison.Ordinal);
    }

    private sealed class Watcher(Action look) : IProgressReporter
    {
        public void Report(string stage, long done, long total, string? detail = null) => look();
    }

    [Theory]
    [InlineData(GromovSolverKind.Pgd)]
    [InlineData(GromovSolverKind.Ppa)]
    public void The_coupling_is_the_hosts(GromovSolverKind solver)
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> x, Matrix<double> y) = Points(host);
        using (x) using (y)
        {
            GromovOptions options = new() { Epsilon = solver == GromovSolverKind.Ppa ? 0.5 : 0.2, Solver = solver, Tolerance = 1e-7, MaxIterations = 30 };
            using OnlineGromovResult expected = OnlineGromovWasserstein.Solve(x, y, options, 20, 20);
            using Matrix<double> xThere = x.CopyAt(gpu), yThere = y.CopyAt(gpu);
            using OnlineGromovResult found = OnlineGromovWasserstein.Solve(xThere, yThere, options, 20, 20);
            Assert.Equal((expected.Converged, expected.Iterations), (found.Converged, found.Iterations));
            Assert.Equal(expected.Loss, found.Loss, 1e-8);
            Assert.Equal(expected.Entropy, found.Entropy, 1e-6);
            Assert.True(found.RowError + found.ColumnError < 1e-6, $"{found.RowError:E2}, {found.ColumnError:E2}");
            Assert.True(found.InnerIterations <= 1.5 * expected.InnerIterations + 20, $"{found.InnerIterations} inner iterations, the host {expected.InnerIterations}");
            using Matrix<double> plan = expected.Coupling.ToMatrix(), planFound = found.Coupling.ToMatrix();
            // A proximal step starts from all scores so far, so what the inner tolerances leave adds up over the steps.
            Near(plan, planFound, solver == GromovSolverKind.Ppa ? 1e-5 : 1e-7);
        }
    }

    [Fact]
    public void Single_precision_is_near_the_double_result()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(2);
        (Matrix<double> x, Matrix<double> y) = Points(host);
        using (x) using (y)
        {
            GromovOptions options = new() { Epsilon = 0.2, Tolerance = 1e-6, MaxIterations = 30 };
            using OnlineGromovResult expected = OnlineGromovWasserstein.Solve(x, y, options, 20, 20);
            using Matrix<double> xThere = x.CopyAt(gpu), yThere = y.CopyAt(gpu);
            using OnlineGromovResult found = OnlineGromovWasserstein.Solve(xThere, yThere, options with { Precision = GromovPrecision.Single }, 20, 20);
            Assert.Equal(expected.Loss, found.Loss, 2e-5);
            using Matrix<double> plan = expected.Coupling.ToMatrix(), planFound = found.Coupling.ToMatrix();
            Near(plan, planFound, 2e-4);
        }
    }

    [Fact]
    public void Every_question_has_the_answer_of_the_stored_coupling()
    {
        using CudaDevice gpu = Open();
        using CpuDevice host = new(1);
        (Matrix<double> x, Matrix<double> y) = Points(host);
        using (x) using (y)
        {
            using Matrix<double> xThere = x.CopyAt(gpu), yThere = y.CopyAt(gpu), features = Clouds.Normal(host, 50, 3, 9);
            using OnlineGromovResult solved = OnlineGromovWasserstein.Solve(xThere, yThere, new GromovOptions { Epsilon = 0.2, MaxIterations = 4 }, 20, 20);
            ImplicitCoupling coupling = solved.Coupling;
            using Matrix<double> plan = coupling.ToMatrix(), product = coupling.Multiply(features.View);
            double[] row = new double[50], column = new double[40];
            coupling.Row(7, row);
            coupling.Column(11, column);
            for (int j = 0; j < 50; j++) Assert.Equal(plan.Row(7)[j], row[j], 1e-14);
            for (int i = 0; i < 40; i++) Assert.Equal(plan.Row(i)[11], column[i], 1e-14);
            int[] best = coupling.BestColumns(), bestRows = coupling.BestRows();
            for (int i = 0; i < 40; i++)
            {
                Assert.Equal(plan.Row(i).ToArray().Sum(), coupling.RowMass, 1e-12);
                Assert.Equal(plan.Row(i).ToArray().Max(), plan.Row(i)[best[i]]);
                Assert.Equal(Enumerable.Range(0, 50).Sum(j => plan.Row(i)[j] * features.Row(j)[1]), product.Row(i)[1], 1e-14);
            }
            for (int j = 0; j < 50; j++)
            {
                Assert.Equal(Enumerable.Range(0, 40).Sum(i => plan.Row(i)[j]), coupling.ColumnMasses[j], 1e-14);
                Assert.Equal(Enumerable.Range(0, 40).Max(i => plan.Row(i)[j]), plan.Row(bestRows[j])[j], 1e-14);
            }
            using Matrix<double> again = coupling.ProjectNew(x.View, features.View), projected = coupling.Project(features.View);
            for (int i = 0; i < 40; i++) Assert.Equal(projected.Row(i)[2], again.Row(i)[2], 1e-9);
        }
    }

    private static (Matrix<double> X, Matrix<double> Y) Points(CpuDevice host) => (Clouds.Clusters(host, 40, 3, seed: 1).X, Clouds.Clusters(host, 50, 2, seed: 2).X);

    private static void Near(Matrix<double> expected, Matrix<double> found, double tolerance)
    {
        double largest = 0, error = 0;
        for (int i = 0; i < expected.Rows; i++)
            for (int j = 0; j < expected.Columns; j++)
            {
                largest = Math.Max(largest, expected.Row(i)[j]);
                error = Math.Max(error, Math.Abs(expected.Row(i)[j] - found.Row(i)[j]));
            }
        Assert.True(error <= tolerance * largest, $"the largest difference is {error:E2}, the largest mass {largest:E2}");
    }
}
