using System.Text.Json.Nodes;
using BioSup.Analysis.Prediction;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>Ridge predictability beside scikit-learn's Ridge, KFold, StratifiedKFold and r2_score (tests/golden/prediction/make_ridge.py).</summary>
public sealed class RidgeGoldenTests
{
    private static readonly JsonArray s_cases = JsonNode.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "prediction", "ridge.json")))!["cases"]!.AsArray();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void PredictionsAndRSquaredAreThoseOfScikitLearn(int number)
    {
        JsonNode golden = s_cases[number]!;
        int rows = (int)golden["rows"]!, targets = (int)golden["targets"]!, count = (int)golden["folds"]!;
        ulong seed = (ulong)golden["seed"]!;
        PredictionFolds folds = golden["labels"] is { } labels ? PredictionFolds.Stratified([.. labels.AsArray().Select(v => (int)v!)], count, seed) : PredictionFolds.Shuffled(rows, count, seed);
        using CpuDevice cpu = new(1);
        float[] y = Floats(golden["y"]!);
        using Matrix<float> features = Matrix<float>.From(cpu, rows, (int)golden["columns"]!, Floats(golden["x"]!)), actual = Matrix<float>.From(cpu, rows, targets, y);
        RidgeOptions options = new() { Alpha = (double)golden["alpha"]!, Permutations = 0 };
        using Matrix<float> predicted = RidgePredictability.Predict(features.View, actual.View, folds, options, default);
        double[] expected = Doubles(golden["predictions"]!);
        // The predictions are rounded to single precision, the R² are not.
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], predicted.View.Row(i / targets)[i % targets], 1e-7 * Math.Max(1, Math.Abs(expected[i])));
        RequireRSquared(golden["r2"]!, features, actual, folds, options);
        int[] order = [.. golden["order"]!.AsArray().Select(v => (int)v!)];
        using Matrix<float> permuted = Matrix<float>.From(cpu, rows, targets, PredictionCases.PermuteRows(y, targets, order));
        RequireRSquared(golden["permuted_r2"]!, features, permuted, folds, options);
    }

    private static void RequireRSquared(JsonNode golden, Matrix<float> x, Matrix<float> y, PredictionFolds folds, RidgeOptions options)
    {
        double[] expected = Doubles(golden), actual = RidgePredictability.Run(x.View, y.View, folds, options, SilentProgress.Instance, default).RSquared;
        for (int t = 0; t < expected.Length; t++) Assert.Equal(expected[t], actual[t], 1e-9);
    }

    private static double[] Doubles(JsonNode node) => [.. node.AsArray().Select(v => (double)v!)];

    private static float[] Floats(JsonNode node) => Array.ConvertAll(Doubles(node), v => (float)v);
}
