using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;
using BioSup.Analysis.Modules;
using BioSup.Cli.Commands;
using BioSup.Cli.Pipeline;
using BioSup.Data;

namespace BioSup.Cli.Results;

/// <summary>The tables and result.json of a `gw map`.</summary>
internal static class GwMapFiles
{
    public const string Report = "report.html";

    /// <summary>Writes every table; returns what result.json says: the result of an alignment, and what the map adds to it.</summary>
    public static JsonObject Write(GwMapOutcome outcome, ResultFolder folder)
    {
        WriteCells(outcome, folder);
        WriteConfusion(folder, "confusion_one_to_one.csv", outcome.Alignment.OneToOne);
        WriteConfusion(folder, "confusion_barycentric.csv", outcome.Alignment.Barycentric);
        if (outcome.Reading.Assignment is { } assignment) WriteConfusion(folder, "confusion_assignment.csv", assignment);
        WriteSquare(folder, "mean_probability.csv", outcome.Reading.Classes, outcome.Reading.MeanProbability);
        WritePredictability(outcome, folder);
        WriteModules(outcome, folder);
        JsonObject result = Describe(outcome);
        AtomicFile.WriteAllText(folder.Locate("result.json"), result.ToJsonString(JsonText.Readable) + "\n");
        return result;
    }

