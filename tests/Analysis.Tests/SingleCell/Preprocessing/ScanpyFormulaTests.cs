using System.Text.Json.Nodes;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

/// <summary>Quality control, normalisation, variable genes, scaling and scores against scanpy's formulas in NumPy and pandas, on dense and on sparse counts.</summary>
public sealed class ScanpyFormulaTests(CountsFixture fixture) : IClassFixture<CountsFixture>
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Quality_metrics_are_those_of_scanpy(bool sparse)
    {
        using CellMatrix x = fixture.Matrix(sparse);
        bool[] set = new bool[x.Variables];
        foreach (int gene in CountsFixture.Set) set[gene] = true;
        QualityMetrics found = CellQuality.Measure(x, [set], [5, 20, 50]);
        Assert.Equal(fixture.Of("n_genes"), found.VariablesByCell.Select(n => (double)n));
        Assert.Equal(fixture.Of("total"), found.Totals);
        CountsFixture.Near(fixture.Of("top"), [.. found.TopShares.SelectMany(s => s)], 1e-12);
        CountsFixture.Near(fixture.Of("pct_set"), found.SetShares(0), 1e-12);
        Assert.Equal(fixture.Of("n_cells"), found.CellsByVariable.Select(n => (double)n));
        Assert.Equal(fixture.Of("gene_total"), found.VariableTotals);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Totals_become_their_median_and_logarithms_are_taken(bool sparse)
    {
        using CellMatrix x = fixture.Matrix(sparse);
        ExpressionScaling.NormaliseTotal(x);
        CountsFixture.Near(fixture.Of("normalised"), CountsFixture.All(x), 2e-7);
        ExpressionScaling.Log1p(x);
        CountsFixture.Near(fixture.Of("logs"), CountsFixture.All(x), 2e-7);
        Assert.Equal(sparse, x.IsSparse);
        using CellMatrix other = fixture.Matrix(sparse);
        TotalNormalisation without = ExpressionScaling.NormaliseTotal(other, exclude: true);
        Assert.Equal(fixture.Of("excluded"), without.Excluded.Select(j => (double)j));
        Assert.Contains(CountsFixture.Genes / 5, without.Excluded);
        CountsFixture.Near(fixture.Of("without_excluded"), CountsFixture.All(other), 2e-7);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dispersions_and_the_genes_they_choose_are_those_of_flavour_seurat(bool sparse)
    {
        using CellMatrix x = fixture.Logarithms(sparse);
        DispersionSelection found = VariableGenes.ByDispersion(x, null, null, new DispersionBounds());
        CountsFixture.Near(fixture.Of("means"), found.Means);
        CountsFixture.Near(fixture.Of("dispersions"), found.Dispersions);
        CountsFixture.Near(fixture.Of("dispersions_norm"), found.Normalised);
        Assert.Equal(fixture.Of("by_cutoff"), found.Selected.Select(s => s ? 1.0 : 0));
        Assert.Equal(fixture.Of("by_top"), VariableGenes.ByDispersion(x, null, 30, new DispersionBounds()).Selected.Select(s => s ? 1.0 : 0));
    }

    [Fact]
    public void Logarithms_to_another_base_give_the_same_dispersions()
    {
        using CellMatrix natural = fixture.Logarithms(true), binary = fixture.Matrix(true);
        ExpressionScaling.NormaliseTotal(binary);
        ExpressionScaling.Log1p(binary, logBase: 2);
        CountsFixture.Near(VariableGenes.ByDispersion(natural, null, null, new DispersionBounds()).Normalised, VariableGenes.ByDispersion(binary, 2, null, new DispersionBounds()).Normalised, 1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Variances_are_standardised_by_the_trend_of_loess(bool sparse)
    {
        using CellMatrix x = fixture.Matrix(sparse);
        double[] expected = fixture.Of("variances_norm");
        VarianceSelection found = VariableGenes.ByVariance(x, 25);
        CountsFixture.Near(expected, found.Normalised, 1e-9);
        int[] best = [.. Enumerable.Range(0, expected.Length).OrderByDescending(j => expected[j]).Take(25)];
        Assert.Equal(best.Order(), CountsFixture.Chosen(found.Selected));
        for (int rank = 0; rank < best.Length; rank++) Assert.Equal(rank, found.Ranks[best[rank]]);
        Assert.Equal(CountsFixture.Genes - 25, found.Ranks.Count(float.IsNaN));
    }

    [Fact]
    public void Genes_are_scaled_and_cut()
    {
        using CellMatrix x = fixture.Logarithms(false), uncentred = fixture.Logarithms(true);
        CountsFixture.Near(fixture.Of("deviations"), ExpressionScaling.Scale(x, most: 2).Deviations);
        CountsFixture.Near(fixture.Of("scaled"), CountsFixture.All(x));
        ExpressionScaling.Scale(uncentred, zeroCentre: false, most: 2);
        CountsFixture.Near(fixture.Of("scaled_uncentred"), CountsFixture.All(uncentred));
        Assert.True(uncentred.IsSparse);
        Assert.Throws<ArgumentException>(() => ExpressionScaling.Scale(uncentred));
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void Scores_have_the_control_genes_that_NumPy_draws(bool sparse, bool fromSet)
    {
        using CellMatrix x = fixture.Logarithms(sparse);
        GeneScore found = GeneScores.Score(x, CountsFixture.Set, new GeneScoreOptions { ControlSize = CountsFixture.Controls, Bins = CountsFixture.Bins, DrawFromSet = fromSet });
        string key = fromSet ? "score" : "score_apart";
        Assert.Equal(fixture.Of(key + "_controls"), found.Controls.Select(j => (double)j));
        CountsFixture.Near(fixture.Of(key), found.Scores);
    }

    [Fact]
    public void Genes_that_many_cells_have_are_binned_and_scored_alike()
    {
        // The lowest of these means is far from 0, and every bin of expression holds several genes of the set; the first has as many genes as are drawn.
        using CellMatrix x = fixture.Matrix(false);
        int[] common = [.. Enumerable.Range(0, x.Variables).Where(j => Enumerable.Range(0, x.Cells).Count(i => x.Values(i)[j] > 0) > 60)];
        using CellMatrix few = x.SelectVariables(common);
        int[] set = [.. Enumerable.Range(0, common.Length / 3)];
        const int bins = 4;
        int controls = (int)Math.Round(common.Length / (bins - 1.0)) - 1;
        Dictionary<int, Func<string, double[]>> peers = new[] { controls, 3 }.ToDictionary(size => size, size => CountsFixture.Other(few.Dense, set, size, bins));
        ExpressionScaling.NormaliseTotal(few);
        ExpressionScaling.Log1p(few);
        DispersionSelection found = VariableGenes.ByDispersion(few, null, null, new DispersionBounds());
        Assert.True(found.Means.Min() > 0.3);
        CountsFixture.Near(peers[3]("dispersions_norm"), found.Normalised);
        Assert.Equal(peers[3]("by_cutoff"), found.Selected.Select(s => s ? 1.0 : 0));
        foreach ((int size, Func<string, double[]> peer) in peers)
            foreach ((bool fromSet, string key) in new[] { (true, "score"), (false, "score_apart") })
            {
                GeneScore score = GeneScores.Score(few, set, new GeneScoreOptions { ControlSize = size, Bins = bins, DrawFromSet = fromSet });
                Assert.Equal(peer(key + "_controls"), score.Controls.Select(j => (double)j));
                CountsFixture.Near(peer(key), score.Scores);
            }
    }

    [Fact]
    public void A_local_regression_is_that_of_R()
    {
        JsonArray cases = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "preprocessing", "loess.json")))!.AsArray();
        foreach (JsonNode? golden in cases)
            CountsFixture.Near(Numbers(golden!["fitted"]!), Loess.Fit(Numbers(golden["x"]!), Numbers(golden["y"]!), (double)golden["span"]!), 1e-11);
        Assert.Equal(9, cases.Count);
        Assert.Contains("3 points are too few", Assert.Throws<DataException>(() => Loess.Fit([1, 2, 3], [1, 2, 3], 1)).Message);
        DataException error = Assert.Throws<DataException>(() => Loess.Fit([.. new double[50], 1, 2, 3], new double[53], 0.3));
        Assert.Contains("one place", error.Message);

        static double[] Numbers(JsonNode node) => [.. node.AsArray().Select(v => (double)v!)];
    }
}
