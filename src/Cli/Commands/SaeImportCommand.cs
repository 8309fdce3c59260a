using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae import`.</summary>
internal static class SaeImportCommand
{
    private static readonly Option<string> s_from = new("--from") { Description = "folder or file of the other program", Required = true };
    private static readonly Option<string> s_format = new("--format") { Description = $"what it is: {SaeExportCommand.FormatNames}", Required = true };
    private static readonly Option<string> s_out = new("--out") { Description = "model folder to write, for `biosup sae encode`, `eval` and `export`", Required = true };

    public static Command Create() => new Command("import", "Read an autoencoder of another program.") { s_from, s_format, s_out }.Runs((parsed, context) =>
    {
        string from = parsed.GetValue(s_from)!, name = parsed.GetValue(s_format)!;
        SaeFormat format = SaeExportCommand.Format(name);
        using SaeModel model = SaeImport.Read(context.Device, format, from, out SaeOrigin? origin);
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        folder.AddInput(from);
        string architecture = SaeConfigFile.Name(model.Shape.Architecture);
        JsonObject about = new() { ["imported_from"] = name };
        if (origin is not null) about[SaeOrigin.MetadataKey] = origin.ToJson();
        model.Save(folder.Path, about);
        folder.WriteManifest(new JsonObject { ["from"] = from, ["format"] = name });
        bool another = origin is not null && origin.Architecture != model.Shape.Architecture;
        context.Say($"{architecture}, {model.InputWidth} -> {model.Latents}{(another ? $", trained as {origin}" : "")}: {folder.Path}");
        JsonObject result = new() { ["out"] = folder.Path, ["format"] = name, ["architecture"] = architecture, ["d_in"] = model.InputWidth, ["d_sae"] = model.Latents };
        if (model.Shape.HasActiveLatents) result["k"] = model.Shape.ActiveLatents;
        if (origin is not null) result[SaeOrigin.MetadataKey] = origin.ToJson();
        return result;
    });
}
