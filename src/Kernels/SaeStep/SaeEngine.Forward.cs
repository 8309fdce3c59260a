using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>One block of latents over a tile: pre-activations, sets, penalty, panel maxima.</summary>
    private struct EncodeJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int firstPanel = (int)block * (BlockLatents / Panel), panels = BlockLatents / Panel, d = Context.Width;
            SaeWorkspace.BlockSums sums = default;
            int pieces = (Context.TileTokens + MaxRows - 1) / MaxRows, slivers = Slivers(Context.TileTokens);
            for (int piece = 0; piece < pieces; piece++)
            {
                int s0 = slivers * piece / pieces, s1 = slivers * (piece + 1) / pieces;
                int t0 = s0 * Sliver, t1 = Math.Min(s1 * Sliver, Context.TileTokens);
                Multiply(space.MagnitudePanels, space.MagnitudePre, firstPanel, panels, t0, t1, d);
                if (!Context.Tied) Multiply(space.GatePanels, space.GatePre, firstPanel, panels, t0, t1, d);
                for (int p = 0; p < panels; p++) Classify(firstPanel + p, t0, t1, ref sums);
            }
            space.EncodeSums[block] = sums;
        }

        private readonly void Multiply(float* weights, float* target, int firstPanel, int panels, int t0, int t1, int d) =>
            Product(t1 - t0, d, Context.Space.TokenSlivers + (long)t0 * d, (long)Sliver * d, weights + (long)firstPanel * Panel * d, (long)Panel * d, panels,
                target + firstPanel * Context.PanelStride + (long)t0 * Panel, Context.PanelStride, Panel, false);

        private readonly void Classify(int panel, int t0, int t1, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count, first = panel * Panel;
            TVector gateBias0 = TSimd.Load(space.GateBias + first), gateBias1 = TSimd.Load(space.GateBias + first + lanes);
            TVector magnitudeBias0 = TSimd.Load(space.EncoderBias + first), magnitudeBias1 = TSimd.Load(space.EncoderBias + first + lanes);
            TVector scale0 = TSimd.Load(space.Scale + first), scale1 = TSimd.Load(space.Scale + first + lanes);
            TVector floor0 = TSimd.Load(space.Floor + first), floor1 = TSimd.Load(space.Floor + first + lanes);
            TVector zero = TSimd.Zero, one = TSimd.Broadcast(1f), penalty0 = zero, penalty1 = zero, used0 = zero, used1 = zero;
            float* gate = space.GatePre + panel * Context.PanelStride, magnitude = space.MagnitudePre + panel * Context.PanelStride;
            long active = 0, positive = 0, open = 0, reached = 0;
            bool reach = Context.Backward && !Context.Exact && space.ReachMask != space.ActiveMask, thresholded = Context.Thresholded, select = Context.Selecting;
            bool auxiliary = Context.AuxLatents > 0, closed = Context.Auxiliary == AuxiliaryKind.Closed;
            TVector dead0 = TSimd.Load(space.DeadLanes + first), dead1 = TSimd.Load(space.DeadLanes + first + lanes);
            for (int t = t0; t < t1; t++)
            {
                TVector m0 = TSimd.MultiplyAdd(TSimd.Load(magnitude + (long)t * Panel), scale0, magnitudeBias0), m1 = TSimd.MultiplyAdd(TSimd.Load(magnitude + (long)t * Panel + lanes), scale1, magnitudeBias1);
                TVector g0, g1;
                if (thresholded)
                {
                    // With gradual underflow the difference is positive exactly where the magnitude is larger.
                    g0 = TSimd.Subtract(m0, floor0);
                    g1 = TSimd.Subtract(m1, floor1);
                }
                else
                {
                    g0 = TSimd.Add(TSimd.Load(gate + (long)t * Panel), gateBias0);
                    g1 = TSimd.Add(TSimd.Load(gate + (long)t * Panel + lanes), gateBias1);
                }
                TVector open0 = TSimd.GreaterThan(g0, zero), open1 = TSimd.GreaterThan(g1, zero);
                TVector positive0 = TSimd.GreaterThan(m0, zero), positive1 = TSimd.GreaterThan(m1, zero);
                TVector active0 = TSimd.And(open0, positive0), active1 = TSimd.And(open1, positive1);
                penalty0 = TSimd.Add(penalty0, TSimd.And(open0, g0));
                penalty1 = TSimd.Add(penalty1, TSimd.And(open1, g1));
                used0 = TSimd.Add(used0, TSimd.And(active0, one));
                used1 = TSimd.Add(used1, TSimd.And(active1, one));
                uint bits = TSimd.Bits(active0) | (TSimd.Bits(active1) << lanes);
                uint positiveBits = TSimd.Bits(positive0) | (TSimd.Bits(positive1) << lanes);
                uint openBits = TSimd.Bits(open0) | (TSimd.Bits(open1) << lanes);
                active += BitOperations.PopCount(bits);
                positive += BitOperations.PopCount(positiveBits);
                open += BitOperations.PopCount(openBits);
                StoreBits(space.ActiveMask + (long)t * space.MaskWords, panel, bits);
                if (reach)
                {
                    uint reachBits = bits | Reached(g0, m0, first, openBits) | (Reached(g1, m1, first + lanes, openBits >> lanes) << lanes);
                    reached += BitOperations.PopCount(reachBits);
                    StoreBits(space.ReachMask + (long)t * space.MaskWords, panel, reachBits);
                }
                if (select) space.PanelMaxima[(long)t * Context.Panels + panel] = TSimd.MaxAcross(TSimd.MaxOrSecond(TSimd.And(positive0, m0), TSimd.And(positive1, m1)));
                if (!auxiliary) continue;
                float largest = 0;
                if (closed && positiveBits != bits) largest = TSimd.MaxAcross(TSimd.MaxOrSecond(TSimd.AndNot(TSimd.And(positive0, m0), open0), TSimd.AndNot(TSimd.And(positive1, m1), open1)));
                else if (!closed) largest = TSimd.MaxAcross(TSimd.MaxOrSecond(TSimd.And(TSimd.And(positive0, m0), dead0), TSimd.And(TSimd.And(positive1, m1), dead1)));
                space.AuxMaxima[(long)t * Context.Panels + panel] = largest;
            }
            sums.Active += active;
            sums.Reached += reach ? reached : active;
            sums.MagnitudePositive += positive;
            sums.GatePositive += open;
            AddLanes(first, penalty0, penalty1, used0, used1, ref sums);
            if (Context.Pairwise) AddPenalties(panel, t0, t1, ref sums);
        }

        /// <summary>Pairs with a gradient besides the active ones.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly uint Reached(TVector g, TVector m, int first, uint open)
        {
            TVector half = TSimd.Broadcast(0.5f * Context.Bandwidth);
            uint lanes = (uint)((1UL << TSimd.Count) - 1);
            if (Context.Windowed)
                return TSimd.Bits(TSimd.And(TSimd.GreaterThan(half, TSimd.Abs(g)), TSimd.GreaterThan(m, TSimd.Zero))) | (Context.SparsityGradient > 0 ? open & lanes : 0);
            if (!Context.Jump) return open & lanes;
            TVector gap = TSimd.Subtract(TSimd.Load(Context.Space.Threshold + first), m), reached = TSimd.GreaterThan(half, TSimd.Abs(gap));
            uint bits = TSimd.Bits(reached);
            if (Context.BelowGradient > 0) bits |= TSimd.Bits(TSimd.And(TSimd.GreaterThan(gap, TSimd.Zero), TSimd.Load(Context.Space.DeadLanes + first)));
            return bits;
        }

        private readonly void AddLanes(int first, TVector penalty0, TVector penalty1, TVector used0, TVector used1, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count;
            float* lane = stackalloc float[4 * lanes];
            TSimd.Store(lane, penalty0);
            TSimd.Store(lane + lanes, penalty1);
            TSimd.Store(lane + 2 * lanes, used0);
            TSimd.Store(lane + 3 * lanes, used1);
            for (int i = 0; i < Panel; i++)
            {
                if (!Context.Selecting) space.Usage[first + i] += (int)lane[Panel + i];
                if (!Context.Linear) continue;
                sums.Sparsity += (double)lane[i] * space.DecoderNorms[first + i];
                space.LengthGradient[first + i] += (double)Context.SparsityGradient * lane[i];
            }
        }

        /// <summary>Penalties that are not linear in the activation, active pair by active pair.</summary>
        private readonly void AddPenalties(int panel, int t0, int t1, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            for (int t = t0; t < t1; t++)
                for (uint bits = LoadBits(space.ActiveMask + (long)t * space.MaskWords, panel); bits != 0; bits &= bits - 1)
                {
                    int latent = panel * Panel + BitOperations.TrailingZeroCount(bits);
                    float a = Magnitude(Context, t, latent), norm = space.DecoderNorms[latent];
                    if (!Context.Jump)
                    {
                        float power = MathF.Pow(a, Context.Exponent);
                        sums.Sparsity += (double)power * norm;
                        space.LengthGradient[latent] += (double)Context.SparsityGradient * power;
                    }
                    else sums.Sparsity += Context.JumpLoss == JumpReluLoss.Tanh ? MathF.Tanh(Context.TanhScale * a * norm) : 1;
                }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreBits(ulong* row, int panel, uint bits)
    {
        // Panels are 8, 16 or 32 latents wide and follow each other in little-endian order: the row reads as one bit set.
        if (TSimd.Count == 4) ((byte*)row)[panel] = (byte)bits;
        else if (TSimd.Count == 8) ((ushort*)row)[panel] = (ushort)bits;
        else ((uint*)row)[panel] = bits;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint LoadBits(ulong* row, int panel) => TSimd.Count == 4 ? ((byte*)row)[panel] : TSimd.Count == 8 ? ((ushort*)row)[panel] : ((uint*)row)[panel];

    /// <summary>Latents of one token whose bit is set, in ascending order, with magnitude or, where <paramref name="gate"/>, gate value; returns their number.</summary>
    private static int Collect(in Context context, ulong* masks, int token, bool gate, int* indices, float* values)
    {
        SaeWorkspace space = context.Space;
        ulong* mask = masks + (long)token * space.MaskWords;
        float* source = gate ? space.GatePre : space.MagnitudePre;
        int count = 0;
        for (int word = 0; word < space.MaskWords; word++)
            for (ulong bits = mask[word]; bits != 0; bits &= bits - 1)
            {
                int latent = (word << 6) + BitOperations.TrailingZeroCount(bits);
                indices[count++] = latent;
                // Each lies in a panel of its own, far from the last: all are on their way before the first is needed.
                if (Sse.IsSupported) Sse.Prefetch0(source + PairIndex(context, token, latent));
            }
        for (int n = 0; n < count; n++) values[n] = gate ? GateValue(context, token, indices[n]) : Magnitude(context, token, indices[n]);
        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long PairIndex(in Context context, int token, int latent) => latent / Panel * context.PanelStride + (long)token * Panel + latent % Panel;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Magnitude(in Context context, int token, int latent) =>
        MathF.FusedMultiplyAdd(context.Space.MagnitudePre[PairIndex(context, token, latent)], context.Space.Scale[latent], context.Space.EncoderBias[latent]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float GateValue(in Context context, int token, int latent) => context.Space.GatePre[PairIndex(context, token, latent)] + context.Space.GateBias[latent];

    /// <summary>Activations of six tokens, written out.</summary>
    private struct ActivationJob : IBlockJob
    {
        public Context Context;
        public float* Output;
        public long OutputStride;

        public void Execute(long sliver, int worker)
        {
            int* indices = Context.Space.IndexScratch + (long)worker * Context.Space.PaddedLatents;
            float* values = Context.Space.ValueScratch + (long)worker * Context.Space.PaddedLatents;
            int last = Math.Min((int)(sliver + 1) * Sliver, Context.TileTokens);
            for (int token = (int)sliver * Sliver; token < last; token++)
            {
                float* row = Output + token * OutputStride;
                new Span<float>(row, Context.Space.Latents).Clear();
                int count = Collect(Context, Context.Space.ActiveMask, token, false, indices, values);
                for (int n = 0; n < count; n++) row[indices[n]] = values[n];
            }
        }
    }

    /// <summary>a W_dec for a piece of a tile whose activations are dense, without the bias; of the original gated autoencoder also relu(g) W_dec.</summary>
    private struct DenseDecodeJob : IBlockJob
    {
        private const int Depth = 2 * BlockLatents;

        public Context Context;
        public float* Output;
        public bool Open;

        public static int Blocks(in Context context) => (context.TileTokens + MaxRows - 1) / MaxRows;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int blocks = Blocks(Context), slivers = Slivers(Context.TileTokens);
            int s0 = slivers * (int)block / blocks, s1 = slivers * ((int)block + 1) / blocks;
            float* packed = space.PackScratch + (long)worker * MaxRows * Depth;
            for (int first = 0; first < space.Latents; first += Depth)
            {
                int depth = Math.Min(Depth, space.Latents - first);
                for (int s = s0; s < s1; s++) PackActivations(s, first, depth, packed + (long)(s - s0) * Sliver * depth);
                Product((s1 - s0) * Sliver, depth, packed, (long)Sliver * depth, space.DecoderRowPanels + (long)first * Panel, (long)Panel * space.PaddedLatents,
                    (Context.Width + Panel - 1) / Panel, Output + (long)s0 * Sliver * space.PaddedColumns, Panel, space.PaddedColumns, first > 0);
            }
        }

        private readonly void PackActivations(int sliver, int first, int depth, float* target)
        {
            for (int i = 0; i < Sliver; i++)
            {
                int token = sliver * Sliver + i;
                ulong* mask = (Open ? Context.Space.ReachMask : Context.Space.ActiveMask) + (long)token * Context.Space.MaskWords;
                for (int k = 0; k < depth; k++)
                {
                    int latent = first + k;
                    bool active = token < Context.TileTokens && (mask[latent >> 6] >> (latent & 63) & 1) != 0;
                    target[(long)k * Sliver + i] = !active ? 0 : Open ? GateValue(Context, token, latent) : Magnitude(Context, token, latent);
                }
            }
        }
    }
}
