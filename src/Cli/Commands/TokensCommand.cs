using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup tokens`: images to the normalised tokens of an encoder's feature map.</summary>
internal static class TokensCommand
{
    private static readonly Option<string[]> s_images = new("--images") { Description = "image files, or folders whose image files are taken", Required = true, AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string> s_encoder = new("--encoder") { Description = "FILE.onnx, a saved dictionary FILE.safetensors, or 'dictionary' to learn one from these images", Required = true };
    private static readonly Option<string?> s_output = new("--output") { Description = "output of the ONNX model to take; default: the last feature map" };
    private static readonly Option<string> s_out = new("--out") { Description = "folder of token shards to write", Required = true };
    private static readonly Option<string?> s_channels = new("--channels") { Description = "channel names in order, e.g. DAPI,GFP,RFP, where every channel is a file of its own" };
    private static readonly Option<string?> s_namePattern = new("--name-pattern") { Description = "how file names are built, e.g. {well}_{*}_{site}_{channel}; default: find the channel name among the parts of the name" };
    private static readonly Option<string> s_pages = new("--pages") { Description = "what the pages of a TIFF are: channels, images, or maximum (focal planes to project)", DefaultValueFactory = _ => "channels" };
    private static readonly Option<int> s_patch = new("--patch") { Description = "side of a patch in pixels", DefaultValueFactory = _ => 128 };
    private static readonly Option<int?> s_stride = new("--stride") { Description = "step between patches in pixels; default: the patch, so that patches do not overlap" };
    private static readonly Option<string> s_filter = new("--filter") { Description = "thresholds of the quality filter to start from: none or paper", DefaultValueFactory = _ => "none" };
    private static readonly Option<double?> s_minStd = new("--min-std") { Description = "least sum of channel standard deviations, in 16-bit units" };
    private static readonly Option<double?> s_minLaplacian = new("--min-laplacian") { Description = "least variance of the Laplacian (focus), in 16-bit units" };
    private static readonly Option<double?> s_minForeground = new("--min-foreground") { Description = "least share of foreground pixels, 0 to 1" };
    private static readonly Option<string> s_scaling = new("--scaling") { Description = "encoder input: instance (each channel of each patch by its mean and deviation), imagenet, symmetric or unit", DefaultValueFactory = _ => "instance" };
    private static readonly Option<int?> s_inputSize = new("--input-size") { Description = "side in pixels that patches are resampled to; default: the encoder's own, or none" };
    private static readonly Option<string> s_centring = new("--centring") { Description = "what is subtracted from tokens: fixed (one centre for all), batch (as the paper trains), image (as the paper extracts) or none", DefaultValueFactory = _ => "fixed" };
    private static readonly Option<string?> s_centre = new("--centre") { Description = "centre.npy of another token folder, so that both share their centre" };
    private static readonly Option<int> s_batch = new("--batch") { Description = "patches encoded together; with --centring batch also those that share a mean", DefaultValueFactory = _ => 64 };
    private static readonly Option<string> s_dtype = new("--dtype") { Description = "type of the stored values: float32, float16 or bfloat16", DefaultValueFactory = _ => "float32" };
    private static readonly Option<string> s_container = new("--container") { Description = "file format of the shards: npy or safetensors", DefaultValueFactory = _ => "npy" };
    private static readonly Option<int> s_atoms = new("--atoms") { Description = "dictionary: number of centroids", DefaultValueFactory = _ => 64 };
    private static readonly Option<int> s_window = new("--window") { Description = "dictionary: side of a window in pixels", DefaultValueFactory = _ => 8 };
    private static readonly Option<int> s_cell = new("--cell") { Description = "dictionary: side of a feature-map cell in pixels", DefaultValueFactory = _ => 16 };

    public static Command Create() =>
        new Command("tokens", "Turn images into the normalised tokens of an encoder's feature map.")
        {
            s_images, s_encoder, s_output, s_out, s_channels, s_namePattern, s_pages, s_patch, s_stride, s_filter, s_minStd, s_minLaplacian, s_minForeground,
            s_scaling, s_inputSize, s_centring, s_centre, s_batch, s_dtype, s_container, s_atoms, s_window, s_cell,
        }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        CpuDevice device = context.Host;
        if (context.AsksForGpu) context.Note("images are read and encoded on the processor; --device cuda is for what comes after the tokens");
        TokenOptions options = ReadOptions(parsed, device);
        ImageSet images = ImageSet.Find(parsed.GetValue(s_images)!, ReadNaming(parsed), ParseName<TiffPages>("--pages", parsed.GetValue(s_pages)!));
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        foreach (string path in parsed.GetValue(s_images)!) folder.AddInput(path);
        if (images.Ignored.Count > 0) context.Warn($"{images.Ignored.Count} files hold none of the channels and are left out, the first is {images.Ignored[0]}.");

        PatchGrid grid = new(options.PatchSize, options.Stride ?? options.PatchSize);
        string named = parsed.GetValue(s_encoder)!;
        using IImageEncoder? network = named == "dictionary" ? null : OpenEncoder(parsed, device, named, folder);
        PatchPlan plan = PatchPlan.Survey(device, images, grid, options.Filter, context.Progress, context.Cancellation);
        using ConvolutionalDictionary? learnt = network is null ? Learn(parsed, context, device, plan, options) : null;
        IImageEncoder encoder = network ?? learnt!;
        TokenSummary summary = new TokenPipeline(device, plan, encoder, options).Write(folder.Path, context.Progress, context.Cancellation);
        if (learnt is not null) DictionaryFile.Save(folder.Locate("dictionary.safetensors"), learnt);

        JsonObject result = Describe(summary, encoder);
        JsonObject configuration = Describe(parsed, options, images);
        configuration["result"] = result.DeepClone();
        folder.WriteManifest(configuration);
        Say(context, summary, encoder, folder.Path);
        return result;
    }

    private static TokenOptions ReadOptions(ParseResult parsed, CpuDevice device)
    {
        PatchFilter filter = parsed.GetValue(s_filter) switch
        {
            "none" => PatchFilter.None,
            "paper" => PatchFilter.Paper,
            string other => throw new UsageException($"--filter {other}: expected none or paper."),
            null => PatchFilter.None,
        };
        TokenOptions options = new()
        {
            PatchSize = parsed.GetValue(s_patch),
            Stride = parsed.GetValue(s_stride),
            Filter = new PatchFilter(
                parsed.GetValue(s_minStd) ?? filter.MinStdSum,
                parsed.GetValue(s_minLaplacian) ?? filter.MinLaplacianVariance,
                1 - parsed.GetValue(s_minForeground) ?? filter.MaxBackground),
            Scaling = InputScaling.Parse(parsed.GetValue(s_scaling)!),
            InputSize = parsed.GetValue(s_inputSize),
            Centring = ParseName<TokenCentring>("--centring", parsed.GetValue(s_centring)!),
            Centre = parsed.GetValue(s_centre) is { } file ? ReadCentre(device, file) : null,
            Batch = parsed.GetValue(s_batch),
            StoredType = ParseType(parsed.GetValue(s_dtype)!),
            Container = ParseName<TokenContainer>("--container", parsed.GetValue(s_container)!),
        };
        options.Validate();
        return options;
    }

    private static ChannelNaming? ReadNaming(ParseResult parsed)
    {
        string? pattern = parsed.GetValue(s_namePattern);
        if (parsed.GetValue(s_channels) is { } channels) return new ChannelNaming(channels.Split(',', StringSplitOptions.TrimEntries), pattern);
        return pattern is null ? null : throw new UsageException("--name-pattern needs --channels, which names the channels and their order.");
    }

    private static IImageEncoder OpenEncoder(ParseResult parsed, CpuDevice device, string file, ResultFolder folder)
    {
        folder.AddInput(file);
        bool saved = Path.GetExtension(file).Equals(".safetensors", StringComparison.OrdinalIgnoreCase);
        if (!saved) return new OnnxEncoder(device, file, parsed.GetValue(s_output));
        if (parsed.GetValue(s_output) is { } output) throw new UsageException($"--output {output}: a dictionary has one output only.");
        return DictionaryFile.Load(device, file);
    }

    private static ConvolutionalDictionary Learn(ParseResult parsed, CommandContext context, CpuDevice device, PatchPlan plan, TokenOptions options)
    {
        DictionaryOptions dictionary = new() { Atoms = parsed.GetValue(s_atoms), Window = parsed.GetValue(s_window), Cell = parsed.GetValue(s_cell), Seed = context.Seed };
        return ConvolutionalDictionary.Learn(device, plan, options.Scaling, options.InputSize ?? options.PatchSize, dictionary, context.Progress, context.Cancellation);
    }

    private static float[] ReadCentre(CpuDevice device, string file)
    {
        using Matrix<float> centre = MatrixReader.ReadSingle(device, file);
        if (centre.Rows != 1 && centre.Columns != 1) throw new DataException(file, null, $"{centre.Rows} x {centre.Columns} values; a vector was expected");
        return centre.Buffer.View.Host[..(centre.Rows * centre.Columns)].ToArray();
    }

    private static T ParseName<T>(string option, string text) where T : struct, Enum =>
        Enum.TryParse(text, ignoreCase: true, out T value) && !char.IsDigit(text[0]) && text[0] != '-' ? value
            : throw new UsageException($"{option} {text}: expected {string.Join(", ", Enum.GetNames<T>().Select(name => name.ToLowerInvariant()))}.");

    private static ElementType ParseType(string text) => text switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => throw new UsageException($"--dtype {text}: expected float32, float16 or bfloat16."),
    };

    private static JsonObject Describe(TokenSummary summary, IImageEncoder encoder) => new()
    {
        ["encoder"] = encoder.Name,
        ["fields"] = summary.Fields,
        ["patches"] = summary.Patches[PatchVerdict.Kept],
        ["rejected"] = new JsonObject
        {
            ["low_contrast"] = summary.Patches[PatchVerdict.LowContrast],
            ["out_of_focus"] = summary.Patches[PatchVerdict.OutOfFocus],
            ["mostly_background"] = summary.Patches[PatchVerdict.MostlyBackground],
        },
        ["tokens"] = summary.Tokens,
        ["feature_map"] = new JsonObject { ["height"] = summary.FeatureMap.Height, ["width"] = summary.FeatureMap.Width, ["channels"] = summary.FeatureMap.Channels },
        ["input_size"] = summary.InputSize,
        ["mean_l2"] = summary.MeanNorm,
    };

    private static JsonObject Describe(ParseResult parsed, TokenOptions options, ImageSet images) => new()
    {
        ["images"] = JsonText.Strings(parsed.GetValue(s_images)!),
        ["encoder"] = parsed.GetValue(s_encoder),
        ["output"] = parsed.GetValue(s_output),
        ["channels"] = parsed.GetValue(s_channels),
        ["name_pattern"] = parsed.GetValue(s_namePattern),
        ["pages"] = images.Pages.ToString().ToLowerInvariant(),
        ["patch"] = options.PatchSize,
        ["stride"] = options.Stride ?? options.PatchSize,
        ["min_std"] = options.Filter.MinStdSum,
        ["min_laplacian"] = options.Filter.MinLaplacianVariance,
        ["min_foreground"] = 1 - options.Filter.MaxBackground,
        ["scaling"] = options.Scaling.Name,
        ["centring"] = options.Centring.ToString().ToLowerInvariant(),
        ["centre"] = parsed.GetValue(s_centre),
        ["batch"] = options.Batch,
        ["dtype"] = options.StoredType.Name(),
        ["container"] = options.Container.ToString().ToLowerInvariant(),
        ["atoms"] = parsed.GetValue(s_atoms),
        ["window"] = parsed.GetValue(s_window),
        ["cell"] = parsed.GetValue(s_cell),
    };

    private static void Say(CommandContext context, TokenSummary summary, IImageEncoder encoder, string folder)
    {
        int rejected = summary.Patches.Where(pair => pair.Key != PatchVerdict.Kept).Sum(pair => pair.Value);
        context.Say($"encoder    {encoder.Name}");
        context.Say($"patches    {summary.Patches[PatchVerdict.Kept]} of {summary.Fields} fields kept; {rejected} left out "
            + $"({summary.Patches[PatchVerdict.LowContrast]} low contrast, {summary.Patches[PatchVerdict.OutOfFocus]} out of focus, {summary.Patches[PatchVerdict.MostlyBackground]} mostly background)");
        context.Say($"tokens     {summary.Tokens} of {summary.FeatureMap.Channels} values, {summary.FeatureMap.Height} x {summary.FeatureMap.Width} a patch");
        context.Say($"written    {folder}");
    }
}
