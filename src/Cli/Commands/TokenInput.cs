using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>
/// The tokens a command reads: a matrix, a folder of shards, or images that are encoded on the way; streamed, or held in memory where they are
/// few. Which it is, is said in one line.
/// </summary>
internal sealed class TokenInput : IDisposable
{
    private static readonly Option<string?> s_encoder = new("--encoder") { Description = "--tokens is a folder of images (or a .txt that lists image files): encode them on the way with this FILE.onnx or dictionary FILE.safetensors" };
    private static readonly Option<string?> s_cache = new("--cache") { Description = "with --encoder: folder that keeps the encoded tokens for the next epoch and the next run; when complete, a folder of token shards" };
    private static readonly Option<string> s_cacheType = new("--cache-dtype") { Description = "type of the values in --cache: float32, float16 or bfloat16 (training then sees the rounded values from the start)", DefaultValueFactory = _ => "float32" };
    private static readonly Option<string> s_tier = new("--token-cache") { Description = "where tokens are held: none (streamed from disk), ram, device (the GPU's memory), or auto (device or ram when they take at most a quarter of it)", DefaultValueFactory = _ => "auto" };
    private readonly List<IDisposable> _owned = [];

    private string _where = "";

    private TokenInput(ITokenSource source)
    {
        Source = source;
        RowsPerImage = SaeCommand.RowsPerImage(source);
        ImageIds = source switch { TokenShards { ImageIds.Count: > 0 } shards => shards.ImageIds, ImageTokens images => [.. images.Plan.Patches.Select(images.Plan.IdOf)], _ => null };
    }

    /// <summary>The tokens.</summary>
    public ITokenSource Source { get; private set; }

    /// <summary>Files and folders that were read, for the manifest.</summary>
    public IReadOnlyList<string> Files { get; private set; } = [];

    /// <summary>Tokens of each image, where the source knows images.</summary>
    public IReadOnlyList<int>? RowsPerImage { get; }

    /// <summary>Names of the images, where the source knows them.</summary>
    public IReadOnlyList<string>? ImageIds { get; }

    /// <summary>What was taken off every token, where that is known and the same for all.</summary>
    public float[]? Centre { get; private init; }

    /// <summary>The pictures behind the tokens.</summary>
    public LatentPictures Pictures { get; private init; } = new(null, "the tokens were given as numbers alone");

    /// <summary>The options of a command that trains.</summary>
    public static void AddTo(Command command)
    {
        AddReadingTo(command);
        command.Add(s_tier);
    }

    /// <summary>The options of a command that reads the tokens in their order.</summary>
    public static void AddReadingTo(Command command)
    {
        foreach (Option option in (Option[])[s_encoder, s_cache, s_cacheType]) command.Add(option);
        ImageOptions.AddTo(command);
    }

    /// <summary>Tokens to be read in their order, <paramref name="passes"/> times; images are centred as those were that the model was trained on.</summary>
    /// <param name="model">Folder of the model.</param>
    /// <param name="passes">Where images would be encoded more than once, their tokens are held in memory if they take at most a quarter of it.</param>
    public static TokenInput OpenFor(ParseResult parsed, CommandContext context, string locator, string model, int passes)
    {
        if (parsed.GetValue(s_encoder) is not { } encoder)
        {
            RefuseStrays(parsed);
            return Plain(context, locator);
        }
        TokenInput input = OpenImages(parsed, context, locator, encoder, model);
        try
        {
            if (passes > 1 && input.Source is ImageTokens { Cache: null } images)
            {
                if (Fits(images, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4)) input.Hold(context, "ram");
                else context.Note($"images are encoded in each of {passes} passes over the tokens; --cache keeps what was encoded");
            }
            return input;
        }
        catch
        {
            input.Dispose();
            throw;
        }
    }

