using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>One block of latents over a tile by dense products: q = r W_decᵀ, dz in place of z, and this block's share of every gradient.</summary>
    private struct BackwardJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int panels = BlockLatents / Panel, firstPanel = (int)block * panels, d = Context.Width;
            if (Context.DenseDecode) DenseDecoderGradient(Context, firstPanel, panels, worker);
            else SparseDecoderGradient((int)block, worker);
            const long block2 = (long)BlockLatents * MaxRows;
            float* products = space.ProductScratch + worker * 2 * block2;
            int pieces = (Context.TileTokens + MaxRows - 1) / MaxRows, slivers = Slivers(Context.TileTokens);
            for (int piece = 0; piece < pieces; piece++)
            {
                int s0 = slivers * piece / pieces, s1 = slivers * (piece + 1) / pieces;
                int t0 = s0 * Sliver, t1 = Math.Min(s1 * Sliver, Context.TileTokens);
                float* weights = space.DecoderPanels + (long)firstPanel * Panel * d;
                Product(t1 - t0, d, space.ResidualSlivers + (long)t0 * d, (long)Sliver * d, weights, (long)Panel * d, panels, products, (long)MaxRows * Panel, Panel, false);
                if (Context.Auxiliary == AuxiliaryKind.Open)
                    Product(t1 - t0, d, space.AuxSlivers + (long)t0 * d, (long)Sliver * d, weights, (long)Panel * d, panels, products + block2, (long)MaxRows * Panel, Panel, false);
                for (int p = 0; p < panels; p++)
                {
                    float* q = products + (long)p * MaxRows * Panel;
                    if (Context.Pairwise) DifferentiatePairs(firstPanel + p, t0, t1, q, ref space.EncodeSums[block]);
                    else if (!Context.Exact && !Context.Windowed) DifferentiateLinear(firstPanel + p, t0, t1, q, Context.Auxiliary == AuxiliaryKind.Open ? q + block2 : null);
                    else if (Context.Tied) DifferentiateTied(firstPanel + p, t0, t1, q);
                    else DifferentiateUntied(firstPanel + p, t0, t1, q);
                }
                if (Context.AuxLatents > 0) AddAuxiliary((int)block, t0, t1);
            }
            EncoderGradient(space.MagnitudePre, space.MagnitudeGradient, firstPanel, panels);
            if (!Context.Tied) EncoderGradient(space.GatePre, space.GateGradient, firstPanel, panels);
        }

        private readonly void EncoderGradient(float* differentials, float* gradient, int firstPanel, int panels)
        {
            SaeWorkspace space = Context.Space;
            Product(Context.Width, Context.TileTokens, space.TokenColumnSlivers, (long)Sliver * space.TileTokens, differentials + firstPanel * Context.PanelStride, Context.PanelStride,
                panels, gradient + (long)firstPanel * Panel * space.PaddedRows, (long)Panel * space.PaddedRows, Panel, !Context.FirstDenseProducts);
        }

        /// <summary>dW_dec[j] += a r over the active pairs, latent by latent in token order.</summary>
        private readonly void SparseDecoderGradient(int block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int* tokens = space.TokenLists + worker * (long)(BlockLatents + SaeWorkspace.ListScratch) * space.TileTokens, counts = stackalloc int[2 * BlockLatents];
            float* values = space.AuxListValues + worker * (long)SaeWorkspace.ListScratchValues * space.TileTokens;
            new Span<int>(counts, 2 * BlockLatents).Clear();
            ListTokens(Context, space.ActiveMask, block, tokens, counts, counts + BlockLatents);
            for (int j = 0; j < BlockLatents; j++)
            {
                int* list = tokens + (long)j * space.TileTokens;
                int latent = block * BlockLatents + j;
                for (int n = 0; n < counts[j]; n++) values[n] = Magnitude(Context, list[n], latent);
                AddRows(Context.Width, counts[j], list, values, space.ResidualRows, space.PaddedColumns, Context.DecoderGradient + latent * Context.DecoderGradientStride);
            }
        }

        private readonly void DifferentiateTied(int panel, int t0, int t1, float* q)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count;
            float* z = space.MagnitudePre + panel * Context.PanelStride;
            for (int half = 0; half < 2; half++)
            {
                int offset = half * lanes, first = panel * Panel + offset;
                TVector gateBias = TSimd.Load(space.GateBias + first), magnitudeBias = TSimd.Load(space.EncoderBias + first);
                TVector penalty = TSimd.Multiply(TSimd.Broadcast(Context.SparsityGradient), TSimd.Load(space.DecoderNorms + first));
                TVector gateSum = TSimd.Zero, magnitudeSum = TSimd.Zero;
                for (int t = t0; t < t1; t++)
                {
                    float* address = z + (long)t * Panel + offset;
                    TVector pre = TSimd.Load(address), product = TSimd.Load(q + (long)(t - t0) * Panel + offset);
                    Differentiate(TSimd.Add(pre, gateBias), TSimd.Add(pre, magnitudeBias), product, penalty, out TVector dGate, out TVector dMagnitude);
                    gateSum = TSimd.Add(gateSum, dGate);
                    magnitudeSum = TSimd.Add(magnitudeSum, dMagnitude);
                    TSimd.Store(address, TSimd.Add(dGate, dMagnitude));
                }
                AddLanes(gateSum, space.GateBiasGradient + first);
                AddLanes(magnitudeSum, space.MagnitudeBiasGradient + first);
            }
        }

        private readonly void DifferentiateUntied(int panel, int t0, int t1, float* q)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count;
            float* gate = space.GatePre + panel * Context.PanelStride, magnitude = space.MagnitudePre + panel * Context.PanelStride;
            for (int half = 0; half < 2; half++)
            {
                int offset = half * lanes, first = panel * Panel + offset;
                TVector gateBias = TSimd.Load(space.GateBias + first), magnitudeBias = TSimd.Load(space.EncoderBias + first);
                TVector penalty = TSimd.Multiply(TSimd.Broadcast(Context.SparsityGradient), TSimd.Load(space.DecoderNorms + first));
                TVector gateSum = TSimd.Zero, magnitudeSum = TSimd.Zero;
                for (int t = t0; t < t1; t++)
                {
                    float* g = gate + (long)t * Panel + offset, m = magnitude + (long)t * Panel + offset;
                    TVector product = TSimd.Load(q + (long)(t - t0) * Panel + offset);
                    Differentiate(TSimd.Add(TSimd.Load(g), gateBias), TSimd.Add(TSimd.Load(m), magnitudeBias), product, penalty, out TVector dGate, out TVector dMagnitude);
                    gateSum = TSimd.Add(gateSum, dGate);
                    magnitudeSum = TSimd.Add(magnitudeSum, dMagnitude);
                    TSimd.Store(g, dGate);
                    TSimd.Store(m, dMagnitude);
                }
                AddLanes(gateSum, space.GateBiasGradient + first);
                AddLanes(magnitudeSum, space.MagnitudeBiasGradient + first);
            }
        }

        /// <summary>Architectures without a gradient through the step: dz = s (q + …) of active pairs, and penalty and auxiliary loss of open ones; s = e^r_mag.</summary>
        private readonly void DifferentiateLinear(int panel, int t0, int t1, float* q, float* auxiliary)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count;
            float* z = space.MagnitudePre + panel * Context.PanelStride;
            for (int half = 0; half < 2; half++)
            {
                int offset = half * lanes, first = panel * Panel + offset;
                TVector gateBias = TSimd.Load(space.GateBias + first), magnitudeBias = TSimd.Load(space.EncoderBias + first), scale = TSimd.Load(space.Scale + first);
                TVector penalty = TSimd.Multiply(TSimd.Broadcast(Context.SparsityGradient), TSimd.Load(space.DecoderNorms + first));
                TVector gateSum = TSimd.Zero, magnitudeSum = TSimd.Zero, scaleSum = TSimd.Zero;
                for (int t = t0; t < t1; t++)
                {
                    float* address = z + (long)t * Panel + offset;
                    TVector pre = TSimd.Load(address), g = TSimd.Add(pre, gateBias), m = TSimd.MultiplyAdd(pre, scale, magnitudeBias);
                    TVector open = TSimd.GreaterThan(g, TSimd.Zero), active = TSimd.And(open, TSimd.GreaterThan(m, TSimd.Zero)), dGate = penalty;
                    if (auxiliary != null) dGate = TSimd.Add(dGate, TSimd.Load(auxiliary + (long)(t - t0) * Panel + offset));
                    dGate = TSimd.And(dGate, open);
                    TVector dMagnitude = TSimd.And(TSimd.Load(q + (long)(t - t0) * Panel + offset), active), scaled = TSimd.Multiply(dMagnitude, scale);
                    gateSum = TSimd.Add(gateSum, dGate);
                    magnitudeSum = TSimd.Add(magnitudeSum, dMagnitude);
                    scaleSum = TSimd.MultiplyAdd(scaled, pre, scaleSum);
                    TSimd.Store(address, TSimd.Add(dGate, scaled));
                }
                AddLanes(gateSum, space.GateBiasGradient + first);
                AddLanes(magnitudeSum, space.MagnitudeBiasGradient + first);
                AddLanes(scaleSum, space.ScaleGradient + first);
            }
        }

        /// <summary>Pair by pair where the gradient is more than a product and a constant.</summary>
        private readonly void DifferentiatePairs(int panel, int t0, int t1, float* q, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            float* differentials = stackalloc float[Panel];
            for (int t = t0; t < t1; t++)
            {
                float* z = space.MagnitudePre + panel * Context.PanelStride + (long)t * Panel;
                new Span<float>(differentials, Panel).Clear();
                uint active = LoadBits(space.ActiveMask + (long)t * space.MaskWords, panel);
                for (uint bits = LoadBits(space.ReachMask + (long)t * space.MaskWords, panel); bits != 0; bits &= bits - 1)
                {
                    int lane = BitOperations.TrailingZeroCount(bits), latent = panel * Panel + lane;
                    float m = z[lane] + space.EncoderBias[latent];
                    DifferentiatePair(Context, latent, (active >> lane & 1) != 0, m, m, q[(long)(t - t0) * Panel + lane], ref sums, out _, out differentials[lane]);
                    space.MagnitudeBiasGradient[latent] += differentials[lane];
                }
                new ReadOnlySpan<float>(differentials, Panel).CopyTo(new Span<float>(z, Panel));
            }
        }

        /// <summary>dg = q m s(g)(1−s(g)) [m &gt; 0] + c‖W_dec‖ [g &gt; 0];  dm = q [g &gt; 0, m &gt; 0].</summary>
        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveInlining)]
        private readonly void Differentiate(TVector g, TVector m, TVector q, TVector penalty, out TVector dGate, out TVector dMagnitude)
        {
            TVector open = TSimd.GreaterThan(g, TSimd.Zero), positive = TSimd.GreaterThan(m, TSimd.Zero);
            TVector slope = Context.Windowed ? WindowSlope(g, Context.Bandwidth) : SigmoidSlope(g);
            TVector through = TSimd.And(TSimd.Multiply(TSimd.Multiply(q, m), slope), positive);
            dGate = TSimd.Add(through, TSimd.And(penalty, open));
            dMagnitude = TSimd.And(q, TSimd.And(open, positive));
        }

        private static TVector WindowSlope(TVector g, float bandwidth) =>
            TSimd.And(TSimd.Broadcast(1f / bandwidth), TSimd.GreaterThan(TSimd.Broadcast(0.5f * bandwidth), TSimd.Abs(g)));

        private static void AddLanes(TVector values, double* sums)
        {
            float* lanes = stackalloc float[TSimd.Count];
            TSimd.Store(lanes, values);
            for (int i = 0; i < TSimd.Count; i++) sums[i] += lanes[i];
        }

        /// <summary>The auxiliary loss reaches the magnitudes of its chosen latents; those of dead ones also by the decoder.</summary>
        private readonly void AddAuxiliary(int block, int t0, int t1)
        {
            SaeWorkspace space = Context.Space;
            int low = block * BlockLatents, high = low + BlockLatents;
            for (int t = t0; t < t1; t++)
            {
                long at = (long)t * space.AuxLatents;
                int* indices = space.AuxIndex + at;
                int count = space.AuxCount[t], n = new ReadOnlySpan<int>(indices, count).BinarySearch(low);
                for (n = n < 0 ? ~n : n; n < count && indices[n] < high; n++)
                {
                    int latent = indices[n];
                    float gradient = space.AuxGradient[at + n];
                    // The original gated autoencoder has no such latents: the scale of the magnitude is 1.
                    space.MagnitudePre[PairIndex(Context, t, latent)] += gradient;
                    space.MagnitudeBiasGradient[latent] += gradient;
                    if (Context.Auxiliary == AuxiliaryKind.Dead)
                        AddScaled(Context.Width, space.AuxValue[at + n], space.AuxRows + (long)t * space.PaddedColumns, Context.DecoderGradient + latent * Context.DecoderGradientStride);
                }
            }
        }
    }

    /// <summary>dW_dec of a block as a dense product rᵀ a, kept as panels until the batch is over.</summary>
    private static void DenseDecoderGradient(in Context context, int firstPanel, int panels, int worker)
    {
        SaeWorkspace space = context.Space;
        float* activations = space.ActivationScratch + (long)worker * BlockLatents * space.TileTokens;
        int lanes = TSimd.Count;
        for (int p = 0; p < panels; p++)
        {
            int first = (firstPanel + p) * Panel;
            float* gate = space.GatePre + (firstPanel + p) * context.PanelStride, magnitude = space.MagnitudePre + (firstPanel + p) * context.PanelStride;
            float* target = activations + p * context.PanelStride;
            for (int t = 0; t < context.TileTokens; t++)
                for (int offset = 0; offset < Panel; offset += lanes)
                {
                    TVector m = TSimd.MultiplyAdd(TSimd.Load(magnitude + (long)t * Panel + offset), TSimd.Load(space.Scale + first + offset), TSimd.Load(space.EncoderBias + first + offset));
                    TVector g = context.Thresholded ? TSimd.Subtract(m, TSimd.Load(space.Floor + first + offset)) : TSimd.Add(TSimd.Load(gate + (long)t * Panel + offset), TSimd.Load(space.GateBias + first + offset));
                    TSimd.Store(target + (long)t * Panel + offset, TSimd.And(TSimd.MaxOrSecond(m, TSimd.Zero), TSimd.GreaterThan(g, TSimd.Zero)));
                }
        }
        Product(context.Width, context.TileTokens, space.ResidualColumnSlivers, (long)Sliver * space.TileTokens, activations, context.PanelStride, panels,
            space.DecoderGradientPanels + (long)firstPanel * Panel * space.PaddedRows, (long)Panel * space.PaddedRows, Panel, !context.FirstDenseDecode);
    }
}
