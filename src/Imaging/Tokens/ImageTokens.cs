using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// The normalised tokens of images as a source to train from: patches are encoded when their tokens are asked for, and kept in a cache where there
/// is one. The tokens are those that <see cref="TokenPipeline"/> would write; which patches are encoded together follows from what is asked for, never
/// from threads or time. Blocks are whole patches, because encoding one for a few of its tokens would be absurd; with a cache it costs a short read, and a
/// block is a part of a patch, so that a window of the shuffle holds tokens of many more of them.
/// </summary>
public sealed class ImageTokens : IBlockTokens
{
    // Feature maps of one encoding: enough for an encoder to be busy, little beside the window of the shuffle.
    private const long FeatureBytes = 32L << 20;

    // Reads of this size are fast from any disk; smaller parts would mix better, but more patches have to be encoded before the first window is complete.
    private const int PartBytes = 256 << 10;
    private readonly PatchPlan _plan;
    private readonly TokenPipeline _pipeline;
    private readonly TokenNormaliser _normaliser;
    private readonly CancellationToken _cancellation;
    private readonly Matrix<float> _encoded, _together;
    private readonly int[] _wanted;
    private readonly int _parts;
    private readonly float[] _norms;
    private readonly Lock _gate = new();
    private int _first = -1, _count;

    /// <param name="device">Not disposed here; its threads encode, so it should not be the one that trains.</param>
    /// <param name="plan">The patches, from <see cref="PatchPlan.Survey"/>.</param>
    /// <param name="encoder">Not disposed here.</param>
    /// <param name="encoderIdentity">What changes when the encoder does, as its checksum; a cache is bound to it.</param>
    /// <param name="options">Centring by batch is refused: a token would depend on what is encoded beside it.</param>
    /// <param name="cacheFolder">Receives the tokens, or gives those it has; null encodes every time.</param>
    /// <exception cref="UsageException">The cache belongs to other tokens, or the options do not go with streaming.</exception>
    public ImageTokens(CpuDevice device, PatchPlan plan, IImageEncoder encoder, string encoderIdentity, TokenOptions options, string? cacheFolder, IProgressReporter progress, CancellationToken cancellation)
        : this(device, plan, encoder, encoderIdentity, options, cacheFolder, progress, cancellation, PartBytes) { }

    internal ImageTokens(CpuDevice device, PatchPlan plan, IImageEncoder encoder, string encoderIdentity, TokenOptions options, string? cacheFolder, IProgressReporter progress, CancellationToken cancellation, int partBytes)
    {
        if (options.Centring == TokenCentring.Batch)
            throw new UsageException("Centring by batch makes a token depend on what is encoded beside it, which changes from epoch to epoch; use fixed or image, or write the tokens first.");
        _pipeline = new TokenPipeline(device, plan, encoder, options, FeatureBytes);
        (_plan, _cancellation) = (plan, cancellation);
        float[]? centre = null;
        try
        {
            if (cacheFolder is not null) Cache = OpenCache(cacheFolder, $"{encoder.Name} {encoderIdentity}", options);
            if (options.Centring == TokenCentring.Fixed) centre = FindCentre(cacheFolder, options, progress);
        }
        catch
        {
            Cache?.Dispose();
            throw;
        }
        finally
        {
            _pipeline.Forget();
        }
        Centre = centre;
        _normaliser = new TokenNormaliser(device, Shape, options.Centring, centre);
        _encoded = device.AllocateMatrix<float>(_pipeline.Batch * Shape.Tokens, Shape.Channels);
        _together = device.AllocateMatrix<float>(_pipeline.Batch * Shape.Tokens, Shape.Channels);
        _norms = new float[_pipeline.Batch * Shape.Tokens];
        _wanted = new int[_pipeline.Batch];
        int rows = Math.Max(1, partBytes / (Shape.Channels * sizeof(float)));
        _parts = Cache is null ? 1 : Enumerable.Range(1, Shape.Tokens).First(parts => Shape.Tokens % parts == 0 && Shape.Tokens / parts <= rows);
    }

