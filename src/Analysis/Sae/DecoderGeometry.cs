using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Figures of the dictionary itself, over chosen decoder rows as <see cref="DecoderCoherence"/> and <see cref="EffectiveRank"/> define them.</summary>
/// <param name="MeanAbsoluteCosine">Mean |cos| over pairs of rows; NaN below two rows with a direction.</param>
/// <param name="EffectiveRank">Effective rank of the rows, not centred; NaN when none has a direction.</param>
public sealed record DecoderGeometry(double MeanAbsoluteCosine, double EffectiveRank)
{
    /// <param name="model">The model whose decoder [d_sae, d_in] is measured.</param>
    /// <param name="latents">Rows that take part, such as those of alive latents; rows without a direction (all zero) are passed over.</param>
    /// <param name="cancellation">Stops between tiles.</param>
    public static DecoderGeometry Measure(SaeModel model, IReadOnlyList<int> latents, CancellationToken cancellation = default)
    {
        float[] decoder = new float[checked(model.Latents * model.InputWidth)];
        model.Decoder.Buffer.CopyTo(decoder);
        int d = model.InputWidth;
        int[] directed = [.. latents.Where(j => decoder.AsSpan(j * d, d).ContainsAnyExcept(0f))];
        if (directed.Length == 0) return new DecoderGeometry(double.NaN, double.NaN);
        double[] values = new double[checked(directed.Length * d)];
        for (int i = 0; i < directed.Length; i++)
            for (int k = 0; k < d; k++) values[i * d + k] = decoder[directed[i] * d + k];
        using Matrix<double> rows = Matrix<double>.From(model.Device, directed.Length, d, values);
        double cosine = directed.Length < 2 ? double.NaN : DecoderCoherence.Measure(rows, cancellation: cancellation).MeanAbsoluteCosine;
        return new DecoderGeometry(cosine, Geometry.EffectiveRank.Measure(rows, centre: false).Value);
    }
}
