using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.Alignment;
using BioSup.Analysis.GwMap;
using BioSup.Analysis.Modules;
using BioSup.Analysis.Prediction;
using BioSup.Cli.Pipeline.Reporting;
using BioSup.Cli.Results;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline;

/// <summary>Runs GW-map from a configuration: sample, spaces, coupling, label transfer, soft targets, predictability, modules, files, report.</summary>
internal sealed class GwMapRunner(CommandContext context, GwMapConfig config, string baseFolder, string outFolder, bool resume)
{
    private const string Within = "within", Overall = "overall";

    public JsonObject Run()
    {
        Check();
        ResultFolder folder = ResultFolder.Create(context, outFolder);
        GwMapSteps steps = new(context, folder, resume);
        using GwMapInput input = steps.Timed("reading", () => GwMapInput.Read(config, Locate, folder, context));
        BalancedSample sample = input.Sample;
        context.Say(Text($"sample           {sample.PerLabel} images and cells of each of {sample.Labels.Count} labels: {string.Join(", ", sample.Labels)}"));
        AlignmentOptions options = GwMapAlignOptions.Read(config.Align, context.Seed, sample.Images.Length, sample.Cells.Length);
        JsonObject configuration = GwMapConfigFile.ToJson(config).AsObject();
        steps.Run("spaces", Sections(configuration, "cohort", "images", "rna", "sample"), GwMapInput.Files(config).Select(Locate), () =>
        {
            context.Say($"memory           {GwMapMemory.Spaces(config, input)}");
            GwMapSpacesBuilt.Find(config, input, steps.Spaces, context);
        });
        using GwMapSpacesBuilt spaces = GwMapSpacesBuilt.Build(config, input, steps.Spaces, context);
        if (spaces.Used.NotDenoised is { } reason) context.Note(reason);
        using GwMapOutcome outcome = Align(input, spaces, options, steps, folder, configuration);
        Predict(outcome, input, spaces, steps, folder, configuration);
        steps.Timed("modules", () => Group(outcome, input, spaces));
        outcome.Times = steps.Times;
        JsonObject result = GwMapFiles.Write(outcome, folder);
        GwMapReport.Write(outcome, input, folder, folder.CreateManifest(configuration), context);
        folder.WriteManifest(configuration);
        Print(outcome, folder);
        return result;
    }

    private static JsonObject Sections(JsonObject configuration, params string[] names) => new(names.Select(name => KeyValuePair.Create(name, configuration[name]?.DeepClone())));

    /// <summary>Finds out about missing files and impossible numbers before anything is read.</summary>
    private void Check()
    {
        if (config.Predictability.Folds < 2) throw new UsageException($"predictability.folds is {config.Predictability.Folds}; cross-validation needs at least 2.");
        if (!(config.Predictability.RidgeAlpha > 0)) throw new UsageException(Text($"predictability.ridge_alpha is {config.Predictability.RidgeAlpha}; it must be a positive number."));
        if (config.Predictability.RidgePermutations < 0) throw new UsageException($"predictability.ridge_permutations is {config.Predictability.RidgePermutations}; expected 0 or more.");
        foreach ((string key, int? value) in new (string, int?)[] { ("trees.permutations", config.Predictability.Trees?.Permutations), ("mlp.permutations", config.Predictability.Mlp?.Permutations) })
            if (value < 0) throw new UsageException($"predictability.{key} is {value}; expected 0 or more.");
        foreach ((string key, int? value) in new (string, int?)[] { ("trees.trees", config.Predictability.Trees?.Trees), ("trees.depth", config.Predictability.Trees?.Depth), ("mlp.runs", config.Predictability.Mlp?.Runs), ("mlp.epochs", config.Predictability.Mlp?.Epochs) })
            if (value < 1) throw new UsageException($"predictability.{key} is {value}; expected 1 or more.");
        if (config.Modules.Genes < 2) throw new UsageException($"modules.genes is {config.Modules.Genes}; at least two genes can be grouped.");
        if (config.Modules.Resolutions.Length == 0 || config.Modules.Resolutions.Any(r => !(r > 0))) throw new UsageException("modules.resolutions: expected one or more positive numbers.");
        for (int l = 1; l < config.Modules.Resolutions.Length; l++)
            if (config.Modules.Resolutions[l] <= config.Modules.Resolutions[l - 1]) throw new UsageException("modules.resolutions: expected numbers that rise from coarse to fine.");
        foreach ((string key, string value) in new[] { ("modules.rank_by", config.Modules.RankBy), ("modules.profiles", config.Modules.Profiles) })
            if (value is not (Within or Overall)) throw new UsageException($"{key} is '{value}'; expected {Within} or {Overall}.");
        if (config.Modules.Neighbours < 1) throw new UsageException($"modules.neighbours is {config.Modules.Neighbours}; the graph needs at least one neighbour.");
        if (config.Sample.MinPerLabel < config.Predictability.Folds)
            throw new UsageException($"sample.min_per_label is {config.Sample.MinPerLabel}; {config.Predictability.Folds} folds within a label need at least as many rows.");
        foreach ((string key, int? value) in new (string, int?)[] { ("images.pca", config.Images?.Pca), ("images.gene_pca", config.Images?.GenePca), ("rna.pca", config.Rna?.Pca), ("rna.max_genes", config.Rna?.MaxGenes) })
            if (value < 1) throw new UsageException($"{key} is {value}; expected 1 or more.");
        GwMapAlignOptions.Read(config.Align, context.Seed, int.MaxValue, int.MaxValue);
        GwMapInput.Check(config, Locate);
    }

