using BioSup.Analysis.GwMap;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.GwMap;

public sealed class BalancedSampleTests
{
    private static readonly string[] s_images = Labels(("a", 30), ("b", 25), ("c", 40), ("only images", 9)), s_cells = Labels(("c", 33), ("b", 50), ("a", 28), ("", 7));

    [Fact]
    public void Every_label_gets_the_size_of_the_smallest_group_on_either_side()
    {
        BalancedSample sample = BalancedSample.Draw(s_images, s_cells, new BalancedSampleOptions { Seed = 4 });
        Assert.Equal(["a", "b", "c"], sample.Labels);
        Assert.Equal(25, sample.PerLabel);
        foreach ((int[] drawn, string[] all, string[] labels) in new[] { (sample.Images, s_images, sample.ImageLabels), (sample.Cells, s_cells, sample.CellLabels) })
        {
            Assert.Equal(75, drawn.Distinct().Count());
            Assert.Equal(drawn.Select(i => all[i]), labels);
            Assert.All(sample.Labels, label => Assert.Equal(25, labels.Count(l => l == label)));
            // Shuffled: labels do not stand in runs, and rows not in order.
            Assert.InRange(Enumerable.Range(1, 74).Count(i => labels[i] != labels[i - 1]), 30, 74);
            Assert.NotEqual(drawn.Order(), drawn);
        }
        Assert.All(sample.ImagesOf("b"), place => Assert.Equal("b", s_images[sample.Images[place]]));
        Assert.Equal(25, sample.CellsOf("c").Length);
    }

    [Fact]
    public void A_limit_is_shared_by_the_labels_and_a_seed_repeats_the_draw()
    {
        BalancedSampleOptions options = new() { Labels = ["c", "a"], MaxImages = 47, MaxCells = 60, Seed = 1 };
        BalancedSample sample = BalancedSample.Draw(s_images, s_cells, options), again = BalancedSample.Draw(s_images, s_cells, options), other = BalancedSample.Draw(s_images, s_cells, options with { Seed = 2 });
        Assert.Equal(["a", "c"], sample.Labels);
        Assert.Equal(23, sample.PerLabel);
        Assert.Equal(sample.Images, again.Images);
        Assert.Equal(sample.Cells, again.Cells);
        Assert.NotEqual(sample.Images, other.Images);
    }

    [Fact]
    public void Either_side_may_set_the_limit_and_any_row_may_be_drawn()
    {
        Assert.Equal(20, BalancedSample.Draw(s_images, s_cells, new BalancedSampleOptions { MaxCells = 60 }).PerLabel);
        Assert.Equal(21, BalancedSample.Draw(s_images, s_cells, new BalancedSampleOptions { MaxImages = 63 }).PerLabel);
        // 25 of the 30 images of "a", which come first: the last ones are drawn as often as the others.
        int[] drawn = new int[30];
        for (ulong seed = 0; seed < 200; seed++)
            foreach (int row in BalancedSample.Draw(s_images, s_cells, new BalancedSampleOptions { Seed = seed }).Images.Where(i => i < 30)) drawn[row]++;
        Assert.All(drawn, times => Assert.InRange(times, 145, 188));
    }

    [Fact]
    public void Rows_without_a_label_take_no_part()
    {
        BalancedSample sample = BalancedSample.Draw([.. s_images, .. Labels(("", 21))], [.. s_cells, .. Labels(("", 21))], new BalancedSampleOptions());
        Assert.Equal(["a", "b", "c"], sample.Labels);
    }

    [Fact]
    public void What_cannot_be_balanced_is_named()
    {
        Assert.Contains("share no label", Refused(["a", "b"], ["x", "y"], new()), StringComparison.Ordinal);
        Assert.Contains("share the label 'a' only", Refused(["a", "b"], ["a", "y"], new()), StringComparison.Ordinal);
        Assert.Contains("none of the cells carries it", Refused(s_images, s_cells, new() { Labels = ["a", "only images"] }), StringComparison.Ordinal);
        Assert.Contains("there are 25 images or cells", Refused(s_images, s_cells, new() { MinPerLabel = 26 }), StringComparison.Ordinal);
        Assert.Contains("50 rows at most leave 16 for each of 3 labels", Refused(s_images, s_cells, new() { MaxImages = 50 }), StringComparison.Ordinal);
    }

    private static string Refused(string[] images, string[] cells, BalancedSampleOptions options) => Assert.Throws<DataException>(() => BalancedSample.Draw(images, cells, options)).Message;

    private static string[] Labels(params (string Label, int Count)[] groups) => [.. groups.SelectMany(g => Enumerable.Repeat(g.Label, g.Count))];
}
