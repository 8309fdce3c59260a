using BioSup.Kernels;
using Model = BioSup.Kernels.SaeReference<double>.Parameters;

namespace BioSup.Kernels.Tests;

/// <summary>
/// Central differences of the surrogate loss whose gradient an estimator is. Whatever is not differentiated is held at the parameters given: a gate is
/// 1[g₀ &gt; 0] + s(g) − s(g₀) with s the sigmoid or a ramp, a jump is 1[z₀ &gt; θ₀] + ramp(z₀ − θ) − ramp(z₀ − θ₀), the choices of the k largest, of auxiliary
/// latents, the residual they rebuild, and lengths of decoder rows where the objective keeps them constant.
/// </summary>
internal static class FiniteDifferences
{
    public static void Check(double[] tokens, int n, Model p, SaeObjective objective, byte[] dead, Model gradients)
    {
        Model held = p.Copy();
        foreach (((string name, double[] values), (_, double[] expected)) in p.Arrays().Zip(gradients.Arrays()))
        {
            const double h = 1e-6;
            if (name == "threshold" && p.Shape.HasActiveLatents)
            {
                Assert.All(expected, v => Assert.Equal(0, v));
                continue;
            }
            for (int i = 0; i < values.Length; i++)
            {
                double value = values[i];
                values[i] = value + h;
                double above = new Surrogate(tokens, n, p, held, objective, dead).Loss();
                values[i] = value - h;
                double below = new Surrogate(tokens, n, p, held, objective, dead).Loss();
                values[i] = value;
                double difference = (above - below) / (2 * h);
                Assert.True(Math.Abs(expected[i] - difference) <= 1e-7 + 1e-5 * Math.Abs(expected[i]), $"d{name}[{i}] is {expected[i]:R}, the difference quotient {difference:R}");
            }
        }
    }

    private sealed class Surrogate(double[] tokens, int n, Model live, Model held, SaeObjective objective, byte[] dead)
    {
        private readonly int _d = live.Width, _latents = live.Latents;
        private readonly SaeReference<double>.Batch _now = SaeReference<double>.Forward(tokens, n, live, true), _then = SaeReference<double>.Forward(tokens, n, held, true);
        private readonly double[] _norms = SaeReference<double>.RowNorms(objective.DecoderNorm == DecoderNorm.Free ? live : held);

        private bool Gated => live.Shape.HasGateBias;

        public double Loss()
        {
            IReadOnlyList<int> prefixes = objective.Prefixes ?? [_latents];
            double fit = 0, sparsity = 0, below = 0, auxiliary = 0;
            for (int t = 0; t < n; t++)
            {
                double[] activations = [.. Enumerable.Range(t * _latents, _latents).Select(Activation)];
                foreach (int prefix in prefixes) fit += Square(Decode(live, activations[..prefix], live.DecoderBias), Token(t)) / prefixes.Count;
                for (int j = 0; j < _latents; j++)
                {
                    int pair = t * _latents + j;
                    sparsity += Penalty(j, pair, activations[j]);
                    if (live.Shape.Architecture == SaeArchitecture.JumpRelu && objective.JumpReluLoss == JumpReluLoss.Tanh && dead[j] != 0)
                        below += Math.Max(live.Threshold[j] - _now.Magnitude[pair], 0) * _norms[j];
                }
                if (objective.AuxCoefficient > 0) auxiliary += Auxiliary(t);
            }
            double weighted = objective.SparsityCoefficient * sparsity / (objective.SparsityScale == SparsityScale.Mean ? (double)n * _latents : n);
            if (live.Shape.Architecture == SaeArchitecture.JumpRelu && objective.JumpReluLoss == JumpReluLoss.QuadraticL0)
                weighted = objective.SparsityCoefficient * Math.Pow(sparsity / n / objective.TargetL0 - 1, 2);
            return fit / n + weighted + objective.PreActivationCoefficient * below / n + objective.AuxCoefficient * auxiliary / n;
        }

        private double Activation(int pair)
        {
            double z = _now.Magnitude[pair], open = _then.Active[pair] ? z : 0;
            if (live.Shape.Architecture == SaeArchitecture.Gated)
                return ((_then.GatePre[pair] > 0 ? 1 : 0) + Smooth(_now.GatePre[pair]) - Smooth(_then.GatePre[pair])) * Math.Max(z, 0);
            return live.Shape.Architecture == SaeArchitecture.JumpRelu ? open + held.Threshold[pair % _latents] * Jump(pair) : open;
        }

        /// <summary>How far the smoothed step of a threshold has moved.</summary>
        private double Jump(int pair) =>
            Ramp(_then.Magnitude[pair] - live.Threshold[pair % _latents]) - Ramp(_then.Magnitude[pair] - held.Threshold[pair % _latents]);

        private double Penalty(int j, int pair, double activation)
        {
            if (Gated) return Math.Max(_now.GatePre[pair], 0) * _norms[j];
            if (live.Shape.Architecture == SaeArchitecture.Relu) return activation > 0 ? Math.Pow(activation, objective.SparsityExponent) * _norms[j] : 0;
            if (live.Shape.Architecture != SaeArchitecture.JumpRelu) return 0;
            return objective.JumpReluLoss == JumpReluLoss.Tanh ? Math.Tanh(objective.TanhScale * activation * _norms[j]) : (_then.Active[pair] ? 1 : 0) + Jump(pair);
        }

        private double Auxiliary(int t)
        {
            int start = t * _latents;
            bool closed = objective.AuxChoice == AuxiliaryChoice.ClosedGate;
            double[] values = new double[_latents];
            if (live.Shape.Architecture == SaeArchitecture.GatedOriginal)
            {
                for (int j = 0; j < _latents; j++) values[j] = Math.Max(_now.GatePre[start + j], 0);
                return Square(Decode(held, values, held.DecoderBias), Token(t));
            }
            if (closed && !Gated) return 0;
            IEnumerable<int> candidates = Enumerable.Range(start, _latents).Where(pair => closed ? _then.GatePre[pair] <= 0 : dead[pair - start] != 0);
            foreach (int pair in SaeReference<double>.Largest(candidates, _then.Magnitude, objective.AuxLatents)) values[pair - start] = _now.Magnitude[pair];
            double[] then = Decode(held, [.. Enumerable.Range(start, _latents).Select(_then.Activation)], held.DecoderBias);
            double[] residual = [.. Token(t).Zip(then, (x, r) => x - r)];
            return Square(Decode(closed ? held : live, values, closed && objective.AuxDoubleBias ? held.DecoderBias : new double[_d]), residual);
        }

        private double[] Token(int t) => tokens[(t * _d)..((t + 1) * _d)];

        private double[] Decode(Model model, double[] activations, double[] bias)
        {
            double[] sum = [.. bias];
            for (int j = 0; j < activations.Length; j++)
                for (int i = 0; i < _d; i++) sum[i] += activations[j] * model.Decoder[j * _d + i];
            return sum;
        }

        private static double Square(double[] a, double[] b) => a.Zip(b, (x, y) => (x - y) * (x - y)).Sum();

        private double Smooth(double g) => objective.StraightThrough == StraightThrough.Windowed ? Ramp(g) : 1 / (1 + Math.Exp(-g));

        private double Ramp(double x) => Math.Clamp(x / objective.Bandwidth + 0.5, 0, 1);
    }
}
