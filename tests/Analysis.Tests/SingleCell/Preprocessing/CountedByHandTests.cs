using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

/// <summary>The edges of quality control, scaling, variable genes and scores on matrices small enough to count by hand.</summary>
public sealed class CountedByHandTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Shares_of_top_genes_reach_from_one_gene_to_all(bool sparse)
    {
        using CellMatrix x = Counts(sparse, 2, 3, 6, 1, 3, 0, 4, 0);
        Assert.Equal([60, 100, 100, 100], CellQuality.Measure(x, [], [1, 3]).TopShares.SelectMany(s => s));
        Assert.Empty(CellQuality.Measure(x, [], []).TopShares);
        foreach (int wrong in new[] { 0, 4 }) Assert.Contains($"top {wrong} genes: there are 3", Assert.Throws<UsageException>(() => CellQuality.Measure(x, [], [1, wrong])).Message);
    }

    [Fact]
    public void Bounds_of_a_filter_belong_to_it_and_what_is_unknown_never_does()
    {
        Assert.Equal([1, 2, 4], CellQuality.Within([1.999, 2, 3, 3.001, 2.5, double.NaN], 2, 3));
        Assert.Equal([0], CellQuality.Within([1, double.NaN], double.NegativeInfinity, double.PositiveInfinity));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_gene_that_dominates_one_cell_counts_nowhere_and_one_at_the_bound_does(bool sparse)
    {
        // Of 20 counts, 8 are more than a quarter and 5 are a quarter; gene 0 dominates the first cell alone.
        using CellMatrix x = Counts(sparse, 3, 4, 8, 5, 5, 2, 0, 5, 5, 5, 0, 0, 1, 0);
        TotalNormalisation found = ExpressionScaling.NormaliseTotal(x, exclude: true, maxFraction: 0.5);
        // Gene 2 is all that the third cell has.
        Assert.Equal([2], found.Excluded);
        using CellMatrix y = Counts(sparse, 3, 4, 8, 5, 5, 2, 5, 5, 5, 5, 0, 1, 1, 2);
        found = ExpressionScaling.NormaliseTotal(y, exclude: true, maxFraction: 0.25);
        Assert.Equal([0, 3], found.Excluded);
        // Left are 10, 10 and 2 counts: the median is 10.
        Assert.Equal((10, 0.2), (found.Target, found.Factors[2]));
        Assert.Equal([8, 5, 5, 2, 5, 5, 5, 5, 0, 5, 5, 10], CountsFixture.All(y));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_median_total_may_be_small_lie_between_two_or_not_exist(bool sparse)
    {
        using CellMatrix two = Counts(sparse, 3, 2, 1, 0, 0, 0, 2, 2);
        Assert.Equal(2.5, ExpressionScaling.NormaliseTotal(two).Target);
        Assert.Equal([2.5, 0, 0, 0, 1.25, 1.25], CountsFixture.All(two));
        using CellMatrix none = Counts(sparse, 2, 2, 0, 0, 0, 0);
        TotalNormalisation found = ExpressionScaling.NormaliseTotal(none);
        Assert.Equal(0, found.Target);
        Assert.Equal([0, 0], found.Factors);
        using CellMatrix given = Counts(sparse, 1, 2, 1, 3);
        Assert.Equal(8, ExpressionScaling.NormaliseTotal(given, target: 8).Target);
        Assert.Equal([2, 6], CountsFixture.All(given));
        ExpressionScaling.NormaliseTotal(given, target: 0.5);
        Assert.Equal([0.125, 0.375], CountsFixture.All(given));
    }

    [Fact]
    public void A_cut_without_centring_is_one_sided_and_a_single_cell_does_not_vary()
    {
        using CellMatrix x = Counts(true, 3, 1, -4, 0, 1);
        // Mean -1, deviation √7.
        ExpressionScaling.Scale(x, zeroCentre: false, most: 0.25);
        CountsFixture.Near([-4 / Math.Sqrt(7), 0, 0.25], CountsFixture.All(x), 1e-7);
        foreach (bool sparse in new[] { false, true })
        {
            using CellMatrix one = Counts(sparse, 1, 3, 5, 0, 2);
            (double[] means, double[] deviations) = ExpressionScaling.Scale(one, zeroCentre: false);
            Assert.Equal([5, 0, 2], means);
            Assert.Equal([1, 1, 1], deviations);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Cells_come_to_unit_length_and_empty_ones_stay(bool sparse)
    {
        using CellMatrix x = Counts(sparse, 3, 3, 3, 0, -4, 0, 0, 0, 1, 2, 2);
        ExpressionScaling.UnitRows(x);
        CountsFixture.Near([0.6, 0, -0.8, 0, 0, 0, 1 / 3.0, 2 / 3.0, 2 / 3.0], CountsFixture.All(x), 1e-7);
    }

    [Fact]
    public void What_varies_by_rounding_alone_becomes_zero_and_all_else_is_standardised()
    {
        // Rounding about 1 and about -1, a hundredth of a thousandth about 1, and small numbers.
        using Matrix<float> x = _device.AllocateMatrix<float>(8, 4);
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 4; j++)
                x.Row(i)[j] = j switch { 0 => i == 3 ? MathF.BitIncrement(1) : 1, 1 => i == 3 ? MathF.BitDecrement(-1) : -1, 2 => 1 + (i % 2 == 0 ? 1 : -1) / 131072f, _ => i % 2 == 0 ? 3e-6f : 1e-6f };
        CellPreprocessing.Standardise(x);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal([0f, 0f], x.Row(i)[..2].ToArray());
            for (int j = 2; j < 4; j++) Assert.Equal(i % 2 == 0 ? 1 : -1, x.Row(i)[j], 1e-4);
        }
    }

    [Fact]
    public void Bounds_of_dispersion_are_excluded_and_an_unknown_dispersion_counts_as_zero()
    {
        using Matrix<float> counts = CountsFixture.Draw(_device, 60, 80, seed: 2);
        using CellMatrix x = new(counts.CopyOnHost());
        ExpressionScaling.Log1p(x);
        DispersionSelection all = VariableGenes.ByDispersion(x, null, null, new DispersionBounds());
        Assert.Contains(double.NaN, all.Normalised);
        double[] means = [.. all.Means.Order()], dispersions = [.. all.Normalised.Where(z => !double.IsNaN(z)).Order()];
        // Every bound is the value of a gene, so that one gene stands on each.
        foreach (DispersionBounds b in new[]
        {
            new DispersionBounds(), new DispersionBounds { MinMean = means[40], MaxMean = means[70], MinDispersion = dispersions[5], MaxDispersion = dispersions[^5] },
            new DispersionBounds { MinMean = -1, MaxMean = 99, MinDispersion = -1e-9, MaxDispersion = 1e-9 }, new DispersionBounds { MinMean = -1, MaxMean = 99, MinDispersion = dispersions[60], MaxDispersion = 99 },
        })
        {
            bool[] found = VariableGenes.ByDispersion(x, null, null, b).Selected;
            for (int j = 0; j < found.Length; j++)
            {
                double z = double.IsNaN(all.Normalised[j]) ? 0 : all.Normalised[j];
                Assert.Equal(all.Means[j] > b.MinMean && all.Means[j] < b.MaxMean && z > b.MinDispersion && z < b.MaxDispersion, found[j]);
            }
            Assert.Contains(false, found);
        }
        // More than there are: all that have a dispersion.
        Assert.Equal(all.Normalised.Select(z => !double.IsNaN(z)), VariableGenes.ByDispersion(x, null, 500, new DispersionBounds()).Selected);
        Assert.Equal((0.0125, 3, 0.5, double.PositiveInfinity), (new DispersionBounds().MinMean, new DispersionBounds().MaxMean, new DispersionBounds().MinDispersion, new DispersionBounds().MaxDispersion));
    }

    [Fact]
    public void One_gene_is_alone_in_its_bin_and_genes_that_do_not_vary_are_never_chosen()
    {
        using CellMatrix one = Counts(false, 3, 1, 1, 2, 4), nothing = Counts(true, 3, 2, 0, 0, 0, 0, 0, 0);
        Assert.Equal([1], VariableGenes.ByDispersion(one, null, 1, new DispersionBounds()).Normalised);
        Assert.Equal([false, false], VariableGenes.ByDispersion(nothing, null, 1, new DispersionBounds()).Selected);
    }

    [Fact]
    public void A_score_needs_a_set_enough_genes_and_control_genes()
    {
        using CellMatrix x = Counts(true, 2, 4, 1, 2, 3, 4, 2, 0, 1, 3);
        Assert.Contains("no gene of the set", Refused([], new GeneScoreOptions { Bins = 2 }));
        Assert.Contains("4 genes are too few for 25 bins", Refused([1], new GeneScoreOptions()));
        Assert.Contains("no control gene is left", Refused([0, 1, 2, 3], new GeneScoreOptions { Bins = 2 }));
        GeneScoreOptions scanpys = new();
        Assert.Equal((50, 25, true, 0u), (scanpys.ControlSize, scanpys.Bins, scanpys.DrawFromSet, scanpys.Seed));
        // 4 genes in 3 bins: ranks over round(4 / 2) = 2. Means 1.5, 1, 2, 3.5: gene 1 is in bin 0, genes 0 and 2 in bin 1, gene 3 in bin 2.
        GeneScore found = GeneScores.Score(x, [0], new GeneScoreOptions { Bins = 3 });
        Assert.Equal([2], found.Controls);
        Assert.Equal([1 - 3, 2 - 1], found.Scores);
        // round(4 / 3) = 1: every gene is alone in its bin.
        Assert.Contains("no control gene is left", Refused([0], new GeneScoreOptions { Bins = 4 }));

        string Refused(int[] set, GeneScoreOptions options) => Assert.Throws<DataException>(() => GeneScores.Score(x, set, options)).Message;
    }

    [Fact]
    public void A_sample_of_classes_takes_known_cells_first_and_values_must_fit()
    {
        string[] labels = ["b", "a", "b", "a", "b", "a"];
        Assert.Equal([1, 4], ClassSample.Draw(labels, [double.NaN, 7, double.NaN, double.NaN, 3, double.PositiveInfinity], 1, 3));
        Assert.Equal([0, 1, 2, 3, 4, 5], ClassSample.Draw(labels, null, 3, 3));
        Assert.Equal(4, ClassSample.Draw(labels, null, 2, 3).Length);
        Assert.Throws<ArgumentException>(() => ClassSample.Draw(labels, [1, 2], 2, 3));
    }

    private CellMatrix Counts(bool sparse, int cells, int genes, params float[] values)
    {
        Matrix<float> x = Matrix<float>.From(_device, cells, genes, values);
        if (!sparse) return new CellMatrix(x);
        using (x) return CellMatrix.From(SparseMatrix.FromDense(x.View), _device, "counts", "X");
    }
}
