using System.Numerics;
using System.Runtime.Intrinsics.X86;
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
            int* active = stackalloc int[3 * BlockLatents], others = active + BlockLatents, chosen = others + BlockLatents;
            new Span<int>(active, 3 * BlockLatents).Clear();
            ListTokens(Context, space.ReachMask, (int)block, tokens, active, others);
            if (Context.AuxLatents > 0) ListAuxiliary(firstLatent, auxiliary, chosen);
            Lists lists = new(space, worker, tokens + (long)BlockLatents * tile);
            for (int j = 0; j < BlockLatents; j++)
            {
                lists.Tokens = tokens + (long)j * tile;
                lists.Auxiliary = auxiliary + (long)j * tile;
                (lists.Active, lists.Count, lists.AuxiliaryCount) = (active[j], active[j] + others[j], chosen[j]);
                if (j + 1 < BlockLatents) FetchPairs(firstLatent + j + 1, tokens + (j + 1L) * tile, active[j + 1], others[j + 1]);
                if (lists.Count + lists.AuxiliaryCount > 0) Visit(firstLatent + j, lists, ref space.EncodeSums[block]);
            }
        }

        /// <summary>Starts to fetch the pre-activations of a latent's tokens, which are lines apart.</summary>
        private readonly void FetchPairs(int latent, int* tokens, int active, int others)
        {
            if (!Sse.IsSupported) return;
            float* magnitude = Context.Space.MagnitudePre + PairIndex(Context, 0, latent), gate = Context.Space.GatePre + PairIndex(Context, 0, latent);
            int* last = tokens + Context.Space.TileTokens - others;
            for (int n = 0; n < active; n++) Sse.Prefetch0(magnitude + (long)tokens[n] * Panel);
            for (int n = 0; n < others; n++) Sse.Prefetch0(magnitude + (long)last[n] * Panel);
            if (Context.Tied) return;
            for (int n = 0; n < active; n++) Sse.Prefetch0(gate + (long)tokens[n] * Panel);
            for (int n = 0; n < others; n++) Sse.Prefetch0(gate + (long)last[n] * Panel);
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
            /// <summary>Tokens where the latent is active in ascending order, and from the end of a tile's room backwards those where it is not.</summary>
            public int* Tokens;
            public int* Auxiliary;
            public int Active, Count, AuxiliaryCount;

            /// <summary>Tokens in the order they are worked on, auxiliary ones last, and room for those whose gradient is constant.</summary>
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
            int d = Context.Width, active = lists.Active, visited = Partition(latent, lists);
            float* weights = Context.Decoder + latent * Context.DecoderStride, residuals = Context.Residuals(latent), decoderGradient = Context.DecoderGradient + latent * Context.DecoderGradientStride;
            float* encoderGradient = space.EncoderGradientRows + (long)latent * space.PaddedColumns;
            int paired = 0;
            if (!Context.DenseDecode)
            {
                paired = AddRowsWithDots(d, active, lists.Encoder, lists.Magnitudes, residuals, space.PaddedColumns, decoderGradient, weights, lists.Products);
                AddRows(d, active - paired, lists.Encoder + paired, lists.Magnitudes + paired, residuals, space.PaddedColumns, decoderGradient);
            }
            Dots(d, visited - paired, lists.Encoder + paired, residuals, space.PaddedColumns, weights, 1, lists.Products + paired);
            if (Context.Auxiliary == AuxiliaryKind.Open) Dots(d, lists.Count, lists.Encoder, space.AuxRows, space.PaddedColumns, weights, 1, lists.AuxiliaryProducts);
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
            if (Context.Auxiliary != AuxiliaryKind.Dead) return;
            for (int n = 0; n < lists.AuxiliaryCount; n++) lists.Magnitudes[n] = space.AuxValue[lists.Auxiliary[n]];
            AddRows(d, lists.AuxiliaryCount, lists.Encoder + lists.Count, lists.Magnitudes, space.AuxRows, space.PaddedColumns, decoderGradient);
        }

        /// <summary>
        /// Pre-activations of the list, and tokens in the order: active ones, others whose gradient depends on the residual, the rest. Returns the number
        /// of the first two kinds.
        /// </summary>
        private readonly int Partition(int latent, in Lists lists)
        {
            SaeWorkspace space = Context.Space;
            int visited = lists.Active, constants = 0, tile = space.TileTokens, others = lists.Count - lists.Active;
            float half = 0.5f * Context.Bandwidth, scale = space.Scale[latent], bias = space.EncoderBias[latent], gateBias = space.GateBias[latent], threshold = space.Threshold[latent];
            float* magnitude = space.MagnitudePre + PairIndex(Context, 0, latent), gate = space.GatePre + PairIndex(Context, 0, latent);
            for (int n = 0; n < visited; n++)
            {
                int t = lists.Tokens[n];
                lists.Encoder[n] = t;
                lists.Magnitudes[n] = MathF.FusedMultiplyAdd(magnitude[(long)t * Panel], scale, bias);
                lists.Gates[n] = gate[(long)t * Panel] + gateBias;
            }
            for (int n = 0; n < others; n++)
            {
                int t = lists.Tokens[tile - 1 - n];
                float m = MathF.FusedMultiplyAdd(magnitude[(long)t * Panel], scale, bias), g = gate[(long)t * Panel] + gateBias;
                bool depends = Context.Windowed ? m > 0 && MathF.Abs(g) < half : Context.Jump && MathF.Abs(threshold - m) < half;
                if (!depends)
                {
                    lists.Constant[constants++] = t;
                    continue;
                }
                lists.Encoder[visited] = t;
                lists.Magnitudes[visited] = m;
                lists.Gates[visited++] = g;
            }
            for (int n = 0; n < constants; n++)
            {
                int t = lists.Encoder[visited + n] = lists.Constant[n];
                lists.Magnitudes[visited + n] = MathF.FusedMultiplyAdd(magnitude[(long)t * Panel], scale, bias);
                lists.Gates[visited + n] = gate[(long)t * Panel] + gateBias;
            }
            new Span<float>(lists.Products + visited, constants).Clear();
            return visited;
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

    /// <summary>Tokens of each latent of the block: active ones from the front of the latent's room in ascending order, others of the mask from its end backwards.</summary>
    private static void ListTokens(in Context context, ulong* masks, int block, int* tokens, int* active, int* others)
    {
        SaeWorkspace space = context.Space;
        const int words = BlockLatents / 64;
        long room = space.TileTokens;
        for (int t = 0; t < context.TileTokens; t++)
            for (int word = 0; word < words; word++)
            {
                long at = (long)t * space.MaskWords + block * words + word;
                ulong fire = space.ActiveMask[at];
                int first = word << 6;
                for (ulong bits = masks[at] & ~fire; bits != 0; bits &= bits - 1)
                {
                    int latent = first + BitOperations.TrailingZeroCount(bits);
                    tokens[(latent + 1) * room - ++others[latent]] = t;
                }
                for (ulong bits = masks[at] & fire; bits != 0; bits &= bits - 1)
                {
                    int latent = first + BitOperations.TrailingZeroCount(bits);
                    tokens[latent * room + active[latent]++] = t;
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
}
