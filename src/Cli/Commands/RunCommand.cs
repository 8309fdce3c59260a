using System.CommandLine;
using BioSup.Cli.Pipeline;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup run`: the whole pipeline on the user's data.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        Argument<string> config = new("config") { Description = "CONFIG.json; `biosup init` writes one" };
        Option<string> outFolder = new("--out") { Description = "folder for results and report", Required = true };
        Option<string[]> settings = new("--set") { Description = "key.path=value: overrides one key of the configuration; may be repeated", DefaultValueFactory = _ => [] };
        Option<bool> resume = new("--resume") { Description = "keep the stages that an earlier run in this folder finished" };
        Command command = new("run", "Run the whole pipeline from a configuration: images to tokens, autoencoder, geometry, alignment, report.") { config, outFolder, settings, resume };
        return command.Runs((parsed, context) =>
        {
            string path = parsed.GetValue(config)!;
            RunConfig read = RunConfigFile.Read(path, parsed.GetValue(settings)!);
            if (read.Cohort is not null) throw new UsageException($"{path} (key cohort): a generated cohort belongs to `biosup demo`; `biosup run` works on your data.");
            string folder = parsed.GetValue(outFolder)!;
            var result = new PipelineRunner(context, read, Path.GetDirectoryName(Path.GetFullPath(path))!, folder, parsed.GetValue(resume)).Run();
            context.Say($"report: {result["report"]}");
            return result;
        });
    }
}
