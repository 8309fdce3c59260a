using System.Runtime.InteropServices;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>What a token folder holds.</summary>
/// <param name="Fields">Fields of view.</param>
/// <param name="Patches">Patches kept, and left out for which reason.</param>
/// <param name="FeatureMap">Cells and channels of one patch.</param>
/// <param name="Tokens">Rows of the shards: patches * cells.</param>
/// <param name="Centre">What was subtracted with fixed centring; null otherwise.</param>
/// <param name="MeanNorm">Mean l2 of the tokens before they were scaled to unit length.</param>
/// <param name="InputSize">Side of the encoder's input in pixels.</param>
public sealed record TokenSummary(
    int Fields, IReadOnlyDictionary<PatchVerdict, int> Patches, FeatureMapShape FeatureMap, long Tokens, float[]? Centre, double MeanNorm, int InputSize);

/// <summary>
/// Images to normalised tokens, streamed: memory holds one batch of patches and feature maps, whatever the number of images. The folder gets token shards
/// with <c>index.json</c> (patch ids and rows per patch), <c>gap.npy</c> [patches, channels] (mean over cells as the encoder gave it),
/// <c>l2.npy</c> [tokens], <c>images.csv</c> (one row per patch) and, with fixed centring, <c>centre.npy</c> [channels].
/// Every file is complete or absent: an interrupted run leaves what was there before.
/// </summary>
public sealed class TokenPipeline
{
    /// <summary>Feature maps of one step take at most this much, unless batch centring needs the whole batch at once.</summary>
    private const long FeatureBytes = 256L << 20;

    private readonly CpuDevice _device;
    private readonly PatchPlan _plan;
    private readonly IImageEncoder _encoder;
    private readonly TokenOptions _options;
    private readonly PatchPreparation _preparation;
    private readonly FeatureMapShape _shape;
    private readonly int _batch;
    private (Matrix<float> Features, Matrix<float> Gap)? _kept;

    /// <param name="plan">The patches, from <see cref="PatchPlan.Survey"/>.</param>
    /// <exception cref="DataException">The images do not fit the encoder.</exception>
    public TokenPipeline(CpuDevice device, PatchPlan plan, IImageEncoder encoder, TokenOptions options) : this(device, plan, encoder, options, FeatureBytes) { }

    internal TokenPipeline(CpuDevice device, PatchPlan plan, IImageEncoder encoder, TokenOptions options, long featureBytes)
    {
        options.Validate();
        if (plan.Channels != encoder.Channels && plan.Channels != 1)
            throw new DataException(plan.Images.Fields[0].Files[0], null, $"the images have {plan.Channels} channels, the encoder takes {encoder.Channels} (a single grey channel would be replicated)");
        int side = SideOf(plan, encoder, options);
        (_device, _plan, _encoder, _options) = (device, plan, encoder, options);
        _preparation = new PatchPreparation(device, plan.Grid.Size, side, encoder.Channels, options.Scaling);
        _shape = encoder.Shape(side);
        if (options.Centre is { } centre && centre.Length != _shape.Channels)
            throw new UsageException($"The given centre has {centre.Length} values, the encoder {_shape.Channels} channels.");
        long fit = Math.Max(1, featureBytes / ((long)_shape.Tokens * _shape.Channels * sizeof(float)));
        _batch = (int)Math.Min(plan.Patches.Count, options.Centring == TokenCentring.Batch ? options.Batch : Math.Min(options.Batch, fit));
    }

    /// <summary>Feature map of one patch.</summary>
    internal FeatureMapShape Shape => _shape;

    /// <summary>Patches encoded together.</summary>
    internal int Batch => _batch;

    internal int InputSize => _preparation.InputSize;

    /// <summary>Surveys the images, then encodes them: the whole way in one call.</summary>
    public static TokenSummary Run(
        CpuDevice device, ImageSet images, IImageEncoder encoder, TokenOptions options, string folder, IProgressReporter progress, CancellationToken cancellation)
    {
        options.Validate();
        PatchPlan plan = PatchPlan.Survey(device, images, new PatchGrid(options.PatchSize, options.Stride ?? options.PatchSize), options.Filter, progress, cancellation);
        return new TokenPipeline(device, plan, encoder, options).Write(folder, progress, cancellation);
    }

