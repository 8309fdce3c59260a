using BioSup.Kernels;

namespace BioSup.Kernels.Tests;

/// <summary>The training step written down in single precision, one token and one latent at a time: what the variants' rounding is measured against.</summary>
internal static class PlainSaeStep
{
    /// <summary>Gradients in the order of <see cref="ModelArrays.Arrays"/>.</summary>
    public static List<float[]> Gradients(SaeCase model, in SaeObjective objective)
    {
        ModelArrays p = model.Values;
        int n = model.Tokens.Rows, d = model.Tokens.Columns, latents = p.Decoder.Rows;
        bool tied = p.Gate is null;
        float[] magnitude = new float[d * latents], gate = new float[d * latents], decoder = new float[d * latents], magnitudeBias = new float[latents], gateBias = new float[latents], decoderBias = new float[d];
        float[] norms = [.. Enumerable.Range(0, latents).Select(j => Norm(p.Decoder.Row(j)))], m = new float[latents], g = new float[latents], error = new float[d], r = new float[d];
        float penalty = (float)objective.SparsityCoefficient / n / (objective.SparsityScale == SparsityScale.Mean ? latents : 1), auxScale = 2 * (float)objective.AuxCoefficient / n;
        for (int t = 0; t < n; t++)
        {
            ReadOnlySpan<float> x = model.Tokens.Row(t);
            for (int j = 0; j < latents; j++) (m[j], g[j]) = (p.EncoderBias.View.Host[j], p.GateBias.View.Host[j]);
            for (int i = 0; i < d; i++)
            {
                ReadOnlySpan<float> toMagnitude = p.Encoder.Row(i), toGate = (p.Gate ?? p.Encoder).Row(i);
                for (int j = 0; j < latents; j++)
                {
                    m[j] += x[i] * toMagnitude[j];
                    g[j] += x[i] * toGate[j];
                }
            }
            for (int i = 0; i < d; i++) error[i] = p.DecoderBias.View.Host[i] - x[i];
            for (int j = 0; j < latents; j++)
            {
                ReadOnlySpan<float> row = p.Decoder.Row(j);
                if (g[j] > 0 && m[j] > 0) for (int i = 0; i < d; i++) error[i] += m[j] * row[i];
            }
            for (int i = 0; i < d; i++)
            {
                r[i] = 2 * error[i] / n;
                decoderBias[i] += r[i];
            }
            float[] own = m, gates = g;
            int[] chosen = objective.AuxCoefficient > 0
                ? [.. Enumerable.Range(0, latents).Where(j => gates[j] <= 0 && own[j] > 0).OrderByDescending(j => own[j]).ThenBy(j => j).Take(objective.AuxLatents)] : [];
            float[] auxError = AuxiliaryError(p, m, chosen, error, objective.AuxDoubleBias);
            for (int j = 0; j < latents; j++)
            {
                ReadOnlySpan<float> row = p.Decoder.Row(j);
                float q = 0, dGate = 0, dMagnitude = 0;
                for (int i = 0; i < d; i++) q += r[i] * row[i];
                if (m[j] > 0) dGate += q * m[j] * Slope(g[j], objective);
                if (g[j] > 0) dGate += penalty * norms[j];
                if (g[j] > 0 && m[j] > 0)
                {
                    dMagnitude += q;
                    for (int i = 0; i < d; i++) decoder[j * d + i] += m[j] * r[i];
                }
                if (chosen.Contains(j)) for (int i = 0; i < d; i++) dMagnitude += auxScale * auxError[i] * row[i];
                gateBias[j] += dGate;
                magnitudeBias[j] += dMagnitude;
                for (int i = 0; i < d; i++)
                {
                    magnitude[i * latents + j] += x[i] * (tied ? dGate + dMagnitude : dMagnitude);
                    gate[i * latents + j] += x[i] * dGate;
                }
            }
        }
        return tied ? [magnitude, decoder, magnitudeBias, gateBias, decoderBias] : [magnitude, gate, decoder, magnitudeBias, gateBias, decoderBias];
    }

    private static float[] AuxiliaryError(ModelArrays p, float[] m, int[] chosen, float[] error, bool doubleBias)
    {
        float[] result = new float[error.Length];
        for (int i = 0; i < result.Length; i++)
        {
            float reconstruction = doubleBias ? p.DecoderBias.View.Host[i] : 0;
            foreach (int j in chosen) reconstruction += m[j] * p.Decoder.Row(j)[i];
            result[i] = reconstruction + error[i];
        }
        return result;
    }

    private static float Slope(float g, in SaeObjective objective)
    {
        if (objective.StraightThrough == StraightThrough.Windowed) return Math.Abs(g) < 0.5f * (float)objective.Bandwidth ? 1 / (float)objective.Bandwidth : 0;
        float s = 1 / (1 + MathF.Exp(-g));
        return s * (1 - s);
    }

    private static float Norm(ReadOnlySpan<float> row)
    {
        float squares = 0;
        foreach (float v in row) squares += v * v;
        return MathF.Sqrt(squares);
    }
}
