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
            Iteration(bench, n, SinkhornPasses.One, 1);
            Iteration(bench, n, SinkhornPasses.Two, 2);
        }
    }

    private static void Iteration(DeviceBench bench, int n, SinkhornPasses passes, int readings)
    {
        string name = $"iteration {n}x{n}, {(readings == 1 ? "one reading" : "two readings")}";
        int few = bench.Size(10, 1), many = bench.Size(60, 3);
        bench.Guard(Suite, name, owned =>
        {
            bench.Gpu.Require(8.0 * n * n);
            Action<int> solve = Prepare(bench.Gpu, n, passes, owned);
            Timing one = bench.TimeIteration(solve, few, many);
            // An exponential for every element in each half of the iteration.
            Roofline roofline = Roofline.Of(new(Unit.Read, 4.0 * readings * n * n), new(Unit.Exponential, 2.0 * n * n));
            return bench.Describe(Suite, name, one, roofline) with { Note = $"difference of {many} and {few} iterations, divided by {many - few}" };
        });
    }

    /// <summary>A solve of so many iterations from zero potentials.</summary>
    internal static Action<int> Prepare(CudaDevice gpu, int n, SinkhornPasses passes, List<IDisposable> owned)
    {
        Matrix<float> cost = gpu.Random(n, n, 1, owned);
        DeviceBuffer<double> a = Uniform(gpu, n, owned), b = Uniform(gpu, n, owned), f = gpu.Array<double>(n, owned), g = gpu.Array<double>(n, owned);
        SinkhornWorkspace<float> workspace = new(gpu, n, n);
        owned.Add(workspace);
        return iterations =>
        {
            f.Clear();
            g.Clear();
            SinkhornScaling.Solve(workspace, cost.View, a.View, b.View, 0.05, f.View, g.View, new SinkhornOptions(iterations, 0, iterations, SinkhornForm.LogDomain, Passes: passes));
        };
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
