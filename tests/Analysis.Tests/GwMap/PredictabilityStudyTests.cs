using BioSup.Analysis.GwMap;
using BioSup.Analysis.Prediction;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.GwMap;

/// <summary>Two labels, images and cells on a line within each; gene 0 follows the place, gene 1 the label alone, gene 2 nothing.</summary>
[Collection("cuda")]
public sealed class PredictabilityStudyTests : IDisposable
{
    private const int PerLabel = 40, Genes = 3;
    private readonly CpuDevice _device = new(2);
    private MlpOptions? _mlp;
    private ComputeDevice? _networks;
    private readonly BalancedSample _sample;
    private readonly Matrix<double> _coupling;
    private readonly Matrix<float> _expression, _features;
    private readonly DenseGenes _genes;

    public PredictabilityStudyTests()
    {
        string[] labels = [.. Enumerable.Range(0, 2 * PerLabel).Select(i => i < PerLabel ? "a" : "b")];
        _sample = BalancedSample.Draw(labels, labels, new BalancedSampleOptions());
        CounterRandom random = new(3);
        double[] image = Places(_sample.Images), cell = Places(_sample.Cells);
        _coupling = _device.AllocateMatrix<double>(image.Length, cell.Length);
        _expression = _device.AllocateMatrix<float>(cell.Length, Genes);
        _genes = new DenseGenes(_expression);
        _features = _device.AllocateMatrix<float>(image.Length, 2);
        for (int i = 0; i < image.Length; i++)
        {
            for (int j = 0; j < cell.Length; j++)
                _coupling.Row(i)[j] = (_sample.ImageLabels[i] == _sample.CellLabels[j] ? 1 : 0.2) * Math.Exp(-200 * (image[i] - cell[j]) * (image[i] - cell[j]));
            (_features.Row(i)[0], _features.Row(i)[1]) = ((float)image[i], _sample.ImageLabels[i] == "a" ? 1 : 0);
        }
        for (int j = 0; j < cell.Length; j++)
        {
            Span<float> row = _expression.Row(j);
            (row[0], row[1], row[2]) = ((float)cell[j], _sample.CellLabels[j] == "a" ? 1 : 0, (float)random.NextNormal());
        }
    }

