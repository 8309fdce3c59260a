using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>violin</c>: distributions of columns of obs or of variables in groups of cells. It changes nothing in the matrix.</summary>
internal sealed class ViolinStep : ICellStep
{
    public string Name => "violin";

    public string Summary => "distributions in groups of cells, with a test over all and tests against one of them";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("keys", "", "columns of obs with numbers or names of variables, separated by semicolons"),
        new("groupby", "leiden", "column of obs with the groups"),
        new("reference", "", "group that all others are compared with (two-sided Mann–Whitney, Bonferroni); empty for none of these tests"),
        new("layer", "X", "matrix from which variables are taken"),
    ];

    public void Check(StepSettings settings)
    {
        if (settings.List("keys").Length == 0) throw new UsageException("--steps violin: keys is empty; name columns of obs or variables, such as keys=total_counts;CD3D.");
    }

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        string[] keys = settings.List("keys");
        (string groups, string reference, string layer) = (settings.Text("groupby"), settings.Text("reference"), settings.Text("layer"));
        FigureItem[] figures = [.. keys.Select(k => MarkerReport.Violins(context, k, groups, reference, layer))];
        return new StepOutcome($"{string.Join(", ", keys)} of {Captions.Cells(context.Cells.ObservationCount)} by {groups}") { Report = [.. figures.Chunk(figures[0].Figure.Width > 472 ? 1 : 2).Select(row => new FigureRowBlock(row))] };
    }
}
