using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>What a study adds to the figures of reconstruction.</summary>
public sealed record SaeStudyOptions
{
    /// <summary>Group of every image (plate, well, donor); probes hold out whole groups. Null holds out rows of every class.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    public DifferentialOptions Differential { get; init; } = new();

    /// <summary>Whether probes are trained; they take most of the time.</summary>
    public bool Probes { get; init; } = true;

    /// <summary>Principal components of the effective ranks on components; the paper keeps 250.</summary>
    public int Components { get; init; } = 250;

    public SaeProbeOptions ProbeOptions { get; init; } = new();

    public ulong Seed { get; init; }
}

/// <summary>Everything that is measured of a trained dictionary on tokens: <see cref="SaeEvaluation"/>, geometry of the representation, probes, latents that differ between classes.</summary>
public sealed record SaeStudy(SaeEvaluation Evaluation, RepresentationGeometry? Representation, SaeProbes? Probes, IReadOnlyList<DifferentialComparison> Comparisons)
{
    // Probes and tests grow with samples times latents.
    private const int MostSamples = 20_000;
    private const long MostElements = 1L << 25;

    /// <summary>Reads the tokens twice: once for the evaluation, once for images.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Any source of its width.</param>
    /// <param name="rowsPerImage">Tokens of each image; null when unknown: tokens then stand for images.</param>
    /// <param name="labels">A class per token or per image; null for none.</param>
    /// <param name="options">Protocol.</param>
    public static SaeStudy Run(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, IReadOnlyList<string>? labels, SaeStudyOptions? options = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options ??= new SaeStudyOptions();
        if (options.Components < 1) throw new UsageException($"{options.Components} principal components: expected at least 1.");
        SaeEvaluation evaluation = SaeEvaluation.Run(model, tokens, rowsPerImage, labels, progress, cancellation);
        // Labels of tokens make tokens the samples, whether or not images are known.
        bool images = rowsPerImage is { Count: > 0 } && (labels is null || labels.Count == rowsPerImage.Count);
        int most = (int)Math.Clamp(MostElements / model.Latents, 1, MostSamples);
        using SaeSamples samples = SaeSamples.Collect(model, tokens, images ? rowsPerImage : null, most, options.Seed, progress, cancellation);
        string[]? classes = labels is null ? null : [.. samples.Rows.Select(i => labels[i])];
        RepresentationGeometry? representation = samples.Rows.Length < 3 ? null : RepresentationGeometry.Measure(model, samples, classes, options.Components, cancellation);
        if (classes is null || classes.Distinct().Count() < 2) return new SaeStudy(evaluation, representation, null, []);
        IReadOnlyList<DifferentialComparison> comparisons = DifferentialLatents.Compare(samples, classes, options.Differential, cancellation);
        SaeProbes? probes = null;
        if (options.Probes)
        {
            if (options.Groups is { } groups && groups.Count != labels!.Count) throw new DataException("--groups", null, $"there are {groups.Count} groups for {labels.Count} labels; expected one for each");
            SaeProbeOptions probeOptions = options.ProbeOptions with { Seed = options.Seed, Groups = options.Groups is null ? null : [.. samples.Rows.Select(i => options.Groups[i])] };
            probes = SaeProbes.Measure(model, samples, classes, probeOptions, progress, cancellation);
        }
        return new SaeStudy(evaluation, representation, probes, comparisons);
    }
}
