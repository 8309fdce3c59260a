using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class GeodesicsCudaTests(CudaDeviceFixture fixture)
{
    /// <summary>One vertex, one either side of a tile and of a word of sources, two and three tiles; connected and in pieces.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(63, 1)]
    [InlineData(65, 3)]
    [InlineData(130, 1)]
    [InlineData(131, 5)]
    public void Hops_and_components_are_the_hosts_and_lengths_are_to_rounding(int n, int components)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(2);
        (int[] start, int[] neighbour, double[] length) = Graph(n, components);
        using CompressedGraph here = new(host, start, neighbour, length), there = new(device, start, neighbour, length);
        Assert.Equal((components, components), (Geodesics.CountComponents(here), Geodesics.CountComponents(there)));
        using Matrix<double> expected = host.AllocateMatrix<double>(n, n), exact = host.AllocateMatrix<double>(n, n), found = device.AllocateMatrix<double>(n, n);

        using (KernelDispatch.Force(KernelVariant.Reference)) Geodesics.Hops(here, exact.View);
        Geodesics.Hops(here, expected.View);
        Geodesics.Hops(there, found.View);
        Assert.Equal(exact.ToHost(), expected.ToHost());
        Assert.Equal(exact.ToHost(), found.ToHost());

        using (KernelDispatch.Force(KernelVariant.Reference)) Geodesics.Lengths(here, exact.View);
        Geodesics.Lengths(here, expected.View);
        Geodesics.Lengths(there, found.View);
        double[] oracle = exact.ToHost(), onHost = expected.ToHost(), onDevice = found.ToHost();
        for (int e = 0; e < oracle.Length; e++)
        {
            // A path has fewer than n edges, and adding them in another order differs by as many roundings at most.
            Assert.True(onHost[e].Equals(oracle[e]) || Math.Abs(onHost[e] - oracle[e]) <= n * 1.2e-16 * oracle[e], $"host {e}: {onHost[e]:R} against {oracle[e]:R}");
            Assert.True(onDevice[e].Equals(oracle[e]) || Math.Abs(onDevice[e] - oracle[e]) <= n * 1.2e-16 * oracle[e], $"device {e}: {onDevice[e]:R} against {oracle[e]:R}");
        }
        Geodesics.Lengths(there, found.View);
        Assert.Equal(onDevice, found.ToHost());
    }

    /// <summary>A ring has the longest paths a graph of its size can have, and with it the most levels.</summary>
    [Fact]
    public void A_ring_is_walked_both_ways()
    {
        CudaDevice device = fixture.Require();
        const int N = 70;
        int[] start = [.. Enumerable.Range(0, N + 1).Select(v => 2 * v)];
        int[] neighbour = [.. Enumerable.Range(0, N).SelectMany(v => new[] { (v + 1) % N, (v + N - 1) % N })];
        using CompressedGraph ring = new(device, start, neighbour, [.. Enumerable.Repeat(0.5, 2 * N)]);
        using Matrix<double> distances = device.AllocateMatrix<double>(N, N);
        Geodesics.Hops(ring, distances.View);
        double[] hops = distances.ToHost();
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) Assert.Equal(Math.Min((i - j + N) % N, (j - i + N) % N), hops[i * N + j]);
        Geodesics.Lengths(ring, distances.View);
        Assert.Equal(hops.Select(h => h / 2), distances.ToHost());
        Assert.Equal(1, Geodesics.CountComponents(ring));
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        CudaDevice device = fixture.Require();
        Assert.Throws<ArgumentException>(() => new CompressedGraph(device, [0, 2], [0], [1.0]));
        using CompressedGraph graph = new(device, [0, 0, 0], [], []);
        using Matrix<double> wrong = device.AllocateMatrix<double>(2, 3);
        Assert.Throws<ArgumentException>(() => Geodesics.Hops(graph, wrong.View));
    }

    /// <summary>A random graph of as many pieces, each connected by a random tree and some more edges.</summary>
    private static (int[] Start, int[] Neighbour, double[] Length) Graph(int n, int components)
    {
        CounterRandom random = new(31);
        SortedDictionary<int, double>[] edges = [.. Enumerable.Range(0, n).Select(_ => new SortedDictionary<int, double>())];
        for (int v = components; v < n; v++)
        {
            // Vertices of a piece are those with the same remainder.
            int earlier = v / components;
            for (int e = 0; e < 2; e++)
            {
                int to = random.NextInt32(earlier) * components + v % components;
                edges[v][to] = edges[to][v] = 0.1 + random.NextDouble();
            }
        }
        int[] start = new int[n + 1];
        for (int v = 0; v < n; v++) start[v + 1] = start[v] + edges[v].Count;
        return (start, [.. edges.SelectMany(e => e.Keys)], [.. edges.SelectMany(e => e.Values)]);
    }
}
