using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>
/// The cache of pooled latents that the paper's published scripts read: X_all float32 [images, d_sae], y int64, lines and uids (text), usage_ema float32 [d_sae],
/// which_layer (text without dimensions).
/// </summary>
public static class SaeReferenceNpz
{
    /// <summary>The published classes in the order of their numbers.</summary>
    private static readonly string[] s_classes = ["Control", "SNCA", "GBA", "LRRK2"];

    /// <param name="path">The .npz file.</param>
    /// <param name="latents">[images, d_sae], in host memory.</param>
    /// <param name="usage">Moving average of usage [d_sae].</param>
    /// <param name="images">A name for every image.</param>
    /// <param name="labels">A class per image: whole numbers stay, the published classes get their published numbers, other names are numbered in alphabetical order; null: all 0.</param>
    /// <param name="lines">A cell line per image; null takes the labels, or "unknown".</param>
    /// <param name="layer">Layer of the encoder the tokens come from.</param>
    /// <exception cref="DataException">Labels or lines are not one per image.</exception>
    public static void Write(string path, Matrix<float> latents, float[] usage, string[] images, Column? labels, Column? lines, string layer)
    {
        foreach (Column? column in (Column?[])[labels, lines])
            if (column is not null && column.Length != images.Length) throw new DataException(column.Name, null, $"has {column.Length} entries; there are {images.Length} images");
        long[] classes = labels is null ? new long[images.Length] : Numbers(labels);
        string[] names = (lines ?? labels)?.Text ?? [.. Enumerable.Repeat("unknown", images.Length)];
        NpzFile.Write(path, writer =>
        {
            writer.Add("X_all", latents);
            writer.Add("y", classes);
            writer.Add("lines", names);
            writer.Add("uids", images);
            writer.Add("usage_ema", usage);
            writer.Add("which_layer", NdArray.Scalar(layer));
        });
    }

    private static long[] Numbers(Column labels)
    {
        if (labels.IsNumeric && Array.TrueForAll(labels.Numbers, v => v == Math.Floor(v))) return [.. labels.Numbers.Select(v => (long)v)];
        string[] order = Array.TrueForAll(labels.Text, s_classes.Contains) ? s_classes : [.. labels.Text.Distinct().Order(StringComparer.Ordinal)];
        Dictionary<string, long> number = order.Select((name, i) => (name, i)).ToDictionary(p => p.name, p => (long)p.i, StringComparer.Ordinal);
        return [.. labels.Text.Select(name => number[name])];
    }
}
