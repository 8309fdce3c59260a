using System.Text.Json;
using BioSup.Analysis.GwMap;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.GwMap;

/// <summary>Spaces and soft targets against NumPy and scikit-learn (tests/golden/gwmap/make_gwmap.py).</summary>
public sealed class GwMapGoldenTests : IDisposable
{
    private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "gwmap", "gwmap.json"))).RootElement;
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Images_are_logged_standardised_scaled_to_unit_length_and_projected()
    {
        using Matrix<float> latents = Single("latents");
        using PrincipalScores scores = GwMapSpaces.Images(latents, 4);
        AssertClose(Table("image_scores"), scores.Scores, 2e-6);
        Assert.Equal(Numbers("image_shares"), scores.Shares, (a, b) => Math.Abs(a - b) < 1e-6);
        // The components of a smaller analysis are the leading ones.
        using Matrix<float> same = Single("latents");
        using PrincipalScores two = GwMapSpaces.Images(same, 2);
        using Matrix<double> leading = scores.Leading(2);
        AssertClose([.. Enumerable.Range(0, two.Scores.Rows).Select(i => two.Scores.Row(i).ToArray())], leading, 1e-12);
        Assert.Equal(two.Shares.Sum(), scores.ExplainedBy(2), 12);
    }

    [Fact]
    public void Counts_are_scaled_logged_and_projected_and_logarithms_are_left_alone()
    {
        using Matrix<float> counts = Single("counts");
        using CellExpression expression = CellExpression.From(counts, [.. Enumerable.Range(0, counts.Rows)]);
        Assert.True(expression.LogNormalise());
        double[][] logged = Table("logged");
        using Matrix<double> values = _device.AllocateMatrix<double>(counts.Rows, counts.Columns), again = _device.AllocateMatrix<double>(counts.Rows, counts.Columns);
        expression.Fill(expression.AllCells(), 0, counts.Columns, values);
        AssertClose(logged, values, 2e-6);
        using PrincipalScores cells = GwMapSpaces.Cells(expression, _device, 3);
        AssertClose(Table("cell_scores"), cells.Scores, 2e-5);
        Assert.False(expression.LogNormalise());
        expression.Fill(expression.AllCells(), 0, counts.Columns, again);
        Assert.Equal(values.ToArray(), again.ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    public void Soft_targets_are_the_means_over_partners_however_wide_the_blocks(int width)
    {
        using Matrix<double> coupling = Double("coupling");
        using DenseGenes dense = new(Single("logged"));
        using Matrix<float> logged = Single("logged");
        using CellExpression stored = CellExpression.From(logged, dense.AllCells());
        using Matrix<float> soft = GeneSoftTargets.Project(coupling, dense, dense.AllCells(), width), same = GeneSoftTargets.Project(coupling, stored, dense.AllCells(), width);
        AssertClose(Table("soft"), soft, 2e-6);
        Assert.Equal(soft.ToArray(), same.ToArray());
        // An image without mass has no partners: zeros, as in GW-map, and not NaN.
        Assert.All(soft.Row(3).ToArray(), value => Assert.Equal(0, value));
    }

    [Fact]
    public void Within_a_label_only_its_block_counts()
    {
        string[] images = Strings("image_labels"), cells = Strings("cell_labels");
        int[] rows = [.. Enumerable.Range(0, images.Length).Where(i => images[i] == "b")], columns = [.. Enumerable.Range(0, cells.Length).Where(j => cells[j] == "b")];
        using Matrix<double> coupling = Double("coupling"), block = CouplingReading.Block(coupling, rows, columns);
        using Matrix<float> logged = Single("logged");
        using CellExpression expression = CellExpression.From(logged, [.. Enumerable.Range(0, logged.Rows)]);
        using Matrix<float> soft = GeneSoftTargets.Project(block, expression, columns);
        AssertClose(Table("soft_within_b"), soft, 2e-6);
    }

    [Fact]
    public void A_block_of_genes_stays_within_its_memory()
    {
        int width = GeneSoftTargets.GenesAtOnce(12_000, 12_000);
        Assert.InRange((long)width * 24_000 * sizeof(double), 60L << 20, 64L << 20);
        Assert.Equal((long)width * 24_000 * sizeof(double) + 12_000L * 30_000 * sizeof(float), GeneSoftTargets.PlannedBytes(12_000, 12_000, 30_000));
    }

    [Fact]
    public void The_most_variable_genes_keep_their_order_and_constant_ones_are_left_out()
    {
        using Matrix<float> values = Matrix<float>.From(_device, 3, 6, [0, 1, 5, 0.1f, 7, 0, 3, 1, 5, 0.1f, 7.5f, 0, 9, 2, 5, 0.1f, 7, 0]);
        using CellExpression expression = CellExpression.From(values, [2, 0, 1]);
        Assert.Equal(14, expression.Entries);
        Assert.Equal([0, 1, 4], expression.VariableGenes(10));
        Assert.Equal([0, 1], expression.VariableGenes(2));
    }

    private static double[][] Table(string name) => s_golden.GetProperty(name).Deserialize<double[][]>()!;

    private static double[] Numbers(string name) => s_golden.GetProperty(name).Deserialize<double[]>()!;

    private static string[] Strings(string name) => s_golden.GetProperty(name).Deserialize<string[]>()!;

    private Matrix<double> Double(string name)
    {
        double[][] rows = Table(name);
        return Matrix<double>.From(_device, rows.Length, rows[0].Length, [.. rows.SelectMany(r => r)]);
    }

    private Matrix<float> Single(string name)
    {
        double[][] rows = Table(name);
        return Matrix<float>.From(_device, rows.Length, rows[0].Length, [.. rows.SelectMany(r => r).Select(v => (float)v)]);
    }

    private static void AssertClose(double[][] expected, Matrix<double> actual, double tolerance)
    {
        for (int i = 0; i < actual.Rows; i++)
            for (int j = 0; j < actual.Columns; j++) Assert.True(Math.Abs(expected[i][j] - actual.Row(i)[j]) <= tolerance, $"row {i}, column {j}: expected {expected[i][j]}, got {actual.Row(i)[j]}");
    }

    private static void AssertClose(double[][] expected, Matrix<float> actual, double tolerance)
    {
        for (int i = 0; i < actual.Rows; i++)
            for (int j = 0; j < actual.Columns; j++) Assert.True(Math.Abs(expected[i][j] - actual.Row(i)[j]) <= tolerance, $"row {i}, column {j}: expected {expected[i][j]}, got {actual.Row(i)[j]}");
    }
}