    /// <summary>A label as a part of a file name: letters, digits, dash and dot stay.</summary>
    public static string FileName(string label) => string.Concat(label.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' ? c : '_'));

    private static JsonObject Describe(GwMapOutcome outcome)
    {
        JsonObject result = outcome.Alignment.Description.DeepClone().AsObject();
        BalancedSample sample = outcome.Sample;
        GwMapSpacesUsed spaces = outcome.Spaces;
        result["sample"] = new JsonObject { ["labels"] = JsonText.Strings(sample.Labels), ["per_label"] = sample.PerLabel, ["images"] = sample.Images.Length, ["cells"] = sample.Cells.Length };
        result["image_space"] = new JsonObject
        {
            ["latents"] = spaces.Latents.Total, ["alive"] = spaces.Latents.Alive, ["varying"] = spaces.Latents.Varying, ["kept"] = spaces.Latents.Kept.Length,
            ["kept_latents"] = new JsonArray([.. spaces.Latents.Kept.Select(k => (JsonNode)k)]),
            ["components"] = spaces.ImageComponents, ["explained"] = JsonText.Number(spaces.ImageExplained), ["gene_components"] = spaces.GeneComponents,
        };
        result["cell_space"] = new JsonObject
        {
            ["source"] = spaces.CellSpace, ["dimensions"] = spaces.CellDimensions, ["explained"] = spaces.CellExplained is { } explained ? JsonText.Number(explained) : null,
            ["counts_normalised"] = spaces.WereCounts, ["genes_given"] = spaces.GenesGiven, ["genes_predicted"] = spaces.Genes.Length, ["not_denoised"] = spaces.NotDenoised,
        };
        result["reading"] = Describe(outcome.Reading);
        result["within_labels"] = new JsonArray([.. outcome.Blocks.Select(b => (JsonNode)new JsonObject
        {
            ["label"] = b.Label, ["mass_kept"] = JsonText.Number(b.MassKept), ["mean_partners"] = JsonText.Number(b.Partners), ["entropy"] = JsonText.Number(b.Reading.Entropy),
            ["relative_row_entropy"] = JsonText.Number(b.Reading.RelativeRowEntropy), ["neighbour_consistency"] = JsonText.Number(b.Reading.NeighbourConsistency),
            ["neighbour_chance"] = JsonText.Number(b.Reading.NeighbourChance),
        })]);
        result["predictability"] = new JsonArray([.. outcome.Runs.Select(r => (JsonNode)Describe(r))]);
        result["modules"] = Describe(outcome.Found!, outcome.Config.Modules);
        result["modules_within_labels"] = new JsonArray([.. outcome.WithinLabels.Select(found => (JsonNode)DescribeWithin(found, outcome.Found!))]);
        if (outcome.Recovery is { } recovery) result["recovery"] = Describe(recovery, outcome.Modules!);
        result["stages_seconds"] = new JsonObject(outcome.Times.Select(t => KeyValuePair.Create(t.Key, JsonText.Number(Math.Round(t.Value, 3)))));
        return result;
    }

    private static JsonObject Describe(CouplingReading reading) => new()
    {
        ["assignment"] = reading.Assignment is { } assignment ? GwCommand.Describe(assignment) : null,
        ["mean_probability"] = new JsonArray([.. reading.MeanProbability.Select(row => (JsonNode)JsonText.Numbers(row))]),
        ["entropy"] = JsonText.Number(reading.Entropy),
        ["relative_row_entropy"] = JsonText.Number(reading.RelativeRowEntropy),
        ["neighbour_consistency"] = JsonText.Number(reading.NeighbourConsistency),
        ["neighbour_chance"] = JsonText.Number(reading.NeighbourChance),
    };

    private static JsonObject Describe(PredictabilityRun run) => new()
    {
        ["label"] = run.Label,
        ["targets"] = run.Targets,
        ["model"] = run.Model,
        ["images"] = run.Images,
        ["columns"] = run.Columns.Count,
        ["mean_r2"] = JsonText.Number(run.Result.MeanRSquared),
        ["permutations"] = run.Result.Permutations,
        ["predictable"] = run.Predictable,
        ["null_mean_r2"] = run.Result.NullMeans is { Length: > 0 } means ? JsonText.Number(means.Average()) : null,
        ["p"] = run.Result.NullMeans is { Length: > 0 } nulls ? JsonText.Number((nulls.Count(m => m >= run.Result.MeanRSquared) + 1.0) / (nulls.Length + 1)) : null,
    };

    private static JsonObject Describe(FoundModules found, GwMapModulesSection section)
    {
        JsonObject json = DescribeModules(found);
        json.Insert(1, "ranked_by", $"{found.Ranking.Measure} of {found.Ranking.Targets} genes, ridge, {section.RankBy}");
        json.Insert(2, "profiles", section.Profiles);
        if (found.Enrichment is not { } enrichment) return json;
        json["names"] = new JsonArray([.. enrichment.Labels.Select(level => (JsonNode)JsonText.Strings(level))]);
        json["gene_sets"] = enrichment.Describe();
        return json;
    }

    private static JsonObject DescribeWithin(FoundModules found, FoundModules overall)
    {
        JsonObject json = DescribeModules(found);
        json.Insert(0, "label", found.Label);
        json["shared_genes"] = found.Shared(overall);
        json["adjusted_rand"] = JsonText.Numbers(Enumerable.Range(0, found.Modules.Levels).Select(l => found.Agreement(overall, l)));
        if (found.Enrichment is { } enrichment) json["names"] = new JsonArray([.. enrichment.Labels.Select(level => (JsonNode)JsonText.Strings(level))]);
        if (found.Recovery is { } recovery) json["recovery"] = Levels(recovery, found.Modules);
        return json;
    }

    private static JsonObject DescribeModules(FoundModules found) => new()
    {
        ["genes"] = found.Modules.Genes.Count,
        ["resolutions"] = JsonText.Numbers(found.Modules.Resolutions),
        ["sizes"] = new JsonArray([.. found.Modules.Sizes.Select(level => (JsonNode)new JsonArray([.. level.Select(n => (JsonNode)n)]))]),
        ["modularity"] = JsonText.Numbers(found.Modules.Modularity),
        ["nesting"] = JsonText.Numbers(found.Modules.Nesting),
        ["neighbours"] = found.Modules.Neighbours,
        ["flat_genes"] = JsonText.Strings(found.Modules.FlatGenes),
    };

    private static JsonObject Describe(RecoveryTable recovery, ModuleHierarchy modules) => new()
    {
        ["permutations"] = recovery.Permutations,
        ["levels"] = Levels(recovery, modules),
        ["programmes"] = new JsonArray([.. recovery.Programmes.Where(p => p.Level == recovery.Best.Level).Select(p => (JsonNode)new JsonObject
        {
            ["programme"] = p.Programme, ["planted"] = p.Planted, ["present"] = p.Present, ["module"] = p.Module, ["precision"] = JsonText.Number(p.Precision), ["recall"] = JsonText.Number(p.Recall),
            ["recall_of_planted"] = JsonText.Number(p.RecallOfPlanted), ["p"] = JsonText.Number(p.PValue),
        })]),
    };

    private static JsonArray Levels(RecoveryTable recovery, ModuleHierarchy modules) => new([.. recovery.Levels.Select(l => (JsonNode)new JsonObject
    {
        ["resolution"] = modules.Resolutions[l.Level], ["programmes"] = l.Programmes, ["precision"] = JsonText.Number(l.Precision), ["recall"] = JsonText.Number(l.Recall),
        ["f1"] = JsonText.Number(l.F1), ["chance_f1"] = JsonText.Number(l.ChanceF1), ["p"] = JsonText.Number(l.PValue),
    })]);

    private static void WriteModules(GwMapOutcome outcome, ResultFolder folder)
    {
        WriteGenes(outcome.Found!, folder.Locate("modules.csv"));
        foreach (FoundModules found in outcome.WithinLabels) WriteGenes(found, folder.Locate($"modules_{FileName(found.Label!)}.csv"));
        ModuleHierarchy modules = outcome.Modules!;
        if (outcome.Enrichment is { } enrichment)
        {
            CsvFile.Write(folder.Locate("enrichment.csv"), enrichment.ToTable(modules));
            CsvFile.Write(folder.Locate("module_names.csv"), enrichment.NamesTable(modules));
        }
        if (outcome.Recovery is { } recovery) CsvFile.Write(folder.Locate("recovery.csv"), recovery.ToTable(modules));
    }

    /// <summary>A row per grouped gene: its score, and its module at each level.</summary>
    private static void WriteGenes(FoundModules found, string path)
    {
        Table table = found.Modules.ToTable(found.Enrichment?.Labels);
        Column score = new("score", [.. found.Genes.Select(g => found.Ranking.Scores[g])]);
        CsvFile.Write(path, new Table([table.Columns[0], score, .. table.Columns.Skip(1)]));
    }

    /// <summary>Rows and columns of coupling.npy: which row of the input each is, its label, and where it is sent.</summary>
    private static void WriteCells(GwMapOutcome outcome, ResultFolder folder)
    {
        BalancedSample sample = outcome.Sample;
        CouplingReading reading = outcome.Reading;
        List<Column> columns =
        [
            new("image", sample.Images), new("label", [.. sample.ImageLabels]), new("likeliest_cell", [.. reading.LikeliestCell.Select(j => sample.Cells[j])]),
            new("likeliest_label", [.. reading.LikeliestCell.Select(j => sample.CellLabels[j])]),
        ];
        if (reading.AssignedCell is { } assigned) columns.Add(new Column("assigned_cell", [.. assigned.Select(j => sample.Cells[j])]));
        foreach (string label in reading.Classes) columns.Add(new Column($"p_{label}", Probability(outcome, label)));
        if (outcome.Alignment.ImageStability is { } images) columns.Add(new Column("stability", images));
        CsvFile.Write(folder.Locate("images.csv"), new Table(columns));
        List<Column> cells = [new("cell", sample.Cells), new("label", [.. sample.CellLabels])];
        if (outcome.Alignment.CellStability is { } stability) cells.Add(new Column("stability", stability));
        CsvFile.Write(folder.Locate("cells.csv"), new Table(cells));
    }

    private static double[] Probability(GwMapOutcome outcome, string label)
    {
        double[] share = new double[outcome.Sample.Images.Length];
        for (int i = 0; i < share.Length; i++)
        {
            ReadOnlySpan<double> row = outcome.Alignment.Coupling.Row(i);
            double own = 0, all = 0;
            for (int j = 0; j < row.Length; j++)
            {
                all += row[j];
                if (outcome.Sample.CellLabels[j] == label) own += row[j];
            }
            share[i] = own / Math.Max(all, GeneSoftTargets.EmptyRow);
        }
        return share;
    }

    private static void WriteConfusion(ResultFolder folder, string name, ConfusionMatrix matrix) =>
        WriteSquare(folder, name, matrix.Classes, [.. matrix.Counts.Select(row => Array.ConvertAll(row, c => (double)c))]);

    private static void WriteSquare(ResultFolder folder, string name, IReadOnlyList<string> classes, double[][] rows)
    {
        List<Column> columns = [new("true_label", [.. classes])];
        for (int c = 0; c < classes.Count; c++) columns.Add(new Column(classes[c], [.. rows.Select(row => row[c])]));
        CsvFile.Write(folder.Locate(name), new Table(columns));
    }

    private static void WritePredictability(GwMapOutcome outcome, ResultFolder folder)
    {
        static IEnumerable<double> Values(PredictabilityRun run, double[]? values) => values ?? Enumerable.Repeat(double.NaN, run.Columns.Count);
        CsvFile.Write(folder.Locate("predictability.csv"), new Table(
            new Column("label", [.. outcome.Runs.SelectMany(r => r.Columns.Select(_ => r.Label ?? "all"))]),
            new Column("targets", [.. outcome.Runs.SelectMany(r => r.Columns.Select(_ => r.Targets))]),
            new Column("model", [.. outcome.Runs.SelectMany(r => r.Columns.Select(_ => r.Model))]),
            new Column("gene", [.. outcome.Runs.SelectMany(r => r.Columns)]),
            new Column("r2", [.. outcome.Runs.SelectMany(r => r.Result.RSquared)]),
            new Column("null_mean", [.. outcome.Runs.SelectMany(r => Values(r, r.Result.NullMean))]),
            new Column("null_sd", [.. outcome.Runs.SelectMany(r => Values(r, r.Result.NullDeviation))]),
            new Column("z", [.. outcome.Runs.SelectMany(r => Values(r, r.Result.ZScore))]),
            new Column("p", [.. outcome.Runs.SelectMany(r => Values(r, r.Result.PValue))]),
            new Column("q", [.. outcome.Runs.SelectMany(r => Values(r, r.Q))])));
    }
}
