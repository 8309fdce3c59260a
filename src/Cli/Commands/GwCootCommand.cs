using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Commands;

/// <summary>`biosup gw coot`: coupling.npy (samples), feature_coupling.npy, feature_pairs.csv, result.json and manifest.json.</summary>
internal static class GwCootCommand
{
    private static readonly Option<string> s_x = new("--x") { Description = "first data: a matrix, rows are samples and columns features", Required = true };
    private static readonly Option<string> s_y = new("--y") { Description = "second data", Required = true };
    private static readonly Option<string> s_out = new("--out") { Description = "result folder", Required = true };
    private static readonly Option<double> s_epsilon = new("--epsilon") { Description = "entropic regularisation of the samples' coupling, in squared units of the (standardised) data", DefaultValueFactory = _ => 0.05 };
    private static readonly Option<double> s_featureEpsilon = new("--epsilon-features") { Description = "that of the features' coupling", DefaultValueFactory = _ => 0.05 };
    private static readonly Option<string> s_standardise = new("--standardise") { Description = "features (every column to mean 0 and deviation 1) or none: the values are compared as they are", DefaultValueFactory = _ => "features" };
    private static readonly Option<string?> s_featuresX = new("--features-x") { Description = "names of the columns of x: FILE.csv:column, FILE.txt (a name per line), FILE.h5ad:var/NAME; default: the var index of an .h5ad, else numbers from 0" };
    private static readonly Option<string?> s_featuresY = new("--features-y") { Description = "names of the columns of y" };
    private static readonly Option<string?> s_massesX = new("--masses-x") { Description = "masses of the rows of x, positive, a column as --labels-x; scaled to sum to 1; default uniform" };
    private static readonly Option<string?> s_massesY = new("--masses-y") { Description = "masses of the rows of y" };
    private static readonly Option<string?> s_featureMassesX = new("--feature-masses-x") { Description = "masses of the columns of x" };
    private static readonly Option<string?> s_featureMassesY = new("--feature-masses-y") { Description = "masses of the columns of y" };
    private static readonly Option<string?> s_labelsX = GwCommand.LabelsX();
    private static readonly Option<string?> s_labelsY = GwCommand.LabelsY();
    private static readonly Option<string?> s_truth = GwCommand.Truth();
    private static readonly Option<int> s_top = new("--top") { Description = "feature pairs in feature_pairs.csv, those with the largest mass over what unrelated features would get", DefaultValueFactory = _ => 200 };
    private static readonly Option<double> s_tolerance = new("--tol") { Description = "L1 change of the samples' coupling at which to stop", DefaultValueFactory = _ => 1e-7 };
    private static readonly Option<int> s_maxIterations = new("--max-iter") { Description = "most alternations", DefaultValueFactory = _ => 500 };

    public static Command Create() => new Command("coot", "Couple the samples and the features of two matrices by co-optimal transport.")
    {
        s_x, s_y, s_out, s_epsilon, s_featureEpsilon, s_standardise, s_featuresX, s_featuresY, s_massesX, s_massesY, s_featureMassesX, s_featureMassesY, s_labelsX, s_labelsY, s_truth, s_top, s_tolerance, s_maxIterations,
    }.Runs(Run);

