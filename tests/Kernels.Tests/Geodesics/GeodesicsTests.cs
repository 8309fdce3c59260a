using BioSup.Kernels.Tests.Cuda;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.ShortestPaths;

public sealed class GeodesicsTests
{
    private static readonly KernelVariant[] s_fast = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];

    /// <summary>One vertex, one either side of the sources that are searched together (8, 16 and 32), and several such groups.</summary>
    public static TheoryData<string, int> Graphs => new()
    {
        { "random", 1 }, { "random", 2 }, { "random", 9 }, { "random", 33 }, { "random", 130 }, { "pieces", 31 }, { "pieces", 90 }, { "isolated", 20 }, { "chain", 17 }, { "chain", 120 },
        { "even chain", 100 }, { "star", 32 }, { "star", 75 }, { "ring", 66 }, { "grid", 100 }, { "ties", 80 }, { "zeros", 80 }, { "all zeros", 40 }, { "complete", 48 }, { "twice", 50 }, { "wide range", 70 },
    };

    [Theory]
    [MemberData(nameof(Graphs))]
    public void Lengths_are_the_bits_of_dijkstras_algorithm(string kind, int n)
    {
        using CpuDevice device = new(2), other = new(3);
        EdgeList edges = EdgeList.Make(kind, n);
        double[] expected = edges.Dijkstra();
        Assert.Equal(expected, Lengths(edges, device, KernelVariant.Reference));
        foreach (KernelVariant variant in s_fast)
        {
            Assert.Equal(expected, Lengths(edges, device, variant));
            Assert.Equal(expected, Lengths(edges, other, variant));
        }
    }

    [Theory]
    [MemberData(nameof(Graphs))]
    public void Hops_are_the_reference(string kind, int n)
    {
        using CpuDevice device = new(2);
        using CompressedGraph graph = EdgeList.Make(kind, n).Compress(device);
        using Matrix<double> expected = device.AllocateMatrix<double>(n, n), found = device.AllocateMatrix<double>(n, n);
        using (KernelDispatch.Force(KernelVariant.Reference)) Geodesics.Hops(graph, expected.View);
        Geodesics.Hops(graph, found.View);
        Assert.Equal(expected.ToHost(), found.ToHost());
    }

    /// <summary>Paths that no edges join are infinite, and what lies outside the view is left alone.</summary>
    [Fact]
    public void Rows_may_be_part_of_a_wider_matrix()
    {
        using CpuDevice device = new(2);
        EdgeList edges = EdgeList.Make("pieces", 21);
        using CompressedGraph graph = edges.Compress(device);
        using Matrix<double> wide = device.AllocateMatrix<double>(21, 40);
        for (int i = 0; i < 21; i++) wide.Row(i).Fill(7);
        Geodesics.Lengths(graph, wide.View.ColumnBlock(3, 21));
        double[] all = wide.ToHost(), expected = edges.Dijkstra();
        Assert.Contains(double.PositiveInfinity, expected);
        for (int i = 0; i < 21; i++)
            for (int j = 0; j < 40; j++) Assert.Equal(j is >= 3 and < 24 ? expected[i * 21 + j - 3] : 7, all[i * 40 + j]);
    }

    [Fact]
    public void A_search_can_be_stopped()
    {
        using CpuDevice device = new(2);
        using CompressedGraph graph = EdgeList.Make("random", 30).Compress(device);
        using Matrix<double> distances = device.AllocateMatrix<double>(30, 30);
        using CancellationTokenSource stopped = new();
        stopped.Cancel();
        Assert.Throws<OperationCanceledException>(() => Geodesics.Lengths(graph, distances.View, stopped.Token));
        Assert.Throws<OperationCanceledException>(() => Geodesics.Hops(graph, distances.View, stopped.Token));
    }

    private static double[] Lengths(EdgeList edges, CpuDevice device, KernelVariant variant)
    {
        using CompressedGraph graph = edges.Compress(device);
        using Matrix<double> distances = device.AllocateMatrix<double>(edges.Count, edges.Count);
        using (KernelDispatch.Force(variant)) Geodesics.Lengths(graph, distances.View);
        return distances.ToHost();
    }
}
