using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Runs alone: the accounting of native memory is one for the whole process.</summary>
[CollectionDefinition(nameof(KNearestNeighboursMemoryTests), DisableParallelization = true)]
public sealed class KNearestNeighboursMemoryCollection;

[Collection(nameof(KNearestNeighboursMemoryTests))]
public sealed class KNearestNeighboursMemoryTests
{
    [Fact]
    public void A_search_never_holds_the_distance_matrix()
    {
        const int Points = 4000, Columns = 8, Neighbours = 15;
        using CpuDevice device = new(2);
        using Matrix<float> x = DistanceData.Normal<float>(device, Points, Columns, 32);
        using Matrix<int> indices = device.AllocateMatrix<int>(Points, Neighbours);
        using Matrix<float> distances = device.AllocateMatrix<float>(Points, Neighbours);
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, x.View, indices.View, distances.View);
        Assert.Equal(before, MemoryAccounting.CurrentBytes);
        // A packed copy, a few numbers per row and one block of scratch per thread.
        long allowed = Points * (2L * Columns + 8) * sizeof(float) + 2 * 192 * 200 * sizeof(float);
        Assert.InRange(MemoryAccounting.PeakBytes - before, 1, allowed);
    }
}
