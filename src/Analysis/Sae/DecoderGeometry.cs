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
    public static DecoderGeometry Measure(GatedSaeModel model, IReadOnlyList<int> latents, CancellationToken cancellation = default)
    {
        int[] directed = [.. latents.Where(j => model.Decoder.Row(j).ContainsAnyExcept(0f))];
        if (directed.Length == 0) return new DecoderGeometry(double.NaN, double.NaN);
        using Matrix<double> rows = model.Device.AllocateMatrix<double>(directed.Length, model.InputWidth);
        for (int i = 0; i < directed.Length; i++)
        {
            ReadOnlySpan<float> source = model.Decoder.Row(directed[i]);
            Span<double> target = rows.Row(i);
            for (int k = 0; k < target.Length; k++) target[k] = source[k];
        }
        double cosine = directed.Length < 2 ? double.NaN : DecoderCoherence.Measure(rows, cancellation: cancellation).MeanAbsoluteCosine;
        return new DecoderGeometry(cosine, Geometry.EffectiveRank.Measure(rows, centre: false).Value);
    }
}
