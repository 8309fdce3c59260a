using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>root_robustness</c>: Spearman's correlation of pseudotime and value from each of the control cells nearest to their mean.</summary>
internal sealed class RootRobustnessStep : ICellStep
{
    private sealed record Settings(TrajectoryGroups Groups, string Value, int Roots, int Components, PseudotimeRule Rule, string NeighborsKey, TrajectoryFiles Files);

    public string Name => "root_robustness";

    public string Summary => "how far the pseudotime depends on the choice of its root; needs diffmap";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        .. TrajectoryGroups.Parameters,
        TrajectoryCells.Value,
        new("n_roots", "10", "control cells taken as the root in turn, 1 or more"),
        new("n_dcs", "10", "diffusion components, 1 or more"),
        TrajectoryCells.Rule,
        TrajectoryCells.NeighborsKey,
        .. TrajectoryFiles.Parameters,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        using DiffusionMap map = TrajectoryCells.StoredMap(context, s.NeighborsKey);
        int[] control = s.Groups.ControlCells(context);
        double[] value = CellMatrices.Numbers(context, s.Value);
        List<string> warnings = [];
        (string Name, RootRobustness Result, int Cells)[] all = [.. s.Groups.Usable(context, value, null, "no correlation", warnings)
            .Select(m => (m.Name, RootRobustness.Compute(map, control, m.Cells, value, s.Roots, s.Components, s.Rule), m.Cells.Count(c => double.IsFinite(value[c]))))];
        (string graph, int? components, int? neighbours) = TrajectoryFiles.GraphOf(context, s.NeighborsKey);
        AnnDictionary kept = new() { ["params"] = settings.Used };
        foreach ((string name, RootRobustness result, _) in all)
            kept[TrajectoryCells.Key(name)] = new AnnDictionary
            {
                ["roots"] = NdArray.Vector(Array.ConvertAll(result.Roots, r => (long)r)),
                ["rho"] = NdArray.Vector(result.Spearman),
                ["r"] = NdArray.Vector(result.Pearson),
                ["mean"] = NdArray.Scalar(result.Mean),
                ["std"] = NdArray.Scalar(result.Deviation),
            };
        context.Cells.Uns["root_robustness"] = kept;
        var rows = all.SelectMany(a => a.Result.Roots.Select((root, i) => (a.Name, Rank: i + 1, Root: root, Rho: a.Result.Spearman[i], R: a.Result.Pearson[i]))).ToArray();
        string csv = TrajectoryCells.Csv(
            new Column("Mutation", [.. rows.Select(r => r.Name)]),
            new Column("PCA", [.. rows.Select(_ => (double?)components ?? double.NaN)]),
            new Column("kNN", [.. rows.Select(_ => (double?)neighbours ?? double.NaN)]),
            new Column("Rank", [.. rows.Select(r => r.Rank)]),
            new Column("Root", [.. rows.Select(r => context.Cells.Obs.Index[r.Root])]),
            new Column("rho", [.. rows.Select(r => r.Rho)]),
            new Column("r", [.. rows.Select(r => r.R)]),
            new Column("rho_mean", [.. all.SelectMany(a => a.Result.Roots.Select(_ => a.Result.Mean))]),
            new Column("rho_std", [.. all.SelectMany(a => a.Result.Roots.Select(_ => a.Result.Deviation))]));
        return new StepOutcome(string.Join(", ", all.Select(a => string.Create(CultureInfo.InvariantCulture, $"{a.Name} rho {a.Result.Mean:0.000} +- {a.Result.Deviation:0.000} over {a.Result.Roots.Length} roots"))))
        {
            Warnings = warnings,
            Report = [new FigureRowBlock([PseudotimeReport.Roots([.. all], s.Value)])],
            Tables = [($"root_perturbation_robustness_{s.Files.Label(context)}_{graph}.csv", csv)],
        };
    }

    private static Settings Read(StepSettings settings) => new(TrajectoryGroups.Read(settings), settings.Text("value"), settings.Integer("n_roots", 1),
        settings.Integer("n_dcs", 1), TrajectoryCells.ReadRule(settings), settings.Text("neighbors_key"), TrajectoryFiles.Read(settings));
}
