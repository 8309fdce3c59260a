using System.Text.Json.Nodes;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Reporting;

/// <summary>Where every number comes from: versions, machine, seeds, times, inputs, configuration.</summary>
internal static class ProvenanceReport
{
    public static void Add(ReportDocument report, JsonObject manifest, IEnumerable<KeyValuePair<string, double>> stages)
    {
        ReportSection section = report.AddSection("Provenance", "Everything needed to make these results again.");
        section.KeyValues("The run",
        [
            new("program", $"biosup {manifest["version"]}"),
            new("command line", $"biosup {manifest["command_line"]}"),
            new("started", $"{manifest["started"]}"),
            new("processor", $"{manifest["processor"]}, {manifest["threads"]} threads, kernels {manifest["kernel_variant"]}"),
            new("seed", $"{manifest["seed"]}"),
            new("peak memory", Numbers.Bytes((long)manifest["peak_memory_bytes"]!)),
        ]);
        TableBlock times = new("Time of each stage", "stage", "time");
        foreach ((string stage, double seconds) in stages) times.Row(stage, Numbers.Duration(TimeSpan.FromSeconds(seconds)));
        section.Table(times);
        if (manifest["inputs"] is JsonObject { Count: > 0 } inputs)
        {
            TableBlock table = new("Inputs", "file", "SHA-256");
            foreach ((string file, JsonNode? hash) in inputs) table.Row(file, (string?)(hash?["sha256"] ?? hash?["sha256_of_listing"]) ?? "");
            section.Table(table);
        }
        section.Details("Complete configuration (JSON)", manifest["configuration"]!.ToJsonString(JsonText.Readable));
    }
}