    private GwMapOutcome Align(GwMapInput input, GwMapSpacesBuilt spaces, AlignmentOptions options, GwMapSteps steps, ResultFolder folder, JsonObject configuration)
    {
        BalancedSample sample = input.Sample;
        options.FirstCost.RequirePoints(sample.Images.Length, "the drawn images");
        options.SecondCost.RequirePoints(sample.Cells.Length, "the drawn cells");
        steps.Run("coupling", Sections(configuration, "align"), [], () =>
        {
            context.Say($"memory           {MemoryPlan.For(options, (sample.Images.Length, spaces.Images.Columns), (sample.Cells.Length, spaces.Cells.Columns), false)}");
            context.Say($"memory           {GwMapMemory.AfterCoupling(config, input, spaces, context.Host.Pool.Threads)}");
            GwMapCoupling.Solve(sample, spaces, options, folder, context);
        });
        GwMapCoupling alignment = GwMapCoupling.Read(folder, context);
        foreach (string warning in alignment.Warnings) context.Warn(warning);
        Matrix<double> coupling = alignment.Coupling;
        return steps.Timed("reading the coupling", () => new GwMapOutcome
        {
            Config = config,
            Sample = sample,
            Spaces = spaces.Used,
            Alignment = alignment,
            Reading = CouplingReading.Of(coupling, sample.ImageLabels, sample.CellLabels, spaces.Images, spaces.Cells, cancellation: context.Cancellation),
            Blocks = [.. sample.Labels.Select(label => Block(coupling, sample, label, spaces))],
        });
    }

    private LabelBlock Block(Matrix<double> coupling, BalancedSample sample, string label, GwMapSpacesBuilt spaces)
    {
        int[] images = sample.ImagesOf(label), cells = sample.CellsOf(label);
        using Matrix<double> block = CouplingReading.Block(coupling, images, cells), x = Gather.Rows(spaces.Images, images), y = Gather.Rows(spaces.Cells, cells);
        double kept = 0, all = 0;
        for (int i = 0; i < images.Length; i++)
        {
            foreach (double t in block.Row(i)) kept += t;
            foreach (double t in coupling.Row(images[i])) all += t;
        }
        CouplingReading reading = CouplingReading.Of(block, [.. images.Select(_ => label)], [.. cells.Select(_ => label)], x, y, cancellation: context.Cancellation);
        return new LabelBlock(label, kept / all, GromovAlignment.MeanPartners(block), reading);
    }

    private void Predict(GwMapOutcome outcome, GwMapInput input, GwMapSpacesBuilt spaces, GwMapSteps steps, ResultFolder folder, JsonObject configuration)
    {
        PredictabilityStudyOptions options = new()
        {
            Folds = config.Predictability.Folds,
            Ridge = new RidgeOptions { Alpha = config.Predictability.RidgeAlpha, Permutations = config.Predictability.RidgePermutations, Seed = context.Seed },
            Trees = config.Predictability.Trees is { } trees ? new TreeOptions { Trees = trees.Trees, Depth = trees.Depth, Permutations = trees.Permutations, Seed = context.Seed } : null,
            Mlp = config.Predictability.Mlp is { } mlp ? new MlpOptions { Runs = mlp.Runs, Epochs = mlp.Epochs, Patience = Math.Min(50, mlp.Epochs), Permutations = mlp.Permutations, Seed = context.Seed } : null,
            Device = context.Device,
            Seed = context.Seed,
        };
        Action<string?, string, Matrix<float>>? write = config.WriteSoftTargets
            ? (label, targets, soft) => MatrixWriter.Write(folder.Locate($"soft_targets_{GwMapFiles.FileName(label ?? "all")}_{targets}.npy"), soft.View) : null;
        outcome.Runs = steps.Parts(Sections(configuration, "predictability", "write_soft_targets"),
            store => PredictabilityStudy.Run(outcome.Alignment.Coupling, input.Sample, spaces.Targets(), options, write, store, context.Progress, context.Cancellation));
    }

