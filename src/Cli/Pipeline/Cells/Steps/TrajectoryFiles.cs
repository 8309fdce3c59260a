using BioSup.Data;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>The labels that the published code gives its files: how the cells were prepared, which representation, and of which graph.</summary>
/// <param name="Norm">Name of the preparation.</param>
/// <param name="Layer">Name of the representation.</param>
internal sealed record TrajectoryFiles(string Norm, string Layer)
{
    public static IReadOnlyList<StepParameter> Parameters { get; } =
    [
        new("norm", "log_std", "name of the preparation in file names and tables"),
        new("which_layer", "X", "name of the representation in file names"),
    ];

    public static TrajectoryFiles Read(StepSettings settings) => new(settings.Text("norm"), settings.Text("which_layer"));

    /// <summary>"log_std_X_seed3".</summary>
    public string Label(CellsContext context) => $"{Norm}_{Layer}_seed{context.Seed}";

    /// <summary>"pca50_k15": what the neighbour graph was made with, as far as the file says; NA for what it does not.</summary>
    public static (string Label, int? Components, int? Neighbours) GraphOf(CellsContext context, string neighborsKey)
    {
        AnnDictionary? described = (context.Cells.Uns.GetValueOrDefault(neighborsKey) as AnnDictionary)?.GetValueOrDefault("params") as AnnDictionary;
        int? neighbours = Number(described, "n_neighbors"), components = Number(described, "n_pcs");
        components ??= context.Cells.Obsm.GetValueOrDefault("X_pca") is NdArray { Rank: 2 } scores ? (int)scores.Shape[1] : null;
        return ($"pca{components?.ToString() ?? "NA"}_k{neighbours?.ToString() ?? "NA"}", components, neighbours);
    }

    private static int? Number(AnnDictionary? described, string key) =>
        described?.GetValueOrDefault(key) is NdArray { Length: 1 } value && value.Type.IsInteger() && value.ToInt64()[0] is > 0 and <= int.MaxValue ? (int)value.ToInt64()[0] : null;
}
