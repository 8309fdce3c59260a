using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw`: align, coot, evaluate, map.</summary>
internal static class GwCommand
{
    public static Command Create() => new("gw", "Gromov-Wasserstein alignment of two data sets without shared features.")
    {
        GwAlignCommand.Create(),
        GwCootCommand.Create(),
        GwEvaluateCommand.Create(),
        GwMapCommand.Create(),
    };

    internal static Option<string?> LabelsX() => new("--labels-x") { Description = "a class per row of the first domain: FILE.csv:column, FILE.h5ad:obs/NAME, FILE.npy, FILE.npz:member" };

    internal static Option<string?> LabelsY() => new("--labels-y") { Description = "a class per row of the second domain" };

    internal static Option<string?> Truth() => new("--truth") { Description = "identity: row i of one domain is row i of the other" };

    internal static bool TruthIsIdentity(string? text) => text switch
    {
        null => false,
        "identity" => true,
        _ => throw new UsageException($"--truth {text}: expected identity."),
    };

    /// <summary>A column for each domain, or none.</summary>
    internal static (string[]? First, string[]? Second) ReadPair(ParseResult parsed, Option<string?> ofFirst, Option<string?> ofSecond)
    {
        string? first = parsed.GetValue(ofFirst), second = parsed.GetValue(ofSecond);
        if ((first is null) != (second is null)) throw new UsageException($"{ofFirst.Name} and {ofSecond.Name} belong together: give both or neither.");
        return ReadPair(first, second);
    }

    internal static (string[]? First, string[]? Second) ReadPair(string? first, string? second) =>
        first is null || second is null ? (null, null) : (ColumnReader.Read(first).Text, ColumnReader.Read(second).Text);

    internal static JsonObject Describe(ConfusionMatrix matrix) => new()
    {
        ["accuracy"] = JsonText.Number(matrix.Accuracy),
        ["balanced_accuracy"] = JsonText.Number(matrix.BalancedAccuracy),
        ["confusion"] = new JsonArray([.. matrix.Counts.Select(row => (JsonNode)new JsonArray([.. row.Select(c => (JsonNode)c)]))]),
    };

    internal static JsonObject? Describe(LabelTransferResult? labels, ConfusionMatrix? vote)
    {
        if (labels is null) return null;
        JsonObject json = new()
        {
            ["classes"] = JsonText.Strings(labels.OneToOne.Classes),
            ["one_to_one"] = Describe(labels.OneToOne),
            ["barycentric"] = Describe(labels.Barycentric),
            ["chance_accuracy"] = JsonText.Number(labels.Chance),
            ["majority_accuracy"] = JsonText.Number(labels.Majority),
            ["best_renamed_accuracy"] = JsonText.Number(labels.BestRenamedAccuracy),
            ["best_renaming"] = JsonText.Strings(labels.BestRenaming.Select(c => labels.OneToOne.Classes[c])),
            ["renaming_p"] = JsonText.Number(labels.RenamingP),
        };
        if (vote is not null) json["neighbour_vote_5"] = Describe(vote);
        return json;
    }

    internal static JsonObject? Describe(FosctTm? foscttm) => foscttm is null ? null : new JsonObject
    {
        ["average"] = JsonText.Number(foscttm.Average),
        ["x_to_y"] = JsonText.Number(foscttm.FirstToSecond),
        ["y_to_x"] = JsonText.Number(foscttm.SecondToFirst),
    };
}
