using System.Diagnostics;
using System.Text.Json.Nodes;
using BioSup.Analysis.Geometry;
using BioSup.Runtime;
using static BioSup.Analysis.Tests.Geometry.GeometryGolden;

namespace BioSup.Analysis.Tests.Geometry;

public sealed class GeometryGoldenTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void RandomState_is_numpy_bit_for_bit()
    {
        foreach (JsonNode? golden in Root["random_state"]!.AsArray())
        {
            NumpyRandomState random = new((uint)golden!["seed"]!);
            foreach (double expected in Doubles(golden["uniform"]!)) Assert.Equal(expected, random.RandomSample());
            Assert.Equal(Ints(golden["permutation"]!), random.Permutation(31));
            Assert.Equal(Ints(golden["choice"]!), random.Choice(1000, 12));
            foreach (JsonNode? word in golden["words"]!.AsArray()) Assert.Equal((uint)word!, random.NextUInt32());
        }
    }

    [Fact]
    public void Folds_are_sklearn_row_for_row()
    {
        foreach (JsonNode? golden in Root["kfold"]!.AsArray())
            CheckFolds(golden!, KFold.Split((int)golden!["n"]!, (int)golden["splits"]!, (uint)golden["seed"]!), (int)golden["n"]!);
        foreach (JsonNode? golden in Root["stratified"]!.AsArray())
            CheckFolds(golden!, KFold.SplitStratified(Labels, (int)golden!["splits"]!, (uint)golden["seed"]!), Labels.Length);
    }

    [Fact]
    public void Local_deviation_and_Moran_match_numpy()
    {
        using Matrix<double> x = Load(_device, "x");
        double[] y = Values(_device);
        using NeighbourTable neighbours = NeighbourTable.Build(x, 25);
        foreach (JsonNode? golden in Root["local"]!.AsArray())
        {
            LocalLinearityResult result = LocalLinearity.Measure(neighbours, y, (int)golden!["k"]!);
            Near((double)golden["mean_ratio"]!, result.MeanRatio, 1e-12, "mean ratio");
            Near((double)golden["median_ratio"]!, result.MedianRatio, 1e-12, "median ratio");
            Near((double)golden["wilcoxon_w"]!, result.Wilcoxon.Statistic, 0, "W");
            Near((double)golden["wilcoxon_p"]!, result.Wilcoxon.P, 1e-9, "Wilcoxon p");
            Near((double)golden["morans_I"]!, result.Moran.I, 1e-12, "I");
            Near((double)golden["variance"]!, result.Moran.Variance, 1e-10, "variance");
            Near((double)golden["morans_z"]!, result.Moran.Z, 1e-10, "z");
            Near((double)golden["morans_p"]!, result.Moran.P, 1e-8, "p");
            Near((double)golden["morans_log10_p"]!, result.Moran.Log10P, 1e-9, "log p");
            Near((double)golden["morans_z_paper"]!, result.Moran.PaperZ, 1e-10, "paper z");
        }
    }

    [Fact]
    public void Effective_rank_CKA_and_coherence_match_numpy()
    {
        using Matrix<double> x = Load(_device, "x"), wide = Load(_device, "wide"), rows = Load(_device, "rows");
        // Column 7 of x is constant: its singular value is rounding, which the Gram route leaves out.
        Near((double)Root["erank"]!["raw"]!, EffectiveRank.Measure(x, centre: false).Value, 1e-9, "raw");
        Near((double)Root["erank"]!["centred"]!, EffectiveRank.Measure(x, centre: true).Value, 1e-9, "centred");
        Near((double)Root["erank"]!["wide"]!, EffectiveRank.Measure(wide, centre: true).Value, 1e-6, "wide");
        Near((double)Root["cka"]!["x_wide"]!, LinearCka.Measure(x, wide), 1e-10, "CKA");
        using Matrix<double> head = Matrix<double>.From(_device, 70, 12, x.Buffer.View.Host[..(70 * 12)]);
        Near((double)Root["cka"]!["x_rows"]!, LinearCka.Measure(head, rows), 1e-10, "CKA by features");
        CoherenceResult coherence = DecoderCoherence.Measure(rows);
        Near((double)Root["coherence"]!["mean"]!, coherence.MeanAbsoluteCosine, 1e-12, "mean |cos|");
        Near((double)Root["coherence"]!["std"]!, coherence.Std, 1e-10, "std |cos|");
        Near((double)Root["coherence"]!["largest"]!, coherence.Largest, 1e-12, "largest |cos|");
    }

    [Theory]
    [InlineData("x")]
    [InlineData("wide")]
    public void Ridge_probe_matches_sklearn(string name)
    {
        using Matrix<double> x = Load(_device, name);
        JsonNode golden = Root["ridge"]![name]!;
        RidgeProbeResult result = RidgeProbe.Measure(x, Values(_device));
        Near((double)golden["r2"]!, result.R2, 1e-6, "R²");
        double[] folds = Doubles(golden["folds"]!), alphas = Doubles(golden["alphas"]!), predictions = Doubles(golden["predictions"]!);
        for (int f = 0; f < folds.Length; f++)
        {
            Near(folds[f], result.FoldR2[f], 1e-6, $"R² of fold {f}");
            Near(alphas[f], result.Alphas[f], 1e-12, $"alpha of fold {f}");
        }
        for (int i = 0; i < predictions.Length; i++) Assert.Equal(predictions[i], result.Predictions[i], 7);
    }

    [Fact]
    public void Linear_probe_reaches_the_optimum_of_sklearn()
    {
        using Matrix<double> x = Load(_device, "x");
        JsonNode golden = Root["probe"]!;
        LinearProbeResult result = LinearProbe.CrossValidate(x, Labels);
        Near((double)golden["accuracy"]!, result.Accuracy, 1e-12, "accuracy");
        Near((double)golden["balanced"]!, result.BalancedAccuracy, 1e-12, "balanced accuracy");
        Near((double)golden["macro_f1"]!, result.MacroF1, 1e-12, "macro F1");
        for (int c = 0; c < 4; c++) Assert.Equal(Ints(golden["confusion"]![c]!), result.Confusion[c]);
        using LogisticRegression model = LogisticRegression.Fit(x, Labels, 4, 1, 2000, CancellationToken.None);
        for (int c = 0; c < 4; c++)
        {
            double[] expected = Doubles(golden["coefficients"]![c]!);
            for (int j = 0; j < expected.Length; j++) Assert.InRange(model.Weights.Row(c)[j] - expected[j], -1e-6, 1e-6);
        }
    }

    [Theory]
    [InlineData("x")]
    [InlineData("wide")]
    public void Principal_components_match_sklearn(string name)
    {
        using Matrix<double> x = Load(_device, name);
        using Pca pca = Pca.Fit(x, 5);
        JsonNode golden = Root["pca"]![name]!;
        for (int k = 0; k < 5; k++)
        {
            Near((double)golden["variance"]![k]!, pca.ExplainedVariance[k], 1e-10, "variance");
            Near((double)golden["ratio"]![k]!, pca.ExplainedVarianceRatio[k], 1e-10, "ratio");
            Near((double)golden["singular"]![k]!, pca.SingularValues[k], 1e-10, "singular value");
            double[] expected = Doubles(golden["components"]![k]!);
            for (int j = 0; j < expected.Length; j++) Assert.Equal(expected[j], pca.Components.Row(k)[j], 9);
        }
    }

    [Fact]
    public void Ranks_correlations_and_tails_match_scipy()
    {
        using Matrix<double> x = Load(_device, "x");
        double[] y = Values(_device), first = [.. Enumerable.Range(0, x.Rows).Select(i => x.Row(i)[0])];
        double[] rounded = Array.ConvertAll(first, v => Math.Round(v));
        Assert.Equal(Doubles(Root["ranks"]!), RankStatistics.AverageRanks(rounded));
        Near((double)Root["spearman"]!, RankStatistics.Spearman(rounded, y), 1e-12, "Spearman");
        Near((double)Root["pearson"]!, RankStatistics.Pearson(first, y), 1e-12, "Pearson");
        foreach (JsonNode? tail in Root["log_tails"]!.AsArray()) Near((double)tail![1]!, NormalTail.Log10Upper((double)tail[0]!), 1e-10, $"log tail at {(double)tail[0]!}");
        foreach (JsonNode? golden in Root["signed_rank"]!.AsArray())
        {
            SignedRankTest test = RankStatistics.SignedRankLess(Doubles(golden!["d"]!));
            Near((double)golden["w"]!, test.Statistic, 1e-12, "W");
            Near((double)golden["p"]!, test.P, 1e-9, "p");
        }
    }

    /// <summary>The committed file is what the committed script writes on this machine's libraries.</summary>
    [Fact]
    public void Golden_file_agrees_with_the_installed_libraries()
    {
        const string Python = "/usr/bin/python3";
        Assert.SkipUnless(File.Exists(Python), $"{Python} is not installed");
        string folder = Directory.CreateTempSubdirectory("biosup-geometry-").FullName;
        try
        {
            ProcessStartInfo start = new(Python, [Path.Combine(Folder, "make_geometry.py"), folder]) { RedirectStandardError = true };
            using Process process = Process.Start(start)!;
            string error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.SkipWhen(error.Contains("ModuleNotFoundError", StringComparison.Ordinal), "NumPy, SciPy or scikit-learn is not installed");
            Assert.True(process.ExitCode == 0, error);
            JsonNode live = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "geometry.json")))!;
            foreach (string key in (string[])["random_state", "kfold", "stratified", "labels"]) Assert.Equal(Root[key]!.ToJsonString(), live[key]!.ToJsonString());
            Near((double)live["ridge"]!["wide"]!["r2"]!, (double)Root["ridge"]!["wide"]!["r2"]!, 1e-8, "ridge R²");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Dispose() => _device.Dispose();

    private static void CheckFolds(JsonNode golden, Fold[] folds, int rows)
    {
        for (int f = 0; f < folds.Length; f++)
        {
            Assert.Equal(Ints(golden["test"]![f]!), folds[f].Test);
            Assert.Equal(Enumerable.Range(0, rows).Except(folds[f].Test), folds[f].Train);
        }
    }
}
