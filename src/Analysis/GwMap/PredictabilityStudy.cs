using BioSup.Analysis.Geometry;
using BioSup.Analysis.Prediction;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>What is to be predicted of every image: the soft targets of some columns of the cells, and the features they are predicted from.</summary>
/// <param name="Name">"latent", "raw" or "denoised".</param>
/// <param name="Columns">Names of the columns.</param>
/// <param name="Cells">Values of the cells in these columns.</param>
/// <param name="Images">[images, features] in host memory.</param>
public sealed record TargetSet(string Name, IReadOnlyList<string> Columns, GeneValues Cells, Matrix<float> Images);

/// <summary>How well one set of targets is predicted within one label, or over all of them.</summary>
/// <param name="Label">The label whose images and cells alone took part; null for all together.</param>
/// <param name="Targets">Name of the target set.</param>
/// <param name="Model">"ridge", "trees" or "mlp".</param>
/// <param name="Columns">Names of the targets.</param>
/// <param name="Images">Images that took part.</param>
/// <param name="Result">R² per target, and its null.</param>
public sealed record PredictabilityRun(string? Label, string Targets, string Model, IReadOnlyList<string> Columns, int Images, PredictabilityResult Result)
{
    /// <summary>Largest q of a target that counts as predictable.</summary>
    public const double Significance = 0.05;

    /// <summary>p of every target, adjusted over the targets of this run (Benjamini and Hochberg); null without permutations.</summary>
    public double[]? Q { get; } = Result.PValue is { } p ? BenjaminiHochberg.Adjust(p) : null;

    /// <summary>Targets with a q of at most <see cref="Significance"/>; null without permutations.</summary>
    public int? Predictable => Q?.Count(q => q <= Significance);
}

/// <summary>Parameters of a study of predictability.</summary>
public sealed record PredictabilityStudyOptions
{
    /// <summary>Folds of the cross-validation, stratified by label over all labels.</summary>
    public int Folds { get; init; } = 5;

    /// <summary>Ridge regression: penalty and permutations.</summary>
    public RidgeOptions Ridge { get; init; } = new();

    /// <summary>Boosted trees, which GW-map predicts the cells' latent space with; null leaves them out.</summary>
    public TreeOptions? Trees { get; init; }

    /// <summary>The small network that GW-map predicts genes with; null leaves it out.</summary>
    public MlpOptions? Mlp { get; init; }

    /// <summary>Where the networks are trained; null: where the features lie.</summary>
    public ComputeDevice? Device { get; init; }

    public ulong Seed { get; init; }
}

