using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Chosen rows of a decoder, for measures of the dictionary.</summary>
internal static class LatentRows
{
    /// <summary>Latents with a usage average of at least <paramref name="threshold"/> and a decoder row that is not zero, ascending.</summary>
    public static int[] Alive(SaeModel model, double threshold)
    {
        float[] usage = new float[model.Latents];
        model.Usage.CopyTo(usage);
        using DeviceBuffer<double> norms = model.Device.Allocate<double>(model.Latents);
        Reductions.RowNorms(model.Decoder.View, norms.View);
        double[] norm = new double[model.Latents];
        norms.CopyTo(norm);
        return [.. Enumerable.Range(0, model.Latents).Where(j => usage[j] >= threshold && norm[j] > 0)];
    }

    /// <summary>[latents, d_in] decoder rows, on the model's device or on another.</summary>
    public static Matrix<float> Take(SaeModel model, int[] latents, ComputeDevice? device = null)
    {
        Matrix<float> rows = Gather.Rows(model.Decoder, latents);
        if (device is null || ReferenceEquals(device, model.Device)) return rows;
        using (rows) return rows.CopyAt(device);
    }

    /// <summary>Scales rows to unit length in place; none may be zero.</summary>
    public static void Normalise(Matrix<float> rows)
    {
        using DeviceBuffer<double> norms = rows.Device.Allocate<double>(rows.Rows);
        L2Normalise.Rows(rows.View, norms.View, rows.View);
    }
}
