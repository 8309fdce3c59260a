using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Kernels;
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

    public SaeProbeOptions ProbeOptions { get; init; } = new();

    public ulong Seed { get; init; }
}

/// <summary>Rank of one class's images in two representations.</summary>
public sealed record ClassRank(string Class, int Images, double Raw, double Latents);

/// <summary>Raw activations and latents as representations of the same images.</summary>
/// <param name="Samples">Images that took part.</param>
/// <param name="RawRank">Effective rank of the centred mean tokens [images, d_in].</param>
/// <param name="LatentRank">Effective rank of the centred mean activations [images, d_sae].</param>
/// <param name="CkaLatents">Linear CKA of mean tokens and latents.</param>
/// <param name="CkaReconstruction">Linear CKA of mean tokens and their reconstructions.</param>
/// <param name="Classes">Ranks by class; empty without labels.</param>
public sealed record RepresentationGeometry(int Samples, double RawRank, double LatentRank, double CkaLatents, double CkaReconstruction, IReadOnlyList<ClassRank> Classes);

/// <summary>Everything that is measured of a trained dictionary on tokens: <see cref="SaeEvaluation"/>, geometry of the representation, probes, latents that differ between classes.</summary>
public sealed record SaeStudy(SaeEvaluation Evaluation, RepresentationGeometry? Representation, SaeProbes? Probes, IReadOnlyList<DifferentialComparison> Comparisons)
{
    // Decompositions grow with the cube of the samples, probes and tests with samples times latents.
    private const int MostDecomposed = 1000, MostSamples = 20_000;
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
        SaeEvaluation evaluation = SaeEvaluation.Run(model, tokens, rowsPerImage, labels, progress, cancellation);
        // Labels of tokens make tokens the samples, whether or not images are known.
        bool images = rowsPerImage is { Count: > 0 } && (labels is null || labels.Count == rowsPerImage.Count);
        int most = (int)Math.Clamp(MostElements / model.Latents, 1, MostSamples);
        using SaeSamples samples = SaeSamples.Collect(model, tokens, images ? rowsPerImage : null, most, options.Seed, progress, cancellation);
        string[]? classes = labels is null ? null : [.. samples.Rows.Select(i => labels[i])];
        RepresentationGeometry? representation = samples.Rows.Length < 3 ? null : Measure(model, samples, classes, cancellation);
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

    private static RepresentationGeometry? Measure(SaeModel model, SaeSamples samples, string[]? classes, CancellationToken cancellation)
    {
        int[] all = [.. Enumerable.Range(0, samples.Rows.Length)];
        using Matrix<float> rebuilt = samples.Reconstructions(model);
        int[] chosen = [.. all.Where(i => (long)i * MostDecomposed / all.Length != (long)(i - 1) * MostDecomposed / all.Length || all.Length <= MostDecomposed)];
        using Matrix<double> raw = Rows(model, samples.Raw, chosen), latents = Rows(model, samples.Latents, chosen), again = Rows(model, rebuilt, chosen);
        cancellation.ThrowIfCancellationRequested();
        return new RepresentationGeometry(chosen.Length, Rank(raw), Rank(latents), Cka(raw, latents), Cka(raw, again), classes is null ? [] : [.. classes.Distinct().Order(StringComparer.Ordinal).Select(ByClass)]);

        ClassRank ByClass(string name)
        {
            cancellation.ThrowIfCancellationRequested();
            int[] own = [.. all.Where(i => classes![i] == name)];
            using Matrix<double> x = Rows(model, samples.Raw, [.. own.Take(MostDecomposed)]), y = Rows(model, samples.Latents, [.. own.Take(MostDecomposed)]);
            return new ClassRank(name, own.Length, Rank(x), Rank(y));
        }
    }

    private static Matrix<double> Rows(SaeModel model, Matrix<float> values, int[] rows)
    {
        using Matrix<float> chosen = Gather.Rows(values, rows);
        using PlacedMatrix<float> placed = chosen.At(model.Device);
        return Elementwise.Converted<float, double>(placed.Matrix.View);
    }

    /// <summary>NaN where all rows are equal, such as those of a model whose latents are all silent.</summary>
    private static double Rank(Matrix<double> x) => Try(() => EffectiveRank.Measure(x, centre: true).Value);

    private static double Cka(Matrix<double> x, Matrix<double> y) => Try(() => LinearCka.Measure(x, y));

    private static double Try(Func<double> measure)
    {
        try
        {
            return measure();
        }
        catch (DataException)
        {
            return double.NaN;
        }
    }
}
