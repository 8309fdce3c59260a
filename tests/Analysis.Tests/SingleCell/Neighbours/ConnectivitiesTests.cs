using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Neighbours;

/// <summary>Weights between neighbours against scanpy's printed matrices of four points and against umap-learn where it is installed.</summary>
public sealed class ConnectivitiesTests
{
    /// <summary>The points, and the matrices of their neighbours with k = 3, of scanpy's own tests.</summary>
    private static readonly double[] s_points = [1, 0, 3, 0, 5, 6, 0, 4];

    private static readonly float[,] s_umap =
    {
        { 0, 1, 0, 1 },
        { 1, 0, 0.5849691143165735f, 0.8277419907567016f },
        { 0, 0.5849691143165735f, 0, 1 },
        { 1, 0.8277419907567016f, 1, 0 },
    };

    private static readonly float[,] s_gauss =
    {
        { 0, 0.8466368913650513f, 0, 0.5660185813903809f },
        { 0.8466368913650513f, 0, 0.4223647117614746f, 0.4902938902378082f },
        { 0, 0.4223647117614746f, 0, 0.5840492248535156f },
        { 0.5660185813903809f, 0.4902938902378082f, 0.5840492248535156f, 0 },
    };

    [Fact]
    public void Four_points_have_the_distances_and_weights_that_scanpy_prints()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 4, 2, s_points);
        NearestCells nearest = NearestCells.Find(x, 3);
        CellGraph distances = nearest.ToGraph();
        Assert.Equal([1, 3], distances.Neighbours(2).ToArray());
        Assert.Equal([40f, 29f], distances.Values(2).ToArray().Select(d => MathF.Round(d * d, 4)));
        Same(s_umap, Connectivities.Umap(nearest));
        Same(s_gauss, Connectivities.Gauss(nearest));
    }

    [Fact]
    public void Fewer_neighbours_are_the_first_of_more()
    {
        using CpuDevice device = new(2);
        using Matrix<double> x = Cloud(device, 60, 3, seed: 4);
        NearestCells many = NearestCells.Find(x, 20), few = NearestCells.Find(x, 7), taken = many.Take(7);
        for (int i = 0; i < x.Rows; i++)
        {
            Assert.Equal(few.Of(i).ToArray(), taken.Of(i).ToArray());
            Assert.Equal(few.Distances(i).ToArray(), taken.Distances(i).ToArray());
        }
    }

    [Fact]
    public void Weights_are_those_of_umap_learn()
    {
        string? python = Python.Find("import umap", out string reason);
        Assert.SkipWhen(python is null, reason);
        using CpuDevice device = new(2);
        using Matrix<double> plain = Cloud(device, 300, 6, seed: 11), angles = Cloud(device, 200, 6, seed: 12), repeated = Cloud(device, 120, 6, seed: 13);
        // A third of the cells three times over, so that some have neighbours at distance 0; every tenth is at one place, so that some have no others.
        for (int i = 0; i < 120; i++) repeated.Row(i % 10 == 0 ? 0 : i % 40).CopyTo(repeated.Row(i));
        using Matrix<double> small = Cloud(device, 90, 3, seed: 14);
        // Distances far below 1, the unit of the search for a scale, with some cells twice: one neighbour at distance 0 leaves room for others in the sum.
        for (int i = 0; i < 90; i++)
            for (int j = 0; j < 3; j++) small.Row(i)[j] = (float)(small.Row(i > 60 ? i - 61 : i)[j] * (i > 60 ? 1 : 0.02));
        List<NearestCells> cases = [NearestCells.Find(plain, 15), NearestCells.Find(small, 9), NearestCells.Find(angles, 30, DistanceMetric.Cosine), NearestCells.Find(repeated, 8)];
        if (SharedData.Find("pbmc68k_reduced", out _) is { } folder)
        {
            using Matrix<double> all = MatrixReader.ReadDouble(device, Path.Combine(folder, "pbmc68k_reduced.h5ad") + ":obsm/X_pca");
            using Matrix<double> blood = Matrix<double>.From(device, all.Rows, 30, [.. Enumerable.Range(0, all.Rows).SelectMany(i => all.Row(i)[..30].ToArray())]);
            cases.Add(NearestCells.Find(blood, 10));
        }
        HoldAgainstUmap(python!, cases);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(8)]
    public void The_kernel_has_the_median_of_squared_distances_of_even_and_odd_numbers_of_neighbours(int k)
    {
        using CpuDevice device = new(1);
        // On a line, some of them at distance 1 and some closer.
        double[] places = [0, 1, 2, 2.25, 3.5, 5, 5.125, 7, 9, 10];
        using Matrix<double> x = Matrix<double>.From(device, places.Length, 1, places);
        NearestCells nearest = NearestCells.Find(x, k);
        CellGraph found = Connectivities.Gauss(nearest);
        double[] variance = [.. places.Select((p, i) =>
        {
            double[] squares = [.. places.Where((_, j) => j != i).Select(q => (p - q) * (p - q)).Order().Take(k - 1)];
            return (k - 1) % 2 == 1 ? squares[(k - 1) / 2] : (squares[(k - 1) / 2 - 1] + squares[(k - 1) / 2]) / 2;
        })];
        for (int i = 0; i < places.Length; i++)
            for (int j = 0; j < places.Length; j++)
            {
                bool joined = nearest.Of(i).Contains(j) || nearest.Of(j).Contains(i);
                double sum = variance[i] + variance[j], expected = joined ? Math.Sqrt(2 * Math.Sqrt(variance[i] * variance[j]) / sum) * Math.Exp(-(places[i] - places[j]) * (places[i] - places[j]) / sum) : 0;
                Assert.Equal(expected, found[i, j], 1e-6);
            }
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        using Matrix<double> x = Cloud(one, 700, 4, seed: 2), y = Cloud(three, 700, 4, seed: 2);
        CellGraph a = Connectivities.Umap(NearestCells.Find(x, 12)), b = Connectivities.Umap(NearestCells.Find(y, 12));
        for (int i = 0; i < 700; i++)
        {
            Assert.Equal(a.Neighbours(i).ToArray(), b.Neighbours(i).ToArray());
            Assert.Equal(a.Values(i).ToArray(), b.Values(i).ToArray());
        }
    }

    [Fact]
    public void Too_many_and_too_few_neighbours_are_refused()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 4, 2, s_points);
        Assert.Contains("there are 4", Assert.Throws<UsageException>(() => NearestCells.Find(x, 5)).Message);
        Assert.Contains("2 are the fewest", Assert.Throws<UsageException>(() => NearestCells.Find(x, 1)).Message);
        using Matrix<float> single = Matrix<float>.From(device, 4, 2, Array.ConvertAll(s_points, p => (float)p));
        Assert.Contains("there are 4", Assert.Throws<UsageException>(() => NearestCells.Find(single, 5)).Message);
        Assert.Contains("there are 4", Assert.Throws<UsageException>(() => NearestCells.FindApproximate(single, 5)).Message);
        NearestCells two = NearestCells.Find(single, 2), all = NearestCells.Find(single, 4);
        Assert.Equal([1, 0, 3, 0], Enumerable.Range(0, 4).Select(i => two.Of(i)[0]));
        Assert.Equal(all.Of(2).ToArray(), all.Take(4).Of(2).ToArray());
        Assert.Contains("lists that hold 2", Assert.Throws<UsageException>(() => two.Take(3)).Message);
        Assert.Contains("2 are the fewest", Assert.Throws<UsageException>(() => all.Take(1)).Message);
        using Matrix<double> same = Matrix<double>.From(device, 4, 2, new double[8]);
        Assert.Contains("cell 0", Assert.Throws<UsageException>(() => Connectivities.Gauss(NearestCells.Find(same, 3))).Message);
    }

    private static void HoldAgainstUmap(string python, List<NearestCells> cases)
    {
        string folder = Directory.CreateTempSubdirectory("neighbours").FullName;
        try
        {
            List<string> arguments = [Path.Combine(RepositoryRoot.Path, "tests", "golden", "neighbours", "umap_connectivities.py")];
            foreach (NearestCells nearest in cases)
            {
                string file = Path.Combine(folder, arguments.Count.ToString(CultureInfo.InvariantCulture));
                // The lists as umap-learn takes them: the cell itself first, at distance 0.
                File.WriteAllLines(file, Enumerable.Range(0, nearest.Cells).Select(i => string.Join(' ', Text([i]), Text(nearest.Of(i).ToArray()), "0", Text(nearest.Distances(i).ToArray()))));
                arguments.AddRange([file, Text([nearest.Others + 1])]);
            }
            CellGraph[] ours = [.. cases.Select(Connectivities.Umap)];
            int[] entries = new int[ours.Length];
            foreach (string line in Python.Run(python, [.. arguments]).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                double[] fields = [.. line.Split(' ').Select(f => double.Parse(f, CultureInfo.InvariantCulture))];
                Assert.InRange(ours[(int)fields[0]][(int)fields[1], (int)fields[2]] - fields[3], -1e-5, 1e-5);
                entries[(int)fields[0]]++;
            }
            Assert.Equal(entries, ours.Select(g => g.Entries));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Text<T>(T[] numbers) where T : IFormattable => string.Join(' ', numbers.Select(n => n.ToString(null, CultureInfo.InvariantCulture)));

    private static void Same(float[,] expected, CellGraph found)
    {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) Assert.InRange(found[i, j] - expected[i, j], -1e-6f, 1e-6f);
    }

    private static Matrix<double> Cloud(ComputeDevice device, int cells, int coordinates, ulong seed)
    {
        CounterRandom random = new(seed, stream: 1);
        return Matrix<double>.From(device, cells, coordinates, [.. Enumerable.Range(0, cells * coordinates).Select(i => (double)(float)random.NextNormal())]);
    }
}
