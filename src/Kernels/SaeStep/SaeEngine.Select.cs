using System.Numerics;
using System.Runtime.Intrinsics.X86;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>Pre-activation of what was not selected: in no set, finite.</summary>
    private const float Closed = -1e30f;

    /// <summary>The k largest of six tokens become the active ones.</summary>
    private struct SelectJob : IBlockJob
    {
        public Context Context;

        public void Execute(long sliver, int worker)
        {
            SaeWorkspace space = Context.Space;
            int last = Math.Min((int)(sliver + 1) * Sliver, Context.TileTokens);
            int* indices = space.IndexScratch + (long)worker * space.PaddedLatents;
            float* values = space.ValueScratch + (long)worker * space.PaddedLatents, scratch = space.CandidateScratch + (long)worker * space.PaddedLatents;
            for (int t = (int)sliver * Sliver; t < last; t++)
            {
                int count = ChooseLargest(Context, t, space.Shape.ActiveLatents, AuxiliaryKind.None, space.PanelMaxima, indices, values, scratch);
                MarkActive(space, t, indices, count);
            }
        }
    }

    private static void MarkActive(SaeWorkspace space, int token, int* indices, int count)
    {
        ulong* mask = space.ActiveMask + (long)token * space.MaskWords;
        new Span<ulong>(mask, space.MaskWords).Clear();
        for (int n = 0; n < count; n++) mask[indices[n] >> 6] |= 1UL << (indices[n] & 63);
    }

    /// <summary>Counts of what was selected, by block of latents.</summary>
    private struct CountJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            const int words = BlockLatents / 64;
            int* usage = space.Usage + block * BlockLatents;
            long active = 0;
            for (int t = 0; t < Context.TileTokens; t++)
                for (int word = 0; word < words; word++)
                    for (ulong bits = space.ActiveMask[(long)t * space.MaskWords + block * words + word]; bits != 0; bits &= bits - 1)
                    {
                        usage[(word << 6) + BitOperations.TrailingZeroCount(bits)]++;
                        active++;
                    }
            ref SaeWorkspace.BlockSums sums = ref space.EncodeSums[block];
            (sums.Active, sums.Reached, sums.GatePositive) = (active, active, active);
        }
    }

    /// <summary>Dense products see what was not selected as closed.</summary>
    private struct CloseJob : IBlockJob
    {
        public Context Context;

        public void Execute(long block, int worker)
        {
            SaeWorkspace space = Context.Space;
            int panels = BlockLatents / Panel, first = (int)block * panels;
            for (int panel = first; panel < first + panels; panel++)
                for (int t = 0; t < Context.TileTokens; t++)
                {
                    float* z = space.MagnitudePre + panel * Context.PanelStride + (long)t * Panel;
                    uint bits = LoadBits(space.ActiveMask + (long)t * space.MaskWords, panel);
                    for (int lane = 0; lane < Panel; lane++) if ((bits >> lane & 1) == 0) z[lane] = Closed;
                }
        }
    }

    /// <summary>
    /// The k largest magnitudes of a token among positive ones, those behind a closed gate, or those of dead latents, in ascending order of latent. The
    /// k-th largest of the panel maxima bounds the k-th largest of all from below, so only panels that reach it are looked into; they lie far apart and are
    /// fetched ahead.
    /// </summary>
    private static int ChooseLargest(in Context context, int t, int k, AuxiliaryKind kind, float* panelMaxima, int* indices, float* values, float* scratch)
    {
        int panels = context.Panels, positive = 0, reaching = 0, count = 0;
        float* maxima = panelMaxima + (long)t * panels;
        for (int p = 0; p < panels; p++)
        {
            scratch[positive] = maxima[p];
            positive += maxima[p] > 0 ? 1 : 0;
        }
        float bound = positive > k ? Reaching(scratch, positive, k) : float.Epsilon;
        int* chosen = (int*)scratch;
        for (int p = 0; p < panels; p++)
        {
            chosen[reaching] = p;
            reaching += maxima[p] >= bound ? 1 : 0;
        }
        if (Sse.IsSupported)
            for (int n = 0; n < reaching; n++)
            {
                long at = chosen[n] * context.PanelStride + (long)t * Panel;
                Sse.Prefetch0(context.Space.MagnitudePre + at);
                if (kind == AuxiliaryKind.Closed && !context.Tied) Sse.Prefetch0(context.Space.GatePre + at);
            }
        for (int n = 0; n < reaching; n++) count = CollectFrom(context, t, chosen[n], kind, bound, indices, values, count);
        return count <= k ? count : KeepLargest(indices, values, count, k);
    }

    /// <summary>Candidates of one panel that are not below the bound.</summary>
    private static int CollectFrom(in Context context, int t, int panel, AuxiliaryKind kind, float bound, int* indices, float* values, int count)
    {
        SaeWorkspace space = context.Space;
        int lanes = TSimd.Count, first = panel * Panel;
        float* gate = space.GatePre + panel * context.PanelStride + (long)t * Panel, magnitude = space.MagnitudePre + panel * context.PanelStride + (long)t * Panel;
        float* pre = stackalloc float[lanes];
        TVector limit = TSimd.Broadcast(bound);
        for (int half = 0; half < 2; half++)
        {
            int offset = half * lanes;
            TVector m = TSimd.MultiplyAdd(TSimd.Load(magnitude + offset), TSimd.Load(space.Scale + first + offset), TSimd.Load(space.EncoderBias + first + offset));
            TVector chosen = TSimd.AndNot(TSimd.GreaterThan(m, TSimd.Zero), TSimd.GreaterThan(limit, m));
            if (kind == AuxiliaryKind.Closed) chosen = TSimd.AndNot(chosen, TSimd.GreaterThan(TSimd.Add(TSimd.Load(gate + offset), TSimd.Load(space.GateBias + first + offset)), TSimd.Zero));
            else if (kind == AuxiliaryKind.Dead) chosen = TSimd.And(chosen, TSimd.Load(space.DeadLanes + first + offset));
            uint bits = TSimd.Bits(chosen);
            if (bits == 0) continue;
            TSimd.Store(pre, m);
            for (; bits != 0; bits &= bits - 1)
            {
                int lane = BitOperations.TrailingZeroCount(bits);
                indices[count] = first + offset + lane;
                values[count++] = pre[lane];
            }
        }
        return count;
    }

    private static int KeepLargest(int* indices, float* values, int count, int k)
    {
        float threshold = Reaching(values, count, k);
        int ties = k, kept = 0;
        for (int n = 0; n < count; n++) ties -= values[n] > threshold ? 1 : 0;
        for (int n = 0; n < count; n++)
        {
            float value = values[n];
            bool equal = value == threshold && ties-- > 0;
            indices[kept] = indices[n];
            values[kept] = value;
            kept += (value > threshold ? 1 : 0) + (equal ? 1 : 0);
        }
        return kept;
    }

    /// <summary>
    /// A number that the k largest of the values reach (1 ≤ k ≤ count, all positive and finite): the k-th largest, or a smaller one if no other value reaches that.
    /// Positive numbers are ordered as their bits are, so halving the range of bits ends after at most 31 passes; there is no branch on a value.
    /// </summary>
    private static float Reaching(float* values, long count, long k)
    {
        TVector largest = TSimd.Zero, smallest = TSimd.Broadcast(float.MaxValue);
        float top = 0, bottom = float.MaxValue;
        long i = 0;
        for (; i <= count - TSimd.Count; i += TSimd.Count)
        {
            largest = TSimd.MaxOrSecond(TSimd.Load(values + i), largest);
            smallest = TSimd.MinOrSecond(TSimd.Load(values + i), smallest);
        }
        for (; i < count; i++)
        {
            top = Math.Max(top, values[i]);
            bottom = Math.Min(bottom, values[i]);
        }
        uint low = BitConverter.SingleToUInt32Bits(Math.Min(bottom, -TSimd.MaxAcross(TSimd.Subtract(TSimd.Zero, smallest))));
        uint high = BitConverter.SingleToUInt32Bits(Math.Max(top, TSimd.MaxAcross(largest))) + 1;
        while (high - low > 1)
        {
            uint middle = low + (high - low) / 2;
            long reaching = CountFrom(values, count, BitConverter.UInt32BitsToSingle(middle));
            if (reaching == k) return BitConverter.UInt32BitsToSingle(middle);
            if (reaching > k) low = middle;
            else high = middle;
        }
        return BitConverter.UInt32BitsToSingle(low);
    }

    /// <summary>How many values are not below the bound.</summary>
    private static long CountFrom(float* values, long count, float bound)
    {
        // Lanes count in single precision: exact up to 2^24.
        const long piece = 1 << 22;
        long total = 0, i = 0;
        TVector limit = TSimd.Broadcast(bound), one = TSimd.Broadcast(1f);
        while (i <= count - TSimd.Count)
        {
            TVector even = TSimd.Zero, odd = TSimd.Zero;
            long end = Math.Min(i + piece, count);
            for (; i <= end - 2 * TSimd.Count; i += 2 * TSimd.Count)
            {
                even = TSimd.Add(even, TSimd.And(TSimd.LessOrEqual(limit, TSimd.Load(values + i)), one));
                odd = TSimd.Add(odd, TSimd.And(TSimd.LessOrEqual(limit, TSimd.Load(values + i + TSimd.Count)), one));
            }
            for (; i <= end - TSimd.Count; i += TSimd.Count) even = TSimd.Add(even, TSimd.And(TSimd.LessOrEqual(limit, TSimd.Load(values + i)), one));
            total += (long)TSimd.Sum(TSimd.Add(even, odd));
        }
        for (; i < count; i++) total += values[i] >= bound ? 1 : 0;
        return total;
    }
}
