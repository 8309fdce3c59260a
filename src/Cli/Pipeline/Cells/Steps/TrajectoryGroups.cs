using BioSup.Analysis.SingleCell;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>The control cells of a trajectory and the groups that are evaluated on it.</summary>
/// <param name="Column">Column of obs with the groups.</param>
/// <param name="Control">The group where the trajectory begins; empty for none.</param>
/// <param name="Asked">Groups asked for; empty for all but the control.</param>
internal sealed record TrajectoryGroups(string Column, string Control, string[] Asked)
{
    public static IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("groupby", "superclass", "column of obs with the groups of cells"),
        TrajectoryCells.Control,
        new("groups", "", "groups to evaluate, separated by semicolons; empty for all but the control"),
    ];

    public static TrajectoryGroups Read(StepSettings settings) => new(settings.Text("groupby"), settings.Text("control"), settings.List("groups"));

    /// <exception cref="UsageException">No cell is in the group.</exception>
    public int[] ControlCells(CellsContext context) => TrajectoryCells.InGroup(context, Column, Control);

    /// <summary>The groups asked for, or all but the control in the order of the column's categories.</summary>
    /// <exception cref="UsageException">A group has no cell.</exception>
    public IReadOnlyList<MutationCells> Mutations(CellsContext context)
    {
        (int[] codes, string[] names) = CellMatrices.Groups(context, Column);
        return [.. (Asked.Length > 0 ? Asked : names.Where((n, c) => n != Control && codes.Contains(c))).Select(name => new MutationCells(name, TrajectoryCells.InGroup(context, Column, name)))];
    }

    /// <summary>Those of <see cref="Mutations"/> of which enough cells have what is needed; each of the others gets a sentence.</summary>
    /// <param name="context">The matrix.</param>
    /// <param name="needed">[cells] what has to be finite, such as the pseudotime.</param>
    /// <param name="beside">[cells] what has to be finite too, such as the value; null for nothing.</param>
    /// <param name="what">What is not done for the others: "no trend".</param>
    /// <param name="warnings">Receives the sentences.</param>
    /// <exception cref="UsageException">No group is left.</exception>
    public IReadOnlyList<MutationCells> Usable(CellsContext context, double[] needed, double[]? beside, string what, List<string> warnings) => Usable(Mutations(context), needed, beside, what, warnings);

    /// <summary>The same of groups that were found otherwise.</summary>
    public static IReadOnlyList<MutationCells> Usable(IReadOnlyList<MutationCells> groups, double[] needed, double[]? beside, string what, List<string> warnings)
    {
        string finite = beside is null ? "a finite number" : "a finite time and value";
        List<MutationCells> usable = [];
        foreach (MutationCells group in groups)
        {
            int cells = group.Cells.Count(c => double.IsFinite(needed[c]) && (beside is null || double.IsFinite(beside[c])));
            if (cells >= PseudotimeSweep.FewestCells) usable.Add(group);
            else warnings.Add($"{group.Name}: {what}, because {cells} of its cells have {finite}; {PseudotimeSweep.FewestCells} are needed.");
        }
        return usable.Count > 0 ? usable : throw new UsageException($"no group has {PseudotimeSweep.FewestCells} cells with {finite}.");
    }
}
