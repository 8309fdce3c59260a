using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>Six tokens: decode, residual, auxiliary latents with their gradient.</summary>
    private struct TokenJob : IBlockJob
    {
        public Context Context;

        public void Execute(long sliver, int worker)
        {
            SaeWorkspace space = Context.Space;
            SaeWorkspace.BlockSums sums = default;
            int t0 = (int)sliver * Sliver, t1 = Math.Min(t0 + Sliver, Context.TileTokens);
            int* indices = space.IndexScratch + (long)worker * space.PaddedLatents;
            float* values = space.ValueScratch + (long)worker * space.PaddedLatents;
            float* error = space.RowScratch + (long)worker * 2 * space.RowScratchStride, aux = error + space.RowScratchStride;
            for (int t = t0; t < t1; t++)
            {
                Decode(t, indices, values, ref sums);
                Residual(t, error, ref sums);
                if (Context.AuxLatents > 0) Auxiliary(t, indices, values, space.CandidateScratch + (long)worker * space.PaddedLatents, error, aux, ref sums);
            }
            if (Context.Backward) PackRows(space.ResidualRows, space.PaddedColumns, (int)sliver, Context.TileTokens, Context.Width, space.ResidualSlivers);
            space.TokenBlockSums[sliver] = sums;
        }

        private readonly void Decode(int t, int* indices, float* values, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            float* row = space.ResidualRows + (long)t * space.PaddedColumns;
            int d = Context.Width;
            if (Context.Dense)
            {
                AddScaled(d, 1f, Context.DecoderBias, row);
                bool any = false;
                ulong* mask = space.ActiveMask + (long)t * space.MaskWords;
                for (int word = 0; word < space.MaskWords; word++) any |= mask[word] != 0;
                if (any) sums.TokensWithActive++;
                return;
            }
            new ReadOnlySpan<float>(Context.DecoderBias, d).CopyTo(new Span<float>(row, d));
            int count = CollectActive(Context, t, indices, values);
            AddRows(d, count, indices, values, Context.Decoder, Context.DecoderStride, row);
            if (count > 0) sums.TokensWithActive++;
        }

        /// <summary>error = reconstruction − token; the row keeps dL/d(reconstruction).</summary>
        private readonly void Residual(int t, float* error, ref SaeWorkspace.BlockSums sums)
        {
            float* row = Context.Space.ResidualRows + (long)t * Context.Space.PaddedColumns, token = Context.Tokens + t * Context.TokenStride;
            int d = Context.Width, lanes = TSimd.Count, i = 0;
            TVector scale = TSimd.Broadcast(Context.ResidualScale);
            for (; i <= d - lanes; i += lanes)
            {
                TVector e = TSimd.Subtract(TSimd.Load(row + i), TSimd.Load(token + i));
                TSimd.Store(error + i, e);
                TSimd.Store(row + i, TSimd.Multiply(e, scale));
            }
            for (; i < d; i++)
            {
                error[i] = row[i] - token[i];
                row[i] = error[i] * Context.ResidualScale;
            }
            sums.SquaredError += Dot(d, error, error);
            sums.Squares += Dot(d, token, token);
        }

        private readonly void Auxiliary(int t, int* indices, float* values, float* scratch, float* error, float* aux, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int d = Context.Width, lanes = TSimd.Count;
            int count = ChooseAuxiliary(t, indices, values, scratch);
            if (Context.AuxDoubleBias) new ReadOnlySpan<float>(Context.DecoderBias, d).CopyTo(new Span<float>(aux, d));
            else new Span<float>(aux, d).Clear();
            AddRows(d, count, indices, values, Context.Decoder, Context.DecoderStride, aux);
            // The target is the residual token − reconstruction = −error, held constant.
            TVector any = TSimd.Zero;
            int i = 0;
            for (; i <= d - lanes; i += lanes)
            {
                TVector x = TSimd.Load(aux + i);
                any = TSimd.Add(any, TSimd.Abs(x));
                TSimd.Store(aux + i, TSimd.Add(x, TSimd.Load(error + i)));
            }
            float anyTail = 0;
            for (; i < d; i++)
            {
                anyTail += MathF.Abs(aux[i]);
                aux[i] += error[i];
            }
            if (TSimd.Sum(any) + anyTail > 0) sums.AuxAny = 1;
            sums.Auxiliary += Dot(d, aux, aux);
            space.AuxCount[t] = count;
            for (int n = 0; n < count; n++)
            {
                space.AuxIndex[(long)t * space.AuxLatents + n] = indices[n];
                space.AuxGradient[(long)t * space.AuxLatents + n] = Context.AuxScale * Dot(d, aux, Context.Decoder + indices[n] * Context.DecoderStride);
            }
        }

        /// <summary>
        /// The largest closed-gate magnitudes of a token, in ascending order of latent. The k-th largest of the panel maxima bounds the k-th largest
        /// of all from below, so only panels that reach it are looked into.
        /// </summary>
        private readonly int ChooseAuxiliary(int t, int* indices, float* values, float* scratch)
        {
            SaeWorkspace space = Context.Space;
            int k = Context.AuxLatents, panels = Context.Panels, positive = 0, count = 0;
            float* maxima = space.PanelMaxima + (long)t * panels;
            for (int p = 0; p < panels; p++) if (maxima[p] > 0) scratch[positive++] = maxima[p];
            float bound = positive > k ? SelectLargest(scratch, positive, k) : 0;
            for (int p = 0; p < panels; p++)
                if (maxima[p] > 0 && maxima[p] >= bound) count = CollectClosed(t, p, bound, indices, values, count);
            return count <= k ? count : KeepLargest(indices, values, count, k, scratch);
        }

        private readonly int CollectClosed(int t, int panel, float bound, int* indices, float* values, int count)
        {
            SaeWorkspace space = Context.Space;
            int lanes = TSimd.Count, first = panel * Panel;
            float* gate = space.GatePre + panel * Context.PanelStride + (long)t * Panel, magnitude = space.MagnitudePre + panel * Context.PanelStride + (long)t * Panel;
            TVector limit = TSimd.Broadcast(bound);
            for (int half = 0; half < 2; half++)
            {
                int offset = half * lanes;
                TVector m = TSimd.Add(TSimd.Load(magnitude + offset), TSimd.Load(space.EncoderBias + first + offset));
                TVector g = TSimd.Add(TSimd.Load(gate + offset), TSimd.Load(space.GateBias + first + offset));
                TVector chosen = TSimd.AndNot(TSimd.GreaterThan(m, TSimd.Zero), TSimd.GreaterThan(g, TSimd.Zero));
                chosen = TSimd.AndNot(chosen, TSimd.GreaterThan(limit, m));
                for (uint bits = TSimd.Bits(chosen); bits != 0; bits &= bits - 1)
                {
                    int lane = offset + BitOperations.TrailingZeroCount(bits);
                    indices[count] = first + lane;
                    values[count++] = magnitude[lane] + space.EncoderBias[first + lane];
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
