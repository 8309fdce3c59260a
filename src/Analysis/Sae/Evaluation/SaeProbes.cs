using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>One way to fit the probe.</summary>
/// <param name="CommonScale">Whether all columns are divided by one deviation instead of each by its own.</param>
/// <param name="C">Inverse strength of the penalty, as scikit-learn's C.</param>
public readonly record struct ProbeSetting(bool CommonScale, double C);

/// <summary>Protocol of <see cref="SaeProbes"/>.</summary>
public sealed record SaeProbeOptions
{
    /// <summary>Group of every sample; whole groups are held out. Null: folds are stratified by class.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    /// <summary>Every row is tested once, by a probe of the other folds.</summary>
    public int Folds { get; init; } = 4;

    public ulong Seed { get; init; }

    /// <summary>Settings to choose from in every fold, by accuracy on one part of its training rows that is held out in the same way; one setting leaves nothing to choose.</summary>
    public IReadOnlyList<ProbeSetting> Settings { get; init; } = [new(false, 0.01), new(false, 0.1), new(true, 0.1), new(true, 1)];

    public int MaxIterations { get; init; } = 150;

    /// <summary>Also the probe of the published code (<see cref="Geometry.PublishedProbe"/>).</summary>
    public bool Published { get; init; } = true;
}

/// <summary>How well one representation tells the classes apart on held-out rows.</summary>
/// <param name="Name">"raw", "reconstruction" or "latents".</param>
/// <param name="Features">Columns that took part.</param>
/// <param name="Logistic">Multinomial logistic regression with an L2 penalty; predictions of all folds pooled.</param>
/// <param name="Settings">What was chosen in each fold.</param>
/// <param name="Published">The published probe; null when not asked for.</param>
public sealed record RepresentationProbe(string Name, int Features, LinearProbeResult Logistic, IReadOnlyList<ProbeSetting> Settings, LinearProbeResult? Published);

/// <summary>Probes on raw activations, on what the autoencoder makes of them, and on its latents, all on the same folds.</summary>
/// <param name="Rows">Samples, each tested once.</param>
/// <param name="Folds">Folds.</param>
/// <param name="Groups">Groups that were kept together; 0 when rows were not grouped.</param>
/// <param name="MajorityAccuracy">Accuracy of always saying the class that is most frequent in training.</param>
public sealed record SaeProbes(int Rows, int Folds, int Groups, double MajorityAccuracy, RepresentationProbe Raw, RepresentationProbe Reconstruction, RepresentationProbe Latents)
{
    /// <summary>What of the raw probe's gain over the most frequent class survives reconstruction: 1 is all of it, 0 none; above 1 the reconstruction is the easier to read.</summary>
    public double RecoveredByReconstruction => Recovered(Reconstruction);

    /// <summary>The same for latents.</summary>
    public double RecoveredByLatents => Recovered(Latents);

