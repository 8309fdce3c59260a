using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells.Steps;

/// <summary>X or a layer as the steps of preprocessing take and give it, and settings that may be left open.</summary>
internal static class StepMatrix
{
    /// <summary>What a setting says that is not used.</summary>
    public const string None = "none";

    public static readonly StepParameter Layer = new("layer", "X", "X, or the name of a layer");

    /// <summary>A copy in single precision, sparse where the file has it sparse.</summary>
    public static CellMatrix Read(CellsContext context, string layer) =>
        CellMatrix.From(CellMatrices.Stored(context, layer), context.Host, context.Source, layer is "" or "X" ? "X" : $"layers/{layer}");

    public static void Write(CellsContext context, string layer, CellMatrix matrix)
    {
        if (layer is "" or "X") context.Cells.X = matrix.ToElement();
        else context.Cells.Layers[layer] = matrix.ToElement();
    }

    /// <summary>A number, or null for "none".</summary>
    public static double? NumberOrNone(this StepSettings settings, string name, double least = double.NegativeInfinity, double most = double.PositiveInfinity) =>
        settings.Text(name) == None ? null : settings.Number(name, least, most);

    /// <summary>A whole number, or null for "none".</summary>
    public static int? IntegerOrNone(this StepSettings settings, string name, int least, int most = int.MaxValue) =>
        settings.Text(name) == None ? null : settings.Integer(name, least, most);

    /// <summary>A text, or null for "none".</summary>
    public static string? TextOrNone(this StepSettings settings, string name) => settings.Text(name) is var text && text == None ? null : text;

    /// <summary>NumPy's seeds.</summary>
    public static uint NumpySeed(this StepSettings settings, string name = "random_state") => settings.Number(name, 0, uint.MaxValue) is var seed && seed == Math.Floor(seed) ? (uint)seed : throw new UsageException($"{name}={seed}; a whole number from 0 to {uint.MaxValue} was expected.");
}
