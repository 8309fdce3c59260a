using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>dotplot</c>: means and shares of variables in groups of cells. It changes nothing in the matrix.</summary>
internal sealed class DotPlotStep : ICellStep
{
    public string Name => "dotplot";

    public string Summary => "means of variables and shares of cells above zero, by group";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("var_names", "", "names of variables, separated by semicolons"),
        new("groupby", "leiden", "column of obs with the groups"),
        new("layer", "X", "matrix from which variables are taken"),
    ];

    public void Check(StepSettings settings)
    {
        if (settings.List("var_names").Length == 0) throw new UsageException("--steps dotplot: var_names is empty; name variables, such as var_names=CD3D;NKG7.");
    }

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        string[] names = settings.List("var_names");
        string groups = settings.Text("groupby");
        FigureItem figure = MarkerReport.Dots(context, groups, names, settings.Text("layer"));
        return new StepOutcome($"{names.Length} variables of {Captions.Cells(context.Cells.ObservationCount)} by {groups}") { Report = [new FigureRowBlock([figure])] };
    }
}
