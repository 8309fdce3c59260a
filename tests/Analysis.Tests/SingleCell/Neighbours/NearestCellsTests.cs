using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Neighbours;

/// <summary>Exact lists against scikit-learn, edge for edge; approximate lists against exact ones.</summary>
public sealed class NearestCellsTests
{
    [Fact]
    public void Exact_lists_are_those_of_scikit_learn_edge_for_edge()
    {
        string? python = Python.Find("import sklearn", out string reason);
        Assert.SkipWhen(python is null, reason);
        using CpuDevice device = new(2);
        List<(Matrix<float> X, int K, DistanceMetric Metric)> cases = [(Cloud(device, 250, 12, 3), 15, DistanceMetric.Euclidean), (Cloud(device, 200, 9, 4), 11, DistanceMetric.Cosine)];
        if (SharedData.Find("pbmc68k_reduced", out _) is { } folder)
        {
            // 700 blood cells by 30 of their stored principal components.
            using Matrix<float> all = MatrixReader.ReadSingle(device, Path.Combine(folder, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
            cases.Add((Matrix<float>.From(device, all.Rows, 30, [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())]), 10, DistanceMetric.Euclidean));
        }
        string work = Directory.CreateTempSubdirectory("neighbours").FullName;
        try
        {
            List<string> arguments = [Path.Combine(RepositoryRoot.Path, "tests", "golden", "neighbours", "sklearn_neighbours.py")];
            foreach ((Matrix<float> x, int k, DistanceMetric metric) in cases)
            {
                string file = Path.Combine(work, arguments.Count.ToString(CultureInfo.InvariantCulture));
                File.WriteAllLines(file, Enumerable.Range(0, x.Rows).Select(i => string.Join(' ', x.Row(i).ToArray().Select(v => v.ToString("R", CultureInfo.InvariantCulture)))));
                arguments.AddRange([file, k.ToString(CultureInfo.InvariantCulture), DistanceMetrics.NameOf(metric)]);
            }
            Queue<double[]> lines = new(Python.Run(python!, [.. arguments]).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(l => l.Split(' ').Select(f => double.Parse(f, CultureInfo.InvariantCulture)).ToArray()));
            foreach ((Matrix<float> x, int k, DistanceMetric metric) in cases)
            {
                using Matrix<double> wide = Matrix<double>.From(device, x.Rows, x.Columns, [.. Enumerable.Range(0, x.Rows).SelectMany(i => x.Row(i).ToArray().Select(v => (double)v))]);
                NearestCells single = NearestCells.Find(x, k, metric), both = NearestCells.Find(wide, k, metric);
                Assert.Null(single.Recall);
                for (int i = 0; i < x.Rows; i++)
                {
                    double[] line = lines.Dequeue();
                    int[] expected = [.. line[..(k - 1)].Select(v => (int)v)];
                    Assert.Equal(expected, both.Of(i).ToArray());
                    Assert.Equal(expected, single.Of(i).ToArray());
                    for (int e = 0; e < k - 1; e++)
                    {
                        Assert.InRange(both.Distances(i)[e] / line[k - 1 + e] - 1, -1e-6, 1e-6);
                        Assert.InRange(single.Distances(i)[e] / line[k - 1 + e] - 1, -1e-5, 1e-5);
                    }
                }
            }
            Assert.Empty(lines);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
            foreach ((Matrix<float> x, _, _) in cases) x.Dispose();
        }
    }

    [Theory]
    [InlineData(DistanceMetric.Euclidean)]
    [InlineData(DistanceMetric.Cosine)]
    [InlineData(DistanceMetric.Correlation)]
    public void Approximate_lists_hold_what_they_say_of_the_exact_ones(DistanceMetric metric)
    {
        using CpuDevice device = new(2);
        // Fifteen lists of about 500, twelve of which are compared with each.
        using Matrix<float> x = Cloud(device, 7500, 8, 5);
        NearestCells exact = NearestCells.Find(x, 10, metric), found = NearestCells.FindApproximate(x, 10, metric, recall: 0.99, seed: 1);
        long hits = 0;
        for (int i = 0; i < x.Rows; i++)
        {
            ReadOnlySpan<int> of = found.Of(i), truth = exact.Of(i);
            for (int e = 0; e < 9; e++)
            {
                Assert.NotEqual(i, of[e]);
                if (e > 0) Assert.True(found.Distances(i)[e] > found.Distances(i)[e - 1] || (found.Distances(i)[e] == found.Distances(i)[e - 1] && of[e] > of[e - 1]));
                // Nothing nearer than the truth, and what is there has the right distance.
                Assert.True(found.Distances(i)[e] >= exact.Distances(i)[e] * (1 - 1e-4f) - 1e-6f);
                int at = truth.IndexOf(of[e]);
                if (at < 0) continue;
                hits++;
                Assert.InRange(found.Distances(i)[e] - exact.Distances(i)[at], -1e-5f, 1e-5f);
            }
        }
        Assert.InRange(found.Recall!.Value, 0.99, 1);
        Assert.Equal(1000, found.Recall.Sample);
        // A thousand cells measure all of them.
        Assert.InRange(hits / (9.0 * x.Rows) - found.Recall.Value, -0.01, 0.01);
    }

    [Fact]
    public void Neighbours_of_neighbours_find_what_the_lists_missed()
    {
        using CpuDevice one = new(1), three = new(3);
        // One cloud of twelve coordinates of equal spread: most cells lie near the border of a list.
        using Matrix<float> x = Cloud(one, 10_000, 12, 6, centres: 1), y = Cloud(three, 10_000, 12, 6, centres: 1);
        NearestCells lists = NearestCells.FindApproximate(x, 12, recall: 0);
        double wanted = lists.Recall!.Value + 0.5 * (1 - lists.Recall.Value);
        NearestCells rounds = NearestCells.FindApproximate(x, 12, recall: wanted), other = NearestCells.FindApproximate(y, 12, recall: wanted);
        Assert.Equal((0, 1000), (lists.Recall.Rounds, lists.Recall.Sample));
        Assert.InRange(lists.Recall.Value, 0.5, 0.999);
        Assert.True(rounds.Recall!.Rounds > 0 && rounds.Recall.Value >= wanted, $"{lists.Recall} {rounds.Recall}");
        Assert.Equal(rounds.Recall, other.Recall);
        for (int i = 0; i < x.Rows; i++)
        {
            // Ascending, every distance that of its cell, and none farther than before.
            Assert.Equal(rounds.Distances(i).ToArray().Order(), rounds.Distances(i).ToArray());
            Assert.Equal(11, rounds.Of(i).ToArray().Distinct().Count(j => j != i));
            for (int e = 0; e < 11; e++)
            {
                Assert.Equal(Math.Sqrt(Enumerable.Range(0, 12).Sum(c => Math.Pow(x.Row(i)[c] - x.Row(rounds.Of(i)[e])[c], 2))), rounds.Distances(i)[e], 1e-4);
                Assert.True(rounds.Distances(i)[e] <= lists.Distances(i)[e]);
            }
            Assert.Equal(rounds.Of(i).ToArray(), other.Of(i).ToArray());
            Assert.Equal(rounds.Distances(i).ToArray(), other.Distances(i).ToArray());
        }
    }

    [Fact]
    public void A_graphics_processor_finds_the_same_lists()
    {
        using CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using CpuDevice cpu = new(2);
        using Matrix<float> x = Cloud(cpu, 60, 7, 9), y = x.CopyAt(gpu);
        foreach (DistanceMetric metric in new[] { DistanceMetric.Euclidean, DistanceMetric.Cosine })
        {
            NearestCells here = NearestCells.Find(x, 8, metric), there = NearestCells.Find(y, 8, metric);
            for (int i = 0; i < x.Rows; i++)
            {
                Assert.Equal(here.Of(i).ToArray(), there.Of(i).ToArray());
                for (int e = 0; e < 7; e++) Assert.Equal(here.Distances(i)[e], there.Distances(i)[e], 1e-5);
            }
        }
    }

    [Fact]
    public void Few_and_equal_cells_are_searched_as_well()
    {
        using CpuDevice device = new(2);
        using Matrix<float> few = Cloud(device, 20, 3, 7), same = device.AllocateMatrix<float>(1500, 3);
        same.Buffer.View.Host.Fill(1);
        NearestCells exact = NearestCells.Find(few, 20), found = NearestCells.FindApproximate(few, 20);
        for (int i = 0; i < 20; i++) Assert.Equal(exact.Of(i).ToArray(), found.Of(i).ToArray());
        // Everything is found before the first round, which brings nothing and is the last.
        Assert.Equal(new NeighbourRecall(1, 20, 0), found.Recall);
        Assert.Equal(new NeighbourRecall(1, 20, 1), NearestCells.FindApproximate(few, 20, recall: 2).Recall);
        NearestCells equal = NearestCells.FindApproximate(same, 5);
        for (int i = 0; i < 1500; i++)
        {
            Assert.Equal([0, 0, 0, 0], equal.Distances(i).ToArray());
            Assert.DoesNotContain(i, equal.Of(i).ToArray());
            Assert.Equal(4, equal.Of(i).ToArray().Distinct().Count());
            Assert.Equal(equal.Of(i).ToArray().Order(), equal.Of(i).ToArray());
        }
    }

    [Fact]
    public void Equal_distances_go_by_the_number_of_the_cell()
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(3);
        // Places of a small lattice, each taken by several cells.
        using Matrix<float> x = Matrix<float>.From(device, 1600, 2, [.. Enumerable.Range(0, 3200).Select(_ => (float)random.NextInt32(16))]);
        foreach (double recall in new[] { 0, 2.0 })
        {
            NearestCells found = NearestCells.FindApproximate(x, 12, recall: recall);
            for (int i = 0; i < x.Rows; i++)
                Assert.Equal(found.Of(i).ToArray().OrderBy(j => MathF.Pow(x.Row(i)[0] - x.Row(j)[0], 2) + MathF.Pow(x.Row(i)[1] - x.Row(j)[1], 2)).ThenBy(j => j), found.Of(i).ToArray());
        }
    }

    [Fact]
    public void What_the_approximate_search_does_not_know_is_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<float> x = Cloud(device, 30, 3, 8);
        Assert.Contains("mode=exact", Assert.Throws<UsageException>(() => NearestCells.FindApproximate(x, 5, DistanceMetric.Cityblock)).Message);
        x.Row(4).Clear();
        Assert.Contains("Cell 4", Assert.Throws<UsageException>(() => NearestCells.FindApproximate(x, 5, DistanceMetric.Cosine)).Message);
        using CancellationTokenSource stopped = new();
        stopped.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => NearestCells.FindApproximate(x, 5, cancel: stopped.Token));
    }

    /// <summary>Points around some centres.</summary>
    private static Matrix<float> Cloud(ComputeDevice device, int cells, int coordinates, ulong seed, int centres = 10)
    {
        CounterRandom random = new(seed, stream: 2);
        double[] places = [.. Enumerable.Range(0, centres * coordinates).Select(_ => 2 * random.NextNormal())];
        return Matrix<float>.From(device, cells, coordinates, [.. Enumerable.Range(0, cells * coordinates).Select(i => (float)(places[i / coordinates % centres * coordinates + i % coordinates] + random.NextNormal()))]);
    }
}
