using System.CommandLine;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>The options that say how images become tokens, for every command that encodes images.</summary>
internal static class ImageOptions
{
    private static readonly Option<string?> s_output = new("--output") { Description = "output of the ONNX model to take; default: the last feature map" };
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

    private static Option[] All =>
    [
        s_output, s_channels, s_namePattern, s_pages, s_patch, s_stride, s_filter, s_minStd, s_minLaplacian, s_minForeground, s_scaling, s_inputSize, s_centring, s_centre,
    ];

    public static void AddTo(Command command)
    {
        foreach (Option option in All) command.Add(option);
    }

    /// <summary>The first of these options that was given, or null.</summary>
    public static string? FirstGiven(ParseResult parsed) => All.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false })?.Name;

    /// <summary>Finds the images.</summary>
    public static ImageSet FindImages(ParseResult parsed, IEnumerable<string> paths) =>
        ImageSet.Find(paths, ReadNaming(parsed), ParseName<TiffPages>("--pages", parsed.GetValue(s_pages)!));

    /// <summary>Names of the channels, where they were given.</summary>
    public static string? Channels(ParseResult parsed) => parsed.GetValue(s_channels);

    /// <summary>What was asked for, as the manifest has it.</summary>
    public static (string? Output, string? Channels, string? NamePattern, string? Centre) Named(ParseResult parsed) =>
        (parsed.GetValue(s_output), parsed.GetValue(s_channels), parsed.GetValue(s_namePattern), parsed.GetValue(s_centre));

    /// <summary>How images become tokens; what the command itself decides is left at its default.</summary>
    /// <exception cref="UsageException">A value is out of range.</exception>
    public static TokenOptions Read(ParseResult parsed, CpuDevice device)
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

    /// <summary>A network, or a dictionary that was saved.</summary>
    public static IImageEncoder OpenEncoder(ParseResult parsed, CpuDevice device, string file)
    {
        bool saved = Path.GetExtension(file).Equals(".safetensors", StringComparison.OrdinalIgnoreCase);
        if (!saved) return new OnnxEncoder(device, file, parsed.GetValue(s_output));
        if (parsed.GetValue(s_output) is { } output) throw new UsageException($"--output {output}: a dictionary has one output only.");
        return DictionaryFile.Load(device, file);
    }

    public static ElementType ParseType(string option, string text) => text switch
    {
        "float32" => ElementType.Float32,
        "float16" => ElementType.Float16,
        "bfloat16" => ElementType.BFloat16,
        _ => throw new UsageException($"{option} {text}: expected float32, float16 or bfloat16."),
    };

    private static float[] ReadCentre(CpuDevice device, string file)
    {
        using Matrix<float> centre = MatrixReader.ReadSingle(device, file);
        if (centre.Rows != 1 && centre.Columns != 1) throw new DataException(file, null, $"{centre.Rows} x {centre.Columns} values; a vector was expected");
        return centre.Buffer.View.Host[..(centre.Rows * centre.Columns)].ToArray();
    }

    public static T ParseName<T>(string option, string text) where T : struct, Enum =>
        Enum.TryParse(text, ignoreCase: true, out T value) && !char.IsDigit(text[0]) && text[0] != '-' ? value
            : throw new UsageException($"{option} {text}: expected {string.Join(", ", Enum.GetNames<T>().Select(name => name.ToLowerInvariant()))}.");
}
