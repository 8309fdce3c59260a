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
    private static readonly Option<string> s_out = new("--out") { Description = "folder of token shards to write", Required = true };
    private static readonly Option<int> s_batch = new("--batch") { Description = "patches encoded together; with --centring batch also those that share a mean", DefaultValueFactory = _ => 64 };
    private static readonly Option<string> s_dtype = new("--dtype") { Description = "type of the stored values: float32, float16 or bfloat16", DefaultValueFactory = _ => "float32" };
    private static readonly Option<string> s_container = new("--container") { Description = "file format of the shards: npy or safetensors", DefaultValueFactory = _ => "npy" };
    private static readonly Option<int> s_atoms = new("--atoms") { Description = "dictionary: number of centroids", DefaultValueFactory = _ => 64 };
    private static readonly Option<int> s_window = new("--window") { Description = "dictionary: side of a window in pixels", DefaultValueFactory = _ => 8 };
    private static readonly Option<int> s_cell = new("--cell") { Description = "dictionary: side of a feature-map cell in pixels", DefaultValueFactory = _ => 16 };

    public static Command Create()
    {
        Command command = new("tokens", "Turn images into the normalised tokens of an encoder's feature map.") { s_images, s_encoder, s_out };
        ImageOptions.AddTo(command);
        foreach (Option option in (Option[])[s_batch, s_dtype, s_container, s_atoms, s_window, s_cell]) command.Add(option);
        return command.Runs(Run);
    }

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        CpuDevice device = context.Host;
        if (context.AsksForGpu) context.Note("images are read and encoded on the processor; --device cuda is for what comes after the tokens");
        TokenOptions options = ImageOptions.Read(parsed, device) with
        {
            Batch = parsed.GetValue(s_batch),
            StoredType = ImageOptions.ParseType("--dtype", parsed.GetValue(s_dtype)!),
            Container = ImageOptions.ParseName<TokenContainer>("--container", parsed.GetValue(s_container)!),
        };
        options.Validate();
        ImageSet images = ImageOptions.FindImages(parsed, parsed.GetValue(s_images)!);
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        foreach (string path in parsed.GetValue(s_images)!) folder.AddInput(path);
        if (images.Ignored.Count > 0) context.Warn($"{images.Ignored.Count} files hold none of the channels and are left out, the first is {images.Ignored[0]}.");

        PatchGrid grid = new(options.PatchSize, options.Stride ?? options.PatchSize);
        string named = parsed.GetValue(s_encoder)!;
        if (named != "dictionary") folder.AddInput(named);
        using IImageEncoder? network = named == "dictionary" ? null : ImageOptions.OpenEncoder(parsed, device, named);
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

    private static ConvolutionalDictionary Learn(ParseResult parsed, CommandContext context, CpuDevice device, PatchPlan plan, TokenOptions options)
    {
        DictionaryOptions dictionary = new() { Atoms = parsed.GetValue(s_atoms), Window = parsed.GetValue(s_window), Cell = parsed.GetValue(s_cell), Seed = context.Seed };
        return ConvolutionalDictionary.Learn(device, plan, options.Scaling, options.InputSize ?? options.PatchSize, dictionary, context.Progress, context.Cancellation);
    }

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

    private static JsonObject Describe(ParseResult parsed, TokenOptions options, ImageSet images) => Describe(parsed, options, images, ImageOptions.Named(parsed));

    private static JsonObject Describe(ParseResult parsed, TokenOptions options, ImageSet images, (string? Output, string? Channels, string? NamePattern, string? Centre) named) => new()
    {
        ["images"] = JsonText.Strings(parsed.GetValue(s_images)!),
        ["encoder"] = parsed.GetValue(s_encoder),
        ["output"] = named.Output,
        ["channels"] = named.Channels,
        ["name_pattern"] = named.NamePattern,
        ["pages"] = images.Pages.ToString().ToLowerInvariant(),
        ["patch"] = options.PatchSize,
        ["stride"] = options.Stride ?? options.PatchSize,
        ["min_std"] = options.Filter.MinStdSum,
        ["min_laplacian"] = options.Filter.MinLaplacianVariance,
        ["min_foreground"] = 1 - options.Filter.MaxBackground,
        ["scaling"] = options.Scaling.Name,
        ["centring"] = options.Centring.ToString().ToLowerInvariant(),
        ["centre"] = named.Centre,
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
