using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Pairwise distances and nearest neighbours.</summary>
internal static class DistanceSuite
{
    /// <summary>Coordinates from which on the products of the expanded form come from three tf32 products of the tensor cores.</summary>
    private const int FewestOfTensor = 64;

    public static void RunDistances(DeviceBench bench)
    {
        foreach ((int n, int d) in bench.Tiny ? [(40, 64)] : new[] { (50_000, 512), (20_000, 128), (50_000, 32) })
        {
            Distances(bench, DistanceMetric.SquaredEuclidean, DistanceForm.Expanded, n, d);
            if (n != 20_000 && !bench.Tiny) continue;
            Distances(bench, DistanceMetric.Euclidean, DistanceForm.Direct, n, d);
            Distances(bench, DistanceMetric.Cosine, DistanceForm.Expanded, n, d);
        }
        (int largest, int wide) = (bench.Size(50_000, 40), bench.Size(512, 64));
        Distances(bench, DistanceMetric.SquaredEuclidean, DistanceForm.Expanded, largest, wide, GemmPrecision.BFloat16);
    }

    private static void Distances(DeviceBench bench, DistanceMetric metric, DistanceForm form, int n, int d, GemmPrecision precision = GemmPrecision.Single)
    {
        double bytes = 4.0 * n * n + 8.0 * n * d;
        string suffix = precision == GemmPrecision.BFloat16 ? " bf16" : "";
        bench.Measure("distance", $"{DistanceMetrics.NameOf(metric)} {form.ToString().ToLowerInvariant()} {n}x{n}x{d}{suffix}", Pairs((double)n * n, d, form, precision, bytes), owned =>
        {
            bench.Gpu.Require(bytes);
            Matrix<float> x = bench.Gpu.Random(n, d, 1, owned), y = bench.Gpu.Random(n, d, 2, owned), distances = bench.Gpu.Output<float>(n, n, owned);
            return () => PairwiseDistance.Compute(metric, x.View, y.View, distances.View, form, precision);
        });
    }

    public static void RunNeighbours(DeviceBench bench)
    {
        foreach ((int n, int d, int k) in bench.Tiny ? [(40, 64, 5)] : new[] { (10_000, 512, 15), (50_000, 512, 15), (100_000, 512, 15), (50_000, 50, 15), (12_000, 30, 60) })
            Neighbours(bench, n, d, k, GemmPrecision.Single);
        if (!bench.Tiny) Neighbours(bench, 100_000, 512, 15, GemmPrecision.BFloat16);
    }

    private static void Neighbours(DeviceBench bench, int n, int d, int k, GemmPrecision precision)
    {
        string suffix = precision == GemmPrecision.BFloat16 ? " bf16" : "";
        // Within one set half of the pairs are enough.
        bench.Measure("knn", $"n={n} d={d} k={k}{suffix}", Pairs(0.5 * n * n, d, DistanceForm.Expanded, precision, 4.0 * n * d + 8.0 * n * k), owned =>
        {
            Matrix<float> points = bench.Gpu.Random(n, d, 1, owned), distances = bench.Gpu.Output<float>(n, k, owned);
            Matrix<int> indices = bench.Gpu.Output<int>(n, k, owned);
            return () => KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, points.View, indices.View, distances.View, precision);
        });
    }

    /// <summary>A product takes two operations for a coordinate, a difference three; the units are those that the form and the length of the rows lead to.</summary>
    private static Roofline Pairs(double pairs, int d, DistanceForm form, GemmPrecision precision, double bytes)
    {
        double operations = (form == DistanceForm.Direct ? 3 : 2) * pairs * d;
        Load arithmetic = form == DistanceForm.Direct || (precision == GemmPrecision.Single && d < FewestOfTensor) ? new(Unit.Single, operations)
            : precision == GemmPrecision.BFloat16 ? new(Unit.Bf16, operations) : new(Unit.Tf32, 3 * operations);
        return new Roofline([arithmetic, new(Unit.Memory, bytes)]) { Operations = operations };
    }
}
