using System.Globalization;
using BioSup.Analysis.SingleCell;
using BioSup.Cli.Pipeline.Cells.Reporting;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary><c>diffmap</c>: the diffusion map of a neighbour graph under the keys of <c>sc.tl.diffmap</c>.</summary>
internal sealed class DiffmapStep : ICellStep
{
    public string Name => "diffmap";

    public string Summary => "diffusion map of the neighbour graph";

    public IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("n_comps", "15", "components, the trivial one included; 2 or more, fewer than the cells"),
        new("neighbors_key", "neighbors", "key of uns that describes the graph"),
    ];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (int count, string key) = Read(settings);
        using DiffusionMap map = DiffusionMap.Compute(context.Host, CellMatrices.Connectivities(context, key), count, context.Cancellation);
        float[] coordinates = new float[(long)map.Cells * count];
        for (int c = 0; c < count; c++)
        {
            ReadOnlySpan<double> vector = map.Vectors.Row(c);
            for (int i = 0; i < vector.Length; i++) coordinates[i * count + c] = (float)vector[i];
        }
        context.Cells.Obsm["X_diffmap"] = new NdArray(coordinates, map.Cells, count);
        context.Cells.Uns["diffmap_evals"] = NdArray.Vector(Array.ConvertAll(map.Eigenvalues, v => (float)v));
        List<string> warnings = [];
        if (map.ComponentCount > 1) warnings.Add($"the graph has {map.ComponentCount} components, each with an eigenvalue 1 of its own: cells of different components cannot be compared.");
        int negative = map.Eigenvalues.Count(v => v < 0);
        if (negative > 0) warnings.Add($"{negative} of the {count} eigenvalues of largest magnitude are negative: they stand for alternation between neighbours, not for slow change; fewer components leave them out.");
        return new StepOutcome(string.Create(CultureInfo.InvariantCulture,
            $"{Numbers.Integer(map.Cells)} cells, {count} components, eigenvalues {map.Eigenvalues[0]:0.0000} to {map.Eigenvalues[^1]:0.0000}"))
        {
            Warnings = warnings,
            // The first component is the trivial one: it shows nothing of the cells.
            Report = count < 3 ? [] : EmbeddingFigure.Overview(context, "diffmap", new EmbeddingOptions { Components = (2, 3) }),
        };
    }

    private static (int Count, string Key) Read(StepSettings settings) => (settings.Integer("n_comps", 2), settings.Text("neighbors_key"));
}
