using System.Diagnostics;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>
/// Entropic Gromov-Wasserstein as GW-map uses it: geodesics on the 60-nearest-neighbour graph divided by their mean, epsilon 0.0015 in OTT's convention,
/// 20 outer iterations of at most 300 inner ones. End to end: from points on the device to the coupling there. And one outer iteration of many small problems in one launch.
/// </summary>
internal static class GwSuite
{
    private const string Suite = "gw";

    public static void Run(DeviceBench bench)
    {
        foreach (int n in bench.Tiny ? [48] : new[] { 2_000, 12_000 })
        {
            int outer = bench.Size(20, 1), inner = bench.Size(300, 3);
            bench.Guard(Suite, $"geodesic {n}x{n}", owned =>
            {
                bench.Gpu.Require(40.0 * n * n);
                Matrix<double> x = Roll(bench.Gpu, n, 0.0, owned), y = Roll(bench.Gpu, n, 0.1, owned);
                DomainCostOptions domain = DomainCostOptions.GwMap(bench.Size(60, 5));
                GromovOptions options = new()
                {
                    Epsilon = 0.0015, Convention = EpsilonConvention.Ott, Precision = GromovPrecision.Single, MaxIterations = outer, Tolerance = 0,
                    Inner = new SinkhornOptions(inner, 1e-6, 10, SinkhornForm.LogDomain),
                };
                // Wall clock: the host takes part. The first run compiles.
                double[] total = new double[bench.Tiny ? 1 : 4], costs = new double[total.Length];
                GromovTiming parts = default;
                long iterations = 0;
                for (int i = 0; i < total.Length; i++)
                {
                    long start = Stopwatch.GetTimestamp();
                    using DomainCostResult c1 = DomainCosts.Build(x, domain), c2 = DomainCosts.Build(y, domain);
                    bench.Gpu.Synchronize();
                    costs[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                    using GromovResult result = EntropicGromovWasserstein.Solve(c1.Cost, c2.Cost, options);
                    bench.Gpu.Synchronize();
                    total[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                    (parts, iterations) = (result.Timing, result.InnerIterations);
                }
                Timing timing = Timing.Of(total.Length > 1 ? total[1..] : total);
                return bench.Describe(Suite, $"geodesic {n}x{n}", timing, Floor(n, outer, iterations)) with
                {
                    Note = FormattableString.Invariant($"costs {Timing.Of(costs).Median:F0} ms, products {1e3 * parts.Products:F0}, linear cost {1e3 * parts.Linearise:F0}, Sinkhorn {1e3 * parts.Sinkhorn:F0} ({iterations} inner iterations), coupling {1e3 * parts.Coupling:F0}; host clock"),
                };
            });
        }
        RunMany(bench);
    }

    /// <summary>An outer iteration of problems that share their costs, as the starts of an alignment do, and of each of them by itself.</summary>
    private static void RunMany(DeviceBench bench)
    {
        int count = bench.Size(32, 2), n = bench.Size(500, 24), inner = bench.Size(100, 3);
        foreach (int together in new[] { count, 1 })
        {
            string name = $"{count} problems {n}x{n}, {together} in a launch";
            bench.Guard(Suite, name, owned =>
            {
                Matrix<double> x = Roll(bench.Gpu, n, 0.0, owned), y = Roll(bench.Gpu, n, 0.1, owned);
                using DomainCostResult c1 = DomainCosts.Build(x, DomainCostOptions.GwMap(bench.Size(60, 5))), c2 = DomainCosts.Build(y, DomainCostOptions.GwMap(bench.Size(60, 5)));
                using Matrix<float> first = Elementwise.Converted<double, float>(c1.Cost.View), second = Elementwise.Converted<double, float>(c2.Cost.View);
                using DeviceBuffer<double> masses = bench.Gpu.Allocate<double>(n);
                masses.CopyFrom([.. Enumerable.Repeat(1.0 / n, n)]);
                using GromovOperands<float> operands = GromovProduct.Prepare(GromovLoss.Square, first.View, second.View, masses.View, masses.View);
                GromovBatchItem<float>[] items = new GromovBatchItem<float>[count];
                for (int i = 0; i < count; i++)
                {
                    Matrix<float> coupling = bench.Gpu.AllocateMatrix<float>(n, n);
                    owned.Add(coupling);
                    MatrixElements.OuterProduct(masses.View, masses.View, coupling.View);
                    items[i] = new GromovBatchItem<float>(operands, masses, masses, coupling, null);
                }
                GromovBatch<float>[] batches = [.. items.Chunk(together).Select(part => new GromovBatch<float>(bench.Gpu, part, new GromovBatchSettings(1, 0, false, 0.0015, 0, inner)))];
                owned.AddRange(batches);
                GromovBatchStep[] steps = new GromovBatchStep[together];
                // Wall clock: the host takes part. The first run compiles and records.
                double[] total = new double[bench.Tiny ? 1 : 4];
                for (int i = 0; i < total.Length; i++)
                {
                    long start = Stopwatch.GetTimestamp();
                    foreach (GromovBatch<float> batch in batches) batch.Step(steps, CancellationToken.None);
                    total[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                }
                return bench.Describe(Suite, name, Timing.Of(total.Length > 1 ? total[1..] : total), Floor(n, count, (double)count * inner)) with
                {
                    Note = FormattableString.Invariant($"one outer iteration of {inner} inner ones each; host clock"),
                };
            });
        }
    }

    /// <summary>Two products of n³ per outer iteration in single precision, two readings of the cost per inner iteration.</summary>
    private static Roofline Floor(double n, double outer, double inner) => new([new Load(Unit.Single, outer * 4 * n * n * n)], [new Load(Unit.Read, inner * 8 * n * n)]);

    /// <summary>A Swiss roll of fixed shape in three dimensions with a little noise.</summary>
    private static Matrix<double> Roll(CudaDevice gpu, int n, double shift, List<IDisposable> owned)
    {
        CounterRandom random = new(17, (ulong)(10 * shift));
        double[] values = new double[3 * n];
        for (int i = 0; i < n; i++)
        {
            double t = 1.5 * Math.PI * (1 + 2 * random.NextDouble());
            values[3 * i] = t * Math.Cos(t + shift) + 0.05 * random.NextNormal();
            values[3 * i + 1] = 20 * random.NextDouble();
            values[3 * i + 2] = t * Math.Sin(t + shift) + 0.05 * random.NextNormal();
        }
        Matrix<double> points = Matrix<double>.From(gpu, n, 3, values);
        owned.Add(points);
        return points;
    }
}
