using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae export`.</summary>
internal static class SaeExportCommand
{
    internal const string FormatNames = "jumprelu, sae-lens, dictionary-learning, sparsify or reference";
    private static readonly Option<string> s_model = SaeCommand.Model();
    private static readonly Option<string> s_format = new("--format")
    {
        Description = "jumprelu (one file), sae-lens, dictionary-learning, sparsify (a folder each) or reference (the published code's: weights in a .safetensors or .pt file, or pooled latents in a .npz file)",
        Required = true,
    };
    private static readonly Option<string> s_out = new("--out") { Description = "file or folder to write", Required = true };
    private static readonly Option<string?> s_tokens = new("--tokens") { Description = "with --format reference and a .npz file: tokens to encode and pool; where they know no images, every token is one" };
    private static readonly Option<string?> s_labels = new("--labels") { Description = "a class per image for that file: FILE.csv:column, FILE.h5ad:obs/NAME, FILE.npy, FILE.npz:member" };
    private static readonly Option<string?> s_lines = new("--lines") { Description = "a cell line per image for that file (default: the labels)" };
    private static readonly Option<string?> s_layer = new("--layer") { Description = "layer of the image encoder to name in that file" };

    public static Command Create() =>
        new Command("export", "Write a trained autoencoder for another program.") { s_model, s_format, s_out, s_tokens, s_labels, s_lines, s_layer }.Runs(Run);

    internal static SaeFormat Format(string name) => name switch
    {
        "jumprelu" => SaeFormat.JumpRelu,
        "sae-lens" => SaeFormat.SaeLens,
        "dictionary-learning" => SaeFormat.DictionaryLearning,
        "sparsify" => SaeFormat.Sparsify,
        "reference" => SaeFormat.Reference,
        _ => throw new UsageException($"--format {name}: expected {FormatNames}."),
    };

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string path = parsed.GetValue(s_out)!, name = parsed.GetValue(s_format)!, folder = parsed.GetValue(s_model)!;
        SaeFormat format = Format(name);
        bool pooled = format == SaeFormat.Reference && Path.GetExtension(path).Equals(".npz", StringComparison.OrdinalIgnoreCase);
        if (pooled && parsed.GetValue(s_tokens) is null) throw new UsageException($"--out {path}: pooled latents need --tokens.");
        if (!pooled && (parsed.GetValue(s_tokens) ?? parsed.GetValue(s_labels) ?? parsed.GetValue(s_lines) ?? parsed.GetValue(s_layer)) is not null)
            throw new UsageException("--tokens, --labels, --lines and --layer belong to --format reference with a .npz file.");
        using SaeModel model = SaeModel.Load(context.Device, folder);
        if (pooled) WritePooled(model, path, parsed, context);
        else SaeExport.Write(model, format, path, SaeExport.OriginOf(folder, model));
        context.Say($"{path} written.");
        return new JsonObject { ["out"] = path, ["format"] = name };
    }

    private static void WritePooled(SaeModel model, string path, ParseResult parsed, CommandContext context)
    {
        Column? labels = parsed.GetValue(s_labels) is { } classes ? ColumnReader.Read(classes) : null, lines = parsed.GetValue(s_lines) is { } cells ? ColumnReader.Read(cells) : null;
        using ITokenSource tokens = TokenSource.Open(context.Host, parsed.GetValue(s_tokens)!);
        IReadOnlyList<int>? images = SaeCommand.RowsPerImage(tokens);
        using Matrix<float> encoded = images is null
            ? SaeEncoder.EncodeAll(model, tokens, context.Progress, context.Cancellation)
            : SaeEncoder.EncodePooled(model, tokens, images, context.Progress, context.Cancellation);
        using PlacedMatrix<float> placed = encoded.OnHost();
        string[] names = images is null ? [.. Enumerable.Range(0, encoded.Rows).Select(i => i.ToString(CultureInfo.InvariantCulture))] : [.. ((TokenShards)tokens).ImageIds];
        float[] usage = new float[model.Latents];
        model.Usage.CopyTo(usage);
        SaeReferenceNpz.Write(path, placed.Matrix, usage, names, labels, lines, parsed.GetValue(s_layer) ?? "");
    }
}
