using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Imaging;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae`: train, sweep, encode, eval, export.</summary>
internal static class SaeCommand
{
    public static Command Create() => new("sae", "Sparse autoencoders: train, sweep, encode, evaluate, export.")
    {
        SaeTrainCommand.Create(),
        SaeSweepCommand.Create(),
        SaeEncodeCommand.Create(),
        SaeEvalCommand.Create(),
        SaeSuperpositionCommand.Create(),
        SaeExportCommand.Create(),
        SaeImportCommand.Create(),
    };

    internal static Option<string> Tokens() => new("--tokens") { Description = "tokens: a matrix (FILE, FILE.npz:member, FILE.h5ad:X, FILE.safetensors:NAME), a folder of token shards, or with --encoder images", Required = true };

    internal static Option<string> Model() => new("--model") { Description = "output folder of `biosup sae train`", Required = true };

    internal static TokenOrder Order(string? name) => name switch
    {
        "fixed" => TokenOrder.Fixed,
        "shuffled" or null => TokenOrder.Shuffled,
        _ => throw new UsageException($"--order {name}: expected fixed or shuffled."),
    };

    /// <summary>Tokens of each image, where the source knows images.</summary>
    internal static IReadOnlyList<int>? RowsPerImage(ITokenSource tokens) => tokens switch
    {
        TokenShards { ImageIds.Count: > 0 } shards => shards.Index.RowsPerImage,
        ImageTokens images => [.. Enumerable.Repeat(images.Shape.Tokens, images.Patches)],
        _ => null,
    };

    /// <summary>One logged step for a machine.</summary>
    internal static JsonObject Describe(SaeLogRow row) => new()
    {
        ["step"] = row.Step,
        ["loss"] = JsonText.Number(row.Loss),
        ["recon"] = JsonText.Number(row.Reconstruction),
        ["sparsity"] = JsonText.Number(row.Sparsity),
        ["aux"] = JsonText.Number(row.Auxiliary),
        ["fvu"] = JsonText.Number(row.Fvu),
        ["l0"] = JsonText.Number(row.L0),
        ["l0_conditional"] = JsonText.Number(row.ConditionalL0),
        ["dead"] = row.Dead,
        ["p_mag_positive"] = JsonText.Number(row.MagnitudePositive),
    };
}