    private static JsonObject Run(ParseResult parsed, CommandContext context)
    {
        string xLocator = parsed.GetValue(s_x)!, yLocator = parsed.GetValue(s_y)!;
        ResultFolder folder = ResultFolder.Create(context, parsed.GetValue(s_out)!);
        using Matrix<double> x = MatrixReader.ReadDouble(context.Device, xLocator), y = MatrixReader.ReadDouble(context.Device, yLocator);
        foreach ((Matrix<double> data, string locator) in ((Matrix<double>, string)[])[(x, xLocator), (y, yLocator)])
            if (data.Rows < 2 || data.Columns < 2) throw new DataException(locator, null, $"the matrix is {data.Rows} x {data.Columns}; a co-optimal coupling needs at least two rows and two columns");
        string[] featuresX = Names(parsed, s_featuresX, xLocator, x.Columns), featuresY = Names(parsed, s_featuresY, yLocator, y.Columns);
        CoOptimalAlignmentOptions options = Read(parsed, context.Seed, x, y);
        (string[]? labelsX, string[]? labelsY) = GwCommand.ReadPair(parsed, s_labelsX, s_labelsY);
        context.Say($"memory           {CoOptimalAlignment.Plan((x.Rows, x.Columns), (y.Rows, y.Columns))}");

        using CoOptimalAlignmentResult result = CoOptimalAlignment.Align(x, y, options, labelsX, labelsY, context.Progress, context.Cancellation);

        foreach (string warning in result.Warnings) context.Warn(warning);
        MatrixWriter.Write(folder.Locate("coupling.npy"), result.Solve.Samples.View);
        MatrixWriter.Write(folder.Locate("feature_coupling.npy"), result.Solve.Features.View);
        WritePairs(folder.Locate("feature_pairs.csv"), result, featuresX, featuresY);
        JsonObject json = Describe(result, options);
        AtomicFile.WriteAllText(folder.Locate("result.json"), json.ToJsonString(JsonText.Readable) + "\n");
        JsonObject configuration = [];
        foreach (Option<string?> option in (ReadOnlySpan<Option<string?>>)[s_featuresX, s_featuresY, s_massesX, s_massesY, s_featureMassesX, s_featureMassesY, s_labelsX, s_labelsY])
        {
            if (parsed.GetValue(option) is { } input) folder.AddInput(input);
            configuration[option.Name[2..].Replace('-', '_')] = parsed.GetValue(option);
        }
        folder.AddInput(xLocator);
        folder.AddInput(yLocator);
        folder.WriteManifest(Configuration(configuration, options, xLocator, yLocator));
        Print(result, featuresX, featuresY, context, folder);
        return json;
    }

    private static CoOptimalAlignmentOptions Read(ParseResult parsed, ulong seed, Matrix<double> x, Matrix<double> y)
    {
        string standardise = parsed.GetValue(s_standardise)!;
        if (standardise is not ("features" or "none")) throw new UsageException($"--standardise {standardise}: expected features, none.");
        return new CoOptimalAlignmentOptions
        {
            Solver = new CoOptimalOptions { SampleEpsilon = parsed.GetValue(s_epsilon), FeatureEpsilon = parsed.GetValue(s_featureEpsilon), Tolerance = parsed.GetValue(s_tolerance), MaxIterations = parsed.GetValue(s_maxIterations) },
            Masses = new CoOptimalMasses(Masses(parsed, s_massesX, x.Rows), Masses(parsed, s_massesY, y.Rows), Masses(parsed, s_featureMassesX, x.Columns), Masses(parsed, s_featureMassesY, y.Columns)),
            Standardise = standardise == "features", Pairs = parsed.GetValue(s_top), TruthIsIdentity = GwCommand.TruthIsIdentity(parsed.GetValue(s_truth)), Seed = seed,
        };
    }

    private static string[] Names(ParseResult parsed, Option<string?> option, string data, int count)
    {
        string? locator = parsed.GetValue(option);
        Locator source = Locator.Parse(data);
        bool named = source.Kind == FileKind.AnnData && (source.Member is null or "" or "X" || source.Member.StartsWith("layers/", StringComparison.Ordinal));
        if (named) locator ??= $"{source.Path}:var/_index";
        if (locator is null) return [.. Enumerable.Range(0, count).Select(k => k.ToString(CultureInfo.InvariantCulture))];
        string[] names = ColumnReader.Read(locator).Text;
        return names.Length == count ? names : throw new DataException(locator, null, $"{names.Length} names were given for {count} columns of {data}");
    }

    private static double[]? Masses(ParseResult parsed, Option<string?> option, int count)
    {
        if (parsed.GetValue(option) is not { } locator) return null;
        double[] masses = ColumnReader.Read(locator).Numbers;
        if (masses.Length != count) throw new DataException(locator, null, $"{masses.Length} masses were given where {count} are needed ({option.Name})");
        int wrong = Array.FindIndex(masses, mass => !(mass > 0) || !double.IsFinite(mass));
        if (wrong >= 0) throw new DataException(locator, $"row {wrong}, counted from 0", string.Create(CultureInfo.InvariantCulture, $"the mass is {masses[wrong]}; masses must be positive numbers"));
        double sum = masses.Sum();
        return [.. masses.Select(mass => mass / sum)];
    }

