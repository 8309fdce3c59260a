using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Sae;
using BioSup.Data;

using BioSup.Report;
using BioSup.Report.Figures;

namespace BioSup.Cli.Commands;

/// <summary>`biosup sae superposition`.</summary>
internal static class SaeSuperpositionCommand
{
    private static readonly Option<string> s_out = new("--out") { Description = "folder for superposition.json, superposition.csv and figures", Required = true };
    private static readonly Option<int[]> s_features = new("--features") { Description = "numbers of true features, one benchmark each", DefaultValueFactory = _ => [64, 128, 256, 512], AllowMultipleArgumentsPerToken = true };
    private static readonly Option<int> s_dimensions = new("--dimensions") { Description = "dimensions that the features share", DefaultValueFactory = _ => 64 };
    private static readonly Option<double> s_active = new("--active") { Description = "mean number of active features per token", DefaultValueFactory = _ => 6 };
    private static readonly Option<double> s_power = new("--power-law") { Description = "exponent of the features' frequencies; 0 makes them equal", DefaultValueFactory = _ => 0.7 };
    private static readonly Option<double> s_correlation = new("--correlation") { Description = "correlation within groups of eight features", DefaultValueFactory = _ => 0 };
    private static readonly Option<int> s_tokens = new("--tokens") { Description = "tokens to train on", DefaultValueFactory = _ => 50_000 };
    private static readonly Option<long> s_steps = new("--steps") { Description = "training steps", DefaultValueFactory = _ => 2000 };
    private static readonly Option<string?> s_config = new("--config") { Description = "training configuration; default: batchtopk with as many latents as features and k the mean number of active features" };

