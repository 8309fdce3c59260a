namespace BioSup.Kernels;

internal static partial class SaeReference<T>
{
    /// <summary>
    /// Losses and, when <paramref name="gradients"/> is given, the gradients of their weighted sum: the step of a gate and the jump of a threshold differentiated as
    /// the objective says; residual and choice of auxiliary latents held constant, also the decoder in the auxiliary losses of gated autoencoders.
    /// </summary>
    /// <param name="tokens">[n, d].</param>
    /// <param name="n">Tokens.</param>
    /// <param name="p">The model.</param>
    /// <param name="objective">Coefficients.</param>
    /// <param name="gradients">Zero at first; null outside training.</param>
    /// <param name="dead">1 for dead latents; empty for none.</param>
    public static Result Step(T[] tokens, int n, Parameters p, in SaeObjective objective, Parameters? gradients, ReadOnlySpan<byte> dead = default)
    {
        int d = p.Width, latents = p.Latents, withActive = 0;
        bool training = gradients is not null;
        Batch batch = Forward(tokens, n, p, training);
        byte[] deadLatents = dead.IsEmpty ? new byte[latents] : dead.ToArray();
        Pass pass = new(p, objective, batch, RowNorms(p), deadLatents, gradients);
        T squares = T.Zero, smallest = T.PositiveInfinity;
        T[] sums = new T[d];
        int[] usage = new int[latents];
        for (int t = 0; t < n; t++)
        {
            pass.Token(t, tokens.AsSpan(t * d, d));
            bool any = false;
            for (int j = 0; j < latents; j++)
            {
                if (!batch.Active[t * latents + j]) continue;
                usage[j]++;
                any = true;
                smallest = T.Min(smallest, batch.Magnitude[t * latents + j]);
            }
            if (any) withActive++;
            for (int i = 0; i < d; i++)
            {
                squares += tokens[t * d + i] * tokens[t * d + i];
                sums[i] += tokens[t * d + i];
            }
        }
        pass.Finish();
        bool chosen = training && p.Shape.Architecture is (SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka);
        long active = batch.Active.LongCount(v => v), positive = batch.Magnitude.LongCount(v => v > T.Zero), open = p.Shape.HasGateBias ? batch.GatePre.LongCount(v => v > T.Zero) : active;
        return new Result(pass.Loss, pass.Reconstruction, pass.Sparsity, pass.Auxiliary, pass.PreActivation, pass.SquaredError, squares, sums, active, positive, open,
            withActive, usage, !chosen ? T.NaN : T.IsInfinity(smallest) ? T.Zero : smallest);
    }

    /// <summary>Sums over a batch, token after token.</summary>
    private sealed class Pass(Parameters p, SaeObjective objective, Batch batch, T[] norms, byte[] dead, Parameters? gradients)
    {
        private readonly int _d = p.Width, _latents = p.Latents;
        private readonly SaeArchitecture _architecture = p.Shape.Architecture;
        private readonly int[] _prefixes = p.Shape.Architecture == SaeArchitecture.Matryoshka && objective.Prefixes is not null ? [.. objective.Prefixes] : [p.Latents];
        private readonly T _perToken = T.One / T.CreateTruncating(batch.Tokens), _two = T.One + T.One;
        private readonly T _penalty = PenaltyScale(p, objective, batch);
        private readonly T _meanActive = T.CreateTruncating(batch.Active.LongCount(v => v)) / T.CreateTruncating(batch.Tokens);
        private readonly T[] _lengthGradient = new T[p.Latents];
        private T _auxAbsolute, _fit;

        public T SquaredError { get; private set; }
        public T Sparsity { get; private set; }
        public T Auxiliary { get; private set; }
        public T PreActivation { get; private set; }
        public T Reconstruction => SquaredError * _perToken;
        public T Loss => _fit * _perToken + Of(objective.SparsityCoefficient) * Sparsity + Of(objective.AuxCoefficient) * Auxiliary + Of(objective.PreActivationCoefficient) * PreActivation;

        public void Token(int t, ReadOnlySpan<T> x)
        {
            T[][] errors = PrefixErrors(t, x);
            T[] error = errors[^1];
            foreach (T e in error) SquaredError += e * e;
            foreach (T[] prefix in errors) foreach (T e in prefix) _fit += e * e / T.CreateTruncating(errors.Length);
            T[] pull = new T[_latents];
            AddFit(t, errors, pull);
            T[] dGate = new T[_latents], dMagnitude = new T[_latents];
            for (int j = 0; j < _latents; j++) Differentiate(t, j, pull[j], ref dGate[j], ref dMagnitude[j]);
            if (gradients is null) return;
            if (objective.AuxCoefficient > 0) AddAuxiliary(t, x, error, dGate, dMagnitude);
            for (int j = 0; j < _latents; j++) AddEncoder(t, j, dGate[j], dMagnitude[j]);
        }

