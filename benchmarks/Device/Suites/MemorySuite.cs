using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Operations that are one pass over memory: sums, softmax, top-k, AdamW.</summary>
internal static class MemorySuite
{
    private const string Suite = "memory";

    public static void Run(DeviceBench bench)
    {
        foreach ((int n, int d) in bench.Tiny ? [(24, 64)] : new[] { (65_536, 8_192), (65_536, 512) }) Matrices(bench, n, d);
        Adam(bench, bench.Size(8_400_000, 1000));
    }

    private static void Matrices(DeviceBench bench, int n, int d)
    {
        double bytes = 4.0 * n * d;
        Pass(bench, $"row sums {n}x{d}", Unit.Read, bytes, owned => (bench.Gpu.Random(n, d, 1, owned), bench.Gpu.Array<double>(n, owned)), (x, y) => Reductions.RowSums(x.View, y.View));
        Pass(bench, $"column sums {n}x{d}", Unit.Read, bytes, owned => (bench.Gpu.Random(n, d, 1, owned), bench.Gpu.Array<double>(d, owned)), (x, y) => Reductions.ColumnSums(x.View, y.View));
        Pass(bench, $"log-sum-exp of rows {n}x{d}", Unit.Read, bytes, owned => (bench.Gpu.Random(n, d, 1, owned), bench.Gpu.Array<float>(n, owned)), (x, y) => Softmax.LogSumExpRows(x.View, y.View));
        Pass(bench, $"log-sum-exp of columns {n}x{d}", Unit.Read, bytes, owned => (bench.Gpu.Random(n, d, 1, owned), bench.Gpu.Array<float>(d, owned)), (x, y) => Softmax.LogSumExpColumns(x.View, y.View));
        Pass(bench, $"softmax of rows {n}x{d}", Unit.Memory, 2 * bytes, owned => (bench.Gpu.Random(n, d, 1, owned), bench.Gpu.Output<float>(n, d, owned)), (x, y) => Softmax.Rows(x.View, y.View));
        int k = bench.Size(32, 4);
        Pass(bench, $"top {k} of rows {n}x{d}", Unit.Read, bytes, owned => (bench.Gpu.Random(n, d, 1, owned), (Indices: bench.Gpu.Output<int>(n, k, owned), Values: bench.Gpu.Output<float>(n, k, owned))),
            (x, y) => TopK.Rows(x.View, y.Indices.View, y.Values.View));
    }

    private static void Pass<T>(DeviceBench bench, string name, Unit unit, double bytes, Func<List<IDisposable>, (Matrix<float> X, T Y)> operands, Action<Matrix<float>, T> run) =>
        bench.Measure(Suite, name, Roofline.Of(new Load(unit, bytes)), owned =>
        {
            bench.Gpu.Require(1.2 * bytes);
            (Matrix<float> x, T y) = operands(owned);
            return () => run(x, y);
        });

    private static void Adam(DeviceBench bench, int count)
    {
        DeviceBuffer<float> Filled(List<IDisposable> owned, uint seed) => bench.Gpu.Random(1, count, seed, owned).Buffer;
        bench.Measure(Suite, $"AdamW {count}", Roofline.Of(new Load(Unit.Memory, 28.0 * count)), owned =>
        {
            DeviceBuffer<float> p = Filled(owned, 1), g = Filled(owned, 2), m = bench.Gpu.Array<float>(count, owned), v = bench.Gpu.Array<float>(count, owned);
            return () => AdamW.Step(p.View, g.View, m.View, v.View, new AdamWOptions(), 1);
        });
        bench.Measure(Suite, $"sum of squares {count}", Roofline.Of(new Load(Unit.Read, 4.0 * count)), owned =>
        {
            DeviceBuffer<float> g = Filled(owned, 2);
            return () => AdamW.SumOfSquares(g.View);
        });
    }
}
