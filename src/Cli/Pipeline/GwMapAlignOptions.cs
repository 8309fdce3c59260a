using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Cli.Commands;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>The section align of a `gw map`: options of `biosup gw align` over the preset gw-map. One place decides what they mean and what is wrong with them.</summary>
internal static class GwMapAlignOptions
{
    /// <summary>What the map decides itself, or what has no meaning for it.</summary>
    private static readonly string[] s_taken = ["x", "y", "out", "labels_x", "labels_y", "blocks_x", "blocks_y", "truth", "fused", "alpha", "init", "coupling"];

    /// <param name="section">Keys are option names with underscores.</param>
    /// <param name="seed">Seed of starts and decoys.</param>
    /// <param name="n">Images; <see cref="int.MaxValue"/> while unknown.</param>
    /// <param name="m">Cells.</param>
    /// <exception cref="UsageException">A key is no option, or its value is none that the option takes.</exception>
    public static AlignmentOptions Read(JsonObject section, ulong seed, int n, int m)
    {
        HashSet<string> options = [.. GwAlignOptions.All.Select(o => o.Name)];
        List<string> arguments = ["gw", "align", "--x", "x", "--y", "y", "--out", "out", "--coupling", "stored"];
        if (!section.ContainsKey("preset")) arguments.AddRange(["--preset", "gw-map"]);
        foreach ((string key, JsonNode? value) in section)
        {
            string option = "--" + key.Replace('_', '-');
            if (!options.Contains(option) || s_taken.Contains(key)) throw new UsageException($"align.{key}: unknown key; expected an option of `biosup gw align` about costs, solver or checks, such as epsilon, knn or starts.");
            if (value is not JsonValue) throw new UsageException($"align.{key}: expected a number or text.");
            arguments.AddRange([option, value.ToString()]);
            if (BiosupApplication.CreateRoot().Parse(arguments).Errors.Count > 0)
                throw new UsageException($"align.{key} is {value.ToJsonString(JsonText.OneLine)}; that is no value of `biosup gw align {option}`.");
        }
        ParseResult parsed = BiosupApplication.CreateRoot().Parse(arguments);
        if (GwLowRank.Wanted(parsed)) throw new UsageException("align.solver is lowrank; `biosup gw map` reads every entry of the coupling, which that solver keeps as factors only: use pgd or ppa.");
        try
        {
            return GwAlignOptions.Read(parsed, seed, n, m);
        }
        catch (UsageException e) when (e.Message.StartsWith("--", StringComparison.Ordinal))
        {
            int end = e.Message.IndexOf(' ', StringComparison.Ordinal);
            throw new UsageException($"align.{e.Message[2..end].Replace('-', '_')}{e.Message[end..]}", e);
        }
    }
}
