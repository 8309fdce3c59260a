using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Tokens and initial weights of tests/golden/sae_oracle.py, from the same integers.</summary>
internal static class OracleRecipe
{
    /// <summary>splitmix64 of (salt, index): multiples of 2^-24 in [-0.5, 0.5).</summary>
    public static double Uniform(long index, ulong salt)
    {
        ulong z = unchecked(((ulong)index + 1) * 0x9E3779B97F4A7C15UL + salt * 0xD1342543DE82EF95UL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        z ^= z >> 31;
        return (z >> 40) * Math.ScaleB(1, -24) - 0.5;
    }

    public static Matrix<float> Tokens(ComputeDevice device, int n, int d)
    {
        Matrix<float> tokens = device.AllocateMatrix<float>(n, d);
        int directions = 2 * d;
        double unit = Math.Sqrt(12.0 / d);
        for (int t = 0; t < n; t++)
            for (int i = 0; i < d; i++)
            {
                double x = Uniform((long)t * d + i, 14) * (0.1 * unit);
                for (int j = 0; j < 3; j++)
                {
                    long pick = (long)((Uniform(t * 3 + j, 12) + 0.5) * directions);
                    x += (Uniform(t * 3 + j, 13) + 1.0) * 0.55 * (Uniform(pick * d + i, 11) * unit);
                }
                tokens.Row(t)[i] = (float)x;
            }
        return tokens;
    }

    public static void WriteWeights(string path, int d, int latents, bool tied, float gateBias, float magnitudeBias)
    {
        double scale = 0.02 * Math.Sqrt(12.0);
        float[] magnitude = new float[d * latents], gate = new float[d * latents], decoder = new float[d * latents];
        for (int i = 0; i < magnitude.Length; i++) (magnitude[i], gate[i]) = ((float)(Uniform(i, 21) * scale), (float)(Uniform(i, 22) * scale));
        for (int j = 0; j < latents; j++)
        {
            double squares = 0;
            for (int i = 0; i < d; i++) squares += (double)magnitude[i * latents + j] * magnitude[i * latents + j];
            for (int i = 0; i < d; i++) decoder[j * d + i] = (float)(magnitude[i * latents + j] / Math.Sqrt(squares));
        }
        SafetensorsFile.Write(path, writer =>
        {
            writer.Add("W_mag", magnitude, d, latents);
            if (!tied) writer.Add("W_gate", gate, d, latents);
            writer.Add("b_mag", [.. Enumerable.Repeat(magnitudeBias, latents)], latents);
            writer.Add("b_gate", [.. Enumerable.Repeat(gateBias, latents)], latents);
            writer.Add("W_dec", decoder, latents, d);
            writer.Add("b_dec", new float[d], d);
        });
    }
}
