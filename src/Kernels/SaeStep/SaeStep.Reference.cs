using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class SaeStep
{
    /// <summary>A model, or its gradients, in double precision: W_mag and W_gate [d, D] (null W_gate: tied), W_dec [D, d], row-major.</summary>
    internal sealed record ReferenceParameters(int Width, int Latents, double[] Encoder, double[]? Gate, double[] EncoderBias, double[] GateBias, double[] Decoder, double[] DecoderBias)
    {
        public static ReferenceParameters Zero(int d, int latents, bool tied) =>
            new(d, latents, new double[d * latents], tied ? null : new double[d * latents], new double[latents], new double[latents], new double[d * latents], new double[d]);

        public static ReferenceParameters From(SaeParameters p)
        {
            return new(p.InputWidth, p.Latents, Widen(p.Encoder), p.Tied ? null : Widen(p.Gate), WidenSpan(p.EncoderBias), WidenSpan(p.GateBias), Widen(p.Decoder), WidenSpan(p.DecoderBias));

            static double[] WidenSpan(DeviceSpan<float> values) => [.. values.Host.ToArray().Select(v => (double)v)];
        }

        public void CopyTo(SaeParameters p)
        {
            Narrow(Encoder, p.Encoder);
            if (Gate is not null) Narrow(Gate, p.Gate);
            Narrow(Decoder, p.Decoder);
            for (int j = 0; j < Latents; j++) (p.EncoderBias.Host[j], p.GateBias.Host[j]) = ((float)EncoderBias[j], (float)GateBias[j]);
            for (int i = 0; i < Width; i++) p.DecoderBias.Host[i] = (float)DecoderBias[i];
        }
    }

    /// <summary>What the double-precision pass yields besides gradients.</summary>
    internal sealed record ReferenceResult(double Reconstruction, double Sparsity, double Auxiliary, double SquaredError, double Squares, double[] TokenSums,
        long Active, long MagnitudePositive, long GatePositive, int TokensWithActive, int[] Usage);

    /// <summary>
    /// The step one token at a time in double precision: the oracle. Gradients are those of reconstruction + λ sparsity + α aux with the step function
    /// of the gate differentiated as the objective says, the decoder norm held constant in the penalty, and decoder and residual held constant in the auxiliary loss.
    /// </summary>
    internal static ReferenceResult ReferenceStep(double[] tokens, int n, ReferenceParameters p, in SaeObjective objective, ReferenceParameters? gradients)
    {
        int d = p.Width, latents = p.Latents, withActive = 0;
        double penaltyScale = 1.0 / n / (objective.SparsityScale == SparsityScale.Mean ? latents : 1), squaredError = 0, squares = 0, sparsity = 0, aux = 0, auxAbsolute = 0;
        long active = 0, positive = 0, open = 0;
        double[] norms = [.. Enumerable.Range(0, latents).Select(j => Math.Sqrt(Enumerable.Range(0, d).Sum(i => p.Decoder[j * d + i] * p.Decoder[j * d + i])))];
        double[] sums = new double[d], g = new double[latents], m = new double[latents], error = new double[d], r = new double[d];
        int[] usage = new int[latents];
        bool trainAux = gradients is not null && objective.AuxCoefficient > 0;
        for (int t = 0; t < n; t++)
        {
            ReadOnlySpan<double> x = tokens.AsSpan(t * d, d);
            Affine(x, p.Encoder, p.EncoderBias, m);
            Affine(x, p.Gate ?? p.Encoder, p.GateBias, g);
            for (int i = 0; i < d; i++) error[i] = p.DecoderBias[i] - x[i];
            bool any = false;
            for (int j = 0; j < latents; j++)
            {
                sparsity += Math.Max(g[j], 0) * norms[j];
                if (g[j] > 0) open++;
                if (m[j] > 0) positive++;
                if (g[j] <= 0 || m[j] <= 0) continue;
                active++;
                usage[j]++;
                any = true;
                for (int i = 0; i < d; i++) error[i] += m[j] * p.Decoder[j * d + i];
            }
            if (any) withActive++;
            for (int i = 0; i < d; i++)
            {
                squaredError += error[i] * error[i];
                squares += x[i] * x[i];
                sums[i] += x[i];
                r[i] = 2 * error[i] / n;
            }
            int[] chosen = trainAux ? LargestClosed(g, m, objective.AuxLatents) : [];
            double[] auxError = trainAux ? AuxiliaryError(p, m, chosen, error, objective.AuxDoubleBias, ref auxAbsolute) : [];
            aux += auxError.Sum(v => v * v);
            if (gradients is null) continue;
            Accumulate(x, p, g, m, norms, r, chosen, auxError, objective.SparsityCoefficient * penaltyScale, 2 * objective.AuxCoefficient / n, objective, gradients);
        }
        return new ReferenceResult(squaredError / n, sparsity * penaltyScale, auxAbsolute > 0 ? aux / n : 0, squaredError, squares, sums, active, positive, open, withActive, usage);
    }

    private static void Accumulate(ReadOnlySpan<double> x, ReferenceParameters p, double[] g, double[] m, double[] norms, double[] r, int[] chosen, double[] auxError,
        double penalty, double auxScale, in SaeObjective objective, ReferenceParameters gradients)
    {
        int d = p.Width, latents = p.Latents;
        for (int i = 0; i < d; i++) gradients.DecoderBias[i] += r[i];
        for (int j = 0; j < latents; j++)
        {
            double q = 0, dGate = 0, dMagnitude = 0;
            for (int i = 0; i < d; i++) q += r[i] * p.Decoder[j * d + i];
            if (m[j] > 0) dGate += q * m[j] * GateSlope(g[j], objective);
            if (g[j] > 0) dGate += penalty * norms[j];
            if (g[j] > 0 && m[j] > 0)
            {
                dMagnitude += q;
                for (int i = 0; i < d; i++) gradients.Decoder[j * d + i] += m[j] * r[i];
            }
            if (chosen.Contains(j)) for (int i = 0; i < d; i++) dMagnitude += auxScale * auxError[i] * p.Decoder[j * d + i];
            gradients.GateBias[j] += dGate;
            gradients.EncoderBias[j] += dMagnitude;
            for (int i = 0; i < d; i++)
            {
                gradients.Encoder[i * latents + j] += x[i] * (p.Gate is null ? dGate + dMagnitude : dMagnitude);
                if (gradients.Gate is not null) gradients.Gate[i * latents + j] += x[i] * dGate;
            }
        }
    }

    private static double GateSlope(double g, in SaeObjective objective)
    {
        if (objective.StraightThrough == StraightThrough.Windowed) return Math.Abs(g) < 0.5 * objective.Bandwidth ? 1 / objective.Bandwidth : 0;
        double s = 1 / (1 + Math.Exp(-g));
        return s * (1 - s);
    }

    private static int[] LargestClosed(double[] g, double[] m, int count) =>
        [.. Enumerable.Range(0, g.Length).Where(j => g[j] <= 0 && m[j] > 0).OrderByDescending(j => m[j]).ThenBy(j => j).Take(count)];

    private static double[] AuxiliaryError(ReferenceParameters p, double[] m, int[] chosen, double[] error, bool doubleBias, ref double absolute)
    {
        double[] result = new double[p.Width];
        for (int i = 0; i < p.Width; i++)
        {
            double reconstruction = doubleBias ? p.DecoderBias[i] : 0;
            foreach (int j in chosen) reconstruction += m[j] * p.Decoder[j * p.Width + i];
            absolute += Math.Abs(reconstruction);
            result[i] = reconstruction + error[i];
        }
        return result;
    }

    private static void Affine(ReadOnlySpan<double> x, double[] weights, double[] bias, double[] result)
    {
        bias.CopyTo(result, 0);
        for (int i = 0; i < x.Length; i++)
            for (int j = 0; j < result.Length; j++) result[j] += x[i] * weights[i * result.Length + j];
    }

    private static unsafe void RunReference(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective,
        SaeWorkspace workspace, SaeStatistics statistics)
    {
        ReferenceParameters? result = backward ? ReferenceParameters.Zero(parameters.InputWidth, parameters.Latents, parameters.Tied) : null;
        ReferenceResult r = ReferenceStep(Widen(tokens), tokens.Rows, ReferenceParameters.From(parameters), objective, result);
        result?.CopyTo(gradients);
        statistics.Tokens = tokens.Rows;
        (statistics.Reconstruction, statistics.Sparsity, statistics.Auxiliary) = (r.Reconstruction, r.Sparsity, r.Auxiliary);
        statistics.Loss = r.Reconstruction + objective.SparsityCoefficient * r.Sparsity + objective.AuxCoefficient * r.Auxiliary;
        (statistics.SumSquaredError, statistics.SumSquares) = (r.SquaredError, r.Squares);
        statistics.SumSquaredTotal = r.Squares - r.TokenSums.Sum(v => v * v) / tokens.Rows;
        (statistics.Active, statistics.ClosedGate, statistics.NoMagnitude) = (r.Active, r.MagnitudePositive - r.Active, r.GatePositive - r.Active);
        statistics.TokensWithActive = r.TokensWithActive;
        for (int j = 0; j < r.Usage.Length; j++) workspace.Usage[j] = r.Usage[j];
        for (int i = 0; i < r.TokenSums.Length; i++) workspace.ColumnSums[i] = r.TokenSums[i];
    }

    private static void EncodeReference(MatrixView<float> tokens, SaeParameters parameters, MatrixView<float> activations)
    {
        ReferenceParameters p = ReferenceParameters.From(parameters);
        double[] x = Widen(tokens), g = new double[p.Latents], m = new double[p.Latents];
        for (int t = 0; t < tokens.Rows; t++)
        {
            Affine(x.AsSpan(t * p.Width, p.Width), p.Encoder, p.EncoderBias, m);
            Affine(x.AsSpan(t * p.Width, p.Width), p.Gate ?? p.Encoder, p.GateBias, g);
            for (int j = 0; j < p.Latents; j++) activations.Row(t)[j] = g[j] > 0 && m[j] > 0 ? (float)m[j] : 0;
        }
    }

    private static double[] Widen(MatrixView<float> matrix)
    {
        double[] values = new double[matrix.Rows * matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) values[i * matrix.Columns + j] = matrix.Row(i)[j];
        return values;
    }

    private static void Narrow(double[] values, MatrixView<float> matrix)
    {
        for (int i = 0; i < matrix.Rows; i++)
            for (int j = 0; j < matrix.Columns; j++) matrix.Row(i)[j] = (float)values[i * matrix.Columns + j];
    }
}