    public static Command Create() => new Command("superposition", "Train on tokens of a known dictionary with more features than dimensions and measure what is recovered.")
    {
        s_out, s_features, s_dimensions, s_active, s_power, s_correlation, s_tokens, s_steps, s_config,
    }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        ResultFolder results = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        SaeConfig config = parsed.GetValue(s_config) is { } file
            ? SaeConfigFile.Read(file)
            : SaeConfigFile.Parse(string.Create(CultureInfo.InvariantCulture, $$"""{ "architecture": "batchtopk", "k": {{Math.Max(1, (int)Math.Round(parsed.GetValue(s_active)))}}, "batch": 512, "lr": 2e-3, "d_sae": {{parsed.GetValue(s_features)!.Min()}} }"""), "superposition") with { Latents = 0 };
        List<SuperpositionResult> found = [];
        foreach (int features in parsed.GetValue(s_features)!)
        {
            SuperpositionOptions options = new()
            {
                Features = features,
                Dimensions = parsed.GetValue(s_dimensions),
                ActivePerToken = parsed.GetValue(s_active),
                PowerLaw = parsed.GetValue(s_power),
                Correlation = parsed.GetValue(s_correlation),
                Seed = context.Seed,
            };
            SuperpositionResult r = SuperpositionBenchmark.Run(context.Device, options, config, parsed.GetValue(s_tokens), parsed.GetValue(s_steps), context.Progress, context.Cancellation);
            found.Add(r);
            context.Say(string.Create(CultureInfo.InvariantCulture,
                $"{features} features in {options.Dimensions} dimensions: matched cosine {r.Match.MeanMatchedCosine:F3}, recovered {r.Recovered:P0}, precision {r.Precision:F3}, recall {r.Recall:F3}; Spearman of distances raw {r.Raw.Spearman:F3}, latents {r.Latents.Spearman:F3}; distortion raw {r.Raw.RmsDistortion:F3}, latents {r.Latents.RmsDistortion:F3}, Welch {r.WelchDistortion:F3}"));
        }
        JsonObject json = new() { ["results"] = new JsonArray([.. found.Select(Describe)]) };
        AtomicFile.WriteAllText(results.Locate("superposition.json"), json.ToJsonString(JsonText.Readable) + "\n");
        CsvFile.Write(results.Locate("superposition.csv"), Table(found));
        foreach ((string name, Figure figure) in Figures(found))
        {
            AtomicFile.Write(results.Locate(Path.Combine("figures", name + ".png")), stream => stream.Write(figure.ToPng()));
            AtomicFile.WriteAllText(results.Locate(Path.Combine("figures", name + ".svg")), figure.ToSvg() + "\n");
        }
        results.WriteManifest(JsonNode.Parse(SaeConfigFile.Write(config with { Latents = Math.Max(1, config.Latents) }))!);
        return json;
    }

    private static IEnumerable<(string Name, Figure Figure)> Figures(List<SuperpositionResult> found)
    {
        double[] load = [.. found.Select(r => (double)r.Options.Features / r.Options.Dimensions)];
        LineSeries Series(string name, Func<SuperpositionResult, double> value) => new(name, load, [.. found.Select(value)]) { Markers = true };
        LineChart Chart(string label, params LineSeries[] series) => new() { XLabel = "features per dimension", YLabel = label, LogX = true, YMin = 0, Width = 560, Height = 320, Series = series };
        yield return ("distance_distortion", Chart("rms distortion of squared distances", Series("raw tokens", r => r.Raw.RmsDistortion), Series("latents", r => r.Latents.RmsDistortion), Series("least, by Welch", r => r.WelchDistortion) with { Dashed = true, Markers = false }));
        yield return ("distance_ranks", Chart("Spearman ρ with true distances", Series("raw tokens", r => r.Raw.Spearman), Series("latents", r => r.Latents.Spearman)));
        yield return ("recovery", Chart("share or cosine", Series("matched cosine", r => r.Match.MeanMatchedCosine), Series("recovered features", r => r.Recovered), Series("precision", r => r.Precision), Series("recall", r => r.Recall)));
        yield return ("coherence", Chart("|cos| of true directions", Series("largest", r => r.Coherence), Series("root mean square", r => r.RmsCosine), Series("Welch bound", r => r.WelchBound) with { Dashed = true, Markers = false }));
        SuperpositionResult last = found[^1];
        yield return ("distances", new ScatterMap
        {
            X = [.. last.Pairs.Select(p => p.True), .. last.Pairs.Select(p => p.True)],
            Y = [.. last.Pairs.Select(p => p.Raw), .. last.Pairs.Select(p => p.Latent)],
            Categories = [.. last.Pairs.Select(_ => "raw tokens"), .. last.Pairs.Select(_ => "latents")],
            CategoryOrder = ["raw tokens", "latents"],
            XLabel = "distance of true feature vectors",
            YLabel = "distance",
            ShowTicks = true,
            EqualAspect = false,
            Diagonal = true,
            Width = 560,
            Height = 420,
        });
    }

    private static Table Table(List<SuperpositionResult> found) => new(
        new Column("features", [.. found.Select(r => r.Options.Features)]),
        new Column("dimensions", [.. found.Select(r => r.Options.Dimensions)]),
        new Column("matched_cosine", Each(found, r => r.Match.MeanMatchedCosine)),
        new Column("recovered", Each(found, r => r.Recovered)),
        new Column("precision", Each(found, r => r.Precision)),
        new Column("recall", Each(found, r => r.Recall)),
        new Column("spearman_raw", Each(found, r => r.Raw.Spearman)),
        new Column("spearman_latents", Each(found, r => r.Latents.Spearman)),
        new Column("stress_raw", Each(found, r => r.Raw.Stress)),
        new Column("stress_latents", Each(found, r => r.Latents.Stress)),
        new Column("distortion_raw", Each(found, r => r.Raw.RmsDistortion)),
        new Column("distortion_latents", Each(found, r => r.Latents.RmsDistortion)),
        new Column("distortion_welch", Each(found, r => r.WelchDistortion)),
        new Column("coherence", Each(found, r => r.Coherence)),
        new Column("rms_cosine", Each(found, r => r.RmsCosine)),
        new Column("welch_bound", Each(found, r => r.WelchBound)),
        new Column("fvu", Each(found, r => r.Fvu)),
        new Column("l0", Each(found, r => r.L0)));

    private static double[] Each(List<SuperpositionResult> found, Func<SuperpositionResult, double> value) => [.. found.Select(value)];

    private static JsonObject Describe(SuperpositionResult r)
    {
        JsonObject json = [];
        foreach (Column column in Table([r]).Columns) json[column.Name] = JsonText.Number(column.Numbers[0]);
        json["mean_max_cosine"] = JsonText.Number(r.Match.SecondMeanMaxCosine);
        return json;
    }
}