    public void Dispose()
    {
        _coupling.Dispose();
        _genes.Dispose();
        _features.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Within_a_label_a_gene_of_the_label_alone_is_not_predictable()
    {
        List<(string? Label, int Rows)> visited = [];
        IReadOnlyList<PredictabilityRun> runs = Run((label, targets, soft) => visited.Add((label, soft.Rows)), permutations: 30);
        Assert.Equal([null, "a", "b"], runs.Select(r => r.Label));
        Assert.Equal([(null, 80), ("a", 40), ("b", 40)], visited);
        Assert.InRange(runs[0].Result.RSquared[1], 0.5, 1);
        Assert.All(runs.Skip(1), run =>
        {
            Assert.InRange(run.Result.RSquared[0], 0.7, 1);
            Assert.InRange(run.Result.RSquared[1], -1, 0.01);
            Assert.InRange(run.Result.ZScore![0], 3, 1e6);
            Assert.Equal(1.0 / 31, run.Result.PValue![0], 12);
            Assert.Equal(40, run.Images);
        });
    }

    [Fact]
    public void Genes_are_ranked_within_labels_and_profiles_are_centred_there()
    {
        GeneRanking ranking = GeneRanking.Of(Run(null, permutations: 0));
        Assert.Equal(("raw", "R²"), (ranking.Targets, ranking.Measure));
        Assert.Equal(0, ranking.Top(3)[0]);
        Assert.Equal("z", GeneRanking.Of(Run(null, permutations: 20)).Measure);
        using Matrix<float> profiles = GeneRanking.Profiles(_coupling, _sample, _genes, [1, 0], within: true);
        Assert.Equal((2, 80), (profiles.Rows, profiles.Columns));
        // The label's gene is constant within each label, so nothing is left of it.
        Assert.All(profiles.Row(0).ToArray(), value => Assert.Equal(0, value, 1e-6));
        Assert.Equal(0, profiles.Row(1).ToArray().Take(40).Average(), 1e-6);
        Assert.True(profiles.Row(1).ToArray().Max() > 0.3);
        using Matrix<float> overall = GeneRanking.Profiles(_coupling, _sample, _genes, [1, 0], within: false);
        // Over all labels the label's gene tells them apart: cells of the other label weigh a fifth.
        for (int i = 0; i < 80; i++) Assert.InRange(overall.Row(0)[i], _sample.ImageLabels[i] == "a" ? 0.7 : 0, _sample.ImageLabels[i] == "a" ? 1 : 0.3);
        Assert.InRange(ranking.Scores[1], -1, 0.01);
        Assert.InRange(GeneRanking.Of(Run(null, permutations: 0), within: false).Scores[1], 0.5, 1);
    }

    [Fact]
    public void Genes_are_ranked_by_the_mean_over_labels_of_the_ridge_on_denoised_targets_where_there_are_any()
    {
        IReadOnlyList<PredictabilityRun> runs =
        [
            Scored(null, "raw", "ridge", 9, 0), Scored("a", "raw", "ridge", 9, 0), Scored(null, "denoised", "ridge", 0, 1), Scored("a", "denoised", "ridge", 1, 4),
            Scored("a", "denoised", "mlp", 9, 0), Scored("b", "denoised", "ridge", 3, 5),
        ];
        GeneRanking ranking = GeneRanking.Of(runs);
        Assert.Equal("denoised", ranking.Targets);
        Assert.Equal([2, 4.5], ranking.Scores);
        Assert.Equal([1, 0], ranking.Top(5));
        Assert.Equal([0, 1], GeneRanking.Of(runs, within: false).Scores);
        Assert.Equal("raw", GeneRanking.Of([.. runs.Take(2)]).Targets);

        static PredictabilityRun Scored(string? label, string targets, string model, params double[] rSquared) =>
            new(label, targets, model, ["g0", "g1"], 10, new PredictabilityResult(rSquared, rSquared.Average(), 0, null, null, null, null, null));
    }

    [Fact]
    public void Over_all_labels_every_fold_has_its_share_of_each()
    {
        PredictabilityResult study = Run(null, permutations: 0)[0].Result;
        int[] codes = [.. _sample.ImageLabels.Select(label => label == "a" ? 0 : 1)];
        using Matrix<float> soft = GeneSoftTargets.Project(_coupling, _genes, _genes.AllCells());
        PredictabilityResult stratified = RidgePredictability.Run(_features.View, soft.View, PredictionFolds.Stratified(codes, 4, 1), Options(0).Ridge, SilentProgress.Instance, default);
        Assert.Equal(stratified.RSquared, study.RSquared);
    }

    [Fact]
    public void Results_do_not_depend_on_threads()
    {
        IReadOnlyList<PredictabilityRun> two = Run(null, permutations: 10);
        using CpuDevice one = new(1);
        using Matrix<double> coupling = _coupling.CopyAt(one);
        using DenseGenes cells = new(_expression.CopyAt(one));
        using Matrix<float> images = _features.CopyAt(one);
        IReadOnlyList<PredictabilityRun> single = PredictabilityStudy.Run(coupling, _sample, [new TargetSet("raw", ["g0", "g1", "g2"], cells, images)], Options(10), null, null, SilentProgress.Instance);
        for (int r = 0; r < two.Count; r++)
        {
            Assert.Equal(two[r].Result.RSquared, single[r].Result.RSquared);
            Assert.Equal(two[r].Result.ZScore, single[r].Result.ZScore);
        }
    }

    private IReadOnlyList<PredictabilityRun> Run(Action<string?, string, Matrix<float>>? visit, int permutations) =>
        PredictabilityStudy.Run(_coupling, _sample, [new TargetSet("raw", ["g0", "g1", "g2"], _genes, _features)], Options(permutations), visit, null, SilentProgress.Instance);

    private PredictabilityStudyOptions Options(int permutations) =>
        new() { Folds = 4, Ridge = new RidgeOptions { Alpha = 1e-3, Permutations = permutations, Seed = 1 }, Mlp = _mlp, Device = _networks, Seed = 1 };

    /// <summary>Single precision sums in another order there, so that the bytes tell the devices apart; the results agree.</summary>
    [Fact]
    public void Networks_are_trained_where_the_study_is_told_to()
    {
        CudaDevice? gpu = CudaEmulator.Open(out string reason);
        Assert.SkipWhen(gpu is null, reason);
        using (gpu)
        {
            _mlp = new MlpOptions { Hidden = 8, Batch = 64, Epochs = 2, Patience = 2, Runs = 1, Permutations = 0, LearningRate = 1e-2 };
            PredictabilityRun[] expected = [.. Run(null, permutations: 0).Where(r => r.Model == GwMapTargets.Mlp)];
            _networks = gpu;
            PredictabilityRun[] actual = [.. Run(null, permutations: 0).Where(r => r.Model == GwMapTargets.Mlp)];
            Assert.Equal([null, "a", "b"], actual.Select(r => r.Label));
            foreach ((PredictabilityRun want, PredictabilityRun got) in expected.Zip(actual))
            {
                Assert.NotEqual(want.Result.RSquared, got.Result.RSquared);
                for (int t = 0; t < Genes; t++) Assert.Equal(want.Result.RSquared[t], got.Result.RSquared[t], 1e-3);
            }
        }
    }

    /// <summary>Place on the line, in [0, 1), of each drawn row.</summary>
    private static double[] Places(int[] rows) => [.. rows.Select(r => r % PerLabel / (double)PerLabel)];
}
