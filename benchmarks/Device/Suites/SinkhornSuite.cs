using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>One iteration of the log-domain Sinkhorn, both half steps: the difference of two solves with fixed numbers of iterations.</summary>
internal static class SinkhornSuite
{
    private const string Suite = "sinkhorn";

    public static void Run(DeviceBench bench)
    {
        foreach (int n in bench.Tiny ? [96] : new[] { 4_000, 10_000, 12_000 })
        {
            int few = bench.Size(10, 1), many = bench.Size(60, 3);
            bench.Guard(Suite, $"iteration {n}x{n}", owned =>
            {
                bench.Gpu.Require(8.0 * n * n);
                (Action<int> solve, Timing small) = Prepare(bench, n, few, owned);
                Timing large = bench.Time(() => solve(many));
                double each = (large.Median - small.Median) / (many - few);
                // Two readings of the cost, and an exponential for every element in each.
                Roofline roofline = Roofline.Of(new(Unit.Read, 8.0 * n * n), new(Unit.Exponential, 2.0 * n * n));
                Timing one = new(each, (large.Low - small.Median) / (many - few), (large.High - small.Median) / (many - few), large.Repetitions);
                return bench.Describe(Suite, $"iteration {n}x{n}", one, roofline) with { Note = $"difference of {many} and {few} iterations, divided by {many - few}" };
            });
        }
    }

    private static (Action<int> Solve, Timing Few) Prepare(DeviceBench bench, int n, int few, List<IDisposable> owned)
    {
        CudaDevice gpu = bench.Gpu;
        Matrix<float> cost = gpu.Random(n, n, 1, owned);
        DeviceBuffer<double> a = Uniform(gpu, n, owned), b = Uniform(gpu, n, owned), f = gpu.Array<double>(n, owned), g = gpu.Array<double>(n, owned);
        SinkhornWorkspace<float> workspace = new(gpu, n, n);
        owned.Add(workspace);
        void Solve(int iterations)
        {
            f.Clear();
            g.Clear();
            SinkhornScaling.Solve(workspace, cost.View, a.View, b.View, 0.05, f.View, g.View, new SinkhornOptions(iterations, 0, iterations, SinkhornForm.LogDomain));
        }
        return (Solve, bench.Time(() => Solve(few)));
    }

    private static DeviceBuffer<double> Uniform(CudaDevice gpu, int n, List<IDisposable> owned)
    {
        DeviceBuffer<double> mass = gpu.Array<double>(n, owned);
        double[] values = new double[n];
        Array.Fill(values, 1.0 / n);
        mass.CopyFrom(values);
        return mass;
    }
}
