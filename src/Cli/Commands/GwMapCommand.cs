using System.CommandLine;
using BioSup.Cli.Pipeline;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw map`: from image latents and single-cell RNA to genes and pathways.</summary>
internal static class GwMapCommand
{
    public static Command Create()
    {
        Argument<string> config = new("config") { Description = "CONFIG.json; `biosup init --for gw-map` writes one" };
        Option<string> outFolder = new("--out") { Description = "folder for results and report", Required = true };
        Option<string[]> settings = new("--set") { Description = "key.path=value: overrides one key of the configuration; may be repeated", DefaultValueFactory = _ => [] };
        Option<bool> resume = new("--resume") { Description = "keep the steps, predictions and permutations that an earlier call in this folder finished" };
        Command command = new("map", "GW-map: align images with single cells that share labels, transfer genes, ask which genes the images predict, group them into pathways.") { config, outFolder, settings, resume };
        return command.Runs((parsed, context) =>
        {
            string path = parsed.GetValue(config)!;
            GwMapConfig read = GwMapConfigFile.Read(path, parsed.GetValue(settings)!);
            return new GwMapRunner(context, read, Path.GetDirectoryName(Path.GetFullPath(path))!, parsed.GetValue(outFolder)!, parsed.GetValue(resume)).Run();
        });
    }
}