    /// <summary>Encodes every patch of the plan and writes the token folder.</summary>
    /// <exception cref="DataException">A file became unreadable, or the encoder gave values that are not finite.</exception>
    public TokenSummary Write(string folder, IProgressReporter progress, CancellationToken cancellation)
    {
        try
        {
            return WriteAll(folder, progress, cancellation);
        }
        finally
        {
            Forget();
        }
    }

    /// <summary>Lets go of feature maps that <see cref="EstimateCentre"/> kept.</summary>
    internal void Forget()
    {
        _kept?.Features.Dispose();
        _kept?.Gap.Dispose();
        _kept = null;
    }

    private TokenSummary WriteAll(string folder, IProgressReporter progress, CancellationToken cancellation)
    {
        float[]? centre = _options.Centring == TokenCentring.Fixed ? _options.Centre ?? EstimateCentre(progress, cancellation) : null;
        TokenNormaliser normaliser = new(_device, _shape, _options.Centring, centre);
        double normSum = 0;
        int done = 0;
        using TokenShardWriter shards = new(folder, _shape.Channels, _options.StoredType, container: _options.Container);
        AtomicFile.Write(Path.Combine(folder, "gap.npy"), gapStream => AtomicFile.Write(Path.Combine(folder, "l2.npy"), normStream =>
        {
            NpyFile.WriteHeader<float>(gapStream, _plan.Patches.Count, _shape.Channels);
            NpyFile.WriteHeader<float>(normStream, (long)_plan.Patches.Count * _shape.Tokens);
            float[] norms = new float[_batch * _shape.Tokens];
            Encode(null, cancellation, (features, gap, count) =>
            {
                normaliser.Apply(features, gap, count, norms);
                for (int i = 0; i < count; i++)
                {
                    string id = _plan.IdOf(_plan.Patches[done + i]);
                    RequireFinite(norms.AsSpan(i * _shape.Tokens, _shape.Tokens), id);
                    shards.AppendImage(id, features.View.RowBlock(i * _shape.Tokens, _shape.Tokens));
                    gapStream.Write(MemoryMarshal.AsBytes(gap.Row(i)));
                }
                ReadOnlySpan<float> used = norms.AsSpan(0, count * _shape.Tokens);
                foreach (float norm in used) normSum += norm;
                normStream.Write(MemoryMarshal.AsBytes(used));
                done += count;
                progress.Report("encoding", done, _plan.Patches.Count, $"{(long)done * _shape.Tokens} tokens");
            });
        }));
        WriteTables(folder, centre);
        // The index comes last: a folder whose index names these shards has everything else too.
        shards.Complete();
        long tokens = (long)_plan.Patches.Count * _shape.Tokens;
        return new TokenSummary(_plan.Images.Fields.Count, _plan.Counts, _shape, tokens, centre, normSum / tokens, _preparation.InputSize);
    }

    /// <summary>The centre of the scaled tokens, from patches spread evenly over the plan; it does not depend on how they are batched.</summary>
    internal float[] EstimateCentre(IProgressReporter progress, CancellationToken cancellation)
    {
        int[] sample = _plan.Spread(_options.CentreSample);
        // A small set is encoded once: the sample is everything, and its feature maps fit in memory.
        long bytes = (long)sample.Length * _shape.Tokens * _shape.Channels * sizeof(float);
        if (sample.Length == _plan.Patches.Count && bytes <= FeatureBytes)
            _kept = (_device.AllocateMatrix<float>(sample.Length * _shape.Tokens, _shape.Channels), _device.AllocateMatrix<float>(sample.Length, _shape.Channels));
        double[] sum = new double[_shape.Channels];
        int done = 0;
        Encode(sample, cancellation, (features, gap, count) =>
        {
            if (_kept is { } kept)
            {
                Copy(features, 0, kept.Features, done * _shape.Tokens, count * _shape.Tokens);
                Copy(gap, 0, kept.Gap, done, count);
            }
            TokenNormaliser.AddScaledGaps(gap, count, sum);
            done += count;
            progress.Report("estimating the centre", done, sample.Length);
        });
        float[] centre = [.. sum.Select(value => (float)(value / sample.Length))];
        if (Array.FindIndex(centre, value => !float.IsFinite(value)) is >= 0 and int channel)
            throw new DataException(_encoder.Name, $"channel {channel}", "the encoder gave values that are not finite");
        return centre;
    }

