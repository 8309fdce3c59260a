using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

public sealed class KNearestNeighboursTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    public static TheoryData<KernelVariant, DistanceMetric> Every()
    {
        TheoryData<KernelVariant, DistanceMetric> data = [];
        foreach (KernelVariant variant in KernelDispatch.All)
            foreach (DistanceMetric metric in DistanceData.Metrics) data.Add(variant, metric);
        return data;
    }

    [Theory, MemberData(nameof(Every))]
    public void Self_search_is_the_sorted_row_of_the_distance_matrix(KernelVariant variant, DistanceMetric metric)
    {
        foreach ((int n, int d, int k) in new[] { (2, 1, 1), (7, 3, 6), (16, 5, 4), (193, 13, 15), (391, 257, 5), (200, 4, 199) })
        {
            using Matrix<float> single = DistanceData.Normal<float>(_device, n, d, 21, 0.7);
            AssertSelf(variant, metric, single, k);
        }
        using Matrix<double> many = DistanceData.Normal<double>(_device, 97, 11, 22);
        AssertSelf(variant, metric, many, 15);
    }

    [Theory, MemberData(nameof(Every))]
    public void Search_is_the_sorted_row_of_the_distance_matrix(KernelVariant variant, DistanceMetric metric)
    {
        foreach ((int n, int m, int d, int k) in new[] { (0, 5, 3, 2), (1, 1, 1, 1), (5, 7, 3, 7), (193, 17, 9, 3), (13, 211, 300, 15) })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_device, n, d, 23), y = DistanceData.Normal<float>(_device, m, d, 24, 0.4);
            AssertSearch(variant, metric, x, y, k);
        }
        using Matrix<double> queries = DistanceData.Normal<double>(_device, 31, 7, 25), points = DistanceData.Normal<double>(_device, 83, 7, 26);
        AssertSearch(variant, metric, queries, points, 9);
    }

    [Theory, MemberData(nameof(Every))]
    public void Ties_go_to_the_lower_index_and_duplicates_stay_in(KernelVariant variant, DistanceMetric metric)
    {
        // Three values in four coordinates: at most 81 different rows among 250, so most distances are tied and many are zero.
        using Matrix<float> x = DistanceData.Whole<float>(_device, 250, 4, 27, 3), y = DistanceData.Whole<float>(_device, 130, 4, 28, 3);
        AssertSelf(variant, metric, x, 20);
        AssertSearch(variant, metric, y, x, 20);
        if (metric is DistanceMetric.Cosine or DistanceMetric.Correlation) return;
        using Matrix<float> same = _device.AllocateMatrix<float>(100, 3);
        using Matrix<int> indices = _device.AllocateMatrix<int>(100, 3);
        using Matrix<float> distances = _device.AllocateMatrix<float>(100, 3);
        using (KernelDispatch.Force(variant)) KNearestNeighbours.SearchSelf(metric, same.View, indices.View, distances.View);
        Assert.Equal([1, 2, 3], indices.Row(0).ToArray());
        Assert.Equal([0, 2, 3], indices.Row(1).ToArray());
        Assert.Equal([0, 1, 2], indices.Row(99).ToArray());
        Assert.All(distances.Buffer.View.Host.ToArray(), distance => Assert.Equal(0f, distance));
    }

    [Theory, MemberData(nameof(Every))]
    public void Far_from_the_origin_the_neighbours_are_still_right(KernelVariant variant, DistanceMetric metric)
    {
        foreach (double offset in new[] { 3.0, 100.0, 5e5 })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_device, 205, 40, 29, offset);
            AssertSelf(variant, metric, x, 7);
            if (metric != DistanceMetric.Euclidean) continue;
            using Matrix<int> indices = _device.AllocateMatrix<int>(205, 7), exactIndices = _device.AllocateMatrix<int>(205, 7);
            using Matrix<float> distances = _device.AllocateMatrix<float>(205, 7), exactDistances = _device.AllocateMatrix<float>(205, 7);
            using (KernelDispatch.Force(variant)) KNearestNeighbours.SearchSelf(metric, x.View, indices.View, distances.View);
            using (KernelDispatch.Force(KernelVariant.Reference)) KNearestNeighbours.SearchSelf(metric, x.View, exactIndices.View, exactDistances.View);
            for (int i = 0; i < 205; i++)
                for (int rank = 0; rank < 7; rank++) Assert.Equal(exactDistances.Row(i)[rank], distances.Row(i)[rank], 1e-5 * exactDistances.Row(i)[rank]);
        }
    }

    [Fact]
    public void Tiny_and_huge_coordinates_keep_their_order()
    {
        foreach (double scale in new[] { 1e-21, 1e-15, 1e15, 1e19 })
        {
            using Matrix<float> x = DistanceData.Normal<float>(_device, 120, 6, 30, 0, scale);
            foreach (KernelVariant variant in DistanceData.Variants)
                foreach (DistanceMetric metric in DistanceData.Metrics) AssertSelf(variant, metric, x, 9);
        }
    }

    [Theory]
    [InlineData(DistanceMetric.Euclidean)]
    [InlineData(DistanceMetric.Cityblock)]
    public void The_same_bytes_on_any_number_of_threads(DistanceMetric metric)
    {
        using Matrix<float> x = DistanceData.Whole<float>(_device, 900, 10, 31, 4);
        int[]? expected = null;
        for (int threads = 1; threads <= 6; threads++)
        {
            using CpuDevice device = new(threads);
            using Matrix<float> copy = Matrix<float>.From(device, x.Rows, x.Columns, x.Buffer.View.Host);
            using Matrix<int> indices = device.AllocateMatrix<int>(900, 12);
            using Matrix<float> distances = device.AllocateMatrix<float>(900, 12);
            KNearestNeighbours.SearchSelf(metric, copy.View, indices.View, distances.View);
            int[] found = indices.Buffer.View.Host.ToArray();
            expected ??= found;
            Assert.Equal(expected, found);
        }
    }

    [Fact]
    public void Asking_for_more_neighbours_than_there_are_is_refused()
    {
        using Matrix<float> x = _device.AllocateMatrix<float>(5, 2), distances = _device.AllocateMatrix<float>(5, 5);
        using Matrix<int> indices = _device.AllocateMatrix<int>(5, 5);
        ArgumentException error = Assert.Throws<ArgumentException>(() => KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, x.View, indices.View, distances.View));
        Assert.Contains("only 4 other points", error.Message);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, x.View, x.View, indices.View, distances.View);
        Assert.Equal([0, 1, 2, 3, 4], indices.Row(3).ToArray());
    }

    private void AssertSelf<T>(KernelVariant variant, DistanceMetric metric, Matrix<T> x, int k) where T : unmanaged, INumber<T>
    {
        using Matrix<T> all = _device.AllocateMatrix<T>(x.Rows, x.Rows), distances = _device.AllocateMatrix<T>(x.Rows, k);
        using Matrix<int> indices = _device.AllocateMatrix<int>(x.Rows, k);
        using (KernelDispatch.Force(variant))
        {
            if (x is Matrix<float> single)
            {
                PairwiseDistance.ComputeSelf(metric, single.View, ((Matrix<float>)(object)all).View);
                KNearestNeighbours.SearchSelf(metric, single.View, indices.View, ((Matrix<float>)(object)distances).View);
            }
            else
            {
                PairwiseDistance.ComputeSelf(metric, ((Matrix<double>)(object)x).View, ((Matrix<double>)(object)all).View);
                KNearestNeighbours.SearchSelf(metric, ((Matrix<double>)(object)x).View, indices.View, ((Matrix<double>)(object)distances).View);
            }
        }
        AssertSorted(all, indices, distances, self: true);
    }

    private void AssertSearch<T>(KernelVariant variant, DistanceMetric metric, Matrix<T> x, Matrix<T> y, int k) where T : unmanaged, INumber<T>
    {
        using Matrix<T> all = _device.AllocateMatrix<T>(x.Rows, y.Rows), distances = _device.AllocateMatrix<T>(x.Rows, k);
        using Matrix<int> indices = _device.AllocateMatrix<int>(x.Rows, k);
        using (KernelDispatch.Force(variant))
        {
            if (x is Matrix<float> single)
            {
                PairwiseDistance.Compute(metric, single.View, ((Matrix<float>)(object)y).View, ((Matrix<float>)(object)all).View);
                KNearestNeighbours.Search(metric, single.View, ((Matrix<float>)(object)y).View, indices.View, ((Matrix<float>)(object)distances).View);
            }
            else
            {
                PairwiseDistance.Compute(metric, ((Matrix<double>)(object)x).View, ((Matrix<double>)(object)y).View, ((Matrix<double>)(object)all).View);
                KNearestNeighbours.Search(metric, ((Matrix<double>)(object)x).View, ((Matrix<double>)(object)y).View, indices.View, ((Matrix<double>)(object)distances).View);
            }
        }
        AssertSorted(all, indices, distances, self: false);
    }

    private static void AssertSorted<T>(Matrix<T> all, Matrix<int> indices, Matrix<T> distances, bool self) where T : unmanaged, INumber<T>
    {
        for (int i = 0; i < all.Rows; i++)
        {
            (T Distance, int Index)[] row = new (T, int)[all.Columns];
            for (int j = 0; j < row.Length; j++) row[j] = (all.Row(i)[j], j);
            if (self) row = [.. row.Where(pair => pair.Index != i)];
            Array.Sort(row);
            for (int rank = 0; rank < indices.Columns; rank++)
                Assert.True(row[rank] == (distances.Row(i)[rank], indices.Row(i)[rank]),
                    $"row {i}, rank {rank}: expected {row[rank]}, found ({distances.Row(i)[rank]}, {indices.Row(i)[rank]})");
        }
    }
}
