using System.Numerics;
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
    /// k-th largest of the panel maxima bounds the k-th largest of all from below, so only panels that reach it are looked into.
    /// </summary>
    private static int ChooseLargest(in Context context, int t, int k, AuxiliaryKind kind, float* panelMaxima, int* indices, float* values, float* scratch)
    {
        int panels = context.Panels, positive = 0, count = 0;
        float* maxima = panelMaxima + (long)t * panels;
        for (int p = 0; p < panels; p++) if (maxima[p] > 0) scratch[positive++] = maxima[p];
        float bound = positive > k ? SelectLargest(scratch, positive, k) : 0;
        for (int p = 0; p < panels; p++)
            if (maxima[p] > 0 && maxima[p] >= bound) count = CollectFrom(context, t, p, kind, bound, indices, values, count);
        return count <= k ? count : KeepLargest(indices, values, count, k, scratch);
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

    private static int KeepLargest(int* indices, float* values, int count, int k, float* scratch)
    {
        new ReadOnlySpan<float>(values, count).CopyTo(new Span<float>(scratch, count));
        float threshold = SelectLargest(scratch, count, k);
        int ties = k;
        for (int n = 0; n < count; n++) if (values[n] > threshold) ties--;
        int kept = 0;
        for (int n = 0; n < count; n++)
        {
            if (values[n] < threshold || (values[n] == threshold && ties-- <= 0)) continue;
            indices[kept] = indices[n];
            values[kept++] = values[n];
        }
        return kept;
    }

    /// <summary>The k-th largest of the values (k ≥ 1), which are reordered: Hoare's selection with the middle as pivot.</summary>
    private static float SelectLargest(float* values, int count, int k)
    {
        int low = 0, high = count - 1, target = k - 1;
        while (low < high)
        {
            float pivot = values[low + (high - low) / 2];
            int i = low, j = high;
            while (i <= j)
            {
                while (values[i] > pivot) i++;
                while (values[j] < pivot) j--;
                if (i > j) break;
                (values[i], values[j]) = (values[j], values[i]);
                i++;
                j--;
            }
            if (target <= j) high = j;
            else if (target >= i) low = i;
            else break;
        }
        return values[target];
    }
}
