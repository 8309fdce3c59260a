using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Embedding;

/// <summary>Diffusion maps and pseudotimes against scanpy's printed matrices, dense eigenvectors, SciPy, and graphs whose answer is known.</summary>
public sealed class DiffusionMapTests
{
    private static readonly double[,] s_umap =
    {
        { 0, 0.4818987107873648, 0, 0.3951883393150153 },
        { 0.48189871078736474, 0, 0.3594582764005241, 0.24216345431293487 },
        { 0, 0.3594582764005241, 0, 0.5039226836320637 },
        { 0.39518833931501524, 0.24216345431293487, 0.5039226836320637, 0 },
    };

    private static readonly double[,] s_gauss =
    {
        { 0, 0.5146393179893494, 0, 0.36445462703704834 },
        { 0.5146393179893494, 0, 0.3581143319606781, 0.2239987552165985 },
        { 0, 0.3581143319606781, 0, 0.5245543718338013 },
        { 0.36445462703704834, 0.2239987552165985, 0.5245543718338013, 0 },
    };

    [Fact]
    public void Four_points_have_the_transitions_that_scanpy_prints()
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 4, 2, [1, 0, 3, 0, 5, 6, 0, 4]);
        NearestCells nearest = NearestCells.Find(x, 3);
        ScaledGraph umap = ScaledGraph.Transitions(device, Connectivities.Umap(nearest)), gauss = ScaledGraph.Transitions(device, Connectivities.Gauss(nearest));
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
            {
                Assert.InRange(umap[i, j] - s_umap[i, j], -1e-6, 1e-6);
                Assert.InRange(gauss[i, j] - s_gauss[i, j], -1e-6, 1e-6);
            }
    }

    [Theory]
    [InlineData(90, 1)]
    [InlineData(700, 1)]
    [InlineData(700, 3)]
    public void Eigenpairs_satisfy_their_equation_and_are_the_largest(int cells, int parts)
    {
        using CpuDevice device = new(2);
        CellGraph graph = Graph(device, cells, parts, 10);
        using DiffusionMap map = DiffusionMap.Compute(device, graph, 12);
        Assert.Equal(parts, map.ComponentCount);
        ScaledGraph transitions = ScaledGraph.Transitions(device, graph);
        using Matrix<double> matrix = DenseSpectrum.Entries(device, transitions), dense = device.AllocateMatrix<double>(cells, cells), product = device.AllocateMatrix<double>(1, cells);
        for (int i = 0; i < cells; i++)
            for (int j = 0; j < cells; j++)
            {
                dense.Row(i)[j] = transitions[i, j];
                Assert.InRange(matrix.Row(i)[j] - transitions[i, j], -1e-15, 1e-15);
            }
        using SymmetricEigen all = SymmetricEigen.Decompose(dense, vectors: false);
        double[] expected = [.. all.Values.OrderByDescending(Math.Abs).Take(12).OrderDescending()];
        for (int k = 0; k < 12; k++)
        {
            Assert.Equal(expected[k], map.Eigenvalues[k], 1e-12);
            Gemm.Multiply(Transpose.No, Transpose.Yes, 1, map.Vectors.View.RowBlock(k, 1), matrix.View, 0, product.View);
            for (int i = 0; i < cells; i++) Assert.InRange(product.Row(0)[i] - map.Eigenvalues[k] * map.Vectors.Row(k)[i], -1e-11, 1e-11);
            for (int l = 0; l <= k; l++) Assert.Equal(l == k ? 1 : 0, System.Numerics.Tensors.TensorPrimitives.Dot(map.Vectors.Row(k), map.Vectors.Row(l)), 1e-12);
        }
    }

    /// <summary>Every eigenvalue of a ring but ±1 is there twice; by magnitude, those beside −1 are as large as those beside 1, so it is there four times.</summary>
    [Theory]
    [InlineData(300, 8)]
    [InlineData(300, 9)]
    [InlineData(400, 9)]
    [InlineData(400, 14)]
    [InlineData(401, 11)]
    public void A_ring_has_the_eigenvalues_of_a_ring(int cells, int count) => HoldAgainst(Edges(cells, Enumerable.Range(0, cells).Select(i => (i, (i + 1) % cells))),
        Enumerable.Range(0, cells).Select(k => Math.Cos(2 * Math.PI * k / cells)), count);

    /// <summary>Twelve equal rings: every eigenvalue of one is there 24 times, more than a block of vectors holds.</summary>
    [Fact]
    public void Equal_components_have_every_eigenvalue_as_often_as_there_are_of_them() => HoldAgainst(
        Edges(480, Enumerable.Range(0, 480).Select(i => (i, i / 40 * 40 + (i + 1) % 40))), Enumerable.Range(0, 480).Select(k => Math.Cos(2 * Math.PI * (k / 12) / 40)), 60);

    /// <summary>Cliques of s cells: 1 once and −1 / (s − 1) otherwise.</summary>
    [Fact]
    public void Cliques_have_two_eigenvalues() => HoldAgainst(
        Edges(360, Enumerable.Range(0, 360).SelectMany(i => Enumerable.Range(i + 1, 11 - i % 12).Select(j => (i, j)))), Enumerable.Range(0, 360).Select(k => k < 30 ? 1 : -1.0 / 11), 40);

    /// <summary>Stars: ±1 once each and 0 otherwise.</summary>
    [Fact]
    public void Stars_have_three_eigenvalues() => HoldAgainst(
        Edges(330, Enumerable.Range(0, 330).Where(i => i % 110 != 0).Select(i => (i / 110 * 110, i))), Enumerable.Range(0, 330).Select(k => k < 3 ? 1.0 : k < 6 ? -1 : 0), 9);

    /// <summary>A path of 700 cells, whose largest eigenvalues differ by a few millionths.</summary>
    [Fact]
    public void A_path_has_the_eigenvalues_of_a_path() => HoldAgainst(
        Edges(700, Enumerable.Range(0, 699).Select(i => (i, i + 1))), PathSpectrum(700), 15);

    /// <summary>A ring of cells with 18 neighbours each and, hanging from it, complete bipartite graphs: a few large negative eigenvalues besides a spectrum that hardly reaches below 0.</summary>
    [Fact]
    public void Negative_eigenvalues_are_found_beside_a_spectrum_of_positive_ones()
    {
        const int Ring = 600, Part = 12, Parts = 4;
        IEnumerable<(int, int)> ring = Enumerable.Range(0, Ring).SelectMany(i => Enumerable.Range(1, 9).Select(d => (i, (i + d) % Ring)));
        IEnumerable<(int, int)> parts = Enumerable.Range(0, Parts).SelectMany(p => Enumerable.Range(0, Part * Part).Select(e => (Ring + 2 * Part * p + e / Part, Ring + 2 * Part * p + Part + e % Part)));
        IEnumerable<(int, int)> links = Enumerable.Range(0, Parts).Select(p => (p * Ring / Parts, Ring + 2 * Part * p));
        CellGraph graph = Edges(Ring + 2 * Part * Parts, ring.Concat(parts).Concat(links));
        double[] expected = Spectrum(graph);
        HoldAgainst(graph, expected, 15);
        Assert.True(expected.OrderByDescending(Math.Abs).Take(15).Min() < 0);
    }

    private static double[] PathSpectrum(int cells) => Spectrum(Edges(cells, Enumerable.Range(0, cells - 1).Select(i => (i, i + 1))));

    private static double[] Spectrum(CellGraph graph)
    {
        using CpuDevice device = new(2);
        ScaledGraph transitions = ScaledGraph.Transitions(device, graph);
        using Matrix<double> dense = DenseSpectrum.Entries(device, transitions);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(dense, vectors: false);
        return eigen.Values;
    }

    private static void HoldAgainst(CellGraph graph, IEnumerable<double> spectrum, int count)
    {
        using CpuDevice device = new(2);
        using DiffusionMap map = DiffusionMap.Compute(device, graph, count);
        double[] expected = [.. spectrum.Select(Math.Abs).OrderDescending().Take(count)], found = [.. map.Eigenvalues.Select(Math.Abs).OrderDescending()];
        for (int k = 0; k < count; k++) Assert.Equal(expected[k], found[k], 1e-12);
        for (int k = 0; k < count; k++)
            for (int l = 0; l <= k; l++) Assert.Equal(l == k ? 1 : 0, System.Numerics.Tensors.TensorPrimitives.Dot(map.Vectors.Row(k), map.Vectors.Row(l)), 1e-11);
        for (int k = 1; k < count; k++) Assert.True(map.Eigenvalues[k] <= map.Eigenvalues[k - 1]);
    }

    /// <summary>Undirected edges of weight 1.</summary>
    private static CellGraph Edges(int cells, IEnumerable<(int A, int B)> edges)
    {
        int[][] rows = [.. edges.SelectMany(e => new[] { e, (A: e.B, B: e.A) }).GroupBy(e => e.A).OrderBy(g => g.Key).Select(g => g.Select(e => e.B).Order().ToArray())];
        int[] start = new int[cells + 1];
        for (int i = 0; i < cells; i++) start[i + 1] = start[i] + rows[i].Length;
        return new CellGraph(start, [.. rows.SelectMany(r => r)], [.. Enumerable.Repeat(1f, start[^1])]);
    }

    [Theory]
    [InlineData(900, 1)]
    [InlineData(400, 2)]
    public void Eigenvalues_and_pseudotime_are_those_of_scipy(int cells, int parts)
    {
        string? python = Python.Find("import scipy", out string reason);
        Assert.SkipWhen(python is null, reason);
        using CpuDevice device = new(2);
        CellGraph graph = Graph(device, cells, parts, 15);
        using DiffusionMap map = DiffusionMap.Compute(device, graph);
        DiffusionPseudotime time = DiffusionPseudotime.Compute(map, 3);
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(file, Enumerable.Range(0, cells).SelectMany(i => graph.Neighbours(i).ToArray().Select(j => FormattableString.Invariant($"{i} {j} {graph[i, j]:R}"))));
            string script = Path.Combine(RepositoryRoot.Path, "tests", "golden", "neighbours", "scipy_diffusion.py");
            double[][] lines = [.. Python.Run(python!, script, file, cells.ToString(CultureInfo.InvariantCulture), "15", "3", "10").Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(l => l.Split(' ').Select(f => f == "inf" ? double.PositiveInfinity : double.Parse(f, CultureInfo.InvariantCulture)).ToArray())];
            for (int k = 0; k < 15; k++) Assert.Equal(lines[0][k], map.Eigenvalues[k], 1e-9);
            for (int i = 0; i < cells; i++)
                if (double.IsInfinity(lines[1][i])) Assert.Equal(double.PositiveInfinity, time.Values[i]);
                else Assert.Equal(lines[1][i], time.Values[i], 1e-7);
            Assert.Equal(lines[1].Count(double.IsInfinity), time.Unreachable);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Along_a_line_time_is_the_distance_from_the_root()
    {
        using CpuDevice device = new(1);
        CounterRandom random = new(5);
        double[] position = [.. Enumerable.Range(0, 500).Select(_ => random.NextDouble())];
        using Matrix<double> x = Matrix<double>.From(device, 500, 1, position);
        CellGraph graph = Connectivities.Umap(NearestCells.Find(x, 15));
        using DiffusionMap map = DiffusionMap.Compute(device, graph);
        int root = Array.IndexOf(position, position.Min());
        DiffusionPseudotime time = DiffusionPseudotime.Compute(map, root, rule: PseudotimeRule.Exact), rounded = DiffusionPseudotime.Compute(map, root);
        Assert.Equal((0.0, 1.0, 0), (time.Values[root], time.Values.Max(), time.Unreachable));
        Assert.InRange(RankStatistics.Spearman(position, time.Values), 0.995, 1);
        // Walks along a line are slow: eigenvalues that are not 1 lie above scanpy's bound, and the result says so.
        Assert.Equal((0, map.Eigenvalues.Take(10).Count(v => v >= 0.9994) - 1), (time.LeftUnweighted, rounded.LeftUnweighted));
        Assert.True(rounded.LeftUnweighted > 0);
    }

    [Fact]
    public void The_root_is_the_cell_nearest_to_the_mean_of_those_given()
    {
        using CpuDevice device = new(1);
        using DiffusionMap map = DiffusionMap.Compute(device, Graph(device, 120, 1, 10), 6);
        int[] given = [4, 17, 30, 66, 90, 101], ordered = map.ByDistanceToMean(given);
        double[] Mean() => [.. Enumerable.Range(0, 6).Select(k => given.Average(i => map.Vectors.Row(k)[i]))];
        double[] mean = Mean(), distance = [.. ordered.Select(i => Enumerable.Range(0, 6).Sum(k => Math.Pow(map.Vectors.Row(k)[i] - mean[k], 2)))];
        Assert.Equal(given, ordered.Order());
        Assert.Equal(distance.Order(), distance);
        Assert.Equal(ordered[0], map.Medoid(given));
        Assert.Throws<UsageException>(() => map.Medoid([]));
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads()
    {
        using CpuDevice one = new(1), three = new(3);
        CellGraph graph = Graph(one, 1200, 1, 12);
        using DiffusionMap a = DiffusionMap.Compute(one, graph), b = DiffusionMap.Compute(three, graph);
        Assert.Equal(a.Eigenvalues, b.Eigenvalues);
        Assert.Equal(a.Vectors.ToArray(), b.Vectors.ToArray());
    }

    [Fact]
    public void What_cannot_be_is_refused_in_a_sentence()
    {
        using CpuDevice device = new(1);
        CellGraph alone = new([0, 1, 2, 2], [1, 0], [1, 1]);
        Assert.Contains("Cell 2 has no neighbours", Assert.Throws<UsageException>(() => DiffusionMap.Compute(device, alone, 2)).Message);
        CellGraph graph = Graph(device, 60, 1, 8);
        Assert.Contains("there are 60", Assert.Throws<UsageException>(() => DiffusionMap.Compute(device, graph, 60)).Message);
        using DiffusionMap map = DiffusionMap.Compute(device, graph, 5);
        Assert.Contains("has 5", Assert.Throws<UsageException>(() => DiffusionPseudotime.Compute(map, 0, 10)).Message);
        Assert.Contains("numbered 0 to 59", Assert.Throws<UsageException>(() => DiffusionPseudotime.Compute(map, 60, 5)).Message);
    }

    /// <summary>Points around centres that lie on a line, or so far apart that each is a component of its own.</summary>
    private static CellGraph Graph(ComputeDevice device, int cells, int parts, int k)
    {
        CounterRandom random = new(17, stream: (ulong)parts);
        double[] values = new double[cells * 3];
        for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextNormal() + (i % 3 == 0 ? (i / 3 % parts) * 1000 + 4 * random.NextDouble() : 0));
        using Matrix<double> x = Matrix<double>.From(device, cells, 3, values);
        return Connectivities.Umap(NearestCells.Find(x, k));
    }
}
