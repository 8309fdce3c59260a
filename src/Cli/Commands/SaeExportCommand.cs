using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae export`.</summary>
internal static class SaeExportCommand
{
    private static readonly Option<string> s_model = SaeCommand.Model();
    private static readonly Option<string> s_format = new("--format") { Description = "jumprelu (one file), sae-lens (a folder) or reference (one file)", Required = true };
    private static readonly Option<string> s_out = new("--out") { Description = "file or folder to write", Required = true };

    public static Command Create() => new Command("export", "Write a trained autoencoder for another program.") { s_model, s_format, s_out }.Runs((parsed, context) =>
    {
        string path = parsed.GetValue(s_out)!, name = parsed.GetValue(s_format)!;
        SaeExportFormat format = name switch
        {
            "jumprelu" => SaeExportFormat.JumpRelu,
            "sae-lens" => SaeExportFormat.SaeLens,
            "reference" => SaeExportFormat.Reference,
            _ => throw new UsageException($"--format {name}: expected jumprelu, sae-lens or reference."),
        };
        using SaeModel model = SaeModel.Load(context.Device, parsed.GetValue(s_model)!);
        SaeExport.Write(model, format, path);
        context.Say($"{path} written.");
        return new JsonObject { ["out"] = path, ["format"] = name };
    });
}
