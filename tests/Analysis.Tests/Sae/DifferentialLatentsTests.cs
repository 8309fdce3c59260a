using BioSup.Analysis.Sae;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>What makes a latent specific to a class, on values that are the same in all images of a class.</summary>
public sealed class DifferentialLatentsTests : IDisposable
{
    // 12 images of a, 6 of b, 24 of c.
    private static readonly string[] s_labels = [.. Enumerable.Repeat("c", 24), .. Enumerable.Repeat("a", 12), .. Enumerable.Repeat("b", 6)];
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<float> _latents;

    public DifferentialLatentsTests()
    {
        _latents = _device.AllocateMatrix<float>(42, 9);
        (int a, int b, int c) = (0, 0, 0);
        for (int i = 0; i < 42; i++)
        {
            string label = s_labels[i];
            int number = label == "a" ? a++ : label == "b" ? b++ : c++;
            float Of(float inA, float inB, float inC) => label == "a" ? inA : label == "b" ? inB : inC;
            float[] row = [Of(8, 0, 0), Of(2, 1, 1), number < 9 ? Of(8, 0, 0) : 0, number < 10 ? Of(8, 0, 0) : 0, Of(0, 4, 4), Of(0, 3, 1), 0, i == 30 ? 1 : 0, Of(1, 2, 3)];
            row.CopyTo(_latents.Row(i));
        }
    }

    public void Dispose()
    {
        _latents.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Fold_change_impurity_and_activity_decide_together()
    {
        IReadOnlyList<DifferentialComparison> found = DifferentialLatents.Compare(_latents, s_labels);
        Assert.Equal(["a", "b", "c"], found.Select(f => f.Class));
        Assert.All(found, f => Assert.Equal("all other classes", f.Reference));
        Assert.Equal([(12, 30), (6, 36), (24, 18)], found.Select(f => (f.Images, f.ReferenceImages)));
        DifferentialLatent[] a = [.. found[0].Latents];
        // The latent that no image activates is left out.
        Assert.Equal([0, 1, 2, 3, 4, 5, 7, 8], a.Select(l => l.Latent));
        double[] gini = [0, 0.625, 0, 0, 0.5, 0.375, 0, 1 - 14 / 36.0];
        for (int l = 0; l < gini.Length; l++) Assert.Equal(gini[l], a[l].GiniImpurity, 1e-6);
        Assert.Equal([12, 42, 9, 10, 30, 30, 1, 42], a.Select(l => l.ActiveImages));
        Assert.Equal(["a", "a", "a", "a", "b", "b", "a", "c"], a.Select(l => l.TopClass));
        Assert.Equal([8, 2, 6, 80 / 12.0, 0, 0, 1 / 12.0, 1], a.Select(l => l.Mean), (x, y) => Math.Abs(x - y) < 1e-12);
        Assert.Equal([0, 1, 0, 0, 4, 42 / 30.0, 0, 84 / 30.0], a.Select(l => l.ReferenceMean), (x, y) => Math.Abs(x - y) < 1e-12);
        // Impure, then active in too few images, then a little above one half because of the floor under shares.
        Assert.Equal([true, false, false, true, false, true, false, false], a.Select(l => l.Specific));
        // Of b, which has 3 against 24 / 36.
        Assert.Equal(Math.Log2(4.5), found[1].Latents[5].Log2FoldChange, 1e-9);
        Assert.True(found[1].Latents[5].Specific);
    }

    [Fact]
    public void Bounds_belong_to_what_is_specific_and_the_defaults_are_the_papers()
    {
        DifferentialOptions paper = new();
        Assert.Equal((null, 0.58, 0.5, 10), (paper.Control, paper.MinLog2FoldChange, paper.MaxGiniImpurity, paper.MinActiveImages));
        DifferentialLatent two = Second(paper);
        Assert.False(two.Specific);
        Assert.True(Second(paper with { MaxGiniImpurity = two.GiniImpurity, MinLog2FoldChange = two.Log2FoldChange, MinActiveImages = 42 }).Specific);
        Assert.False(Second(paper with { MaxGiniImpurity = 0.624 }).Specific);
        Assert.False(Second(paper with { MaxGiniImpurity = 1, MinLog2FoldChange = 1.001 }).Specific);
        Assert.False(Second(paper with { MaxGiniImpurity = 1, MinActiveImages = 43 }).Specific);

        DifferentialLatent Second(DifferentialOptions options) => DifferentialLatents.Compare(_latents, s_labels, options)[0].Latents[1];
    }

    [Fact]
    public void Labels_have_to_fit_and_two_classes_are_enough()
    {
        Assert.Contains("3 labels for 42 images", Assert.Throws<DataException>(() => DifferentialLatents.Compare(_latents, ["a", "b", "a"])).Message);
        Assert.Contains("only one class", Assert.Throws<DataException>(() => DifferentialLatents.Compare(_latents, [.. s_labels.Select(_ => "a")])).Message);
        DifferentialComparison found = Assert.Single(DifferentialLatents.Compare(_latents, [.. s_labels.Select(l => l == "c" ? "c" : "a")], new DifferentialOptions { Control = "c" }));
        Assert.Equal(("a", "c", 18, 24), (found.Class, found.Reference, found.Images, found.ReferenceImages));
    }
}
