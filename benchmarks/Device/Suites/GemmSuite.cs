using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Plain products of the engine beside cuBLASLt in the same precision.</summary>
internal static class GemmSuite
{
    private const string Suite = "gemm";

    public static void Run(DeviceBench bench)
    {
        foreach ((int m, int n, int k) in bench.Tiny ? [(40, 24, 16)] : new[] { (4096, 4096, 4096), (8192, 8192, 8192), (65536, 8192, 512), (512, 8192, 65536) })
            Product(bench, m, n, k);
        if (!bench.Tiny) ProductDouble(bench, 4096);
    }

    private static void Product(DeviceBench bench, int m, int n, int k)
    {
        double operations = 2.0 * m * n * k, bytes = 4.0 * ((double)m * k + (double)k * n + (double)m * n);
        bench.Measure(Suite, $"fp32 {m}x{n}x{k}", Roofline.Of(new(Unit.Single, operations), new(Unit.Memory, bytes)), owned =>
        {
            bench.Gpu.Require(2 * bytes);
            Matrix<float> a = bench.Gpu.Random(m, k, 1, owned), b = bench.Gpu.Random(k, n, 2, owned), c = bench.Gpu.Output<float>(m, n, owned);
            return () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
        }, f => f with { TimesCublaslt = Peer(bench, LtPrecision.Single, m, n, k) / f.Ms });
    }

    private static void ProductDouble(DeviceBench bench, int n)
    {
        bench.Measure(Suite, $"fp64 {n}x{n}x{n}", Roofline.Of(new Load(Unit.Double, 2.0 * n * n * n)), owned =>
        {
            Matrix<double> a = Double(bench, n, owned), b = Double(bench, n, owned), c = bench.Gpu.Output<double>(n, n, owned);
            return () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
        }, f => f with { TimesCublaslt = Peer(bench, LtPrecision.Double, n, n, n) / f.Ms });
    }

    private static Matrix<double> Double(DeviceBench bench, int n, List<IDisposable> owned)
    {
        Matrix<double> matrix = bench.Gpu.Output<double>(n, n, owned);
        DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_random_f64").Launch(bench.Gpu.Stream, new LaunchShape(1024, 256), matrix.View.Address, (long)n * n, 5u);
        return matrix;
    }

    /// <summary>Milliseconds of cuBLASLt, recorded too; null where it is not there.</summary>
    private static double? Peer(DeviceBench bench, LtPrecision precision, int m, int n, int k)
    {
        try
        {
            using LtProduct product = new(bench.Gpu, precision, m, n, k);
            Timing timing = bench.Time(product.Run);
            string name = $"{(precision == LtPrecision.Double ? "fp64" : "fp32")} {m}x{n}x{k}";
            bench.Record(bench.Describe(Suite, name, timing, Roofline.Of(new Load(precision == LtPrecision.Double ? Unit.Double : Unit.Single, 2.0 * m * n * k))) with { Contender = "cuBLASLt" });
            return timing.Median;
        }
        catch (DeviceException)
        {
            return null; // The ceilings suite says why.
        }
    }
}
