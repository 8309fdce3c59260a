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
        using Matrix<double> dense = device.AllocateMatrix<double>(cells, cells);
        for (int i = 0; i < cells; i++)
            for (int j = 0; j < cells; j++) dense.Row(i)[j] = transitions[i, j];
        using SymmetricEigen all = SymmetricEigen.Decompose(dense, vectors: false);
        double[] expected = [.. all.Values.OrderByDescending(Math.Abs).Take(12).OrderDescending()], product = new double[cells];
        for (int k = 0; k < 12; k++)
        {
            Assert.Equal(expected[k], map.Eigenvalues[k], 1e-12);
            transitions.Multiply(map.Vectors.Row(k), product);
            for (int i = 0; i < cells; i++) Assert.InRange(product[i] - map.Eigenvalues[k] * map.Vectors.Row(k)[i], -1e-11, 1e-11);
            for (int l = 0; l <= k; l++) Assert.Equal(l == k ? 1 : 0, System.Numerics.Tensors.TensorPrimitives.Dot(map.Vectors.Row(k), map.Vectors.Row(l)), 1e-12);
        }
    }

    [Fact]
    public void A_ring_has_the_eigenvalues_of_a_ring()
    {
        const int Cells = 300;
        using CpuDevice device = new(1);
        int[] start = [.. Enumerable.Range(0, Cells + 1).Select(i => 2 * i)];
        int[] columns = [.. Enumerable.Range(0, Cells).SelectMany(i => new[] { (i + 1) % Cells, (i + Cells - 1) % Cells }.Order())];
        float[] values = [.. Enumerable.Repeat(0.5f, 2 * Cells)];
        using DiffusionMap map = DiffusionMap.Compute(device, new CellGraph(start, columns, values), 8);
        // A ring of even length also has −1 and pairs beside it: by magnitude they are as large. Every eigenvalue but ±1 is there twice.
        Assert.Equal(1, map.Eigenvalues[0], 1e-12);
        double[] ring = [.. Enumerable.Range(0, Cells).Select(k => Math.Cos(2 * Math.PI * k / Cells)).OrderByDescending(Math.Abs).Take(8)];
        Assert.Equal(ring.Select(v => Math.Round(Math.Abs(v), 10)).Order(), map.Eigenvalues.Select(v => Math.Round(Math.Abs(v), 10)).Order());
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
