using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>dpt</c>: diffusion pseudotime under <c>obs/dpt_pseudotime</c> and its root under <c>uns/iroot</c>.</summary>
internal sealed class DptStep : ICellStep
{
    private sealed record Settings(string Root, string Groupby, string Control, string Value, int Components, PseudotimeRule Rule, string NeighborsKey);

    public string Name => "dpt";

    public string Summary => "diffusion pseudotime (Haghverdi et al. 2016) from a root cell; needs diffmap";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("root", "", "name or number (from 0) of the root cell; empty: by groupby and control, else uns/iroot"),
        new("groupby", "", "column of obs with the group of the control cells; the root is the control cell nearest to their mean in X_diffmap"),
        TrajectoryCells.Control,
        new("value", "", "numeric column of obs to compare the pseudotime with, on the cells that are not control; empty for none"),
        new("n_dcs", "10", "diffusion components, 1 or more"),
        TrajectoryCells.Rule,
        TrajectoryCells.NeighborsKey,
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        Settings s = Read(settings);
        using DiffusionMap map = TrajectoryCells.StoredMap(context, s.NeighborsKey);
        int root = Root(s, context, map);
        DiffusionPseudotime time = DiffusionPseudotime.Compute(map, root, s.Components, s.Rule);
        context.Cells.Obs.Set(FrameColumn.Of("dpt_pseudotime", time.Values));
        context.Cells.Uns["iroot"] = NdArray.Scalar((long)root);
        AnnDictionary kept = new()
        {
            ["params"] = settings.Used,
            ["components"] = NdArray.Scalar((long)map.ComponentCount),
            ["fraction_inf"] = NdArray.Scalar((double)time.Unreachable / map.Cells),
            ["left_unweighted"] = NdArray.Scalar((long)time.LeftUnweighted),
        };
        string said = string.Create(CultureInfo.InvariantCulture, $"root {context.Cells.Obs.Index[root]} (cell {root}); {Numbers.Integer(map.Cells - time.Unreachable)} of {Numbers.Integer(map.Cells)} cells reached, {map.ComponentCount} component{(map.ComponentCount == 1 ? "" : "s")} of the graph");
        if (s.Value.Length > 0) said += "; " + Evaluate(s, context, time, kept);
        context.Cells.Uns["dpt"] = kept;
        return new StepOutcome(said) { Warnings = Warnings(time, map), Report = EmbeddingFigure.InAny(context, "dpt_pseudotime") };
    }

    private static string Evaluate(Settings s, CellsContext context, DiffusionPseudotime time, AnnDictionary kept)
    {
        HashSet<int> control = s.Groupby.Length == 0 ? [] : [.. TrajectoryCells.InGroup(context, s.Groupby, s.Control)];
        int[] rows = [.. Enumerable.Range(0, time.Values.Length).Where(i => !control.Contains(i))];
        PseudotimeEvaluation evaluation = PseudotimeEvaluation.Compute(TrajectoryCells.At(time.Values, rows), TrajectoryCells.At(CellMatrices.Numbers(context, s.Value), rows));
        (kept["rho"], kept["r"], kept["evaluated"]) = (NdArray.Scalar(evaluation.Spearman), NdArray.Scalar(evaluation.Pearson), NdArray.Scalar((long)evaluation.Cells));
        return string.Create(CultureInfo.InvariantCulture, $"with {s.Value} on {Numbers.Integer(evaluation.Cells)} cells: Spearman {evaluation.Spearman:0.000}, Pearson {evaluation.Pearson:0.000}");
    }

    private static List<string> Warnings(DiffusionPseudotime time, DiffusionMap map)
    {
        List<string> warnings = [];
        if (time.Unreachable > 0)
            warnings.Add(string.Create(CultureInfo.InvariantCulture, $"{time.Unreachable} cells ({100.0 * time.Unreachable / map.Cells:0.0}%) lie in other components of the graph than the root and are at infinity; a larger n_neighbors may join them."));
        if (time.LeftUnweighted > 0)
            warnings.Add($"{time.LeftUnweighted} eigenvalues that are not trivial lie above scanpy's bound of 0.9994 and count 1; rule=exact weighs them by their value.");
        return warnings;
    }

    private static int Root(Settings s, CellsContext context, DiffusionMap map)
    {
        if (s.Root.Length > 0)
        {
            int named = Array.IndexOf(context.Cells.Obs.Index, s.Root);
            if (named >= 0) return named;
            if (int.TryParse(s.Root, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number < map.Cells) return number;
            throw new UsageException($"root={s.Root} is neither the name of a cell nor a number from 0 to {map.Cells - 1}.");
        }
        if (s.Groupby.Length > 0) return map.Medoid(TrajectoryCells.InGroup(context, s.Groupby, s.Control));
        if (context.Cells.Uns.GetValueOrDefault("iroot") is NdArray { Length: 1 } stored && stored.Type.IsInteger() && stored.ToInt64()[0] is >= 0 and long at && at < map.Cells) return (int)at;
        throw new UsageException("there is no root: give root=CELL, or groupby=COLUMN:control=GROUP, or a file with uns/iroot.");
    }

    private static Settings Read(StepSettings settings) => new(settings.Text("root"), settings.Text("groupby"), settings.Text("control"), settings.Text("value"),
        settings.Integer("n_dcs", 1), TrajectoryCells.ReadRule(settings), settings.Text("neighbors_key"));
}
