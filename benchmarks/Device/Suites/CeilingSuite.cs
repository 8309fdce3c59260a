using System.Diagnostics;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>What this device reaches at most: every other figure is a share of these.</summary>
internal static class CeilingSuite
{
    private const string Suite = "ceilings";
    private const int Threads = 256, BlocksPerMultiprocessor = 8;

    public static void Run(DeviceBench bench)
    {
        Bandwidth(bench);
        Arithmetic(bench);
        Gather(bench);
        Products(bench);
        Latencies(bench);
        bench.UseOwnCeilings();
    }

    private static void Bandwidth(DeviceBench bench)
    {
        long bytes = bench.Tiny ? 1 << 16 : 1L << 30, quads = bytes / 16;
        Rate(bench, "copy by the driver", Unit.Memory, 2.0 * bytes, owned =>
        {
            DeviceBuffer<float> from = Filled(bench, bytes, owned), to = bench.Gpu.Array<float>(bytes / 4, owned);
            return () => bench.Gpu.Stream.Copy(from.View, to.View);
        });
        Rate(bench, "copy by a kernel", Unit.Memory, 2.0 * bytes, owned =>
        {
            DeviceBuffer<float> from = Filled(bench, bytes, owned), to = bench.Gpu.Array<float>(bytes / 4, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_copy_f32");
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), from.View.Address, to.View.Address, quads);
        });
        Rate(bench, "read", Unit.Read, bytes, owned =>
        {
            DeviceBuffer<float> from = Filled(bench, bytes, owned), sums = bench.Gpu.Array<float>(Full(bench).Grid.Count * Threads, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_read_f32");
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), from.View.Address, sums.View.Address, quads);
        });
    }

    private static void Arithmetic(DeviceBench bench)
    {
        long threads = Full(bench).Grid.Count * Threads;
        int steps = bench.Size(4096, 8), products = bench.Size(2048, 1);
        Rate(bench, "multiply-adds fp32", Unit.Single, 2.0 * 16 * steps * threads, owned =>
        {
            DeviceBuffer<float> sums = bench.Gpu.Array<float>(threads, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_ffma_f32");
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), sums.View.Address, steps, 0.999f, 1e-3f);
        });
        Rate(bench, "multiply-adds fp64", Unit.Double, 2.0 * 16 * steps * threads, owned =>
        {
            DeviceBuffer<double> sums = bench.Gpu.Array<double>(threads, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_ffma_f64");
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), sums.View.Address, steps, 0.999, 1e-3);
        });
        Rate(bench, "ex2", Unit.Exponential, 16.0 * steps * threads, owned =>
        {
            DeviceBuffer<float> sums = bench.Gpu.Array<float>(threads, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_ex2_f32");
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), sums.View.Address, steps);
        });
        foreach ((string name, Unit unit, double operations) in new[] { ("bf16", Unit.Bf16, 4096.0), ("tf32", Unit.Tf32, 2048.0) })
        {
            Rate(bench, $"mma.sync {name}", unit, 8 * operations * products * threads / 32, owned =>
            {
                DeviceBuffer<float> sums = bench.Gpu.Array<float>(threads, owned);
                CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, $"bs_ceilings_mma_{name}");
                return () => kernel.Launch(bench.Gpu.Stream, Full(bench), sums.View.Address, products);
            });
        }
    }

    /// <summary>Rows of 512 bf16 at random from 16 MiB, as decoding over active lists reads both weight matrices of 512 × 8192.</summary>
    private static void Gather(DeviceBench bench)
    {
        int rows = bench.Size(16384, 64), each = bench.Size(256, 4);
        long warps = Full(bench).Grid.Count * Threads / 32;
        Rate(bench, "gather of 1 KiB rows", Unit.Gather, 1024.0 * each * warps, owned =>
        {
            Matrix<float> table = bench.Gpu.Random(rows, 256, 7, owned);
            CounterRandom random = new(11);
            int[] places = new int[warps * each];
            for (int i = 0; i < places.Length; i++) places[i] = (int)(random.NextUInt64() % (ulong)rows);
            DeviceBuffer<int> indices = bench.Gpu.Array<int>(places.Length, owned);
            indices.CopyFrom(places);
            DeviceBuffer<float> sums = bench.Gpu.Array<float>(warps * 32, owned);
            CudaKernel kernel = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_gather_f32");
            // The table comes back into the cache, which the flush emptied, with the first few per cent of the accesses.
            return () => kernel.Launch(bench.Gpu.Stream, Full(bench), table.View.Address, indices.View.Address, each, sums.View.Address);
        });
    }

    private static void Products(DeviceBench bench)
    {
        if (!LtProduct.IsThere)
        {
            bench.Guard(Suite, "products", _ => throw new DeviceException(LtProduct.Missing), "cuBLASLt");
            return;
        }
        int cube = bench.Size(8192, 16);
        (int M, int N, int K)[] shapes = [(cube, cube, cube), (bench.Size(65536, 32), bench.Size(8192, 16), bench.Size(512, 8))];
        foreach ((int m, int n, int k) in shapes)
        {
            foreach (LtPrecision precision in Enum.GetValues<LtPrecision>())
            {
                if (precision == LtPrecision.Double && m != n) continue;
                Unit unit = precision switch { LtPrecision.Single => Unit.Single, LtPrecision.Tf32 => Unit.Tf32, LtPrecision.Bf16 => Unit.Bf16, _ => Unit.Double };
                string name = $"cuBLASLt {(precision == LtPrecision.Single ? "fp32" : precision == LtPrecision.Double ? "fp64" : precision.ToString().ToLowerInvariant())} {m}x{n}x{k}";
                // The tensor cores of these devices also do double precision, which our multiply-adds cannot: no ceiling for our kernels.
                Rate(bench, name, precision is LtPrecision.Double ? null : unit, 2.0 * m * n * k, owned =>
                {
                    LtProduct product = new(bench.Gpu, precision, m, n, k);
                    owned.Add(product);
                    return product.Run;
                }, "cuBLASLt");
            }
        }
    }

    private static void Latencies(DeviceBench bench)
    {
        CudaStream stream = bench.Gpu.Stream;
        CudaKernel empty = DeviceArrays.Kernel(bench.Gpu, "bs_ceilings_empty");
        LaunchShape one = new(1, 32);
        int rounds = bench.Size(200, 3), burst = bench.Size(1000, 20);
        Micro(bench, "launch and wait, host clock", () => Host(rounds, () =>
        {
            empty.Launch(stream, one);
            stream.Synchronize();
        }));
        Micro(bench, "launch without waiting, host clock", () =>
        {
            Timing timing = Host(bench.Size(20, 2), () =>
            {
                for (int i = 0; i < burst; i++) empty.Launch(stream, one);
            }, stream.Synchronize);
            return Divide(timing, burst);
        });
        Micro(bench, "empty kernel between two events", () => Scale(bench.Time(() => empty.Launch(stream, one)), 1e3));
        bench.Guard(Suite, "graph replay", owned =>
        {
            CudaGraph graph = CudaGraph.Capture(stream, s =>
            {
                for (int i = 0; i < 100; i++) empty.Launch(s, one);
            });
            owned.Add(graph);
            Timing device = bench.Time(() => graph.Launch(stream)), host = Host(rounds, () => graph.Launch(stream), stream.Synchronize);
            bench.Record(Micro("graph of 100 empty kernels, host clock of its launch", host));
            return Micro("graph of 100 empty kernels, a kernel on the device", Divide(Scale(device, 1e3), 100));
        });
    }

    /// <summary>Measures a rate and makes it the ceiling of its unit.</summary>
    private static void Rate(DeviceBench bench, string name, Unit? unit, double amount, Func<List<IDisposable>, Action> prepare, string contender = Figure.Own) =>
        bench.Measure(Suite, name, null, prepare, f => f with
        {
            Value = amount / (f.Ms!.Value * 1e-3),
            Unit = "per second",
            Ceiling = unit?.ToString().ToLowerInvariant(),
            Tflops = unit is Unit.Single or Unit.Double or Unit.Tf32 or Unit.Bf16 or null ? amount / f.Ms!.Value * 1e-9 : null,
            GbPerS = unit is Unit.Memory or Unit.Read or Unit.Gather ? amount / f.Ms!.Value * 1e-6 : null,
        }, contender);

    private static void Micro(DeviceBench bench, string name, Func<Timing> measure) => bench.Guard(Suite, name, _ => Micro(name, measure()));

    private static Figure Micro(string name, Timing microseconds) => new()
    {
        Suite = Suite,
        Name = name,
        Value = microseconds.Median,
        Unit = "µs",
        Repetitions = microseconds.Repetitions,
        Note = FormattableString.Invariant($"10th to 90th percentile {microseconds.Low:F2} to {microseconds.High:F2} µs"),
    };

    /// <summary>Microseconds on the host's clock.</summary>
    private static Timing Host(int rounds, Action work, Action? after = null)
    {
        double[] microseconds = new double[rounds];
        work();
        after?.Invoke();
        for (int i = 0; i < rounds; i++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            microseconds[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            after?.Invoke();
        }
        return Timing.Of(microseconds);
    }

    private static Timing Divide(Timing t, double by) => Scale(t, 1 / by);

    private static Timing Scale(Timing t, double by) => new(t.Median * by, t.Low * by, t.High * by, t.Repetitions);

    private static LaunchShape Full(DeviceBench bench) => new(bench.Tiny ? 2 : BlocksPerMultiprocessor * bench.Gpu.Info.Multiprocessors, Threads);

    private static DeviceBuffer<float> Filled(DeviceBench bench, long bytes, List<IDisposable> owned)
    {
        DeviceBuffer<float> buffer = bench.Gpu.Array<float>(bytes / 4, owned);
        DeviceArrays.Fill(bench.Gpu, buffer.View, 3);
        return buffer;
    }
}
