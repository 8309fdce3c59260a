using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Pairwise distances and nearest neighbours.</summary>
internal static class DistanceSuite
{
    public static void RunDistances(DeviceBench bench)
    {
        foreach ((int n, int d) in bench.Tiny ? [(70, 20)] : new[] { (50_000, 512), (20_000, 128), (50_000, 32) })
        {
            Distances(bench, DistanceMetric.SquaredEuclidean, DistanceForm.Expanded, n, d, 2);
            if (n == 20_000 || bench.Tiny)
            {
                Distances(bench, DistanceMetric.Euclidean, DistanceForm.Direct, n, d, 3);
                Distances(bench, DistanceMetric.Cosine, DistanceForm.Expanded, n, d, 2);
            }
        }
    }

    /// <summary>Operations of a pair: one product form needs 2 d, differences 3 d; the matrix is written once.</summary>
    private static void Distances(DeviceBench bench, DistanceMetric metric, DistanceForm form, int n, int d, int operations)
    {
        Roofline roofline = Roofline.Of(new(Unit.Single, (double)operations * n * n * d), new(Unit.Memory, 4.0 * n * n + 8.0 * n * d));
        bench.Measure("distance", $"{DistanceMetrics.NameOf(metric)} {form.ToString().ToLowerInvariant()} {n}x{n}x{d}", roofline, owned =>
        {
            bench.Gpu.Require(4.0 * n * n + 8.0 * n * d);
            Matrix<float> x = bench.Gpu.Random(n, d, 1, owned), y = bench.Gpu.Random(n, d, 2, owned), distances = bench.Gpu.Output<float>(n, n, owned);
            return () => PairwiseDistance.Compute(metric, x.View, y.View, distances.View, form);
        });
    }

    public static void RunNeighbours(DeviceBench bench)
    {
        foreach ((int n, int d, int k) in bench.Tiny ? [(80, 20, 5)] : new[] { (10_000, 512, 15), (50_000, 512, 15), (100_000, 512, 15), (50_000, 50, 15), (12_000, 30, 60) })
        {
            Roofline roofline = Roofline.Of(new(Unit.Single, 2.0 * n * n * d), new(Unit.Memory, 8.0 * n * d + 8.0 * n * k));
            bench.Measure("knn", $"n={n} d={d} k={k}", roofline, owned =>
            {
                Matrix<float> points = bench.Gpu.Random(n, d, 1, owned), distances = bench.Gpu.Output<float>(n, k, owned);
                Matrix<int> indices = bench.Gpu.Output<int>(n, k, owned);
                return () => KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, points.View, indices.View, distances.View);
            });
        }
    }
}