    private static void WritePairs(string path, CoOptimalAlignmentResult result, string[] featuresX, string[] featuresY) =>
        CsvFile.Write(path, new Table(
        [
            new Column("feature_x", [.. result.Pairs.Select(p => featuresX[p.First])]),
            new Column("feature_y", [.. result.Pairs.Select(p => featuresY[p.Second])]),
            new Column("mass", [.. result.Pairs.Select(p => p.Mass)]),
            new Column("lift", [.. result.Pairs.Select(p => p.Lift)]),
            new Column("share_x", [.. result.Pairs.Select(p => p.FirstShare)]),
            new Column("share_y", [.. result.Pairs.Select(p => p.SecondShare)]),
            new Column("mutual", [.. result.Pairs.Select(p => p.Mutual ? "yes" : "no")]),
        ]));

    private static JsonObject Describe(CoOptimalAlignmentResult result, CoOptimalAlignmentOptions options) => new()
    {
        ["coot_loss"] = JsonText.Number(result.Solve.Loss),
        ["regularised_objective"] = JsonText.Number(result.Solve.Objectives[^1]),
        ["objective_trace"] = JsonText.Numbers(result.Solve.Objectives),
        ["mean_partners"] = JsonText.Number(result.SamplePartners),
        ["mean_feature_partners"] = JsonText.Number(result.FeaturePartners),
        ["marginal_error_rows"] = JsonText.Number(result.Solve.SampleError.Rows),
        ["marginal_error_columns"] = JsonText.Number(result.Solve.SampleError.Columns),
        ["feature_marginal_error_rows"] = JsonText.Number(result.Solve.FeatureError.Rows),
        ["feature_marginal_error_columns"] = JsonText.Number(result.Solve.FeatureError.Columns),
        ["converged"] = result.Solve.Converged,
        ["iterations"] = result.Solve.Iterations,
        ["inner_not_converged"] = result.Solve.InnerNotConverged,
        ["epsilon"] = options.Solver.SampleEpsilon,
        ["epsilon_features"] = options.Solver.FeatureEpsilon,
        ["constant_features"] = new JsonArray(result.ConstantFeatures.First, result.ConstantFeatures.Second),
        ["mutual_pairs"] = result.Pairs.Count(p => p.Mutual),
        ["seed"] = options.Seed,
        ["memory_plan_bytes"] = result.Memory.TotalBytes,
        ["seconds"] = JsonText.Number(result.Seconds),
        ["warnings"] = JsonText.Strings(result.Warnings),
        ["certificates"] = new JsonObject { ["state"] = AlignmentCertificates.Word(result.State), ["not_measured"] = JsonText.Strings(["Starts, nulls and a stationarity gap are not computed for co-optimal transport."]) },
        ["verdict"] = GwResultJson.Verdict(result.Verdict, result.Labels, null, result.Foscttm),
    };

    private static JsonObject Configuration(JsonObject files, CoOptimalAlignmentOptions options, string x, string y)
    {
        JsonObject configuration = new()
        {
            ["x"] = x,
            ["y"] = y,
            ["epsilon"] = options.Solver.SampleEpsilon,
            ["epsilon_features"] = options.Solver.FeatureEpsilon,
            ["standardise"] = options.Standardise ? "features" : "none",
            ["tolerance"] = options.Solver.Tolerance,
            ["max_iterations"] = options.Solver.MaxIterations,
            ["top"] = options.Pairs,
            ["truth"] = options.TruthIsIdentity ? "identity" : null,
        };
        foreach ((string key, JsonNode? value) in files) configuration[key] = value?.DeepClone();
        return configuration;
    }

    private static void Print(CoOptimalAlignmentResult result, string[] featuresX, string[] featuresY, CommandContext context, ResultFolder folder)
    {
        context.Say(Text($"COOT loss        {result.Solve.Loss:g6} after {result.Solve.Iterations} iterations ({AlignmentCertificates.Word(result.State)}), {result.Seconds:F1} s"));
        context.Say(Text($"partners         {result.SamplePartners:F1} of {result.Solve.Samples.Columns} samples, {result.FeaturePartners:F1} of {result.Solve.Features.Columns} features"));
        foreach (FeaturePair pair in result.Pairs.Take(5))
            context.Say(Text($"  {featuresX[pair.First]} ~ {featuresY[pair.Second]}   {pair.Lift:F1} times what unrelated features get"));
        foreach (string line in GwResultJson.Lines(result.Verdict, result.Labels, result.Foscttm)) context.Say(line);
        context.Say($"results          {folder.Path}");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
