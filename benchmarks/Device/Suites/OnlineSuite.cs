using System.Diagnostics;
using BioSup.Analysis.Alignment;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>
/// Gromov-Wasserstein between squared distances without a stored coupling: an iteration of Sinkhorn over all pairs, which is the difference of two solves with fixed numbers of
/// iterations, the products that follow, and whole solves of 20 outer iterations of at most 300 inner ones, end to end from points to potentials. 30 coordinates.
/// </summary>
internal static class OnlineSuite
{
    private const string Suite = "online";
    private const int Coordinates = 30, Rank = Coordinates + 1;

    public static void Run(DeviceBench bench)
    {
        int[] sizes = bench.Tiny ? [96] : [12_000, 45_000, 100_000];
        foreach (int n in sizes)
        {
            Iteration<float>(bench, n, "single", FactoredScores.Automatic);
            Iteration<float>(bench, n, "single, scores on the ordinary units", FactoredScores.Ordinary);
            if (bench.Tiny || n == sizes[0]) Iteration<double>(bench, n, "double", FactoredScores.Automatic);
            Products(bench, n);
        }
        foreach (int n in bench.Tiny ? [48] : sizes) Solve(bench, n);
    }

    /// <summary>Both passes. The exponentials are what any form of it needs; scores can be formed on several units.</summary>
    private static void Iteration<T>(DeviceBench bench, int n, string precision, FactoredScores scores) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        string name = $"iteration {n}x{n} of {Coordinates} coordinates, {precision}";
        int few = bench.Size(4, 1), many = bench.Size(n > 50_000 ? 14 : 34, 3);
        bench.Guard(Suite, name, owned =>
        {
            Action<int> solve = Prepare<T>(bench.Gpu, n, scores, owned);
            Timing one = bench.TimeIteration(solve, few, many);
            double pairs = 2.0 * n * n;
            Roofline roofline = Roofline.Of(typeof(T) == typeof(float) ? new Load(Unit.Exponential, pairs) : new Load(Unit.Double, pairs * 2 * Rank));
            return bench.Describe(Suite, name, one, roofline) with
            {
                Note = FormattableString.Invariant($"difference of {many} and {few} iterations, divided by {many - few}; {pairs * 2 * Rank / one.Median * 1e-9:F1} TFLOP/s in the scores alone"),
            };
        });
    }

    private static void Products(DeviceBench bench, int n)
    {
        bench.Measure(Suite, $"products with {Rank} features {n}x{n}, single", Roofline.Of(new(Unit.Single, 4.0 * n * n * Rank), new(Unit.Exponential, (double)n * n)), owned =>
        {
            FactoredPlan<float> plan = Plan<float>(bench.Gpu, n, owned);
            CpuDevice host = bench.Gpu.Host;
            DeviceBuffer<double> u = Vector(host, n, -Math.Log(n), owned), v = Vector(host, n, -Math.Log(n), owned);
            Matrix<double> result = host.AllocateMatrix<double>(n, Rank);
            owned.Add(result);
            return () => FactoredTransport.ApplyRight(plan, u.View, v.View, result.View);
        });
    }

    private static void Solve(DeviceBench bench, int n)
    {
        string name = $"solve {n}x{n} of {Coordinates} coordinates, single";
        bench.Guard(Suite, name, owned =>
        {
            Matrix<double> x = Cloud(bench.Gpu, n, 1, owned), y = Cloud(bench.Gpu, n, 2, owned);
            DomainCostOptions squared = new() { Cost = DomainCost.SquaredEuclidean, RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean };
            GromovOptions options = new()
            {
                Epsilon = 5e-2, Precision = GromovPrecision.Single, MaxIterations = bench.Size(20, 1), Tolerance = 0,
                Inner = new SinkhornOptions(bench.Size(300, 2), 1e-6, 10, SinkhornForm.LogDomain),
            };
            using (Matrix<double> few = Cloud(bench.Gpu, 200, 3, []))
            using (DomainCostResult cost = DomainCosts.Build(few, squared))
                OnlineGromovWasserstein.Solve(cost, cost, options with { MaxIterations = 1 }).Dispose(); // compiles
            MemoryWatch memory = new(bench.Gpu);
            // Wall clock: the host takes part.
            long start = Stopwatch.GetTimestamp();
            using DomainCostResult c1 = DomainCosts.Build(x, squared), c2 = DomainCosts.Build(y, squared);
            using OnlineGromovResult result = OnlineGromovWasserstein.Solve(c1, c2, options, progress: memory);
            bench.Gpu.Synchronize();
            Timing timing = Timing.Of([Stopwatch.GetElapsedTime(start).TotalMilliseconds]);
            double inner = result.InnerIterations;
            return bench.Describe(Suite, name, timing, Roofline.Of(new Load(Unit.Exponential, inner * 2 * n * n))) with
            {
                Note = FormattableString.Invariant(
                    $"{inner} inner iterations, Sinkhorn {1e3 * result.Timing.Sinkhorn:F0} ms, moments {1e3 * result.Timing.Products:F0}, changes {1e3 * result.Timing.Coupling:F0}; {memory.MostBytes * 1e-6:F0} MB of device memory; host clock"),
            };
        });
    }

    /// <summary>A solve of so many plain iterations from constant potentials.</summary>
    private static Action<int> Prepare<T>(CudaDevice gpu, int n, FactoredScores scores, List<IDisposable> owned) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        FactoredPlan<T> plan = Plan<T>(gpu, n, owned);
        plan.Scores = scores;
        CpuDevice host = gpu.Host;
        DeviceBuffer<double> mass = Vector(host, n, 1.0 / n, owned), u = Vector(host, n, 0, owned), v = Vector(host, n, 0, owned), sums = Vector(host, n, 0, owned);
        return iterations =>
        {
            v.View.Host.Fill(-Math.Log(n));
            FactoredTransport.Solve(plan, mass.View, mass.View, u.View, v.View, sums.View, new SinkhornOptions(iterations, 0, 1, SinkhornForm.LogDomain));
        };
    }

    internal static FactoredPlan<T> Plan<T>(CudaDevice gpu, int n, List<IDisposable> owned) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        FactoredPlan<T> plan = new(gpu, n, n, Rank);
        owned.Add(plan);
        CounterRandom random = new(5);
        using Matrix<double> right = gpu.Host.AllocateMatrix<double>(n, Rank);
        foreach (ref T value in plan.Left.Buffer.View.Host) value = T.CreateTruncating(random.NextNormal());
        foreach (ref double value in right.Buffer.View.Host) value = random.NextNormal();
        plan.SetRight(right.View);
        return plan;
    }

    internal static DeviceBuffer<double> Vector(CpuDevice host, int n, double value, List<IDisposable> owned)
    {
        DeviceBuffer<double> vector = host.Allocate<double>(n);
        vector.View.Host.Fill(value);
        owned.Add(vector);
        return vector;
    }

    /// <summary>Ten clusters with shrinking coordinates, as the host's suite of points has them.</summary>
    private static Matrix<double> Cloud(CudaDevice gpu, int n, ulong seed, List<IDisposable> owned)
    {
        CounterRandom centres = new(99), random = new(seed);
        double[] centre = new double[10 * Coordinates], values = new double[(long)n * Coordinates];
        for (int e = 0; e < centre.Length; e++) centre[e] = 3 * centres.NextNormal();
        for (int i = 0; i < n; i++)
            for (int d = 0; d < Coordinates; d++) values[i * Coordinates + d] = (centre[i % 10 * Coordinates + d] + random.NextNormal()) / (1 + 0.2 * d);
        Matrix<double> points = Matrix<double>.From(gpu, n, Coordinates, values);
        owned.Add(points);
        return points;
    }

    /// <summary>The most device memory in use at any report of progress.</summary>
    private sealed class MemoryWatch(CudaDevice gpu) : IProgressReporter
    {
        public long MostBytes { get; private set; }

        public void Report(string stage, long done, long total, string? detail = null) => MostBytes = Math.Max(MostBytes, gpu.Pool.BytesInUse);
    }
}
