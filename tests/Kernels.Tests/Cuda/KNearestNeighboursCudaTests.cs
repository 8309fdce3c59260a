using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class KNearestNeighboursCudaTests(CudaDeviceFixture fixture) : IDisposable
{
    private static PairConfig Plain => PairConfig.For<float>(DistanceMetric.Cityblock, DistanceForm.Expanded, GemmPrecision.Single, 5);
    private readonly CpuDevice _host = new(1);

    public void Dispose() => _host.Dispose();

    public static TheoryData<DistanceMetric> Metrics() => [.. DistanceData.Metrics];

    [Theory, MemberData(nameof(Metrics))]
    public void Self_search_is_the_sorted_row_of_the_distance_matrix(DistanceMetric metric)
    {
        foreach ((int n, int d, int k) in new[] { (2, 1, 1), (7, 3, 6), (65, 5, 17), (131, 13, 33) })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 21, 0.7);
            AssertSelf(metric, x, k);
        }
    }

    [Theory, MemberData(nameof(Metrics))]
    public void Search_is_the_sorted_row_of_the_distance_matrix(DistanceMetric metric)
    {
        foreach ((int n, int m, int d, int k) in new[] { (0, 5, 3, 2), (1, 1, 1, 1), (5, 7, 3, 7), (67, 17, 9, 3), (13, 211, 130, 15), (3, 90, 0, 4) })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 23), y = DistanceData.Normal<float>(_host, m, d, 24, 0.4);
            AssertSearch(metric, x, y, k);
        }
    }

    [Theory, MemberData(nameof(Metrics))]
    public void Ties_go_to_the_lower_index_and_duplicates_stay_in(DistanceMetric metric)
    {
        // Three values in four coordinates: at most 81 different rows among 150, so most distances are tied and many are zero.
        using Matrix<float> x = DistanceData.Whole<float>(_host, 150, 4, 27, 3), y = DistanceData.Whole<float>(_host, 70, 4, 28, 3);
        AssertSelf(metric, x, 20);
        AssertSearch(metric, y, x, 20);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(149)]
    public void Lists_longer_than_the_block_keeps_come_in_passes(int k)
    {
        using Matrix<float> x = DistanceData.Whole<float>(_host, 150, 3, 33, 4);
        AssertSelf(DistanceMetric.SquaredEuclidean, x, k);
    }

    [Theory]
    [InlineData(DistanceMetric.Euclidean)]
    [InlineData(DistanceMetric.Cityblock)]
    public void Points_are_shared_among_blocks_without_a_trace_in_the_result(DistanceMetric metric)
    {
        CudaDevice device = fixture.Require();
        NeighbourConfig config = NeighbourConfig.For(Plain, 3, 1700, 16, device.Info.Multiprocessors);
        Assert.True(config.Parts > 1, config.ToString());
        using Matrix<float> x = DistanceData.Whole<float>(_host, 3, 5, 34, 3), y = DistanceData.Whole<float>(_host, 1700, 5, 35, 3);
        AssertSearch(metric, x, y, 16);
        AssertSearch(metric, x, y, 70);
    }

    [Fact]
    public void Neighbours_of_equal_points_are_the_first_others()
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> same = device.AllocateMatrix<float>(100, 3), distances = device.AllocateMatrix<float>(100, 3);
        using Matrix<int> indices = device.AllocateMatrix<int>(100, 3);
        KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, same.View, indices.View, distances.View);
        int[] found = indices.ToHost();
        Assert.Equal([1, 2, 3], found[..3]);
        Assert.Equal([0, 2, 3], found[3..6]);
        Assert.Equal([0, 1, 2], found[297..]);
        Assert.All(distances.ToHost(), distance => Assert.Equal(0f, distance));
    }

    [Theory, MemberData(nameof(Metrics))]
    public void Far_from_the_origin_the_neighbours_are_still_right(DistanceMetric metric)
    {
        foreach (double offset in new[] { 3.0, 5e5 })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_host, 70, 20, 29, offset);
            AssertSelf(metric, x, 7);
        }
    }

    [Theory, MemberData(nameof(Metrics))]
    public void Double_precision_is_the_sorted_row_of_the_distance_matrix(DistanceMetric metric)
    {
        CudaDevice device = fixture.Require();
        foreach ((int n, int m, int d, int k) in new[] { (5, 7, 3, 7), (66, 131, 9, 15), (3, 90, 2, 70) })
        {
            using Matrix<double> x = DistanceData.Normal<double>(_host, n, d, 23), y = DistanceData.Normal<double>(_host, m, d, 24, 0.4);
            using Matrix<double> onX = x.To(device), onY = y.To(device), distances = device.AllocateMatrix<double>(n, k), own = device.AllocateMatrix<double>(m, 5), all = device.AllocateMatrix<double>(m, m);
            using Matrix<int> indices = device.AllocateMatrix<int>(n, k), ownIndices = device.AllocateMatrix<int>(m, 5);
            KNearestNeighbours.Search(metric, onX.View, onY.View, indices.View, distances.View);
            AssertSorted(PairwiseDistanceCudaTests.Compute(device, metric, DistanceForm.Expanded, x, y), n, m, indices.ToHost(), distances.ToHost(), k, self: false);
            KNearestNeighbours.SearchSelf(metric, onY.View, ownIndices.View, own.View);
            PairwiseDistance.ComputeSelf(metric, onY.View, all.View);
            AssertSorted(all.ToHost(), m, m, ownIndices.ToHost(), own.ToHost(), 5, self: true);
        }
    }

    /// <summary>In one block, and in blocks of every shape beside the square of pairs.</summary>
    [Theory]
    [InlineData(GemmPrecision.Single, 9)]
    [InlineData(GemmPrecision.Single, 70)]
    [InlineData(GemmPrecision.BFloat16, 17)]
    public void Fused_and_split_searches_give_the_same_bits(GemmPrecision precision, int d)
    {
        CudaDevice device = fixture.Require();
        const int n = 131, m = 150, k = 17;
        using Matrix<float> x = DistanceData.Normal<float>(_host, n, d, 23), y = DistanceData.Normal<float>(_host, m, d, 24, 0.4), onX = x.To(device), onY = y.To(device);
        (float[], int[]) Run(NeighbourTuning.Choice choice, bool self, int neighbours)
        {
            using NeighbourTuning.Forced forced = NeighbourTuning.Force(choice);
            using Matrix<float> distances = device.AllocateMatrix<float>(self ? m : n, neighbours);
            using Matrix<int> indices = device.AllocateMatrix<int>(self ? m : n, neighbours);
            if (self) KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, onY.View, indices.View, distances.View, precision);
            else KNearestNeighbours.Search(DistanceMetric.Euclidean, onX.View, onY.View, indices.View, distances.View, precision);
            return (distances.ToHost(), indices.ToHost());
        }
        foreach (bool self in new[] { false, true })
        {
            (float[] distances, int[] indices) = Run(new(NeighbourVariant.Fused, 0, 0), self, k);
            foreach ((int queries, int points) in new[] { (2048, 4096), (64, 64), (50, 33), (150, 7) })
            {
                (float[] other, int[] otherIndices) = Run(new(NeighbourVariant.Split, queries, points), self, k);
                Assert.Equal(indices, otherIndices);
                Assert.Equal(distances, other);
            }
        }
        float[] all = PairwiseDistanceCudaTests.Compute(device, DistanceMetric.Euclidean, DistanceForm.Expanded, x, y, precision);
        (float[] passes, int[] passIndices) = Run(new(NeighbourVariant.Split, 60, 100), self: false, 70);
        AssertSorted(all, n, m, passIndices, passes, 70, self: false);
    }

    [Fact]
    public void A_large_search_times_both_variants_once()
    {
        CudaDevice device = fixture.Require();
        PairArguments large = new() { XRows = 5000, YRows = 6000, Depth = 3 }, small = new() { XRows = 50, YRows = 60, Depth = 3 };
        NeighbourTuning.Class shapes = NeighbourTuning.Class.Of(device, Plain with { Value = 1 }, 16, large);
        Assert.Equal(NeighbourVariant.Fused, NeighbourTuning.Find(device, NeighbourTuning.Class.Of(device, Plain, 16, small), small));
        Assert.Null(NeighbourTuning.Find(device, shapes, large));
        Assert.Equal(NeighbourVariant.Split, NeighbourTuning.Remember(device, shapes, 2, 1));
        Assert.Equal(NeighbourVariant.Split, NeighbourTuning.Find(device, shapes, large));
        // The first timing stands, so that a process does not change its mind.
        Assert.Equal(NeighbourVariant.Split, NeighbourTuning.Remember(device, shapes, 1, 2));
        large.XRows = 8191;
        Assert.Equal(NeighbourVariant.Split, NeighbourTuning.Find(device, NeighbourTuning.Class.Of(device, Plain with { Value = 1 }, 16, large), large));
    }

    [Fact]
    public void The_search_is_cut_by_the_shape_and_the_device()
    {
        Assert.Equal(new NeighbourConfig(16, 1, 1), NeighbourConfig.For(Plain, 1, 1, 16, 264));
        Assert.Equal(new NeighbourConfig(16, 1, 782), NeighbourConfig.For(Plain, 50_000, 50_000, 16, 264));
        NeighbourConfig few = NeighbourConfig.For(Plain, 64, 50_000, 32, 264);
        Assert.True(few.Parts > 80 && (long)few.Parts * few.TilesPerPart >= 782 && (few.Parts - 1L) * few.TilesPerPart < 782, few.ToString());
    }

    private void AssertSelf(DistanceMetric metric, Matrix<float> x, int k)
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> onDevice = x.To(device), all = device.AllocateMatrix<float>(x.Rows, x.Rows), distances = device.AllocateMatrix<float>(x.Rows, k);
        using Matrix<int> indices = device.AllocateMatrix<int>(x.Rows, k);
        PairwiseDistance.ComputeSelf(metric, onDevice.View, all.View);
        KNearestNeighbours.SearchSelf(metric, onDevice.View, indices.View, distances.View);
        AssertSorted(all.ToHost(), x.Rows, x.Rows, indices.ToHost(), distances.ToHost(), k, self: true);
    }

    private void AssertSearch(DistanceMetric metric, Matrix<float> x, Matrix<float> y, int k)
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> onX = x.To(device), onY = y.To(device), distances = device.AllocateMatrix<float>(x.Rows, k);
        using Matrix<int> indices = device.AllocateMatrix<int>(x.Rows, k);
        KNearestNeighbours.Search(metric, onX.View, onY.View, indices.View, distances.View);
        AssertSorted(PairwiseDistanceCudaTests.Compute(device, metric, DistanceForm.Expanded, x, y), x.Rows, y.Rows, indices.ToHost(), distances.ToHost(), k, self: false);
    }

    /// <summary>Bit for bit the first k of the distances, which have their own test against the oracle.</summary>
    private static void AssertSorted<T>(T[] all, int n, int m, int[] indices, T[] distances, int k, bool self) where T : unmanaged, INumber<T>
    {
        for (int i = 0; i < n; i++)
        {
            (T Distance, int Index)[] expected = [.. Enumerable.Range(0, m).Where(j => !self || j != i).Select(j => (all[i * m + j], j)).Order().Take(k)];
            for (int rank = 0; rank < k; rank++)
                Assert.True(expected[rank].Equals((distances[i * k + rank], indices[i * k + rank])),
                    $"row {i}, rank {rank}: ({distances[i * k + rank]}, {indices[i * k + rank]}), expected {expected[rank]}");
        }
    }
}