    private bool Group(GwMapOutcome outcome, GwMapInput input, GwMapSpacesBuilt spaces)
    {
        Matrix<double> coupling = outcome.Alignment.Coupling;
        BalancedSample sample = input.Sample;
        GeneRanking ranking = GeneRanking.Of(outcome.Runs, config.Modules.RankBy == Within);
        int[] top = ranking.Top(config.Modules.Genes);
        GeneValues expression = spaces.Expression(ranking.Targets);
        using (Matrix<float> profiles = GeneRanking.Profiles(coupling, sample, expression, top, config.Modules.Profiles == Within, context.Cancellation))
            outcome.Found = Find(null, ranking, top, profiles, input, spaces);
        using (Matrix<float> shown = GeneRanking.Profiles(coupling, sample, expression, top, within: false, context.Cancellation))
            outcome.Profiles = ProfileBins.Of(shown, sample, spaces.Images);
        List<FoundModules> within = [];
        foreach (string label in sample.Labels)
        {
            GeneRanking own = GeneRanking.OfLabel(outcome.Runs, label);
            int[] best = own.Top(config.Modules.Genes);
            using Matrix<float> profiles = GeneRanking.LabelProfiles(coupling, sample, expression, best, label, context.Cancellation);
            within.Add(Find(label, own, best, profiles, input, spaces));
        }
        outcome.WithinLabels = within;
        return true;
    }

    private FoundModules Find(string? label, GeneRanking ranking, int[] genes, Matrix<float> profiles, GwMapInput input, GwMapSpacesBuilt spaces)
    {
        ModuleOptions options = new(config.Modules.Resolutions, config.Modules.Neighbours, context.Seed);
        ModuleHierarchy modules = GeneModules.Find(profiles.View, [.. genes.Select(g => spaces.Used.Genes[g])], options, context.Progress, context.Cancellation);
        // Every gene that was predicted could have entered a module.
        return new FoundModules(label, ranking, genes, modules, input.GeneSets is { } sets ? GeneSetEnrichment.Test(modules, sets, spaces.Used.Genes) : null,
            input.Planted is { } planted ? ProgrammeRecovery.Measure(modules, planted, seed: context.Seed, cancel: context.Cancellation) : null);
    }

    private void Print(GwMapOutcome outcome, ResultFolder folder)
    {
        GwMapCoupling alignment = outcome.Alignment;
        context.Say($"verdict          {alignment.Trust}");
        foreach (string reason in alignment.Against) context.Say($"  against: {reason}");
        foreach (string reason in alignment.For) context.Say($"  for:     {reason}");
        string assigned = outcome.Reading.Assignment is { } assignment ? Text($", assignment {assignment.Accuracy:F3}") : "";
        context.Say(Text($"label transfer   one-to-one {alignment.OneToOne.Accuracy:F3}{assigned}, barycentric {alignment.Barycentric.Accuracy:F3} (chance {alignment.Chance:F3})"));
        foreach (PredictabilityRun run in outcome.Runs)
        {
            string nulls = run.Result.NullMeans is { Length: > 0 } means ? Text($" (null {means.Average():F3})") : "";
            context.Say(Text($"R² {run.Label ?? "all labels"}: {run.Targets} by {run.Model} {run.Result.MeanRSquared:F3}{nulls}"));
        }
        ModuleHierarchy modules = outcome.Modules!;
        context.Say($"modules          {string.Join(", ", modules.Resolutions.Select((r, l) => Text($"{modules.Sizes[l].Length} at {r}")))} of {modules.Genes.Count} genes");
        foreach (FoundModules within in outcome.WithinLabels)
            context.Say($"  within {within.Label}: {string.Join(", ", within.Modules.Resolutions.Select((r, l) => Text($"{within.Modules.Sizes[l].Length} at {r}")))}");
        if (outcome.Recovery is { } recovery) context.Say(ProgrammeRecovery.Describe(recovery, modules));
        context.Say($"report           {Path.GetFullPath(folder.Locate(GwMapFiles.Report))}");
    }

    private string Locate(string locator) => Path.IsPathRooted(locator) ? locator : Path.GetRelativePath(Environment.CurrentDirectory, Path.GetFullPath(locator, baseFolder));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
