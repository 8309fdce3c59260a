using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The fused step on the host, for every architecture. The batch is cut into tiles of tokens; for one tile
/// <list type="number">
/// <item>blocks of latents compute z = T W, the sets of pairs as bit masks, and the largest candidate of every panel for the choice of the k largest;</item>
/// <item>slivers of tokens choose and decode their active latents, take the residual, and choose the auxiliary latents with help of the panel maxima;</item>
/// <item>blocks of latents add to their own rows of the gradients: by products q = r W_decᵀ and Tᵀ dz over all pairs, or visiting the pairs with a gradient alone.</item>
/// </list>
/// Pre-activations lie as panels [panel][token][lane], which is at once the output layout of the register kernel and the layout its second
/// operand must have, so dz needs no packing. Every sum has a fixed owner and order: the result does not depend on the number of threads.
/// </summary>
internal static unsafe partial class SaeEngine<TSimd, TVector>
    where TSimd : struct, ISimd<TVector, float>
    where TVector : unmanaged
{
    /// <summary>Latents of one panel: two vectors.</summary>
    private static int Panel => 2 * TSimd.Count;

    /// <summary>
    /// Share of active pairs above which a tile decodes by dense products: a gathered row costs several times as much per multiply-add as a register
    /// tile does. Counted per tile, so the choice is a function of the data alone and a resumed run makes it again.
    /// </summary>
    private const double DenseShare = 0.15;

    /// <summary>
    /// The same for q and Tᵀ dz of backward passes that could visit single pairs. At 2,048 × 512 → 4,096, visiting 3.3 % of all pairs takes a third of the time of the two
    /// products (profile on AVX2): they break even near one pair in nine.
    /// </summary>
    private const double DenseProductShare = 0.11;

    private const int Sliver = SaeWorkspace.Sliver;
    private const int BlockLatents = SaeWorkspace.BlockLatents;

    /// <summary>What a batch has met so far.</summary>
    private struct Progress
    {
        public SaeWorkspace.BlockSums Total;
        public bool DenseDecode, DenseProducts, Pairs, Cleared;
    }

    /// <summary>Losses and counts of the batch; with <paramref name="backward"/> also all gradients.</summary>
    public static void Run(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward,
        in SaeObjective objective, SaeWorkspace space, SaeStatistics statistics)
    {
        WorkerPool pool = ((CpuDevice)space.Device).Pool;
        Context context = CreateContext(tokens, parameters, gradients, backward, objective, space);
        PackJob pack = new() { Context = context, Parameters = Pointers.Of(parameters) };
        pool.Run(space.Blocks, ref pack);
        Progress progress = default;
        new Span<double>(space.ColumnSums, space.InputWidth).Clear();
        new Span<double>(space.DecoderBiasGradient, space.InputWidth).Clear();
        if (context.BatchSelecting) statistics.SmallestActive = ChooseInBatch(pool, ref context, tokens, ref progress.Total);
        else statistics.SmallestActive = double.NaN;
        for (int start = 0, tiles = TileCount(tokens.Rows, space), tile = 0; tile < tiles; tile++)
        {
            Enter(ref context, tokens, start, TileLength(tokens.Rows, tiles, tile, space));
            Forward(pool, ref context, ref progress);
            if (backward) Backward(pool, ref context, ref progress);
            start += context.TileTokens;
        }
        if (context.Jump && objective.JumpReluLoss == JumpReluLoss.QuadraticL0)
            context.StepGradient = (float)(2 * objective.SparsityCoefficient * ((double)progress.Total.Active / tokens.Rows / objective.TargetL0 - 1) / objective.TargetL0 / tokens.Rows);
        if (backward) Unpack(pool, ref context, gradients, progress);
        Summarise(tokens.Rows, progress.Total, objective, space, statistics, context);
    }

    /// <summary>Activations of every token, acts [tokens, d_sae].</summary>
    public static void Encode(MatrixView<float> tokens, SaeParameters parameters, SaeWorkspace space, MatrixView<float> activations)
    {
        WorkerPool pool = ((CpuDevice)space.Device).Pool;
        Context context = CreateContext(tokens, parameters, default, false, new SaeObjective { AuxCoefficient = 0 }, space);
        PackJob pack = new() { Context = context, Parameters = Pointers.Of(parameters) };
        pool.Run(space.Blocks, ref pack);
        for (int start = 0, tiles = TileCount(tokens.Rows, space), tile = 0; tile < tiles; tile++)
        {
            Enter(ref context, tokens, start, TileLength(tokens.Rows, tiles, tile, space));
            EncodeTile(pool, ref context);
            ActivationJob write = new() { Context = context, Output = activations.Pointer + start * activations.Stride, OutputStride = activations.Stride };
            pool.Run(Slivers(context.TileTokens), ref write);
            start += context.TileTokens;
        }
    }

    // Tiles of equal length: the last one is not a stump.
    private static int TileCount(int tokens, SaeWorkspace space) => (tokens + space.TileTokens - 1) / space.TileTokens;

    private static int TileLength(int tokens, int tiles, int tile, SaeWorkspace space)
    {
        int even = ((tokens + tiles - 1) / tiles + Sliver - 1) / Sliver * Sliver;
        return Math.Min(Math.Min(even, space.TileTokens), Math.Max(0, tokens - tile * even));
    }

    private static void Enter(ref Context context, MatrixView<float> tokens, int start, int count)
    {
        context.Tokens = tokens.Pointer + start * tokens.Stride;
        context.TileStart = start;
        context.TileTokens = count;
        context.Input = context.Subtract ? context.Space.InputRows : context.Tokens;
        context.InputStride = context.Subtract ? context.Space.PaddedColumns : context.TokenStride;
    }

    /// <summary>Pre-activations and active pairs of a tile.</summary>
    private static void EncodeTile(WorkerPool pool, ref Context context)
    {
        int slivers = Slivers(context.TileTokens);
        TokenPackJob packTokens = new() { Context = context };
        pool.Run(slivers, ref packTokens);
        EncodeJob encode = new() { Context = context };
        pool.Run(context.Space.Blocks, ref encode);
        if (!context.Selecting || context.BatchSelecting) return;
        SelectJob select = new() { Context = context };
        pool.Run(slivers, ref select);
        CountJob count = new() { Context = context };
        pool.Run(context.Space.Blocks, ref count);
    }

    private static void Forward(WorkerPool pool, ref Context context, ref Progress progress)
    {
        SaeWorkspace space = context.Space;
        if (context.BatchSelecting) ScatterTile(pool, ref context);
        else EncodeTile(pool, ref context);
        long active = 0, reached = 0;
        for (int block = 0; block < space.Blocks; block++)
        {
            ref SaeWorkspace.BlockSums sums = ref space.EncodeSums[block];
            progress.Total.Sparsity += sums.Sparsity;
            if (!context.BatchSelecting) progress.Total.MagnitudePositive += sums.MagnitudePositive;
            progress.Total.GatePositive += sums.GatePositive;
            active += sums.Active;
            reached += sums.Reached;
        }
        progress.Total.Active += active;
        ChooseProducts(ref context, active, reached, ref progress);
        ColumnPackJob columns = new()
        {
            Context = context,
            Source = context.Tokens,
            SourceStride = context.TokenStride,
            SliverSource = context.Input,
            SliverStride = context.InputStride,
            Slivers = context.Backward && context.DenseProducts ? space.TokenColumnSlivers : null,
            Sums = space.ColumnSums,
        };
        pool.Run(ColumnPackJob.Blocks(context), ref columns);
        PrepareDense(pool, ref context);
        TokenJob tokens = new() { Context = context };
        int slivers = Slivers(context.TileTokens);
        pool.Run(slivers, ref tokens);
        for (int sliver = 0; sliver < slivers; sliver++)
        {
            ref SaeWorkspace.BlockSums sums = ref space.TokenBlockSums[sliver];
            progress.Total.SquaredError += sums.SquaredError;
            progress.Total.Fit += sums.Fit;
            progress.Total.Squares += sums.Squares;
            progress.Total.Auxiliary += sums.Auxiliary;
            progress.Total.TokensWithActive += sums.TokensWithActive;
            progress.Total.AuxAny |= sums.AuxAny;
        }
    }

    /// <summary>Dense products where many pairs take part. Residuals of nested dictionaries differ from latent to latent: there pairs are always visited one by one.</summary>
    private static void ChooseProducts(ref Context context, long active, long reached, ref Progress progress)
    {
        double pairs = (double)context.TileTokens * context.Space.Latents;
        bool nested = context.Space.Prefixes > 1;
        // The auxiliary loss of the original gated autoencoder decodes every open gate.
        context.DenseDecode = !nested && (context.Auxiliary == AuxiliaryKind.Open ? reached : active) > DenseShare * pairs;
        context.DenseProducts = context.Exact || (!nested && reached > DenseProductShare * pairs);
        context.FirstDenseDecode = context.DenseDecode && !progress.DenseDecode;
        context.FirstDenseProducts = context.DenseProducts && !progress.DenseProducts;
        progress.DenseDecode |= context.DenseDecode;
        progress.DenseProducts |= context.DenseProducts;
        progress.Pairs |= !context.DenseProducts;
    }

    private static void PrepareDense(WorkerPool pool, ref Context context)
    {
        SaeWorkspace space = context.Space;
        if (context.Backward && context.DenseProducts && context.FirstDenseProducts)
        {
            DecoderColumnPackJob columns = new() { Context = context };
            pool.Run(space.Blocks, ref columns);
        }
        if (!context.DenseDecode) return;
        space.RequireDenseBuffers();
        DecoderRowPackJob rows = new() { Context = context };
        if (context.FirstDenseDecode) pool.Run(DecoderRowPackJob.Blocks(context), ref rows);
        DenseDecodeJob decode = new() { Context = context, Output = space.ResidualRows };
        pool.Run(DenseDecodeJob.Blocks(context), ref decode);
        if (context.Auxiliary != AuxiliaryKind.Open) return;
        decode.Output = space.AuxRows;
        decode.Open = true;
        pool.Run(DenseDecodeJob.Blocks(context), ref decode);
    }

    private static void Backward(WorkerPool pool, ref Context context, ref Progress progress)
    {
        SaeWorkspace space = context.Space;
        if (context.Selecting && (context.DenseDecode || context.DenseProducts))
        {
            CloseJob close = new() { Context = context };
            pool.Run(space.Blocks, ref close);
        }
        ColumnPackJob residuals = new()
        {
            Context = context,
            Source = space.ResidualRows,
            SourceStride = space.PaddedColumns,
            SliverSource = space.ResidualRows,
            SliverStride = space.PaddedColumns,
            Slivers = context.DenseDecode ? space.ResidualColumnSlivers : null,
            Sums = space.DecoderBiasGradient,
        };
        pool.Run(ColumnPackJob.Blocks(context), ref residuals);
        if (!context.DenseProducts || !context.DenseDecode) space.RequireLists();
        if (context.DenseProducts)
        {
            BackwardJob backward = new() { Context = context };
            pool.Run(space.Blocks, ref backward);
        }
        else
        {
            space.RequireSparseBuffers();
            SparseBackwardJob sparse = new() { Context = context, First = !progress.Cleared };
            progress.Cleared = true;
            pool.Run(space.Blocks, ref sparse);
        }
        for (int block = 0; block < space.Blocks; block++) progress.Total.PreActivation += space.EncodeSums[block].PreActivation;
    }

    private static void Unpack(WorkerPool pool, ref Context context, SaeParameters gradients, in Progress progress)
    {
        UnpackJob unpack = new() { Context = context, Gradients = Pointers.Of(gradients), DenseDecode = progress.DenseDecode, DenseProducts = progress.DenseProducts, Pairs = progress.Pairs };
        pool.Run(context.Space.Blocks, ref unpack);
        DecoderBiasJob bias = new() { Context = context, Output = gradients.DecoderBias.Pointer };
        pool.Run(DecoderBiasJob.Blocks(context), ref bias);
    }

    private static void Summarise(int tokens, in SaeWorkspace.BlockSums total, in SaeObjective objective, SaeWorkspace space, SaeStatistics statistics, in Context context)
    {
        double means = 0;
        for (int i = 0; i < space.InputWidth; i++) means += space.ColumnSums[i] * space.ColumnSums[i];
        statistics.Tokens = tokens;
        statistics.Reconstruction = total.SquaredError / tokens;
        statistics.Sparsity = total.Sparsity / tokens / (objective.SparsityScale == SparsityScale.Mean ? space.Latents : 1);
        if (context.Jump && objective.JumpReluLoss == JumpReluLoss.QuadraticL0)
        {
            double excess = (double)total.Active / tokens / objective.TargetL0 - 1;
            statistics.Sparsity = excess * excess;
        }
        // The reference leaves the term out when the auxiliary reconstruction of the whole batch is zero.
        statistics.Auxiliary = context.Auxiliary != AuxiliaryKind.None && total.AuxAny != 0 ? total.Auxiliary / tokens : 0;
        statistics.PreActivation = total.PreActivation / tokens;
        statistics.Loss = total.Fit / tokens + objective.SparsityCoefficient * statistics.Sparsity + objective.AuxCoefficient * statistics.Auxiliary
            + objective.PreActivationCoefficient * statistics.PreActivation;
        statistics.SumSquaredError = total.SquaredError;
        statistics.SumSquares = total.Squares;
        statistics.SumSquaredTotal = Math.Max(0, total.Squares - means / tokens);
        statistics.Active = total.Active;
        statistics.ClosedGate = total.MagnitudePositive - total.Active;
        statistics.NoMagnitude = total.GatePositive - total.Active;
        statistics.TokensWithActive = total.TokensWithActive;
    }

    private static int Slivers(int rows) => (rows + Sliver - 1) / Sliver;
}