        /// <summary>What is known only when the batch is over.</summary>
        public void Finish()
        {
            if (_architecture == SaeArchitecture.JumpRelu && objective.JumpReluLoss == JumpReluLoss.QuadraticL0)
            {
                T excess = _meanActive / Of(objective.TargetL0) - T.One;
                Sparsity = excess * excess;
            }
            if (_auxAbsolute == T.Zero) Auxiliary = T.Zero;
            if (gradients is null || objective.DecoderNorm == DecoderNorm.Unit) return;
            for (int j = 0; j < _latents; j++)
                for (int i = 0; i < _d && norms[j] > T.Zero; i++) gradients.Decoder[j * _d + i] += _lengthGradient[j] * p.Decoder[j * _d + i] / norms[j];
        }

        /// <summary>1/n of a mean over tokens, also 1/d_sae where the objective divides by it.</summary>
        private static T PenaltyScale(Parameters p, in SaeObjective objective, Batch batch) =>
            T.One / T.CreateTruncating(batch.Tokens) / (objective.SparsityScale == SparsityScale.Mean ? T.CreateTruncating(p.Latents) : T.One);

        /// <summary>Reconstruction − token of every prefix of the dictionary, the whole dictionary last.</summary>
        private T[][] PrefixErrors(int t, ReadOnlySpan<T> x)
        {
            T[] sum = new T[_d];
            for (int i = 0; i < _d; i++) sum[i] = p.DecoderBias[i] - x[i];
            T[][] errors = new T[_prefixes.Length][];
            for (int g = 0, j = 0; g < _prefixes.Length; g++)
            {
                for (; j < _prefixes[g]; j++)
                {
                    T a = batch.Activation(t * _latents + j);
                    for (int i = 0; i < _d; i++) sum[i] += a * p.Decoder[j * _d + i];
                }
                errors[g] = [.. sum];
            }
            return errors;
        }

        /// <summary>The mean of the prefixes' squared errors: a latent is pulled by every prefix it belongs to. pull = dL/da.</summary>
        private void AddFit(int t, T[][] errors, T[] pull)
        {
            T[] r = new T[_d];
            for (int g = _prefixes.Length - 1; g >= 0; g--)
            {
                for (int i = 0; i < _d; i++) r[i] += _two * errors[g][i] * _perToken / T.CreateTruncating(errors.Length);
                for (int j = g == 0 ? 0 : _prefixes[g - 1]; j < _prefixes[g]; j++)
                {
                    T a = batch.Activation(t * _latents + j);
                    for (int i = 0; i < _d; i++)
                    {
                        pull[j] += r[i] * p.Decoder[j * _d + i];
                        if (gradients is not null && a != T.Zero) gradients.Decoder[j * _d + i] += a * r[i];
                    }
                }
            }
            if (gradients is not null) for (int i = 0; i < _d; i++) gradients.DecoderBias[i] += r[i];
        }

        /// <summary>From dL/d(weights' products) to the parameters of the encoder.</summary>
        private void AddEncoder(int t, int j, T dGate, T dMagnitude)
        {
            Parameters g = gradients!;
            T scale = p.Shape.HasMagnitudeScale ? T.Exp(p.MagnitudeScale[j]) : T.One, own = dMagnitude * scale + (p.Gate is null ? dGate : T.Zero);
            g.EncoderBias[j] += dMagnitude;
            if (p.Shape.HasGateBias) g.GateBias[j] += dGate;
            if (p.Shape.HasMagnitudeScale) g.MagnitudeScale[j] += dMagnitude * scale * batch.Projection[t * _latents + j];
            for (int i = 0; i < _d; i++)
            {
                T x = batch.Input[t * _d + i];
                g.Encoder[i * _latents + j] += x * own;
                if (p.Gate is not null) g.Gate![i * _latents + j] += x * dGate;
                if (!p.Shape.SubtractDecoderBias) continue;
                g.DecoderBias[i] -= p.Encoder[i * _latents + j] * own + (p.Gate is null ? T.Zero : p.Gate[i * _latents + j] * dGate);
            }
        }

        /// <summary>Penalties of a pair, and the gradient of fit and penalties by its pre-activations.</summary>
        private void Differentiate(int t, int j, T pull, ref T dGate, ref T dMagnitude)
        {
            int pair = t * _latents + j;
            bool active = batch.Active[pair];
            T z = batch.Magnitude[pair], g = batch.GatePre[pair], weight = Of(objective.SparsityCoefficient) * _penalty;
            switch (_architecture)
            {
                case SaeArchitecture.Gated or SaeArchitecture.GatedOriginal:
                    Sparsity += T.Max(g, T.Zero) * norms[j] * _penalty;
                    if (active) dMagnitude += pull;
                    if (_architecture == SaeArchitecture.Gated && z > T.Zero) dGate += pull * z * GateSlope(g);
                    if (g <= T.Zero) break;
                    dGate += weight * norms[j];
                    _lengthGradient[j] += weight * g;
                    break;
                case SaeArchitecture.Relu when active:
                    T exponent = Of(objective.SparsityExponent), power = T.Pow(z, exponent);
                    Sparsity += power * norms[j] * _penalty;
                    dMagnitude += pull + weight * norms[j] * exponent * T.Pow(T.Max(z, Of(1e-6)), exponent - T.One);
                    _lengthGradient[j] += weight * power;
                    break;
                case SaeArchitecture.JumpRelu:
                    JumpRelu(j, z, active, pull, weight, ref dMagnitude);
                    break;
                default:
                    if (active) dMagnitude += pull;
                    break;
            }
        }

