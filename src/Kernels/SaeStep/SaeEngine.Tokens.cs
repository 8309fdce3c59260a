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
                if (Context.Auxiliary == AuxiliaryKind.Open) OpenGates(t, indices, values, ref sums);
                else if (Context.Auxiliary != AuxiliaryKind.None) Auxiliary(t, indices, values, space.CandidateScratch + (long)worker * space.PaddedLatents, error, aux, ref sums);
            }
            if (Context.Backward && Context.DenseProducts)
            {
                PackRows(space.ResidualRows, space.PaddedColumns, (int)sliver, Context.TileTokens, Context.Width, space.ResidualSlivers);
                if (Context.Auxiliary == AuxiliaryKind.Open) PackRows(space.AuxRows, space.PaddedColumns, (int)sliver, Context.TileTokens, Context.Width, space.AuxSlivers);
            }
            space.TokenBlockSums[sliver] = sums;
        }

        /// <summary>Reconstructions of every prefix of the dictionary.</summary>
        private readonly void Decode(int t, int* indices, float* values, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            float* row = space.ResidualRows + (long)t * space.PaddedColumns;
            int d = Context.Width;
            if (Context.DenseDecode)
            {
                AddScaled(d, 1f, Context.DecoderBias, row);
                if (new ReadOnlySpan<ulong>(space.ActiveMask + (long)t * space.MaskWords, space.MaskWords).ContainsAnyExcept(0UL)) sums.TokensWithActive++;
                return;
            }
            int count = Collect(Context, space.ActiveMask, t, false, indices, values);
            if (count > 0) sums.TokensWithActive++;
            new ReadOnlySpan<float>(Context.DecoderBias, d).CopyTo(new Span<float>(row, d));
            for (int prefix = 0, from = 0; prefix < space.Prefixes; prefix++)
            {
                float* target = row + prefix * Context.PrefixStride;
                if (prefix > 0) new ReadOnlySpan<float>(target - Context.PrefixStride, d).CopyTo(new Span<float>(target, d));
                int end = from;
                while (end < count && indices[end] < space.PrefixEnds[prefix]) end++;
                AddRows(d, end - from, indices + from, values + from, Context.Decoder, Context.DecoderStride, target);
                from = end;
            }
        }

        /// <summary>error = reconstruction − token, of the whole dictionary; the rows keep dL/d(reconstruction), of a prefix that of all prefixes it is part of.</summary>
        private readonly void Residual(int t, float* error, ref SaeWorkspace.BlockSums sums)
        {
            int d = Context.Width, lanes = TSimd.Count, prefixes = Context.Space.Prefixes;
            float* token = Context.Tokens + t * Context.TokenStride;
            TVector scale = TSimd.Broadcast(Context.ResidualScale / prefixes);
            for (int prefix = prefixes - 1; prefix >= 0; prefix--)
            {
                float* row = Context.Space.ResidualRows + prefix * Context.PrefixStride + (long)t * Context.Space.PaddedColumns, later = row + Context.PrefixStride;
                bool whole = prefix == prefixes - 1;
                double square = Subtract(d, row, token, row);
                sums.Fit += square / prefixes;
                if (whole)
                {
                    sums.SquaredError += square;
                    new ReadOnlySpan<float>(row, d).CopyTo(new Span<float>(error, d));
                }
                int i = 0;
                for (; i <= d - lanes; i += lanes) TSimd.Store(row + i, whole ? TSimd.Multiply(TSimd.Load(row + i), scale) : TSimd.MultiplyAdd(TSimd.Load(row + i), scale, TSimd.Load(later + i)));
                for (; i < d; i++) row[i] = whole ? row[i] * (Context.ResidualScale / prefixes) : MathF.FusedMultiplyAdd(row[i], Context.ResidualScale / prefixes, later[i]);
            }
            sums.Squares += Dot(d, token, token);
        }

        /// <summary>target = a − b; returns the sum of squares.</summary>
        private static double Subtract(int d, float* a, float* b, float* target)
        {
            int i = 0, lanes = TSimd.Count;
            for (; i <= d - lanes; i += lanes) TSimd.Store(target + i, TSimd.Subtract(TSimd.Load(a + i), TSimd.Load(b + i)));
            for (; i < d; i++) target[i] = a[i] - b[i];
            return Dot(d, target, target);
        }

        /// <summary>The original gated autoencoder: the token rebuilt from the open gates' values, decoder and bias held constant.</summary>
        private readonly void OpenGates(int t, int* indices, float* values, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int d = Context.Width;
            float* row = space.AuxRows + (long)t * space.PaddedColumns;
            if (Context.DenseDecode) AddScaled(d, 1f, Context.DecoderBias, row);
            else
            {
                new ReadOnlySpan<float>(Context.DecoderBias, d).CopyTo(new Span<float>(row, d));
                int count = Collect(Context, space.ReachMask, t, true, indices, values);
                AddRows(d, count, indices, values, Context.Decoder, Context.DecoderStride, row);
            }
            sums.Auxiliary += Subtract(d, row, Context.Tokens + t * Context.TokenStride, row);
            sums.AuxAny = 1;
            for (int i = 0; i < d; i++) row[i] *= Context.AuxScale;
        }

        private readonly void Auxiliary(int t, int* indices, float* values, float* scratch, float* error, float* aux, ref SaeWorkspace.BlockSums sums)
        {
            SaeWorkspace space = Context.Space;
            int d = Context.Width, lanes = TSimd.Count;
            int count = ChooseAuxiliary(t, indices, values, scratch);
            if (Context.AuxDoubleBias && Context.Auxiliary == AuxiliaryKind.Closed) new ReadOnlySpan<float>(Context.DecoderBias, d).CopyTo(new Span<float>(aux, d));
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
            long at = (long)t * space.AuxLatents;
            new ReadOnlySpan<int>(indices, count).CopyTo(new Span<int>(space.AuxIndex + at, count));
            new ReadOnlySpan<float>(values, count).CopyTo(new Span<float>(space.AuxValue + at, count));
            Dots(d, count, indices, Context.Decoder, Context.DecoderStride, aux, Context.AuxScale, space.AuxGradient + at);
            if (Context.Auxiliary != AuxiliaryKind.Dead) return;
            float* row = space.AuxRows + (long)t * space.PaddedColumns;
            for (i = 0; i < d; i++) row[i] = aux[i] * Context.AuxScale;
        }

        private readonly int ChooseAuxiliary(int t, int* indices, float* values, float* scratch)
        {
            SaeWorkspace space = Context.Space;
            if (!Context.BatchSelecting) return ChooseLargest(Context, t, Context.AuxLatents, Context.Auxiliary, space.AuxMaxima, indices, values, scratch);
            long token = Context.TileStart + t;
            int count = space.BatchAuxCount[token];
            new ReadOnlySpan<int>(space.BatchAuxIndex + token * space.AuxLatents, count).CopyTo(new Span<int>(indices, count));
            new ReadOnlySpan<float>(space.BatchAuxPre + token * space.AuxLatents, count).CopyTo(new Span<float>(values, count));
            return count;
        }
    }
}