    public long Rows => (long)_plan.Patches.Count * Shape.Tokens;
    public int Columns => Shape.Channels;

    /// <summary>A patch without a cache; with one an even part of it, of at most 256 KiB as float32.</summary>
    public int BlockRows => Shape.Tokens / _parts;

    public int BlocksPerRead => _pipeline.Batch;

    /// <summary>Cells and channels of one patch.</summary>
    public FeatureMapShape Shape => _pipeline.Shape;

    /// <summary>Patches, each of <see cref="FeatureMapShape.Tokens"/> tokens.</summary>
    public int Patches => _plan.Patches.Count;

    /// <summary>The patches in the order of their tokens.</summary>
    public PatchPlan Plan => _plan;

    /// <summary>With fixed centring: what is taken off every token.</summary>
    public float[]? Centre { get; }

    /// <summary>Where tokens are kept; null when they are not.</summary>
    public TokenCache? Cache { get; }

    public void ReadBlocks(ReadOnlySpan<int> blocks, MatrixView<float> destination)
    {
        if (destination.Rows != (long)blocks.Length * BlockRows || destination.Columns != Columns)
            throw new ArgumentException($"{(long)blocks.Length * BlockRows} x {Columns} values are needed, there is place for {destination.Rows} x {destination.Columns}.", nameof(destination));
        lock (_gate)
        {
            for (int at = 0; at < blocks.Length; at += _wanted.Length)
            {
                ReadOnlySpan<int> some = blocks[at..Math.Min(blocks.Length, at + _wanted.Length)];
                MatrixView<float> rows = destination.RowBlock(at * BlockRows, some.Length * BlockRows);
                if (_parts == 1) Fetch(some, rows);
                else FetchParts(some, rows);
            }
        }
    }

    /// <summary>Rows in the order of the patches. The patches encoded last are kept: reading on from where the last call ended encodes nothing twice.</summary>
    public void Read(long start, MatrixView<float> destination)
    {
        if (destination.Columns != Columns) throw new ArgumentException($"Tokens have {Columns} features, the destination {destination.Columns}.", nameof(destination));
        if (start < 0 || start > Rows - destination.Rows) throw new ArgumentOutOfRangeException(nameof(start), $"Rows {start} to {start + destination.Rows} of {Rows} do not exist.");
        lock (_gate)
        {
            for (int done = 0; done < destination.Rows;)
            {
                int patch = (int)((start + done) / Shape.Tokens);
                if (patch < _first || patch >= _first + _count || _first < 0) Advance(patch);
                int from = (int)(start + done - (long)_first * Shape.Tokens), count = Math.Min(destination.Rows - done, _count * Shape.Tokens - from);
                for (int i = 0; i < count; i++) _together.Row(from + i).CopyTo(destination.Row(done + i));
                done += count;
            }
        }
    }

    public void Dispose()
    {
        Cache?.Dispose();
        _encoded.Dispose();
        _together.Dispose();
    }

    private void Advance(int patch)
    {
        int[] patches = [.. Enumerable.Range(patch, Math.Min(_wanted.Length, Patches - patch))];
        _first = -1;
        Fetch(patches, _together.View.RowBlock(0, patches.Length * Shape.Tokens));
        (_first, _count) = (patch, patches.Length);
    }

    /// <summary>Patches from the cache, and the others from the encoder.</summary>
    private void Fetch(ReadOnlySpan<int> patches, MatrixView<float> destination)
    {
        int size = Shape.Tokens, missing = 0;
        for (int i = 0; i < patches.Length; i++)
        {
            if (Cache is { } cache && cache.Has(patches[i])) cache.Read(patches[i], destination.RowBlock(i * size, size));
            else _wanted[missing++] = patches[i];
        }
        int[] encoded = Encode(missing);
        for (int i = 0; i < patches.Length; i++)
            if (Array.BinarySearch(encoded, patches[i]) is >= 0 and int at)
                for (int row = 0; row < size; row++) _encoded.Row(at * size + row).CopyTo(destination.Row(i * size + row));
    }

