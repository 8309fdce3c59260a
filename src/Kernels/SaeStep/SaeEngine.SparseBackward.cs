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
            ListTokens((int)block, tokens, counts);
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

        private readonly void ListTokens(int block, int* tokens, int* counts)
        {
            SaeWorkspace space = Context.Space;
            const int words = BlockLatents / 64;
            for (int t = 0; t < Context.TileTokens; t++)
                for (int word = 0; word < words; word++)
                    for (ulong bits = space.ReachMask[(long)t * space.MaskWords + block * words + word]; bits != 0; bits &= bits - 1)
                    {
                        int latent = (word << 6) + BitOperations.TrailingZeroCount(bits);
                        tokens[(long)latent * space.TileTokens + counts[latent]++] = t;
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

            /// <summary>Tokens with a gradient of the encoder, of the decoder, and those where it is a constant.</summary>
            public readonly int* Encoder = scratch, Decoder = scratch + 2L * space.TileTokens, Constant = scratch + 3L * space.TileTokens;

            private readonly float* _values = space.AuxListValues + worker * (long)SaeWorkspace.ListScratchValues * space.TileTokens;

            public readonly float* EncoderValues => _values;
            public readonly float* GateValues => _values + 2L * space.TileTokens;
            public readonly float* DecoderValues => _values + 3L * space.TileTokens;
            public readonly float* Products => _values + 4L * space.TileTokens;
            public readonly float* AuxiliaryProducts => _values + 5L * space.TileTokens;
        }

        private readonly void Visit(int latent, in Lists lists, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int d = Context.Width, visited = Partition(latent, lists);
            float* weights = Context.Decoder + latent * Context.DecoderStride, residuals = Context.Residuals(latent), decoderGradient = Context.DecoderGradient + latent * Context.DecoderGradientStride;
            float* encoderGradient = space.EncoderGradientRows + (long)latent * space.PaddedColumns;
            Dots(d, visited, lists.Encoder, residuals, space.PaddedColumns, weights, lists.Products);
            if (Context.Auxiliary == AuxiliaryKind.Open) Dots(d, lists.Count, lists.Encoder, space.AuxRows, space.PaddedColumns, weights, lists.AuxiliaryProducts);
            int active = Differentiate(latent, visited, lists, ref sums), total = lists.Count;
            for (int n = 0; n < lists.AuxiliaryCount; n++)
            {
                int place = lists.Auxiliary[n];
                lists.Encoder[total] = place / space.AuxLatents;
                lists.EncoderValues[total++] = space.AuxGradient[place];
                space.MagnitudeBiasGradient[latent] += space.AuxGradient[place];
            }
            AddRows(d, total, lists.Encoder, lists.EncoderValues, Context.Input, Context.InputStride, encoderGradient);
            if (!Context.Tied) AddRows(d, lists.Count, lists.Encoder, lists.GateValues, Context.Input, Context.InputStride, space.GateGradientRows + (long)latent * space.PaddedColumns);
            if (!Context.DenseDecode) AddRows(d, active, lists.Decoder, lists.DecoderValues, residuals, space.PaddedColumns, decoderGradient);
            if (Context.Auxiliary != AuxiliaryKind.Dead) return;
            for (int n = 0; n < lists.AuxiliaryCount; n++) lists.DecoderValues[n] = space.AuxValue[lists.Auxiliary[n]];
            AddRows(d, lists.AuxiliaryCount, lists.Encoder + lists.Count, lists.DecoderValues, space.AuxRows, space.PaddedColumns, decoderGradient);
        }

        /// <summary>Tokens whose gradient depends on the residual come first; returns their number.</summary>
        private readonly int Partition(int latent, in Lists lists)
        {
            int visited = 0, constants = 0;
            bool all = Context.Space.ReachMask == Context.Space.ActiveMask;
            float half = 0.5f * Context.Bandwidth;
            for (int n = 0; n < lists.Count; n++)
            {
                int t = lists.Tokens[n];
                bool depends = all || IsActive(t, latent);
                if (!depends && Context.Windowed) depends = MathF.Abs(GateValue(Context, t, latent)) < half && Magnitude(Context, t, latent) > 0;
                if (!depends && Context.Jump) depends = MathF.Abs(Context.Space.Threshold[latent] - Magnitude(Context, t, latent)) < half;
                if (depends) lists.Encoder[visited++] = t;
                else lists.Constant[constants++] = t;
            }
            for (int n = 0; n < constants; n++) (lists.Encoder[visited + n], lists.Products[visited + n]) = (lists.Constant[n], 0);
            return visited;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly bool IsActive(int t, int latent) => (Context.Space.ActiveMask[(long)t * Context.Space.MaskWords + (latent >> 6)] >> (latent & 63) & 1) != 0;

        /// <summary>Differentials of every pair of the list, sums of them, and the list for the decoder; returns the length of the latter.</summary>
        private readonly int Differentiate(int latent, int visited, in Lists lists, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            float scale = space.Scale[latent];
            double magnitudeSum = 0, gateSum = 0, scaleSum = 0;
            int active = 0;
            for (int n = 0; n < lists.Count; n++)
            {
                int t = lists.Encoder[n];
                float m = Magnitude(Context, t, latent), g = GateValue(Context, t, latent);
                bool on = n < visited && IsActive(t, latent);
                DifferentiatePair(Context, latent, on, g, m, lists.Products[n], ref sums, out float dGate, out float dMagnitude);
                if (Context.Auxiliary == AuxiliaryKind.Open) dGate += lists.AuxiliaryProducts[n];
                lists.EncoderValues[n] = Context.Tied ? MathF.FusedMultiplyAdd(dMagnitude, scale, dGate) : dMagnitude;
                lists.GateValues[n] = dGate;
                magnitudeSum += dMagnitude;
                gateSum += dGate;
                if (space.Shape.HasMagnitudeScale) scaleSum += (double)dMagnitude * scale * space.MagnitudePre[PairIndex(Context, t, latent)];
                if (!on) continue;
                lists.Decoder[active] = t;
                lists.DecoderValues[active++] = m;
            }
            space.MagnitudeBiasGradient[latent] += magnitudeSum;
            space.GateBiasGradient[latent] += gateSum;
            space.ScaleGradient[latent] += scaleSum;
            return active;
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
            TVector s0 = TSimd.Zero, s1 = s0, s2 = s0, s3 = s0, u0 = s0, u1 = s0, u2 = s0, u3 = s0;
            int i = 0;
            for (; i <= length - 2 * lanes; i += 2 * lanes)
            {
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
