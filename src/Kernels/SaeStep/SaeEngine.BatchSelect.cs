using BioSup.Runtime;

namespace BioSup.Kernels;

internal static unsafe partial class SaeEngine<TSimd, TVector>
{
    /// <summary>
    /// The n·k largest positive magnitudes of the batch, ties by lower pair, as lists by token; returns the smallest of them (0 for none). Magnitudes above a bound are
    /// collected tile by tile; when they outgrow their place, all but the n·k largest are dropped and the smallest kept becomes the bound. A bound from the last
    /// batch makes that rare; if it proves too high, the batch is gone through again from zero, so the choice never depends on it.
    /// </summary>
    private static double ChooseInBatch(WorkerPool pool, ref Context context, MatrixView<float> tokens, ref SaeWorkspace.BlockSums total)
    {
        SaeWorkspace space = context.Space;
        long wanted = (long)tokens.Rows * space.Shape.ActiveLatents;
        if (wanted > int.MaxValue / 4) throw new ArgumentException($"The step would choose {wanted} activations at once; at most {int.MaxValue / 4} are possible.", nameof(tokens));
        space.RequireBatch(tokens.Rows, 2 * wanted);
        long used = CollectBatch(pool, ref context, tokens, space.BatchBound, wanted, out long positive);
        if (used < wanted && used < positive) used = CollectBatch(pool, ref context, tokens, 0, wanted, out positive);
        if (used > wanted) used = KeepLargestOfBatch(space, tokens.Rows, used, wanted, out _);
        total.MagnitudePositive = positive;
        float smallest = float.PositiveInfinity;
        for (long i = 0; i < used; i++) smallest = Math.Min(smallest, space.CandidateValue[i]);
        space.BatchBound = used < wanted ? 0 : 0.9f * smallest;
        return used == 0 ? 0 : smallest;
    }

    private static long CollectBatch(WorkerPool pool, ref Context context, MatrixView<float> tokens, float bound, long wanted, out long positive)
    {
        SaeWorkspace space = context.Space;
        long used = 0;
        positive = 0;
        space.CandidateStart[0] = 0;
        for (int start = 0, tiles = TileCount(tokens.Rows, space), tile = 0; tile < tiles; tile++)
        {
            Enter(ref context, tokens, start, TileLength(tokens.Rows, tiles, tile, space));
            int count = context.TileTokens;
            EncodeTile(pool, ref context);
            for (int block = 0; block < space.Blocks; block++) positive += space.EncodeSums[block].MagnitudePositive;
            long found = CountCandidates(pool, context, bound);
            if (used + found > space.CandidateRoom && used > wanted)
            {
                used = KeepLargestOfBatch(space, start, used, wanted, out bound);
                found = CountCandidates(pool, context, bound);
            }
            if (used + found > space.CandidateRoom) space.GrowCandidates(used, used + found);
            for (int t = 0; t < count; t++) space.CandidateStart[start + t + 1] = space.CandidateStart[start + t] + space.CandidateCount[t];
            CandidateJob collect = new() { Context = context, Bound = bound, Write = true };
            pool.Run(Slivers(count), ref collect);
            used += found;
            start += count;
        }
        return used;
    }

    private static long CountCandidates(WorkerPool pool, in Context context, float bound)
    {
        CandidateJob job = new() { Context = context, Bound = bound };
        pool.Run(Slivers(context.TileTokens), ref job);
        long found = 0;
        for (int t = 0; t < context.TileTokens; t++) found += context.Space.CandidateCount[t];
        return found;
    }

    /// <summary>Magnitudes of six tokens above the bound: their number, or the list; with the list also the auxiliary latents of the token.</summary>
    private struct CandidateJob : IBlockJob
    {
        public Context Context;
        public float Bound;
        public bool Write;