        private T GateSlope(T g)
        {
            T width = Of(objective.Bandwidth);
            if (objective.StraightThrough == StraightThrough.Windowed) return T.Abs(g) * _two < width ? T.One / width : T.Zero;
            T s = T.One / (T.One + T.Exp(-g));
            return s * (T.One - s);
        }

        private void JumpRelu(int j, T z, bool active, T pull, T weight, ref T dMagnitude)
        {
            T threshold = p.Threshold[j], width = Of(objective.Bandwidth), byActivation = pull, byStep = T.Zero;
            if (objective.JumpReluLoss == JumpReluLoss.L0)
            {
                if (active) Sparsity += _penalty;
                byStep = weight;
            }
            else if (objective.JumpReluLoss == JumpReluLoss.QuadraticL0)
            {
                T target = Of(objective.TargetL0);
                byStep = Of(objective.SparsityCoefficient) * _two * (_meanActive / target - T.One) / target * _perToken;
            }
            else
            {
                T scale = Of(objective.TanhScale), bend = T.Tanh(scale * (active ? z : T.Zero) * norms[j]), slope = scale * (T.One - bend * bend) * weight;
                Sparsity += bend * _penalty;
                byActivation += slope * norms[j];
                if (active) _lengthGradient[j] += slope * z;
                if (gradients is not null && dead[j] != 0 && z < threshold) BelowThreshold(j, threshold - z, ref dMagnitude);
            }
            if (active) dMagnitude += byActivation;
            if (gradients is not null && T.Abs(z - threshold) * _two < width) gradients.Threshold[j] -= (threshold * byActivation + byStep) / width;
        }

        /// <summary>relu(θ − z) ‖W_dec‖ of a dead latent, mean over tokens.</summary>
        private void BelowThreshold(int j, T gap, ref T dMagnitude)
        {
            T weight = Of(objective.PreActivationCoefficient) * _perToken;
            PreActivation += gap * norms[j] * _perToken;
            dMagnitude -= weight * norms[j];
            _lengthGradient[j] += weight * gap;
            gradients!.Threshold[j] += weight * norms[j];
        }

        private void AddAuxiliary(int t, ReadOnlySpan<T> x, T[] error, T[] dGate, T[] dMagnitude)
        {
            int start = t * _latents;
            T[] pre = batch.Magnitude;
            if (_architecture == SaeArchitecture.GatedOriginal)
            {
                // The reconstruction of the open gates themselves, bias included, of the token.
                int[] open = [.. Enumerable.Range(0, _latents).Where(j => batch.GatePre[start + j] > T.Zero)];
                T[] miss = AuxiliaryError(open, start, batch.GatePre, p.DecoderBias, [.. x]);
                foreach (int j in open) dGate[j] += Toward(miss, j);
                _auxAbsolute = T.One;
                return;
            }
            bool closed = objective.AuxChoice == AuxiliaryChoice.ClosedGate;
            if (closed && _architecture != SaeArchitecture.Gated) return;
            IEnumerable<int> candidates = Enumerable.Range(start, _latents).Where(pair => closed ? batch.GatePre[pair] <= T.Zero : dead[pair - start] != 0);
            int[] chosen = [.. Largest(candidates, pre, objective.AuxLatents).Select(pair => pair - start)];
            T[] auxError = AuxiliaryError(chosen, start, pre, closed && objective.AuxDoubleBias ? p.DecoderBias : new T[_d], [.. error.Select(e => -e)]);
            T scale = _two * Of(objective.AuxCoefficient) * _perToken;
            foreach (int j in chosen)
            {
                dMagnitude[j] += Toward(auxError, j);
                for (int i = 0; i < _d && !closed; i++) gradients!.Decoder[j * _d + i] += scale * pre[start + j] * auxError[i];
            }
        }

        /// <summary>Auxiliary reconstruction − target; adds its square to the loss.</summary>
        private T[] AuxiliaryError(int[] chosen, int start, T[] values, T[] bias, T[] target)
        {
            T[] result = new T[_d];
            for (int i = 0; i < _d; i++)
            {
                T reconstruction = bias[i];
                foreach (int j in chosen) reconstruction += values[start + j] * p.Decoder[j * _d + i];
                _auxAbsolute += T.Abs(reconstruction);
                result[i] = reconstruction - target[i];
                Auxiliary += result[i] * result[i] * _perToken;
            }
            return result;
        }

        private T Toward(T[] error, int j)
        {
            T sum = T.Zero;
            for (int i = 0; i < _d; i++) sum += error[i] * p.Decoder[j * _d + i];
            return _two * Of(objective.AuxCoefficient) * _perToken * sum;
        }
    }
}