    /// <summary>Feature maps and their means, batch after batch, of the named patches (ascending) or of all.</summary>
    internal void Encode(IReadOnlyList<int>? which, CancellationToken cancellation, Action<Matrix<float>, Matrix<float>, int> use)
    {
        using Matrix<float> features = _device.AllocateMatrix<float>(_batch * _shape.Tokens, _shape.Channels);
        using Matrix<float> gap = _device.AllocateMatrix<float>(_batch, _shape.Channels);
        if (which is null && _kept is { } kept)
        {
            for (int start = 0; start < _plan.Patches.Count; start += _batch)
            {
                cancellation.ThrowIfCancellationRequested();
                int count = Math.Min(_batch, _plan.Patches.Count - start);
                Copy(kept.Features, start * _shape.Tokens, features, 0, count * _shape.Tokens);
                Copy(kept.Gap, start, gap, 0, count);
                use(features, gap, count);
            }
            return;
        }
        using Matrix<float> input = _device.AllocateMatrix<float>(_batch, _preparation.InputLength);
        foreach (IReadOnlyList<PatchSource> patches in _plan.Batches(which, _batch, cancellation))
        {
            cancellation.ThrowIfCancellationRequested();
            _preparation.Fill(patches, input.View);
            _encoder.Encode(input.View.RowBlock(0, patches.Count), _preparation.InputSize, features.View.RowBlock(0, patches.Count * _shape.Tokens));
            TokenNormaliser.Pool(_device, _shape, features, gap, patches.Count);
            use(features, gap, patches.Count);
        }
    }

    private static void Copy(Matrix<float> source, int from, Matrix<float> target, int to, int rows)
    {
        for (int i = 0; i < rows; i++) source.Row(from + i).CopyTo(target.Row(to + i));
    }

    private void WriteTables(string folder, float[]? centre)
    {
        IReadOnlyList<PlannedPatch> patches = _plan.Patches;
        IReadOnlyList<ImageField> fields = _plan.Images.Fields;
        CsvFile.Write(Path.Combine(folder, "images.csv"), new Table(
            new Column("patch", [.. patches.Select(_plan.IdOf)]),
            new Column("field", [.. patches.Select(patch => fields[patch.Field].Name)]),
            new Column("file", [.. patches.Select(patch => string.Join(';', fields[patch.Field].Files))]),
            new Column("page", [.. patches.Select(patch => fields[patch.Field].Page is { } page ? Text(page + 1) : "")]),
            new Column("x", [.. patches.Select(patch => Text(patch.X))]),
            new Column("y", [.. patches.Select(patch => Text(patch.Y))]),
            new Column("std_sum", [.. patches.Select(patch => Text(patch.Figures.StdSum))]),
            new Column("laplacian_variance", [.. patches.Select(patch => Text(patch.Figures.LaplacianVariance))]),
            new Column("background", [.. patches.Select(patch => Text(patch.Figures.Background))])));
        string centreFile = Path.Combine(folder, "centre.npy");
        if (centre is not null) NpyFile.Write(centreFile, NdArray.Vector(centre));
        else File.Delete(centreFile);
    }

    internal void RequireFinite(ReadOnlySpan<float> norms, string id)
    {
        foreach (float norm in norms)
            if (!float.IsFinite(norm)) throw new DataException(_encoder.Name, id, "the encoder gave values that are not finite for this patch");
    }

    private static int SideOf(PatchPlan plan, IImageEncoder encoder, TokenOptions options)
    {
        if (encoder.InputSize is not { } only) return options.InputSize ?? plan.Grid.Size;
        if (options.InputSize is { } asked && asked != only) throw new UsageException($"Input size {asked}: the encoder takes images of {only} x {only} pixels only.");
        return only;
    }

    private static string Text(IFormattable value) => value.ToString(null, System.Globalization.CultureInfo.InvariantCulture);
}
