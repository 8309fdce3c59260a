using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>dpt_sweep</c>: the published table of pseudotime against a measured value over principal components and neighbours.</summary>
internal sealed class DptSweepStep : ICellStep
{
    private sealed record Settings(TrajectoryGroups Groups, string Value, string Layer, TrajectoryFiles Files, SweepOptions Options);

    public string Name => "dpt_sweep";

    public string Summary => "pseudotime of each mutation with the control over n_pcs x n_neighbors, against a measured value; tables dpt_summary_*";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. TrajectoryGroups.Parameters,
        TrajectoryCells.Value,
        new("n_pcs", "30;40;50", "numbers of principal components, 1 or more each"),
        new("n_neighbors", "15;20;25;30;35", "numbers of neighbours, the cell itself included, 2 or more each"),
        new("de_mode", "per_mut", "per_mut: components of each mutation with the control; union: components of all cells"),
        new("n_comps", "15", "diffusion components, in which the root is found, 2 or more"),
        new("n_dcs", "10", "diffusion components of the pseudotime, 1 to n_comps"),
        TrajectoryCells.Rule,
        new("gam_splines", "5", "splines of the trend, 4 or more"),
        new("layer", "X", "X or the layer to analyse, prepared (log_std)"),
        .. TrajectoryFiles.Parameters,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        int[] control = s.Groups.ControlCells(context);
        IReadOnlyList<MutationCells> mutations = s.Groups.Mutations(context);
        double[] value = CellMatrices.Numbers(context, s.Value);
        int most = mutations.Count == 0 ? 0 : mutations.Max(m => m.Cells.Length);
        CellMemory.Require(context, $"{s.Layer} and one pair of groups in double precision", 8L * context.Cells.VariableCount * (context.Cells.ObservationCount + control.Length + most));
        using Matrix<double> x = CellMatrices.Double(context, context.Host, s.Layer);
        IReadOnlyList<SweepPoint> points = PseudotimeSweep.Run(context.Device, x, control, mutations, value, s.Options, context.Progress, context.Cancellation);
        string label = s.Files.Label(context);
        List<(string, string)> tables = [($"dpt_summary_{label}.csv", Rows(points, s, context)), ($"dpt_means_{label}.csv", Means(points))];
        foreach (int p in s.Options.Dimensions)
            foreach (int k in s.Options.Neighbours)
                tables.Add((FormattableString.Invariant($"dpt_summary_{label}_pca{p}_k{k}.csv"), Rows([.. points.Where(o => o.Dimensions == p && o.Neighbours == k)], s, context)));
        context.Cells.Uns["dpt_sweep"] = Kept(points, settings);
        SweepPoint[] compared = [.. points.Where(p => double.IsFinite(p.Evaluation.Spearman))];
        string[] said = [.. compared.GroupBy(p => p.Mutation).Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Key} rho {g.Min(p => p.Evaluation.Spearman):0.000} to {g.Max(p => p.Evaluation.Spearman):0.000}"))];
        return new StepOutcome($"{points.Count} points over {s.Options.Dimensions.Count} x {s.Options.Neighbours.Count}; {string.Join(", ", said)}")
        {
            Tables = tables,
            Warnings = Warnings(points, mutations),
            Report = compared.Length == 0 ? [] : [new FigureRowBlock([PseudotimeReport.Sweep(compared, "ρ", e => e.Spearman, s.Value)]), new FigureRowBlock([PseudotimeReport.Sweep(compared, "r", e => e.Pearson, s.Value)])],
        };
    }

    private static List<string> Warnings(IReadOnlyList<SweepPoint> points, IReadOnlyList<MutationCells> mutations)
    {
        List<string> warnings = [.. mutations.Where(m => m.Cells.Length < PseudotimeSweep.FewestCells).Select(m => $"{m.Name} has {m.Cells.Length} cells and is passed over; {PseudotimeSweep.FewestCells} are needed.")];
        warnings.AddRange(points.Where(p => double.IsNaN(p.Evaluation.Spearman)).GroupBy(p => p.Mutation)
            .Select(g => $"{g.Key}: {g.Count()} of its points have no correlation, because fewer than {PseudotimeSweep.FewestCells} of its cells have a time and a value, or all are equal."));
        int parted = points.Count(p => p.Time.Unreachable > 0), unweighted = points.Count(p => p.Time.LeftUnweighted > 0);
        if (parted > 0) warnings.Add($"in {parted} of {points.Count} points the graph has several components, and cells outside that of the root are not evaluated.");
        if (unweighted > 0) warnings.Add($"in {unweighted} of {points.Count} points eigenvalues that are not trivial lie above scanpy's bound of 0.9994 and count 1; rule=exact weighs them by their value.");
        return warnings;
    }

    private static string Rows(IReadOnlyList<SweepPoint> points, Settings s, CellsContext context) => TrajectoryCells.Csv(
        new Column("Mutation", [.. points.Select(p => p.Mutation)]),
        new Column("Seed", [.. points.Select(_ => context.Seed.ToString(CultureInfo.InvariantCulture))]),
        new Column("Norm", [.. points.Select(_ => s.Files.Norm)]),
        new Column("kNN", [.. points.Select(p => p.Neighbours)]),
        new Column("Features", [.. points.Select(_ => context.Cells.VariableCount)]),
        new Column("PCA", [.. points.Select(p => p.Dimensions)]),
        new Column("rho", [.. points.Select(p => p.Evaluation.Spearman)]),
        new Column("r", [.. points.Select(p => p.Evaluation.Pearson)]),
        new Column("gam_r2", [.. points.Select(p => p.Evaluation.AdjustedRSquared)]));

    private static string Means(IReadOnlyList<SweepPoint> points)
    {
        var groups = points.GroupBy(p => (p.Mutation, p.Dimensions, p.Neighbours)).ToArray();
        return TrajectoryCells.Csv(
            new Column("Mutation", [.. groups.Select(g => g.Key.Mutation)]),
            new Column("PCA", [.. groups.Select(g => g.Key.Dimensions)]),
            new Column("kNN", [.. groups.Select(g => g.Key.Neighbours)]),
            new Column("rho", [.. groups.Select(g => g.Average(p => p.Evaluation.Spearman))]),
            new Column("r", [.. groups.Select(g => g.Average(p => p.Evaluation.Pearson))]),
            new Column("n", [.. groups.Select(g => g.Count())]));
    }

    private static AnnDictionary Kept(IReadOnlyList<SweepPoint> points, StepSettings settings) => new()
    {
        ["params"] = settings.Used,
        ["Mutation"] = NdArray.Vector(points.Select(p => p.Mutation).ToArray()),
        ["PCA"] = NdArray.Vector(points.Select(p => (long)p.Dimensions).ToArray()),
        ["kNN"] = NdArray.Vector(points.Select(p => (long)p.Neighbours).ToArray()),
        ["rho"] = NdArray.Vector(points.Select(p => p.Evaluation.Spearman).ToArray()),
        ["r"] = NdArray.Vector(points.Select(p => p.Evaluation.Pearson).ToArray()),
        ["gam_r2"] = NdArray.Vector(points.Select(p => p.Evaluation.AdjustedRSquared).ToArray()),
        ["iroot"] = NdArray.Vector(points.Select(p => (long)p.Root).ToArray()),
        ["cells"] = NdArray.Vector(points.Select(p => (long)p.Evaluation.Cells).ToArray()),
        ["unreachable"] = NdArray.Vector(points.Select(p => (long)p.Time.Unreachable).ToArray()),
    };

    private static Settings Read(StepSettings settings)
    {
        SweepOptions options = new()
        {
            Dimensions = Integers(settings, "n_pcs", 1),
            Neighbours = Integers(settings, "n_neighbors", 2),
            Components = settings.Choice("de_mode", "per_mut", "union") == "union" ? SweepComponents.Union : SweepComponents.PerMutation,
            DiffusionComponents = settings.Integer("n_comps", 2),
            Rule = TrajectoryCells.ReadRule(settings),
            Evaluation = new EvaluationOptions { Splines = settings.Integer("gam_splines", 4) },
        };
        options = options with { PseudotimeComponents = settings.Integer("n_dcs", 1, options.DiffusionComponents) };
        return new Settings(TrajectoryGroups.Read(settings), settings.Text("value"), settings.Text("layer"), TrajectoryFiles.Read(settings), options);
    }

    private static int[] Integers(StepSettings settings, string name, int least)
    {
        int[] values = [.. settings.List(name).Select(t => int.TryParse(t, NumberStyles.None, CultureInfo.InvariantCulture, out int v) && v >= least ? v
            : throw new UsageException($"--steps dpt_sweep: {name}={t}; whole numbers from {least} on, separated by semicolons, were expected."))];
        return values.Length > 0 ? values : throw new UsageException($"--steps dpt_sweep: {name} is empty; at least one number was expected.");
    }
}
