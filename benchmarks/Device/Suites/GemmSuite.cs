using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Plain products of the engine beside cuBLASLt in the same precision.</summary>
internal static class GemmSuite
{
    private const string Suite = "gemm";

    public static void Run(DeviceBench bench)
    {
        foreach ((int m, int n, int k) in bench.Tiny ? [(40, 36, 64)] : new[] { (4096, 4096, 4096), (8192, 8192, 8192), (65536, 8192, 512), (512, 8192, 65536) })
            foreach (GemmPrecision precision in new[] { GemmPrecision.Single, GemmPrecision.BFloat16 }) Product(bench, m, n, k, precision);
        if (!bench.Tiny) ProductDouble(bench, 4096);
    }

    private static void Product(DeviceBench bench, int m, int n, int k, GemmPrecision precision)
    {
        bool narrow = precision == GemmPrecision.BFloat16;
        double operations = 2.0 * m * n * k, bytes = 4.0 * ((double)m * k + (double)k * n + (double)m * n);
        // Single precision from three products of the tensor cores, which is what large matrices take.
        Load arithmetic = narrow ? new(Unit.Bf16, operations) : new(Unit.Tf32, 3 * operations);
        Roofline roofline = new([arithmetic, new(Unit.Memory, bytes)]) { Operations = operations };
        string name = $"{(narrow ? "bf16" : "fp32")} {m}x{n}x{k}";
        bench.Measure(Suite, name, roofline, owned =>
        {
            bench.Gpu.Require(2 * bytes);
            Matrix<float> a = bench.Gpu.Random(m, k, 1, owned), b = bench.Gpu.Random(k, n, 2, owned), c = bench.Gpu.Output<float>(m, n, owned);
            return () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View, precision);
        }, f => f with { TimesCublaslt = Peer(bench, narrow ? LtPrecision.Bf16 : LtPrecision.Single, name, m, n, k) / f.Ms, Note = narrow ? "operands in single precision in memory" : "three tf32 products" });
    }

    private static void ProductDouble(DeviceBench bench, int n)
    {
        bench.Measure(Suite, $"fp64 {n}x{n}x{n}", Roofline.Of(new Load(Unit.Double, 2.0 * n * n * n)), owned =>
        {
            Matrix<double> a = Double(bench, n, owned), b = Double(bench, n, owned), c = bench.Gpu.Output<double>(n, n, owned);
            return () => Gemm.Multiply(Transpose.No, Transpose.No, 1, a.View, b.View, 0, c.View);
        }, f => f with { TimesCublaslt = Peer(bench, LtPrecision.Double, $"fp64 {n}x{n}x{n}", n, n, n) / f.Ms });
    }

    private static Matrix<double> Double(DeviceBench bench, int n, List<IDisposable> owned)
    {
        Matrix<double> matrix = bench.Gpu.Output<double>(n, n, owned);
        DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_random_f64").Launch(bench.Gpu.Stream, new LaunchShape(1024, 256), matrix.View.Address, (long)n * n, 5u);
        return matrix;
    }

    /// <summary>Milliseconds of cuBLASLt, recorded too; null where it is not there.</summary>
    private static double? Peer(DeviceBench bench, LtPrecision precision, string name, int m, int n, int k)
    {
        if (!LtProduct.IsThere) return null; // The ceilings suite says so.
        Unit unit = precision switch { LtPrecision.Double => Unit.Double, LtPrecision.Bf16 => Unit.Bf16, _ => Unit.Single };
        return bench.Guard(Suite, name, owned =>
        {
            LtProduct product = new(bench.Gpu, precision, m, n, k);
            owned.Add(product);
            return bench.Describe(Suite, name, bench.Time(product.Run), Roofline.Of(new Load(unit, 2.0 * m * n * k))) with { Contender = "cuBLASLt" };
        }, "cuBLASLt")?.Ms;
    }
}