/// <summary>
/// Soft targets of a coupling, over all labels and within each, and how well images predict them (GW-map). Within a label only its block of the coupling counts, rows
/// divided by their own sums, so that the label itself cannot be what is predicted.
/// </summary>
public static class PredictabilityStudy
{
    /// <param name="coupling">[images, cells] in host memory.</param>
    /// <param name="sample">Which label every image and cell has.</param>
    /// <param name="sets">What to predict.</param>
    /// <param name="options">Folds and models.</param>
    /// <param name="visit">Receives every soft target matrix [images of the label, columns] before it is predicted, with its label (null for all) and the name of its set; it is freed afterwards. May be null.</param>
    /// <param name="store">Keeps finished predictions and parts of the nulls; what it holds must come from the same arguments. Null keeps nothing.</param>
    /// <param name="progress">Receives what is being predicted.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <exception cref="UsageException">There are fewer images of a label than folds.</exception>
    public static IReadOnlyList<PredictabilityRun> Run(Matrix<double> coupling, BalancedSample sample, IReadOnlyList<TargetSet> sets, PredictabilityStudyOptions options,
        Action<string?, string, Matrix<float>>? visit, IPartStore? store, IProgressReporter progress, CancellationToken cancellation = default)
    {
        List<PredictabilityRun> runs = [];
        int scope = 0;
        foreach (string? label in sample.Labels.Prepend<string?>(null))
        {
            int[] images = label is null ? [.. Enumerable.Range(0, sample.Images.Length)] : sample.ImagesOf(label);
            int[] cells = label is null ? [.. Enumerable.Range(0, sample.Cells.Length)] : sample.CellsOf(label);
            int[] codes = [.. images.Select(i => Array.BinarySearch([.. sample.Labels], sample.ImageLabels[i], StringComparer.Ordinal))];
            PredictionFolds folds = label is null ? PredictionFolds.Stratified(codes, options.Folds, options.Seed) : PredictionFolds.Shuffled(images.Length, options.Folds, options.Seed);
            Matrix<double>? block = label is null ? null : CouplingReading.Block(coupling, images, cells);
            try
            {
                foreach (TargetSet set in sets)
                {
                    cancellation.ThrowIfCancellationRequested();
                    using Soft soft = new(block ?? coupling, set, images, cells, visit is null ? null : targets => visit(label, set.Name, targets), progress, cancellation);
                    foreach ((string model, Model run) in Models(set.Name, options))
                    {
                        // Numbers of scopes, because labels may hold any letter.
                        string name = $"{scope}_{set.Name}_{model}";
                        PredictabilityResult? result = store?.Find(name) is { } kept ? PredictabilityResult.Unpack(kept, set.Columns.Count) : null;
                        if (result is null)
                        {
                            NullParts? parts = store is null ? null : new NullParts(store, name);
                            result = run(soft.Features, soft.Targets, folds, progress, cancellation, parts);
                            store?.Keep(name, result.Pack());
                            parts?.Drop();
                        }
                        runs.Add(new PredictabilityRun(label, set.Name, model, set.Columns, images.Length, result));
                    }
                }
            }
            finally
            {
                block?.Dispose();
            }
            scope++;
        }
        return runs;
    }

    private delegate PredictabilityResult Model(Matrix<float> x, Matrix<float> y, PredictionFolds folds, IProgressReporter progress, CancellationToken cancellation, NullParts? parts);

    /// <summary>Ridge for everything; trees for the cells' space and the network for genes where they are asked for.</summary>
    private static IEnumerable<(string Name, Model Run)> Models(string targets, PredictabilityStudyOptions options)
    {
        yield return (GwMapTargets.Ridge, (x, y, folds, progress, cancel, parts) => RidgePredictability.Run(x.View, y.View, folds, options.Ridge, progress, cancel, parts));
        if (options.Trees is { } trees && targets == GwMapTargets.Latent) yield return (GwMapTargets.Trees, (x, y, folds, progress, cancel, parts) => TreePredictability.Run(x.View, y.View, folds, trees, progress, cancel, parts));
        if (options.Mlp is not null && targets != GwMapTargets.Latent) yield return (GwMapTargets.Mlp, Network);

        PredictabilityResult Network(Matrix<float> x, Matrix<float> y, PredictionFolds folds, IProgressReporter progress, CancellationToken cancellation, NullParts? parts)
        {
            using PlacedMatrix<float> features = x.At(options.Device ?? x.Device);
            return MlpPredictability.Run(features.Matrix.View, y.View, folds, options.Mlp, progress, cancellation, parts);
        }
    }

    /// <summary>Features and soft targets of one set, made when a model first asks for them.</summary>
    private sealed class Soft(Matrix<double> coupling, TargetSet set, int[] images, int[] cells, Action<Matrix<float>>? visit, IProgressReporter progress, CancellationToken cancellation) : IDisposable
    {
        private Matrix<float>? _features, _targets;

        public Matrix<float> Features => _features ??= Gather.Rows(set.Images, images);

        public Matrix<float> Targets => _targets ??= Project();

        public void Dispose()
        {
            _features?.Dispose();
            _targets?.Dispose();
        }

        private Matrix<float> Project()
        {
            Matrix<float> targets = GeneSoftTargets.Project(coupling, set.Cells, cells, 0, progress, cancellation);
            visit?.Invoke(targets);
            return targets;
        }
    }
}
