using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>Keeps X as it stands, as <c>adata.layers[…] = adata.X.copy()</c> and <c>adata.raw = adata</c> do.</summary>
internal sealed class KeepStep : ICellStep
{
    public string Name => "keep";

    public string Summary => "keeps X as it stands in a layer or as raw, for later steps";

    public IReadOnlyList<StepParameter> Parameters { get; } = [new("layer", StepMatrix.None, "name of the layer, such as counts"), new("raw", "false", "whether X and var become raw")];

    public void Check(StepSettings settings) => Read(settings);

    public StepOutcome Run(StepSettings settings, CellsContext context)
    {
        (string? layer, bool raw) = Read(settings);
        IAnnElement x = CellMatrices.Stored(context);
        // The arrays are shared: no step changes one in place.
        if (layer is not null) context.Cells.Layers[layer] = x;
        if (raw)
        {
            int[] all = [.. Enumerable.Range(0, context.Cells.VariableCount)];
            AnnDictionary varm = [];
            foreach ((string key, IAnnElement? value) in context.Cells.Varm) varm[key] = value;
            context.Cells.Raw = new AnnRaw(x, context.Cells.Var.Select(all), varm);
        }
        return new StepOutcome($"X is kept as {(layer is null ? "raw" : raw ? $"layers/{layer} and raw" : $"layers/{layer}")}");
    }

    private static (string? Layer, bool Raw) Read(StepSettings settings)
    {
        (string? layer, bool raw) = (settings.TextOrNone("layer"), settings.Flag("raw"));
        return layer is null && !raw ? throw new UsageException("give layer=NAME or raw=true.") : (layer, raw);
    }
}
