using BioSup.Kernels;

namespace BioSup.Kernels.Tests;

/// <summary>
/// Central differences of the surrogate loss whose gradient the straight-through estimator is: the gate is 1[g₀ &gt; 0] + s(g) − s(g₀) with g₀ held at its
/// value, and whatever the objective detaches (decoder norms, auxiliary decoder, bias and residual, the choice of auxiliary latents) is held too.
/// </summary>
internal static class FiniteDifferences
{
    public static void Check(double[] tokens, int n, SaeStep.ReferenceParameters p, SaeObjective objective, SaeStep.ReferenceParameters gradients)
    {
        SaeStep.ReferenceParameters held = p with
        {
            Encoder = [.. p.Encoder],
            Gate = p.Gate is null ? null : [.. p.Gate],
            EncoderBias = [.. p.EncoderBias],
            GateBias = [.. p.GateBias],
            Decoder = [.. p.Decoder],
            DecoderBias = [.. p.DecoderBias],
        };
        Tensor("W_mag", p.Encoder, gradients.Encoder);
        if (p.Gate is not null) Tensor("W_gate", p.Gate, gradients.Gate!);
        Tensor("b_mag", p.EncoderBias, gradients.EncoderBias);
        Tensor("b_gate", p.GateBias, gradients.GateBias);
        Tensor("W_dec", p.Decoder, gradients.Decoder);
        Tensor("b_dec", p.DecoderBias, gradients.DecoderBias);

        void Tensor(string name, double[] values, double[] expected)
        {
            const double h = 1e-6;
            for (int i = 0; i < values.Length; i++)
            {
                double value = values[i];
                values[i] = value + h;
                double above = Loss(tokens, n, p, held, objective);
                values[i] = value - h;
                double below = Loss(tokens, n, p, held, objective);
                values[i] = value;
                Assert.Equal(expected[i], (above - below) / (2 * h), 1e-7 + 1e-5 * Math.Abs(expected[i]));
            }
        }
    }

    private static double Loss(double[] tokens, int n, SaeStep.ReferenceParameters p, SaeStep.ReferenceParameters held, SaeObjective objective)
    {
        double reconstruction = 0, sparsity = 0, aux = 0;
        for (int t = 0; t < n; t++)
        {
            double[] x = tokens[(t * p.Width)..((t + 1) * p.Width)];
            double[] recon = [.. p.DecoderBias], heldRecon = [.. held.DecoderBias];
            List<(double Held, double Live, int Latent)> closed = [];
            for (int j = 0; j < p.Latents; j++)
            {
                double m = Pre(x, p.Encoder, p.EncoderBias, j), g = Pre(x, p.Gate ?? p.Encoder, p.GateBias, j);
                double m0 = Pre(x, held.Encoder, held.EncoderBias, j), g0 = Pre(x, held.Gate ?? held.Encoder, held.GateBias, j);
                double gate = (g0 > 0 ? 1 : 0) + Sigmoid(g) - Sigmoid(g0);
                double norm = Math.Sqrt(Enumerable.Range(0, p.Width).Sum(i => held.Decoder[j * p.Width + i] * held.Decoder[j * p.Width + i]));
                sparsity += Math.Max(g, 0) * norm;
                for (int i = 0; i < p.Width; i++)
                {
                    recon[i] += gate * Math.Max(m, 0) * p.Decoder[j * p.Width + i];
                    if (g0 > 0) heldRecon[i] += Math.Max(m0, 0) * held.Decoder[j * p.Width + i];
                }
                if (g0 <= 0 && m0 > 0) closed.Add((m0, m, j));
            }
            double[] auxRecon = objective.AuxDoubleBias ? [.. held.DecoderBias] : new double[p.Width];
            foreach ((_, double live, int j) in closed.OrderByDescending(c => c.Held).Take(objective.AuxLatents))
                for (int i = 0; i < p.Width; i++) auxRecon[i] += Math.Max(live, 0) * held.Decoder[j * p.Width + i];
            for (int i = 0; i < p.Width; i++)
            {
                reconstruction += (recon[i] - x[i]) * (recon[i] - x[i]);
                double error = auxRecon[i] - (x[i] - heldRecon[i]);
                aux += error * error;
            }
        }
        double pairs = objective.SparsityScale == SparsityScale.Mean ? (double)n * p.Latents : n;
        return reconstruction / n + objective.SparsityCoefficient * sparsity / pairs + objective.AuxCoefficient * aux / n;
    }

    private static double Pre(double[] x, double[] weights, double[] bias, int latent)
    {
        double sum = bias[latent];
        for (int i = 0; i < x.Length; i++) sum += x[i] * weights[i * bias.Length + latent];
        return sum;
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
