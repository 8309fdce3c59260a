using BioSup.Cli.Pipeline.Cells.Steps;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>Every step that <c>biosup cells</c> knows, in the order in which docs/cells.md describes them.</summary>
internal static class CellSteps
{
    public static IReadOnlyList<ICellStep> All { get; } =
    [
        // Quality control and filters.
        new QcStep(), new FilterCellsStep(), new FilterGenesStep(), new KeepStep(),

        // Normalisation and variable genes.
        new NormalizeTotalStep(), new Log1pStep(), new HighlyVariableGenesStep(), new ScaleStep(), new L2Step(), new ScoreGenesStep(),

        // Latents of images.
        new LatentsStep(),

        // Principal components.
        new PcaStep(),

        // Neighbours.
        new NeighborsStep(),

        // Diffusion maps and pseudotime.
        new DiffmapStep(),
        new DptStep(),
        new DptSweepStep(),
        new RootRobustnessStep(),
        new TercilesStep(),

        // Trends along pseudotime.
        new GamStep(),
        new DptHeatmapStep(),

        // Layouts.
        new UmapStep(),

        // PHATE.
        new PhateStep(),

        // Communities.
        new LeidenStep(),
        new PagaStep(),

        // Differential expression.
        new RankGenesGroupsStep(),
        new SelectConceptsStep(),

        // Measures of a value over a representation.
        new MoranStep(),
        new RidgeStep(),
        new LocalSdStep(),

        // Figures.
        new PlotStep(),
        new ViolinStep(),
        new DotPlotStep(),
    ];

    /// <summary>Parses <c>name:key=value:…,name,…</c> and checks every step and setting, so that nothing is begun that cannot be finished.</summary>
    /// <param name="text">What follows --steps.</param>
    /// <param name="known">The steps to choose from.</param>
    /// <exception cref="UsageException">A step is not known, or a setting is not known, given twice or out of range.</exception>
    public static IReadOnlyList<PlannedStep> Parse(string text, IReadOnlyList<ICellStep> known)
    {
        List<PlannedStep> plan = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] pieces = part.Split(':');
            string name = pieces[0].Trim();
            if (name.Length == 0) throw new UsageException($"--steps {text}: there is an empty step; write steps as name:key=value:key=value, separated by commas.");
            ICellStep step = known.FirstOrDefault(s => s.Name == name)
                ?? throw new UsageException($"--steps: there is no step '{name}'{Nearest(name, known)}; 'biosup cells --steps help' lists them.");
            StepSettings tried = StepSettings.Parse(step, pieces[1..]);
            RequireKeys(step, tried);
            CellsRunner.Named(step, () => step.Check(tried));
            plan.Add(new PlannedStep(step, StepSettings.Parse(step, pieces[1..])));
        }
        return plan;
    }

    // What HDF5 cannot hold would be found when all the work is done.
    private static void RequireKeys(ICellStep step, StepSettings settings)
    {
        foreach (StepParameter parameter in step.Parameters.Where(p => p.Name is "key_added" or "score_name" || (p.Name == "layer" && step.Name == "keep")))
        {
            string key = settings.Typed(parameter.Name);
            if (key != parameter.Default && (key.Length == 0 || key.Contains('/') || key is "_index" or "." or ".." || (step.Name == "keep" && key == "X")))
                throw new UsageException($"--steps {step.Name}: {parameter.Name}={key} cannot be the name of a result; a name that is not empty, not taken and without '/' was expected.");
        }
    }

    private static string Nearest(string name, IReadOnlyList<ICellStep> known)
    {
        string[] near = [.. known.Select(s => s.Name).Where(other => Distance(name, other) <= 2 || other.Contains(name, StringComparison.Ordinal))];
        return near.Length == 0 ? "" : $" (did you mean {string.Join(" or ", near)}?)";
    }

    /// <summary>Levenshtein's distance.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int corner = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                (corner, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}

/// <summary>A step with the settings it will run with.</summary>
internal sealed record PlannedStep(ICellStep Step, StepSettings Settings);
