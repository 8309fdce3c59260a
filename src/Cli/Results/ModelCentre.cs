using BioSup.Data;

namespace BioSup.Cli;

/// <summary>centre.npy beside a model: what was taken off the tokens it was trained on, so that other images can be encoded as those were.</summary>
internal static class ModelCentre
{
    public const string FileName = "centre.npy";

    /// <summary>Leaves the centre beside the model, and no centre of an earlier one where there is none.</summary>
    public static void Keep(string model, float[]? centre)
    {
        string file = Path.Combine(model, FileName);
        if (centre is not null) NpyFile.Write(file, NdArray.Vector(centre));
        else File.Delete(file);
    }

    /// <summary>The centre of a model or a token folder; null where there is none.</summary>
    public static float[]? Find(string? folder) => folder is not null && Path.Combine(folder, FileName) is var file && File.Exists(file) && NpyFile.Read(file) is { Values: float[] centre } ? centre : null;
}