        public void Execute(long sliver, int worker)
        {
            SaeWorkspace space = Context.Space;
            int last = Math.Min((int)(sliver + 1) * Sliver, Context.TileTokens);
            int* indices = space.IndexScratch + (long)worker * space.PaddedLatents;
            float* values = space.ValueScratch + (long)worker * space.PaddedLatents, scratch = space.CandidateScratch + (long)worker * space.PaddedLatents;
            for (int t = (int)sliver * Sliver; t < last; t++)
            {
                float* maxima = space.PanelMaxima + (long)t * Context.Panels;
                int count = 0, above = 0;
                for (int p = 0; p < Context.Panels; p++) if (maxima[p] > Bound) count = CollectFrom(Context, t, p, AuxiliaryKind.None, Bound, indices, values, count);
                long at = space.CandidateStart[Context.TileStart + t];
                for (int n = 0; n < count; n++)
                {
                    // Later pairs lose against equal earlier ones, so what equals the bound is not wanted any more.
                    if (!(values[n] > Bound)) continue;
                    above++;
                    if (!Write) continue;
                    space.CandidateLatent[at] = indices[n];
                    space.CandidateValue[at] = values[n];
                    space.CandidatePre[at++] = space.MagnitudePre[PairIndex(Context, t, indices[n])];
                }
                if (!Write) space.CandidateCount[t] = above;
                else if (Context.Auxiliary == AuxiliaryKind.Dead) KeepAuxiliary(t, indices, values, scratch);
            }
        }

        private readonly void KeepAuxiliary(int t, int* indices, float* values, float* scratch)
        {
            SaeWorkspace space = Context.Space;
            int count = ChooseLargest(Context, t, Context.AuxLatents, AuxiliaryKind.Dead, space.AuxMaxima, indices, values, scratch);
            long token = Context.TileStart + t;
            space.BatchAuxCount[token] = count;
            new ReadOnlySpan<int>(indices, count).CopyTo(new Span<int>(space.BatchAuxIndex + token * space.AuxLatents, count));
            new ReadOnlySpan<float>(values, count).CopyTo(new Span<float>(space.BatchAuxPre + token * space.AuxLatents, count));
        }
    }

    /// <summary>Drops all but the largest candidates of the first <paramref name="tokens"/> tokens; returns how many are left.</summary>
    private static long KeepLargestOfBatch(SaeWorkspace space, int tokens, long used, long wanted, out float smallest)
    {
        smallest = Reaching(space.CandidateValue, used, wanted);
        long ties = wanted, kept = 0, from = 0;
        for (long i = 0; i < used; i++) if (space.CandidateValue[i] > smallest) ties--;
        for (int t = 0; t < tokens; t++)
        {
            long end = space.CandidateStart[t + 1];
            for (; from < end; from++)
            {
                float value = space.CandidateValue[from];
                if (value < smallest || (value == smallest && ties-- <= 0)) continue;
                space.CandidateLatent[kept] = space.CandidateLatent[from];
                space.CandidatePre[kept] = space.CandidatePre[from];
                space.CandidateValue[kept++] = value;
            }
            space.CandidateStart[t + 1] = kept;
        }
        return kept;
    }

    /// <summary>What was chosen in a tile, in the places where the encoder product would have put it.</summary>
    private static void ScatterTile(WorkerPool pool, ref Context context)
    {
        SaeWorkspace space = context.Space;
        new Span<SaeWorkspace.BlockSums>(space.EncodeSums, space.Blocks).Clear();
        ScatterJob scatter = new() { Context = context };
        pool.Run(Slivers(context.TileTokens), ref scatter);
        CountJob count = new() { Context = context };
        pool.Run(space.Blocks, ref count);
    }

    private struct ScatterJob : IBlockJob
    {
        public Context Context;

        public void Execute(long sliver, int worker)
        {
            SaeWorkspace space = Context.Space;
            int first = (int)sliver * Sliver, last = Math.Min(first + Sliver, Context.TileTokens);
            if (Context.Subtract) Subtract(Context, first, last);
            for (int t = first; t < last; t++)
            {
                long start = space.CandidateStart[Context.TileStart + t], end = space.CandidateStart[Context.TileStart + t + 1];
                MarkActive(space, t, space.CandidateLatent + start, (int)(end - start));
                for (long i = start; i < end; i++) space.MagnitudePre[PairIndex(Context, t, space.CandidateLatent[i])] = space.CandidatePre[i];
            }
        }
    }
}
