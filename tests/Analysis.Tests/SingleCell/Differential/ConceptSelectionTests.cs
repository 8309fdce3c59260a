using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Differential;

/// <summary>The paper's selection of latents by impurity and fold change, counted by hand.</summary>
public sealed class ConceptSelectionTests
{
    // Codes: 0 "b", 1 "control", 2 "a". Latents: of a and b alike, of a alone, lower in both than in the control, spread evenly, nowhere, of a at the bounds.
    private static readonly double[] s_control = [0, 1, 8, 2, 0, 1], s_b = [6, 1, 1, 3, 0, 1], s_a = [6, 8, 1, 2, 0, 4];

    [Fact]
    public void A_latent_stands_for_the_groups_that_have_more_of_it_or_for_the_control_that_has_more_than_they()
    {
        ConceptSelection found = ConceptSelection.Select([Group(0, s_b), Group(2, s_a)], ["b", "control", "a"], control: 1, minLog2FoldChange: 2, maxGini: 0.5);
        // 1 - (36 + 36) / 144, 1 - 66 / 100, the same, 1 - 17 / 49, none, 1 - 18 / 36.
        double[] gini = [0.5, 0.34, 0.34, 1 - 17 / 49.0, double.NaN, 0.5];
        for (int g = 0; g < gini.Length; g++) Assert.Equal(gini[g], found.Gini[g], 1e-15);
        Assert.Equal(["a_b", "a", "control", "", "", "a"], found.Concept);
        // Impurity takes no part in these.
        Assert.Equal([1, 3], found.Up);
        Assert.Equal([1, 1], found.Down);
        ConceptSelection pure = ConceptSelection.Select([Group(0, s_b), Group(2, s_a)], ["b", "control", "a"], 1, 2, 0.4);
        Assert.Equal(["", "a", "control", "", "", ""], pure.Concept);
        // The smallest of these is a factor of 1.5.
        Assert.Equal(["a_b", "a", "control", "b", "", "a"], ConceptSelection.Select([Group(0, s_b), Group(2, s_a)], ["b", "control", "a"], 1, 0.58, 0.7).Concept);
        ConceptSelection large = ConceptSelection.Select([Group(0, s_b), Group(2, s_a)], ["b", "control", "a"], 1, 3, 0.5);
        Assert.Equal(["a_b", "a", "control", "", "", ""], large.Concept);
        Assert.Equal((2, 1), (large.Up[1], large.Down[1]));
    }

    [Fact]
    public void A_negative_mean_has_no_share()
    {
        Assert.Contains("Column 1 has a negative mean (-1)", Assert.Throws<UsageException>(() => ConceptSelection.Select([Group(0, [1, -1, 1, 1, 1, 1])], ["b", "control"], 1, 0.5, 0.5)).Message);
    }

    /// <summary>Fold changes are log2 of the ratio of means, infinite against none and 0 where both are 0.</summary>
    private static RankedGroup Group(int code, double[] means) => new()
    {
        Group = code, Cells = 5, ReferenceCells = 5, Means = means, ReferenceMeans = s_control, LogFoldChanges = [.. means.Select((m, g) => m == s_control[g] ? 0 : Math.Log2(m / s_control[g]))],
        Scores = [], Log10P = [], Log10Adjusted = [], Pts = [], ReferencePts = [], Order = [], Untested = 0,
    };
}
