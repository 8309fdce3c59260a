using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>
    /// One block of latents over a tile, visiting only pairs with a gradient. The block's bits are turned into a list of tokens per latent; then the rows of one
    /// latent (W_dec, dW_dec, dW_enc) stay in the first-level cache while its tokens' rows stream past them.
    /// </summary>
    private struct SparseBackwardJob : IBlockJob
    {
        public Context Context;

        /// <summary>No tile of the batch was visited before.</summary>
        public bool First;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            if (Context.DenseDecode) DenseDecoderGradient(Context, (int)block * (BlockLatents / Panel), BlockLatents / Panel, worker);
            long rows = block * BlockLatents * space.PaddedColumns;
            if (First)
            {
                new Span<float>(space.EncoderGradientRows + rows, BlockLatents * space.PaddedColumns).Clear();
                if (!Context.Tied) new Span<float>(space.GateGradientRows + rows, BlockLatents * space.PaddedColumns).Clear();
            }
            int tile = space.TileTokens, firstLatent = (int)block * BlockLatents;
            int* tokens = space.TokenLists + worker * (long)(BlockLatents + SaeWorkspace.ListScratch) * tile, auxiliary = space.AuxLists + worker * (long)BlockLatents * tile;
            int* counts = stackalloc int[2 * BlockLatents];
            new Span<int>(counts, 2 * BlockLatents).Clear();
            ListTokens(Context, space.ReachMask, (int)block, tokens, counts);
            if (Context.AuxLatents > 0) ListAuxiliary(firstLatent, auxiliary, counts + BlockLatents);
            Lists lists = new(space, worker, tokens + (long)BlockLatents * tile);
            for (int j = 0; j < BlockLatents; j++)
            {
                if (counts[j] + counts[BlockLatents + j] == 0) continue;
                lists.Tokens = tokens + (long)j * tile;
                lists.Auxiliary = auxiliary + (long)j * tile;
                (lists.Count, lists.AuxiliaryCount) = (counts[j], counts[BlockLatents + j]);
                Visit(firstLatent + j, lists, ref space.EncodeSums[block]);
            }
        }

        private readonly void ListAuxiliary(int low, int* places, int* counts)
        {
            SaeWorkspace space = Context.Space;
            for (int t = 0; t < Context.TileTokens; t++)
            {
                int at = t * space.AuxLatents;
                int* indices = space.AuxIndex + at;
                int count = space.AuxCount[t], n = new ReadOnlySpan<int>(indices, count).BinarySearch(low);
                for (n = n < 0 ? ~n : n; n < count && indices[n] < low + BlockLatents; n++)
                {
                    int latent = indices[n] - low;
                    places[(long)latent * space.TileTokens + counts[latent]++] = at + n;
                }
            }
        }

        /// <summary>Lists of one latent: its tokens, and room for what is made of them.</summary>
        private ref struct Lists(SaeWorkspace space, int worker, int* scratch)
        {
            public int* Tokens, Auxiliary;
            public int Count, AuxiliaryCount;

            /// <summary>Tokens in the order they are worked on, auxiliary ones last, and room to sort them.</summary>
            public readonly int* Encoder = scratch, Constant = scratch + 2L * space.TileTokens;

            private readonly float* _values = space.AuxListValues + worker * (long)SaeWorkspace.ListScratchValues * space.TileTokens;

            public readonly float* EncoderValues => _values;
            public readonly float* GateValues => _values + 2L * space.TileTokens;
            public readonly float* Products => _values + 3L * space.TileTokens;
            public readonly float* AuxiliaryProducts => _values + 4L * space.TileTokens;
            public readonly float* Magnitudes => _values + 5L * space.TileTokens;
            public readonly float* Gates => _values + 6L * space.TileTokens;
        }

        private readonly void Visit(int latent, in Lists lists, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int d = Context.Width, visited = Partition(latent, lists, out int active);
            float* weights = Context.Decoder + latent * Context.DecoderStride, residuals = Context.Residuals(latent), decoderGradient = Context.DecoderGradient + latent * Context.DecoderGradientStride;
            float* encoderGradient = space.EncoderGradientRows + (long)latent * space.PaddedColumns;
            Dots(d, visited, lists.Encoder, residuals, space.PaddedColumns, weights, lists.Products);
            if (Context.Auxiliary == AuxiliaryKind.Open) Dots(d, lists.Count, lists.Encoder, space.AuxRows, space.PaddedColumns, weights, lists.AuxiliaryProducts);
            Differentiate(latent, active, lists, ref sums);
            int total = lists.Count;
            for (int n = 0; n < lists.AuxiliaryCount; n++)
            {
                int place = lists.Auxiliary[n];
                lists.Encoder[total] = place / space.AuxLatents;
                lists.EncoderValues[total++] = space.AuxGradient[place];
                space.MagnitudeBiasGradient[latent] += space.AuxGradient[place];
            }
            AddRows(d, total, lists.Encoder, lists.EncoderValues, Context.Input, Context.InputStride, encoderGradient);
            if (!Context.Tied) AddRows(d, lists.Count, lists.Encoder, lists.GateValues, Context.Input, Context.InputStride, space.GateGradientRows + (long)latent * space.PaddedColumns);
            if (!Context.DenseDecode) AddRows(d, active, lists.Encoder, lists.Magnitudes, residuals, space.PaddedColumns, decoderGradient);
            if (Context.Auxiliary != AuxiliaryKind.Dead) return;
            for (int n = 0; n < lists.AuxiliaryCount; n++) lists.Magnitudes[n] = space.AuxValue[lists.Auxiliary[n]];
            AddRows(d, lists.AuxiliaryCount, lists.Encoder + lists.Count, lists.Magnitudes, space.AuxRows, space.PaddedColumns, decoderGradient);
        }

        /// <summary>
        /// Pre-activations of the list, and tokens in the order: active ones, others whose gradient depends on the residual, the rest. Returns the number
        /// of the first two kinds, <paramref name="active"/> that of the first.
        /// </summary>
        private readonly int Partition(int latent, in Lists lists, out int active)
        {
            SaeWorkspace space = Context.Space;
            int tile = space.TileTokens, reached = 0, constants = 0;
            float half = 0.5f * Context.Bandwidth, scale = space.Scale[latent], bias = space.EncoderBias[latent], gateBias = space.GateBias[latent], threshold = space.Threshold[latent];
            float* magnitude = space.MagnitudePre + PairIndex(Context, 0, latent), gate = space.GatePre + PairIndex(Context, 0, latent);
            // Three runs, each in token order; the second and third wait in the list of constants, from both ends.
            active = 0;
            for (int n = 0; n < lists.Count; n++)
            {
                int t = lists.Tokens[n] >> 1;
                if ((lists.Tokens[n] & 1) != 0)
                {
                    lists.Encoder[active++] = t;
                    continue;
                }
                float m = MathF.FusedMultiplyAdd(magnitude[(long)t * Panel], scale, bias);
                bool depends = Context.Windowed ? m > 0 && MathF.Abs(gate[(long)t * Panel] + gateBias) < half : Context.Jump && MathF.Abs(threshold - m) < half;
                if (depends) lists.Constant[reached++] = t;
                else lists.Constant[tile - ++constants] = t;
            }
            for (int n = 0; n < reached; n++) lists.Encoder[active + n] = lists.Constant[n];
            for (int n = 0; n < constants; n++) lists.Encoder[active + reached + n] = lists.Constant[tile - 1 - n];
            for (int n = 0; n < lists.Count; n++)
            {
                long at = (long)lists.Encoder[n] * Panel;
                lists.Magnitudes[n] = MathF.FusedMultiplyAdd(magnitude[at], scale, bias);
                lists.Gates[n] = gate[at] + gateBias;
            }
            new Span<float>(lists.Products + active + reached, constants).Clear();
            return active + reached;
        }

        /// <summary>Differentials of every pair of the list, and sums of them.</summary>
        private readonly void Differentiate(int latent, int active, in Lists lists, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            float scale = space.Scale[latent], scaleShare = space.Shape.HasMagnitudeScale ? 1 : 0;
            double magnitudeSum = 0, gateSum = 0, scaleSum = 0;
            bool open = Context.Auxiliary == AuxiliaryKind.Open, tied = Context.Tied;
            for (int n = 0; n < lists.Count; n++)
            {
                float m = lists.Magnitudes[n];
                DifferentiatePair(Context, latent, n < active, lists.Gates[n], m, lists.Products[n], ref sums, out float dGate, out float dMagnitude);
                if (open) dGate += lists.AuxiliaryProducts[n];
                lists.EncoderValues[n] = tied ? MathF.FusedMultiplyAdd(dMagnitude, scale, dGate) : dMagnitude;
                lists.GateValues[n] = dGate;
                magnitudeSum += dMagnitude;
                gateSum += dGate;
                // The pre-activation before scale and bias is what the gate has without its own.
                scaleSum += (double)dMagnitude * scale * (lists.Gates[n] - space.GateBias[latent]) * scaleShare;
            }
            space.MagnitudeBiasGradient[latent] += magnitudeSum;
            space.GateBiasGradient[latent] += gateSum;
            space.ScaleGradient[latent] += scaleSum;
        }
    }

    /// <summary>Pairs of each latent of the block, as twice the token, plus one where the latent is active.</summary>
    private static void ListTokens(in Context context, ulong* masks, int block, int* tokens, int* counts)
    {
        SaeWorkspace space = context.Space;
        const int words = BlockLatents / 64;
        for (int t = 0; t < context.TileTokens; t++)
            for (int word = 0; word < words; word++)
            {
                long at = (long)t * space.MaskWords + block * words + word;
                ulong active = space.ActiveMask[at];
                for (ulong bits = masks[at]; bits != 0; bits &= bits - 1)
                {
                    int bit = BitOperations.TrailingZeroCount(bits), latent = (word << 6) + bit;
                    tokens[(long)latent * space.TileTokens + counts[latent]++] = 2 * t + (int)(active >> bit & 1);
                }
            }
    }

    /// <summary>Gradient of one pair by its pre-activations, without the auxiliary loss; what it adds to threshold and row length goes there.</summary>
    private static void DifferentiatePair(in Context context, int latent, bool active, float g, float m, float q, ref SaeWorkspace.BlockSums sums, out float dGate, out float dMagnitude)
    {
        SaeWorkspace space = context.Space;
        dGate = 0;
        if (context.Jump)
        {
            dMagnitude = DifferentiateJump(context, latent, active, m, q, ref sums);
            return;
        }
        dMagnitude = active ? q : 0;
        float penalty = context.SparsityGradient * space.DecoderNorms[latent];
        if (context.Windowed && m > 0 && MathF.Abs(g) < 0.5f * context.Bandwidth) dGate = q * m / context.Bandwidth;
        if (context.Linear && g > 0) dGate += penalty;
        if (context.Pairwise && active) dMagnitude += penalty * context.Exponent * MathF.Pow(Math.Max(m, 1e-6f), context.Exponent - 1);
    }

    private static float DifferentiateJump(in Context context, int latent, bool active, float m, float q, ref SaeWorkspace.BlockSums sums)
    {
        SaeWorkspace space = context.Space;
        float threshold = space.Threshold[latent], gap = threshold - m, norm = space.DecoderNorms[latent], pull = q, below = 0;
        if (context.JumpLoss == JumpReluLoss.Tanh)
        {
            float bend = MathF.Tanh(context.TanhScale * (active ? m : 0) * norm), slope = context.TanhScale * (1 - bend * bend) * context.SparsityGradient;
            pull += slope * norm;
            if (active) space.LengthGradient[latent] += (double)slope * m;
            if (context.BelowGradient > 0 && gap > 0 && space.Dead.Pointer[latent] != 0)
            {
                sums.PreActivation += (double)gap * norm;
                below = context.BelowGradient * norm;
                space.LengthGradient[latent] += (double)context.BelowGradient * gap;
                space.ThresholdGradient[latent] += below;
            }
        }
        if (MathF.Abs(gap) < 0.5f * context.Bandwidth)
        {
            space.ThresholdGradient[latent] -= (double)threshold * pull / context.Bandwidth;
            space.WindowPairs[latent]++;
        }
        return (active ? pull : 0) - below;
    }

    /// <summary>result[n] = rows[indices[n]] · w, four rows at a time.</summary>
    private static void Dots(int length, int count, int* indices, float* rows, long rowStride, float* w, float* result)
    {
        int n = 0, lanes = TSimd.Count;
        for (; n <= count - 4; n += 4)
        {
            float* x0 = rows + indices[n] * rowStride, x1 = rows + indices[n + 1] * rowStride, x2 = rows + indices[n + 2] * rowStride, x3 = rows + indices[n + 3] * rowStride;
            Following(n, count, indices, rows, rowStride, out float* p0, out float* p1, out float* p2, out float* p3);
            TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0, u0 = s0, u1 = s0, u2 = s0, u3 = s0;
            int i = 0;
            for (; i <= length - 2 * lanes; i += 2 * lanes)
            {
                Fetch(p0 + i, p1 + i, p2 + i, p3 + i);
                TVector left = TSimd.Load(w + i), right = TSimd.Load(w + i + lanes);
                s0 = TSimd.MultiplyAdd(left, TSimd.Load(x0 + i), s0);
                s1 = TSimd.MultiplyAdd(left, TSimd.Load(x1 + i), s1);
                s2 = TSimd.MultiplyAdd(left, TSimd.Load(x2 + i), s2);
                s3 = TSimd.MultiplyAdd(left, TSimd.Load(x3 + i), s3);
                u0 = TSimd.MultiplyAdd(right, TSimd.Load(x0 + i + lanes), u0);
                u1 = TSimd.MultiplyAdd(right, TSimd.Load(x1 + i + lanes), u1);
                u2 = TSimd.MultiplyAdd(right, TSimd.Load(x2 + i + lanes), u2);
                u3 = TSimd.MultiplyAdd(right, TSimd.Load(x3 + i + lanes), u3);
            }
            result[n] = TSimd.Sum(TSimd.Add(s0, u0)) + Tail(length - i, x0 + i, w + i);
            result[n + 1] = TSimd.Sum(TSimd.Add(s1, u1)) + Tail(length - i, x1 + i, w + i);
            result[n + 2] = TSimd.Sum(TSimd.Add(s2, u2)) + Tail(length - i, x2 + i, w + i);
            result[n + 3] = TSimd.Sum(TSimd.Add(s3, u3)) + Tail(length - i, x3 + i, w + i);
        }
        for (; n < count; n++) result[n] = Dot(length, rows + indices[n] * rowStride, w);
    }

    private static float Tail(int length, float* x, float* y)
    {
        float sum = 0;
        for (int i = 0; i < length; i++) sum = MathF.FusedMultiplyAdd(x[i], y[i], sum);
        return sum;
    }
}
