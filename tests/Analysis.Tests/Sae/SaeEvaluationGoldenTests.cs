using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.Geometry;
using BioSup.Analysis.Sae;
using BioSup.Analysis.Tests.Geometry;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Statistics of evaluations against SciPy, scikit-learn, PyTorch and NumPy (tests/golden/sae_evaluation).</summary>
public sealed class SaeEvaluationGoldenTests
{
    private static readonly JsonNode s_golden = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "sae_evaluation", "sae_evaluation.json")))!;

    [Fact]
    public void Rank_sums_are_scipys()
    {
        foreach (JsonNode? c in s_golden["rank_sums"]!.AsArray())
        {
            RankSumTest test = RankStatistics.MannWhitney(Doubles(c!["x"]!), Doubles(c["y"]!));
            Assert.Equal((double)c["u"]!, test.U);
            GeometryGolden.Near((double)c["p"]!, test.P, 1e-12);
            GeometryGolden.Near(Math.Log10((double)c["p"]!), test.Log10P, 1e-12);
        }
        Assert.Equal(1, RankStatistics.MannWhitney([2, 2], [2, 2, 2]).P);
    }

    [Fact]
    public void False_discovery_rates_are_those_of_benjamini_and_hochberg()
    {
        double[] q = BenjaminiHochberg.AdjustLog10([.. Doubles(s_golden["benjamini_hochberg"]!["p"]!).Select(Math.Log10)]), expected = Doubles(s_golden["benjamini_hochberg"]!["q"]!);
        for (int i = 0; i < q.Length; i++) GeometryGolden.Near(expected[i], Math.Pow(10, q[i]), 1e-12);
    }

    [Fact]
    public void The_assignment_costs_what_scipys_costs()
    {
        JsonNode a = s_golden["assignment"]!;
        double[] costs = Doubles(a["costs"]!);
        int[] found = LinearAssignment.Minimise<double>(costs, 23, 31);
        Assert.Equal(Ints(a["assigned"]!), found);
        Assert.Equal((double)a["total"]!, found.Select((c, r) => costs[r * 31 + c]).Sum(), 1e-12);
    }

    [Fact]
    public void Latents_share_their_activation_among_classes_as_numpy_says()
    {
        JsonNode g = s_golden["latents"]!;
        float[] x = [.. Doubles(g["x"]!).Select(v => (float)v)];
        string[] labels = [.. Ints(g["labels"]!).Select(c => $"class {c}")];
        LatentAccumulator accumulator = new(8, LabelPlan.Create(labels, 40, null));
        for (int t = 0; t < 40; t++) Assert.Equal(x.AsSpan(t * 8, 8).ToArray().Count(v => v > 0), accumulator.Add(t, x.AsSpan(t * 8, 8)));
        LatentTable table = accumulator.Finish(40);
        for (int j = 0; j < 8; j++)
        {
            Assert.Equal(Enumerable.Range(0, 40).Count(t => x[t * 8 + j] > 0), table.Active[j]);
            if (j == 7) continue;
            GeometryGolden.Near(Doubles(g["gini"]!)[j], table.GiniImpurity(j), 1e-6);
            GeometryGolden.Near(Doubles(g["purity"]!)[j], table.Purity(j), 1e-12);
            GeometryGolden.Near(Doubles(g["entropy"]!)[j], table.Entropy(j), 1e-12);
        }
        Assert.True(double.IsNaN(table.Purity(7)));
        using CpuDevice device = new(2);
        using Matrix<float> latents = Matrix<float>.From(device, 40, 8, x);
        IReadOnlyList<DifferentialComparison> comparisons = DifferentialLatents.Compare(latents, labels, new DifferentialOptions { Control = "class 0" });
        Assert.Equal(["class 1", "class 2", "class 3"], comparisons.Select(c => c.Class));
        Assert.Equal(7, comparisons[1].Latents.Count);
        foreach (DifferentialLatent latent in comparisons[1].Latents)
        {
            GeometryGolden.Near(Doubles(g["log2_fold_change"]!)[latent.Latent], latent.Log2FoldChange, 1e-12);
            GeometryGolden.Near(Math.Log10(Doubles(g["p"]!)[latent.Latent]), latent.Log10P, 1e-12);
            GeometryGolden.Near(Doubles(g["gini"]!)[latent.Latent], latent.GiniImpurity, 1e-12);
        }
        Assert.Contains("class 9", Assert.Throws<DataException>(() => DifferentialLatents.Compare(latents, labels, new DifferentialOptions { Control = "class 9" })).Message, StringComparison.Ordinal);
    }

    /// <summary>Without images every token counts alone; with images the mean of each counts once, however many tokens it has.</summary>
    [Fact]
    public void Images_count_once_whatever_their_size()
    {
        LatentAccumulator accumulator = new(2, LabelPlan.Create(["a", "b", "a"], 6, [3, 0, 3]));
        float[][] rows = [[3, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 2]];
        for (int t = 0; t < rows.Length; t++) accumulator.Add(t, rows[t]);
        LatentTable table = accumulator.Finish(6);
        Assert.Equal([0.5, 0.5], table.ClassMeans[0]);
        Assert.Equal([1, 2], table.ActiveImages[0]);
        Assert.Equal([0, 0], table.ClassMeans[1]);
        Assert.Equal([2, 1], table.ImagesOfClass);
    }

    [Fact]
    public void A_probe_on_a_common_scale_predicts_what_scikit_learn_predicts()
    {
        JsonNode g = s_golden["logistic"]!;
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 90, 6, Doubles(g["x"]!));
        Fold split = new([.. Enumerable.Range(0, 60)], [.. Enumerable.Range(60, 30)]);
        LinearProbeResult result = LinearProbe.Evaluate(x, Ints(g["labels"]!), [split], new LinearProbeOptions { C = 0.7, CommonScale = true, MaxIterations = 2000 });
        Assert.Equal(Ints(g["predicted"]!), result.Predictions[60..]);
    }

    [Fact]
    public void The_published_probe_descends_as_pytorch_does()
    {
        JsonNode g = s_golden["sgd"]!;
        using CpuDevice device = new(1);
        using Matrix<double> x = Matrix<double>.From(device, 300, 5, Doubles(g["x"]!)), weights = Matrix<double>.From(device, 3, 5, Doubles(g["start"]!));
        PublishedProbe.Train(x, Ints(g["labels"]!), weights, [.. g["orders"]!.AsArray().Select(o => Ints(o!))]);
        double[] expected = Doubles(g["weights"]!), found = weights.ToArray();
        for (int i = 0; i < found.Length; i++) Assert.Equal(expected[i], found[i], 1e-12);
    }

    [Fact]
    public void Coherence_of_a_decoder_is_numpys()
    {
        JsonNode g = s_golden["decoder"]!;
        using CpuDevice device = new(1);
        using SaeModel model = SaeModel.Create(device, 11, 37, tied: true, scale: 0.02, 1);
        model.Decoder.Buffer.CopyFrom([.. Doubles(g["rows"]!).Select(v => (float)v)]);
        DecoderGeometry geometry = DecoderGeometry.Measure(model, [.. Enumerable.Range(0, 37)]);
        GeometryGolden.Near((double)g["mean"]!, geometry.MeanAbsoluteCosine, 1e-9);
        GeometryGolden.Near((double)g["std"]!, geometry.StdAbsoluteCosine, 1e-9);
        GeometryGolden.Near((double)g["effective_rank"]!, geometry.EffectiveRank, 1e-7);
        GeometryGolden.Near((double)g["effective_rank"]! / 11, geometry.NormalisedEffectiveRank, 1e-7);
        Assert.Equal(Ints(g["nearest"]!), geometry.Nearest);
        Assert.Equal(Ints(g["histogram"]!).Select(c => (long)c), geometry.PairHistogram);
        for (int i = 0; i < 37; i++) Assert.Equal(Doubles(g["largest"]!)[i], geometry.MaxAbsoluteCosine[i], 1e-6);
        LatentPair nearest = DecoderGeometry.NearestTo(model, 5, [.. Enumerable.Range(0, 37)], 3)[0];
        Assert.NotEqual(5, nearest.Second);
    }

    [Fact]
    public void Groups_stay_whole_and_every_row_is_tested_once()
    {
        CounterRandom random = new(4);
        string[] groups = [.. Enumerable.Range(0, 300).Select(_ => $"well {random.NextInt32(17)}")];
        Fold[] folds = GroupFolds.Split(groups, 4, seed: 3);
        Assert.Equal(Enumerable.Range(0, 300), folds.SelectMany(f => f.Test).Order());
        Assert.All(folds, fold => Assert.Empty(fold.Train.Select(i => groups[i]).Intersect(fold.Test.Select(i => groups[i]))));
        Assert.All(folds, fold => Assert.InRange(fold.Test.Length, 60, 90));
        Assert.Throws<UsageException>(() => GroupFolds.Split(["a", "a", "b"], 3, 0));
    }

    private static double[] Doubles(JsonNode node) => GeometryGolden.Doubles(node);

    private static int[] Ints(JsonNode node) => GeometryGolden.Ints(node);
}
