using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>One block of latents over a tile: q = r W_decᵀ, dz in place of z, and this block's share of every gradient.</summary>
    private struct BackwardJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int panels = BlockLatents / Panel, firstPanel = (int)block * panels, d = Context.Width;
            if (Context.Dense) DenseDecoderGradient(firstPanel, panels, worker);
            float* products = space.ProductScratch + (long)worker * BlockLatents * MaxRows;
            int pieces = (Context.TileTokens + MaxRows - 1) / MaxRows, slivers = Slivers(Context.TileTokens);
            for (int piece = 0; piece < pieces; piece++)
            {
                int s0 = slivers * piece / pieces, s1 = slivers * (piece + 1) / pieces;
                int t0 = s0 * Sliver, t1 = Math.Min(s1 * Sliver, Context.TileTokens);
                Product(t1 - t0, d, space.ResidualSlivers + (long)t0 * d, (long)Sliver * d, space.DecoderPanels + (long)firstPanel * Panel * d, (long)Panel * d, panels,
                    products, (long)MaxRows * Panel, Panel, false);
                if (!Context.Dense) SparseDecoderGradient((int)block, t0, t1);
                for (int p = 0; p < panels; p++)
                {
                    float* q = products + (long)p * MaxRows * Panel;
                    if (Context.Tied) DifferentiateTied(firstPanel + p, t0, t1, q);
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
                panels, gradient + (long)firstPanel * Panel * space.PaddedRows, (long)Panel * space.PaddedRows, Panel, !Context.FirstTile);
        }

        /// <summary>dW_dec[j] += a r over the active pairs, in token order.</summary>
        private readonly void SparseDecoderGradient(int block, int t0, int t1)
        {
            SaeWorkspace space = Context.Space;
            const int words = BlockLatents / 64;
            for (int t = t0; t < t1; t++)
            {
                ulong* mask = space.ActiveMask + (long)t * space.MaskWords + block * words;
                float* residual = space.ResidualRows + (long)t * space.PaddedColumns;
                for (int word = 0; word < words; word++)
                    for (ulong bits = mask[word]; bits != 0; bits &= bits - 1)
                    {
                        int latent = block * BlockLatents + (word << 6) + BitOperations.TrailingZeroCount(bits);
                        AddScaled(Context.Width, Magnitude(Context, t, latent), residual, Context.DecoderGradient + latent * Context.DecoderGradientStride);
                    }
            }
        }

        /// <summary>The same as a dense product rᵀ a, kept as panels until the batch is over.</summary>
        private readonly void DenseDecoderGradient(int firstPanel, int panels, int worker)
        {
            SaeWorkspace space = Context.Space;
            float* activations = space.ActivationScratch + (long)worker * BlockLatents * space.TileTokens;
            int lanes = TSimd.Count;
            for (int p = 0; p < panels; p++)
            {
                int first = (firstPanel + p) * Panel;
                float* gate = space.GatePre + (firstPanel + p) * Context.PanelStride, magnitude = space.MagnitudePre + (firstPanel + p) * Context.PanelStride;
                float* target = activations + p * Context.PanelStride;
                for (int t = 0; t < Context.TileTokens; t++)
                    for (int offset = 0; offset < Panel; offset += lanes)
                    {
                        TVector g = TSimd.Add(TSimd.Load(gate + (long)t * Panel + offset), TSimd.Load(space.GateBias + first + offset));
                        TVector m = TSimd.Add(TSimd.Load(magnitude + (long)t * Panel + offset), TSimd.Load(space.EncoderBias + first + offset));
                        TSimd.Store(target + (long)t * Panel + offset, TSimd.And(TSimd.MaxOrSecond(m, TSimd.Zero), TSimd.GreaterThan(g, TSimd.Zero)));
                    }
            }
            Product(Context.Width, Context.TileTokens, space.ResidualColumnSlivers, (long)Sliver * space.TileTokens, activations, Context.PanelStride, panels,
                space.DecoderGradientPanels + (long)firstPanel * Panel * space.PaddedRows, (long)Panel * space.PaddedRows, Panel, !Context.FirstDenseTile);
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

        /// <summary>The auxiliary loss reaches the magnitudes of its chosen latents only.</summary>
        private readonly void AddAuxiliary(int block, int t0, int t1)
        {
            SaeWorkspace space = Context.Space;
            int low = block * BlockLatents, high = low + BlockLatents;
            for (int t = t0; t < t1; t++)
            {
                int* indices = space.AuxIndex + (long)t * space.AuxLatents;
                float* gradients = space.AuxGradient + (long)t * space.AuxLatents;
                int count = space.AuxCount[t], n = new ReadOnlySpan<int>(indices, count).BinarySearch(low);
                for (n = n < 0 ? ~n : n; n < count && indices[n] < high; n++)
                {
                    space.MagnitudePre[indices[n] / Panel * Context.PanelStride + (long)t * Panel + indices[n] % Panel] += gradients[n];
                    space.MagnitudeBiasGradient[indices[n]] += gradients[n];
                }
            }
        }
    }
}