    /// <summary>Probes three representations.</summary>
    /// <param name="model">The model.</param>
    /// <param name="samples">Of that model.</param>
    /// <param name="labels">A class for every sample.</param>
    /// <param name="options">Protocol.</param>
    /// <exception cref="DataException">Labels or groups are not as many as samples, or there is one class only.</exception>
    public static SaeProbes Measure(SaeModel model, SaeSamples samples, IReadOnlyList<string> labels, SaeProbeOptions? options = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options ??= new SaeProbeOptions();
        if (labels.Count != samples.Raw.Rows) throw new DataException("labels", null, $"there are {labels.Count} labels for {samples.Raw.Rows} samples");
        if (options.Groups is { } groups && groups.Count != labels.Count) throw new DataException("groups", null, $"there are {groups.Count} groups for {labels.Count} samples");
        string[] classes = [.. labels.Distinct().Order(StringComparer.Ordinal)];
        if (classes.Length < 2) throw new DataException("labels", null, "there is only one class: nothing can be told apart");
        int[] codes = [.. labels.Select(l => Array.BinarySearch(classes, l, StringComparer.Ordinal))];
        Fold[] folds = Split(codes, options.Groups, options.Folds, options.Seed);
        Fold[] inner = [.. folds.Select((f, i) => Inner(codes, f, options, (ulong)i))];
        double right = folds.Sum(fold =>
        {
            int majority = fold.Train.GroupBy(i => codes[i]).OrderByDescending(g => g.Count()).ThenBy(g => g.Key).First().Key;
            return fold.Test.Count(i => codes[i] == majority);
        });
        using Matrix<float> rebuilt = samples.Reconstructions(model);
        int[] alive = LatentRows.Alive(model, SaeEvaluation.AliveThreshold);
        SparseRows latents = SparseRows.From(samples.Latents, alive);
        progress?.Report("probes", 0, 3);
        RepresentationProbe raw = Dense("raw", samples.Raw);
        progress?.Report("probes", 1, 3);
        RepresentationProbe reconstruction = Dense("reconstruction", rebuilt);
        progress?.Report("probes", 2, 3);
        RepresentationProbe sparse = Probe("latents", latents.Columns, codes, folds, inner, options,
            (probed, fold) => LinearProbe.Evaluate(model.Device.Host, latents, codes, [fold], probed, cancellation),
            () => PublishedProbe.Evaluate(latents, codes, folds, cancellation: cancellation));
        progress?.Report("probes", 3, 3);
        return new SaeProbes(codes.Length, folds.Length, options.Groups?.Distinct().Count() ?? 0, right / codes.Length, raw, reconstruction, sparse);

        RepresentationProbe Dense(string name, Matrix<float> values)
        {
            using PlacedMatrix<float> placed = values.At(model.Device);
            using Matrix<double> x = Elementwise.Converted<float, double>(placed.Matrix.View);
            return Probe(name, x.Columns, codes, folds, inner, options,
                (probed, fold) => LinearProbe.Evaluate(x, codes, [fold], probed, cancellation),
                () => PublishedProbe.Evaluate(x, codes, folds, cancellation: cancellation));
        }
    }

    private static RepresentationProbe Probe(string name, int features, int[] codes, Fold[] folds, Fold[] inner, SaeProbeOptions options,
        Func<LinearProbeOptions, Fold, LinearProbeResult> evaluate, Func<LinearProbeResult> published)
    {
        ProbeSetting[] chosen = new ProbeSetting[folds.Length];
        int[] predictions = new int[codes.Length];
        for (int f = 0; f < folds.Length; f++)
        {
            chosen[f] = options.Settings[0];
            double best = -1;
            foreach (ProbeSetting setting in options.Settings.Count > 1 ? options.Settings : [])
            {
                double accuracy = Fit(setting, inner[f], options.MaxIterations / 3).Accuracy;
                if (accuracy > best) (best, chosen[f]) = (accuracy, setting);
            }
            int[] answers = Fit(chosen[f], folds[f], options.MaxIterations).Predictions;
            foreach (int row in folds[f].Test) predictions[row] = answers[row];
        }
        LinearProbeResult pooled = LinearProbe.Score(codes, predictions, codes.Max() + 1);
        return new RepresentationProbe(name, features, pooled, chosen, options.Published ? published() : null);

        LinearProbeResult Fit(ProbeSetting setting, Fold fold, int iterations) =>
            evaluate(new LinearProbeOptions { C = setting.C, CommonScale = setting.CommonScale, MaxIterations = Math.Max(1, iterations) }, fold);
    }

    private static Fold[] Split(int[] codes, IReadOnlyList<string>? groups, int folds, ulong seed) =>
        groups is null ? KFold.SplitStratified(codes, folds, (uint)seed) : GroupFolds.Split(groups, folds, seed);

    /// <summary>A fold of the training rows alone, made as the outer ones were.</summary>
    private static Fold Inner(int[] codes, Fold fold, SaeProbeOptions options, ulong number)
    {
        string[]? groups = options.Groups is null ? null : [.. fold.Train.Select(i => options.Groups[i])];
        if (groups is not null && groups.Distinct().Count() < options.Folds) groups = null;
        Fold first = Split([.. fold.Train.Select(i => codes[i])], groups, options.Folds, options.Seed + 1 + number)[0];
        return new Fold([.. first.Train.Select(i => fold.Train[i])], [.. first.Test.Select(i => fold.Train[i])]);
    }

    private double Recovered(RepresentationProbe probe)
    {
        double gain = Raw.Logistic.Accuracy - MajorityAccuracy;
        return gain > 0 ? (probe.Logistic.Accuracy - MajorityAccuracy) / gain : double.NaN;
    }
}
