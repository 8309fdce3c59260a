using System.Globalization;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Differential;

/// <summary>Moran's I of many columns on a weighted graph, against dense formulas in NumPy (tests/golden/differential/moran.py) and against the search by neighbours.</summary>
public sealed class GraphAutocorrelationTests : IDisposable
{
    private const int Cells = 120, Columns = 19;

    private readonly CpuDevice _device = new(2);

    [Fact]
    public void Statistic_and_null_are_numpys_on_a_graph_of_one_way_edges()
    {
        string? python = Python.Find("import numpy, scipy", out string reason);
        Assert.SkipWhen(python is null, reason);
        (double[] values, CellGraph graph) = Problem();
        (string edges, string table) = (Path.GetTempFileName(), Path.GetTempFileName());
        try
        {
            File.WriteAllLines(edges, Enumerable.Range(0, Cells).SelectMany(i => graph.Neighbours(i).ToArray().Select(j => FormattableString.Invariant($"{i} {j} {graph[i, j]:R}"))));
            File.WriteAllLines(table, Enumerable.Range(0, Cells).Select(i => string.Join(' ', values.AsSpan(i * Columns, Columns).ToArray().Select(v => v.ToString("R", CultureInfo.InvariantCulture)))));
            string[] lines = Python.Run(python!, Path.Combine(RepositoryRoot.Path, "tests", "golden", "differential", "moran.py"), edges, table).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            MoranResult[] found = GraphAutocorrelation.Moran(_device, new NdArray(values, Cells, Columns), graph);
            for (int j = 0; j < Columns; j++)
            {
                double[] expected = [.. lines[j].Split(' ').Select(v => double.Parse(v, CultureInfo.InvariantCulture))];
                Assert.Equal(expected[0], found[j].I, 1e-12);
                Assert.Equal(expected[1], found[j].Variance, 1e-12 * expected[1]);
                Assert.Equal(expected[2], found[j].Z, 1e-10);
                Assert.Equal(expected[3], found[j].Log10P * Math.Log(10), 1e-10 * Math.Max(1, Math.Abs(expected[3])));
                Assert.Equal((found[j].I + 1.0 / (Cells - 1)) / Math.Sqrt((1 - 1.0 / (Cells - 1) / (Cells - 1)) / (Cells - 1)), found[j].PaperZ, 1e-12);
            }
        }
        finally
        {
            File.Delete(edges);
            File.Delete(table);
        }
    }

    [Fact]
    public void Sparse_and_dense_columns_and_any_threads_give_the_same_bytes()
    {
        (double[] values, CellGraph graph) = Problem();
        float[] singles = Array.ConvertAll(values, v => (float)v);
        using CpuDevice one = new(1);
        using Matrix<float> matrix = Matrix<float>.From(one, Cells, Columns, singles);
        MoranResult[] expected = GraphAutocorrelation.Moran(one, new NdArray(singles, Cells, Columns), graph);
        Assert.Equal(expected, GraphAutocorrelation.Moran(_device, SparseMatrix.FromDense(matrix.View), graph));
        Assert.Equal(expected, GraphAutocorrelation.Moran(_device, new NdArray(Array.ConvertAll(singles, v => (double)v), Cells, Columns), graph));
    }

    [Fact]
    public void A_graph_of_nearest_cells_gives_what_the_neighbour_table_gives()
    {
        CounterRandom random = new(5);
        double[] points = new double[Cells * 3], values = new double[Cells];
        for (int i = 0; i < points.Length; i++) points[i] = random.NextDouble();
        for (int i = 0; i < Cells; i++) values[i] = points[3 * i] + 0.2 * random.NextDouble();
        using Matrix<double> x = Matrix<double>.From(_device, Cells, 3, points);
        using NeighbourTable table = NeighbourTable.Build(x, 6);
        int[][] rows = [.. Enumerable.Range(0, Cells).Select(i => table.Of(i, 6).ToArray().Order().ToArray())];
        CellGraph graph = new([.. Enumerable.Range(0, Cells + 1).Select(i => 6 * i)], [.. rows.SelectMany(r => r)], [.. Enumerable.Repeat(1f, 6 * Cells)]);
        MoranResult expected = MoransI.Measure(table, values, 6), found = GraphAutocorrelation.Moran(_device, new NdArray(values, Cells, 1), graph)[0];
        Assert.Equal(expected.I, found.I, 1e-12);
        Assert.Equal(expected.Variance, found.Variance, 1e-15);
        Assert.Equal(expected.Z, found.Z, 1e-9);
        Assert.InRange(found.I, 0.5, 1);
    }

    [Fact]
    public void Columns_of_one_value_have_no_statistic_and_misfits_are_refused()
    {
        (double[] _, CellGraph graph) = Problem();
        double[] constant = [.. Enumerable.Range(0, Cells).SelectMany(i => new[] { 0.1, 0, i == 0 ? 1 : 0 })];
        MoranResult[] found = GraphAutocorrelation.Moran(_device, new NdArray(constant, Cells, 3), graph);
        Assert.Equal([double.NaN, double.NaN], found[..2].Select(r => r.I));
        Assert.Equal([double.NaN, double.NaN], found[..2].Select(r => r.Log10P));
        Assert.True(double.IsFinite(found[2].I));
        Assert.Contains("values for 2 cells", Assert.Throws<UsageException>(() => GraphAutocorrelation.Moran(_device, new NdArray(new double[2], 2, 1), graph)).Message);
        Assert.Contains("2 cells has no null", Assert.Throws<UsageException>(() => GraphAutocorrelation.Moran(_device, new NdArray(new double[2], 2, 1), new CellGraph([0, 1, 2], [1, 0], [1, 1]))).Message);
        Assert.Contains("joins no cells", Assert.Throws<UsageException>(() => GraphAutocorrelation.Moran(_device, new NdArray(new double[3], 3, 1), new CellGraph([0, 0, 0, 0], [], []))).Message);
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => GraphAutocorrelation.Moran(_device, new NdArray(constant, Cells, 3), graph, cancellation: stop.Token));
    }

    public void Dispose() => _device.Dispose();

    /// <summary>Columns with and without structure, some sparse, on a graph with entries on its diagonal and edges of one direction.</summary>
    private static (double[] Values, CellGraph Graph) Problem()
    {
        CounterRandom random = new(11);
        double[] values = new double[Cells * Columns];
        for (int i = 0; i < Cells; i++)
            for (int j = 0; j < Columns; j++) values[i * Columns + j] = j % 3 == 0 ? random.NextDouble() : j % 3 == 1 ? Math.Sin(0.1 * j * i) + 3 : random.NextDouble() < 0.7 ? 0 : random.NextDouble() - 0.4;
        List<int> columns = [];
        List<float> weights = [];
        int[] start = new int[Cells + 1];
        for (int i = 0; i < Cells; i++)
        {
            foreach (int j in new[] { i - 2, i, i + 1, i + 3, i + 40 }.Where(j => j >= 0 && j < Cells && (j != i || i % 9 == 0)))
            {
                columns.Add(j);
                weights.Add((float)random.NextDouble());
            }
            start[i + 1] = columns.Count;
        }
        return (values, new CellGraph(start, [.. columns], [.. weights]));
    }
}