    public static TokenInput Open(ParseResult parsed, CommandContext context, string locator)
    {
        string tier = parsed.GetValue(s_tier)!;
        if (tier is not ("auto" or "none" or "ram" or "device")) throw new UsageException($"--token-cache {tier}: expected auto, none, ram or device.");
        if (parsed.GetValue(s_encoder) is { } encoder) return OpenImages(parsed, context, locator, encoder, model: null);
        RefuseStrays(parsed);
        TokenInput input = Plain(context, locator);
        try
        {
            input.Hold(context, tier);
            return input;
        }
        catch
        {
            input.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Source.Dispose();
        foreach (IDisposable owned in _owned) owned.Dispose();
    }

    /// <summary>Says in a line where the tokens are and, when they are shuffled in a window, what that takes and how well it mixes.</summary>
    /// <param name="batch">Tokens of a step; 0 for what training takes by itself.</param>
    /// <param name="shuffled">Not in file order.</param>
    /// <param name="windowBytes">Memory of the window.</param>
    public void Describe(CommandContext context, int batch, bool shuffled, long windowBytes)
    {
        string line = _where;
        if (shuffled && Source is not IResidentTokens && Source.Rows > 1)
        {
            ShufflePlan plan = ShufflePlan.For(Source, windowBytes, epochs: 2);
            line += string.Create(CultureInfo.InvariantCulture, $"; shuffled in windows of {plan.Mixing.WindowRows} tokens ({plan.Mixing.BlocksPerWindow} blocks of {plan.Mixing.BlockRows}), {plan.MemoryBytes >> 20} MiB");
            long size = Math.Min(Source.Rows, batch > 0 ? batch : 2048);
            if (ImageRows() is { } image && size > 1)
            {
                (double here, double perfect) = plan.Mixing.Company(size, image.Rows, image.Aligned);
                line += string.Create(CultureInfo.InvariantCulture, $"; in a batch of {size} a token meets {here:G3} others of its image, {perfect:G3} in a perfect shuffle");
            }
        }
        context.Note(line);
    }

    private (long Rows, bool Aligned)? ImageRows() => Source switch
    {
        ImageTokens made => (made.Shape.Tokens, true),
        TokenShards { ImageIds.Count: > 0 } shards => (Math.Max(1, shards.Rows / shards.ImageIds.Count), false),
        _ => null,
    };

    private static void RefuseStrays(ParseResult parsed)
    {
        string? stray = parsed.GetValue(s_cache) is not null ? "--cache" : ImageOptions.FirstGiven(parsed);
        if (stray is not null) throw new UsageException($"{stray} goes with --encoder, which says that --tokens are images.");
    }

    private static TokenInput Plain(CommandContext context, string locator)
    {
        ITokenSource source = TokenSource.Open(context.Host, locator);
        return source is TokenShards { ImageIds.Count: > 0 } shards
            ? new TokenInput(source) { Files = [locator], Centre = ModelCentre.Find(locator), Pictures = PatchGallery.OfTokens(locator, shards.ImageIds.Count) }
            : new TokenInput(source) { Files = [locator] };
    }

    private static bool Fits(ITokenSource source, long room) => sizeof(float) * source.Rows * source.Columns <= room && source.Rows <= int.MaxValue;

    private void Hold(CommandContext context, string tier)
    {
        ComputeDevice device = context.Device;
        long bytes = sizeof(float) * Source.Rows * Source.Columns, memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, gpu = device is CudaDevice cuda ? cuda.Info.MemoryBytes : 0;
        string size = $"{Source.Rows} x {Source.Columns}, {Size(bytes)} as float32";
        if (tier == "auto") tier = Fits(Source, gpu / 4) ? "device" : Source is IResidentTokens || Fits(Source, memory / 4) ? "ram" : "none";
        if (tier == "device" && device.IsHost) tier = "ram";
        if (tier == "ram" && Source is not IResidentTokens && !Fits(Source, memory / 10 * 9)) throw TooMany("ram", size, memory);
        if (tier == "device" && !Fits(Source, gpu / 10 * 9)) throw TooMany("device", size, gpu);
        _where = tier switch
        {
            "device" => $"tokens are held on the device: {size}",
            "ram" => $"tokens are held in memory: {size}",
            _ => Source is IResidentTokens ? $"tokens are held in memory, having been read whole: {size}" : $"tokens are streamed from disk: {size}",
        };
        if (tier == "none") return;
        ITokenSource streamed = Source;
        Source = TokenSource.Hold(tier == "device" ? device : context.Host, streamed, context.Progress, context.Cancellation);
        // What the tokens were read from goes first: an encoder that it uses is among the others.
        if (!ReferenceEquals(Source, streamed)) _owned.Insert(0, streamed);
    }

    private static UsageException TooMany(string tier, string size, long memory) => new($"--token-cache {tier}: the tokens ({size}) do not fit into {Size(memory)} of memory; use none.");

    private static TokenInput OpenImages(ParseResult parsed, CommandContext context, string locator, string encoderFile, string? model)
    {
        // Encoding goes on while the model trains: it has threads of its own.
        CpuDevice device = new(context.Host.Pool.Threads);
        List<IDisposable> owned = [device];
        try
        {
            TokenOptions options = ImageOptions.Read(parsed, device) with { StoredType = ImageOptions.ParseType("--cache-dtype", parsed.GetValue(s_cacheType)!) };
            ImageSet images = ImageOptions.FindImages(parsed, Paths(locator));
            if (images.Ignored.Count > 0) context.Warn($"{images.Ignored.Count} files hold none of the channels and are left out, the first is {images.Ignored[0]}.");
            IImageEncoder encoder = ImageOptions.OpenEncoder(parsed, device, encoderFile);
            owned.Insert(0, encoder);
            PatchGrid grid = new(options.PatchSize, options.Stride ?? options.PatchSize);
            PatchPlan plan = PatchPlan.Survey(context.Host, images, grid, options.Filter, context.Progress, context.Cancellation);
            string? cache = parsed.GetValue(s_cache);
            if (model is not null && options is { Centring: TokenCentring.Fixed, Centre: null }) options = options with { Centre = TrainedCentre(context, model, cache) };
            ImageTokens tokens = new(device, plan, encoder, Checksum(encoderFile), options, cache, context.Progress, context.Cancellation);
            string where = string.Create(CultureInfo.InvariantCulture, $"tokens are encoded on the way: {tokens.Patches} patches of {tokens.Shape.Tokens} tokens, {tokens.Rows} x {tokens.Columns}, ")
                + (tokens.Cache is { } kept ? string.Create(CultureInfo.InvariantCulture, $"{kept.Count} patches are in {cache}") : "nothing is kept (--cache keeps them)");
            TokenInput input = new(tokens)
            {
                _where = where,
                Files = [.. Paths(locator), encoderFile],
                Centre = tokens.Centre,
                Pictures = new LatentPictures(new PatchGallery(plan), null, PatchGallery.Channels(ImageOptions.Channels(parsed))),
            };
            input._owned.AddRange(owned);
            return input;
        }
        catch
        {
            foreach (IDisposable item in owned) item.Dispose();
            throw;
        }
    }

    /// <summary>The centre of the training; null to have it estimated from the images, or where the cache has that very centre already.</summary>
    private static float[]? TrainedCentre(CommandContext context, string model, string? cache)
    {
        float[]? trained = ModelCentre.Find(model);
        if (trained is null) context.Warn($"{model} does not say what its training tokens were centred by, so the centre is estimated from these images; --centre gives the one of the training.");
        return trained is not null && ModelCentre.Find(cache) is { } kept && kept.AsSpan().SequenceEqual(trained) ? null : trained;
    }

    /// <summary>A folder or file of images, or the files that a list names, one a line, relative to the list.</summary>
    private static string[] Paths(string locator)
    {
        if (!locator.EndsWith(".txt", StringComparison.OrdinalIgnoreCase) || !File.Exists(locator)) return [locator];
        string folder = Path.GetDirectoryName(Path.GetFullPath(locator))!;
        string[] files = [.. ColumnReader.Read(locator).Text.Select(line => line.Trim()).Where(line => line.Length > 0).Select(line => Path.Combine(folder, line))];
        return files.Length > 0 ? files : throw new DataException(locator, null, "names no image file");
    }

    private static string Checksum(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream))[..16];
    }

    private static string Size(long bytes) => bytes < 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):F1} MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):F1} GiB");
}