    /// <summary>Parts of patches from the cache, which is given first what it lacks.</summary>
    private void FetchParts(ReadOnlySpan<int> blocks, MatrixView<float> destination)
    {
        int missing = 0;
        foreach (int block in blocks)
            if (!Cache!.Has(block / _parts) && !_wanted.AsSpan(0, missing).Contains(block / _parts)) _wanted[missing++] = block / _parts;
        Encode(missing);
        for (int i = 0; i < blocks.Length; i++) Cache!.Read(blocks[i] / _parts, blocks[i] % _parts * BlockRows, destination.RowBlock(i * BlockRows, BlockRows));
    }

    /// <summary>Encodes the first of the wanted patches, field after field, into the cache and, in ascending order, into a place that lasts until the next call.</summary>
    private int[] Encode(int count)
    {
        int[] ascending = [.. _wanted.AsSpan(0, count)];
        if (count == 0) return ascending;
        Array.Sort(ascending);
        int done = 0, size = Shape.Tokens;
        _pipeline.Encode(ascending, _cancellation, (features, gap, encoded) =>
        {
            _normaliser.Apply(features, gap, encoded, _norms);
            for (int i = 0; i < encoded; i++)
            {
                int patch = ascending[done + i];
                _pipeline.RequireFinite(_norms.AsSpan(i * size, size), _plan.IdOf(_plan.Patches[patch]));
                MatrixView<float> tokens = features.View.RowBlock(i * size, size);
                Cache?.Write(patch, tokens);
                for (int row = 0; row < size; row++) tokens.Row(row).CopyTo(_encoded.Row((done + i) * size + row));
            }
            done += encoded;
        });
        return ascending;
    }

    /// <summary>A cache keeps its centre, so that it is estimated once.</summary>
    private float[] FindCentre(string? cacheFolder, TokenOptions options, IProgressReporter progress)
    {
        if (options.Centre is { } given) return given;
        string? kept = cacheFolder is null ? null : Path.Combine(cacheFolder, "centre.npy");
        if (kept is not null && File.Exists(kept) && NpyFile.Read(kept) is { Values: float[] values } && values.Length == Shape.Channels) return values;
        float[] centre = _pipeline.EstimateCentre(progress, _cancellation);
        if (kept is not null) NpyFile.Write(kept, NdArray.Vector(centre));
        return centre;
    }

    private TokenCache OpenCache(string folder, string encoder, TokenOptions options) => TokenCache.Open(folder, new JsonObject
    {
        ["encoder"] = encoder,
        ["fields"] = Fingerprint(_plan),
        ["patch"] = options.PatchSize,
        ["stride"] = options.Stride ?? options.PatchSize,
        ["filter"] = string.Create(CultureInfo.InvariantCulture, $"{options.Filter.MinStdSum} {options.Filter.MinLaplacianVariance} {options.Filter.MaxBackground}"),
        ["scaling"] = options.Scaling.Name,
        ["input_size"] = _pipeline.InputSize,
        ["centring"] = options.Centring.ToString().ToLowerInvariant(),
        ["centre"] = options.Centre is { } centre ? Convert.ToHexStringLower(SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(centre.AsSpan())))[..16] : "estimated",
        ["centre_sample"] = options.CentreSample,
        ["pages"] = _plan.Images.Pages.ToString().ToLowerInvariant(),
    }, Shape.Channels, Shape.Tokens, [.. _plan.Patches.Select(_plan.IdOf)], options.StoredType);

    /// <summary>Names, lengths and dates of the files, and the places of the patches: what changes when an image does.</summary>
    private static string Fingerprint(PatchPlan plan)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (ImageField field in plan.Images.Fields)
        {
            Add($"{field.Name}|{field.Page}");
            foreach (string file in field.Files)
                if (new FileInfo(file) is { Exists: true } info) Add(string.Create(CultureInfo.InvariantCulture, $"{info.Name}|{info.Length}|{info.LastWriteTimeUtc.Ticks}"));
        }
        foreach (PlannedPatch patch in plan.Patches) Add(string.Create(CultureInfo.InvariantCulture, $"{patch.Field},{patch.X},{patch.Y}"));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..32];

        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
    }
}
