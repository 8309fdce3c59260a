using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Embedding;

/// <summary>The curve against umap-learn's fits, layouts by how far they keep neighbours.</summary>
public sealed class UmapTests
{
    [Theory]
    [InlineData(0.1, 1.57694, 0.89506)]
    [InlineData(0.2, 1.26206, 1.00301)]
    [InlineData(0.25, 1.12144, 1.05750)]
    [InlineData(0.3, 0.99218, 1.11225)]
    [InlineData(0.5, 0.58303, 1.33417)]
    public void The_curve_is_the_one_that_umap_learn_fits(double minDist, double a, double b)
    {
        UmapCurve curve = UmapCurve.Fit(minDist);
        Assert.Equal(a, curve.A, 1e-5);
        Assert.Equal(b, curve.B, 1e-5);
    }

    /// <summary>umap-learn 0.5.3 reaches 0.9456 to 0.9516 (Euclidean, least distance 0.5) and 0.965 to 0.967 (cosine, 0.2) with three seeds on these cells.</summary>
    [Theory]
    [InlineData(DistanceMetric.Euclidean, 0.5, 0.9456)]
    [InlineData(DistanceMetric.Cosine, 0.2, 0.965)]
    public void Blood_cells_keep_their_neighbours_as_in_umap_learn(DistanceMetric metric, double minDist, double reference)
    {
        string? folder = SharedData.Find("pbmc68k_reduced", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new(2);
        using Matrix<double> all = MatrixReader.ReadDouble(device, Path.Combine(folder!, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
        using Matrix<double> x = Matrix<double>.From(device, all.Rows, 30, [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())]);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 15, metric));
        double[] found = [.. Enumerable.Range(0, 3).Select(seed => Trust(device, x, graph, new UmapOptions { MinDist = minDist, Seed = (ulong)seed }, metric))];
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(" ", found));
        Assert.True(found.Min() >= reference - 0.01, $"trustworthiness {string.Join(", ", found)}");
    }

    [Fact]
    public void Groups_far_apart_stay_apart_and_a_graph_of_many_parts_has_a_layout()
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(3);
        double[] values = new double[300 * 4];
        for (int i = 0; i < values.Length; i++) values[i] = random.NextNormal() + (i % 4 == 0 ? 200 * (i / 4 % 6) : 0);
        using Matrix<double> x = Matrix<double>.From(device, 300, 4, values);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 10));
        Assert.Equal(6, graph.Components(out int parts).Distinct().Count());
        using Matrix<float> layout = Umap.Run(device, graph, new UmapOptions { Epochs = 100 });
        using Matrix<double> wide = Matrix<double>.From(device, 300, 2, Array.ConvertAll(layout.ToArray(), v => (double)v));
        Assert.All(wide.ToArray(), v => Assert.True(double.IsFinite(v)));
        NearestCells near = NearestCells.Find(wide, 6);
        int strangers = Enumerable.Range(0, 300).Sum(i => near.Of(i).ToArray().Count(j => j % 6 != i % 6));
        Assert.InRange(strangers, 0, 15);
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads_but_on_the_seed()
    {
        using CpuDevice one = new(1), three = new(3);
        using Matrix<double> x = Matrix<double>.From(one, 400, 3, Cloud(1200));
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 10));
        using Matrix<float> a = Umap.Run(one, graph, new UmapOptions { Epochs = 60, Seed = 5 }), b = Umap.Run(three, graph, new UmapOptions { Epochs = 60, Seed = 5 }),
            other = Umap.Run(one, graph, new UmapOptions { Epochs = 60, Seed = 6 });
        Assert.Equal(a.ToArray(), b.ToArray());
        Assert.NotEqual(a.ToArray(), other.ToArray());
    }

    [Fact]
    public void Settings_out_of_range_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 40, 3, Cloud(120));
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 5));
        foreach (UmapOptions bad in new UmapOptions[] { new() { Dimensions = 0 }, new() { Dimensions = 39 }, new() { Epochs = 0 }, new() { NegativeSamples = -1 }, new() { LearningRate = 0 }, new() { Repulsion = -1 }, new() { MinDist = 3 }, new() { Spread = 0 } })
            Assert.Throws<UsageException>(() => Umap.Run(device, graph, bad));
    }

    [Fact]
    public void Trustworthiness_is_one_for_the_data_themselves_and_counts_ranks()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 100, 3, Cloud(300));
        Assert.Equal(1, Trustworthiness.Of(x, x, 10), 1e-15);
        using Matrix<double> line = Matrix<double>.From(device, 6, 1, [0, 1, 2.1, 3.3, 4.6, 6]), mixed = Matrix<double>.From(device, 6, 1, [6, 1, 2.1, 3.3, 4.6, 0]);
        // Nearest in the embedding: 0 → 4 (rank 4), 1 → 5 (rank 5), 2 → 1, 3 → 2 and 4 → 3 (rank 1), 5 → 1 (rank 4): penalties 3 + 4 + 3.
        Assert.Equal(1 - 2.0 * 10 / (6 * (12 - 3 - 1)), Trustworthiness.Of(line, mixed, 1), 1e-12);
    }

    private static double Trust(ComputeDevice device, Matrix<double> x, CellGraph graph, UmapOptions options, DistanceMetric metric)
    {
        using Matrix<float> layout = Umap.Run(device, graph, options);
        using Matrix<double> wide = Matrix<double>.From(device, x.Rows, 2, Array.ConvertAll(layout.ToArray(), v => (double)v));
        return Trustworthiness.Of(x, wide, 15, metric);
    }

    private static double[] Cloud(int length)
    {
        CounterRandom random = new(8);
        return [.. Enumerable.Range(0, length).Select(_ => random.NextNormal())];
    }
}
