using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The fused step on the host. The batch is cut into tiles of tokens; for one tile
/// <list type="number">
/// <item>blocks of latents compute z = T W, the sets A, B, C as bit masks, and the largest closed-gate magnitude of every panel;</item>
/// <item>slivers of tokens decode their active latents, take the residual, and choose the auxiliary latents with help of the panel maxima;</item>
/// <item>blocks of latents compute q = r W_decᵀ, turn z into dz in place, and add Tᵀ dz and aᵀ r to their own rows of the gradients.</item>
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

    private const int Sliver = SaeWorkspace.Sliver;
    private const int BlockLatents = SaeWorkspace.BlockLatents;

    /// <summary>Everything a job needs to know; copied into the job.</summary>
    private struct Context
    {
        public SaeWorkspace Space;
        public float* Tokens;
        public long TokenStride;
        public int TileTokens;
        public float* Encoder, Gate, Decoder, DecoderBias;
        public long MagnitudeStride, GateStride, DecoderStride;
        public float* DecoderGradient;
        public long DecoderGradientStride;
        public float SparsityGradient, ResidualScale, AuxScale, Bandwidth;
        public int AuxLatents;
        public bool Tied, AuxDoubleBias, Windowed, Backward, Dense, FirstTile, FirstDenseTile;

        public readonly int Width => Space.InputWidth;
        public readonly int Panels => Space.PaddedLatents / Panel;
        public readonly long PanelStride => (long)Space.TileTokens * Panel;
    }

    /// <summary>Losses and counts of the batch; with <paramref name="backward"/> also all gradients.</summary>
    public static void Run(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward,
        in SaeObjective objective, SaeWorkspace space, SaeStatistics statistics)
    {
        WorkerPool pool = ((CpuDevice)space.Device).Pool;
        Context context = CreateContext(tokens, parameters, gradients, backward, objective, space);
        PackJob pack = new() { Context = context, Parameters = Pointers.Of(parameters) };
        pool.Run(space.Blocks, ref pack);
        SaeWorkspace.BlockSums total = default;
        new Span<double>(space.ColumnSums, space.InputWidth).Clear();
        new Span<double>(space.DecoderBiasGradient, space.InputWidth).Clear();
        bool dense = false;
        for (int start = 0, tiles = TileCount(tokens.Rows, space), tile = 0; tile < tiles; tile++)
        {
            int count = TileLength(tokens.Rows, tiles, tile, space);
            context.Tokens = tokens.Pointer + start * tokens.Stride;
            context.TileTokens = count;
            context.FirstTile = tile == 0;
            Forward(pool, ref context, ref total, ref dense);
            if (backward) Backward(pool, ref context);
            start += count;
        }
        if (backward)
        {
            UnpackJob unpack = new() { Context = context, Gradients = Pointers.Of(gradients), AddDense = dense };
            pool.Run(space.Blocks, ref unpack);
            for (int i = 0; i < space.InputWidth; i++) gradients.DecoderBias.Pointer[i] = (float)space.DecoderBiasGradient[i];
        }
        Summarise(tokens.Rows, total, objective, space, statistics, backward);
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
            context.Tokens = tokens.Pointer + start * tokens.Stride;
            context.TileTokens = TileLength(tokens.Rows, tiles, tile, space);
            EncodeTile(pool, ref context);
            ActivationJob write = new() { Context = context, Output = activations.Pointer + start * activations.Stride, OutputStride = activations.Stride };
            pool.Run(context.TileTokens, ref write);
            start += context.TileTokens;
        }
    }

    private static Context CreateContext(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward,
        in SaeObjective objective, SaeWorkspace space)
    {
        double pairs = objective.SparsityScale == SparsityScale.Mean ? (double)tokens.Rows * space.Latents : tokens.Rows;
        return new Context
        {
            Space = space,
            TokenStride = tokens.Stride,
            Encoder = parameters.Encoder.Pointer,
            MagnitudeStride = parameters.Encoder.Stride,
            Gate = parameters.Gate.Pointer,
            GateStride = parameters.Gate.Stride,
            Decoder = parameters.Decoder.Pointer,
            DecoderStride = parameters.Decoder.Stride,
            DecoderBias = parameters.DecoderBias.Pointer,
            DecoderGradient = backward ? gradients.Decoder.Pointer : null,
            DecoderGradientStride = backward ? gradients.Decoder.Stride : 0,
            SparsityGradient = (float)(objective.SparsityCoefficient / pairs),
            ResidualScale = (float)(2.0 / tokens.Rows),
            AuxScale = (float)(2.0 * objective.AuxCoefficient / tokens.Rows),
            Bandwidth = (float)objective.Bandwidth,
            AuxLatents = backward && objective.AuxCoefficient > 0 ? Math.Min(objective.AuxLatents, space.AuxLatents) : 0,
            Tied = parameters.Tied,
            AuxDoubleBias = objective.AuxDoubleBias,
            Windowed = objective.StraightThrough == StraightThrough.Windowed,
            Backward = backward,
        };
    }

    // Tiles of equal length: the last one is not a stump.
    private static int TileCount(int tokens, SaeWorkspace space) => (tokens + space.TileTokens - 1) / space.TileTokens;

    private static int TileLength(int tokens, int tiles, int tile, SaeWorkspace space)
    {
        int even = ((tokens + tiles - 1) / tiles + Sliver - 1) / Sliver * Sliver;
        return Math.Min(Math.Min(even, space.TileTokens), Math.Max(0, tokens - tile * even));
    }

    private static void EncodeTile(WorkerPool pool, ref Context context)
    {
        TokenPackJob packTokens = new() { Context = context };
        pool.Run(Slivers(context.TileTokens), ref packTokens);
        EncodeJob encode = new() { Context = context };
        pool.Run(context.Space.Blocks, ref encode);
    }

    private static void Forward(WorkerPool pool, ref Context context, ref SaeWorkspace.BlockSums total, ref bool dense)
    {
        SaeWorkspace space = context.Space;
        ColumnPackJob columns = new() { Context = context, Source = context.Tokens, SourceStride = context.TokenStride, Slivers = context.Backward ? space.TokenColumnSlivers : null, Sums = space.ColumnSums };
        pool.Run(ColumnPackJob.Blocks(context), ref columns);
        EncodeTile(pool, ref context);
        long active = 0;
        for (int block = 0; block < space.Blocks; block++)
        {
            total.Sparsity += space.EncodeSums[block].Sparsity;
            total.MagnitudePositive += space.EncodeSums[block].MagnitudePositive;
            total.GatePositive += space.EncodeSums[block].GatePositive;
            active += space.EncodeSums[block].Active;
        }
        total.Active += active;
        context.Dense = active > DenseShare * context.TileTokens * space.Latents;
        if (context.Dense)
        {
            context.FirstDenseTile = !dense;
            space.RequireDenseBuffers();
            DecoderRowPackJob rows = new() { Context = context };
            if (!dense) pool.Run(DecoderRowPackJob.Blocks(context), ref rows);
            dense = true;
            DenseDecodeJob decode = new() { Context = context };
            pool.Run(DenseDecodeJob.Blocks(context), ref decode);
        }
        TokenJob tokens = new() { Context = context };
        int slivers = Slivers(context.TileTokens);
        pool.Run(slivers, ref tokens);
        for (int sliver = 0; sliver < slivers; sliver++)
        {
            total.SquaredError += space.TokenBlockSums[sliver].SquaredError;
            total.Squares += space.TokenBlockSums[sliver].Squares;
            total.Auxiliary += space.TokenBlockSums[sliver].Auxiliary;
            total.TokensWithActive += space.TokenBlockSums[sliver].TokensWithActive;
            total.AuxAny |= space.TokenBlockSums[sliver].AuxAny;
        }
    }

    private static void Backward(WorkerPool pool, ref Context context)
    {
        SaeWorkspace space = context.Space;
        ColumnPackJob residuals = new()
        {
            Context = context,
            Source = space.ResidualRows,
            SourceStride = space.PaddedColumns,
            Slivers = context.Dense ? space.ResidualColumnSlivers : null,
            Sums = space.DecoderBiasGradient,
        };
        pool.Run(ColumnPackJob.Blocks(context), ref residuals);
        BackwardJob backward = new() { Context = context };
        pool.Run(space.Blocks, ref backward);
    }

    private static void Summarise(int tokens, in SaeWorkspace.BlockSums total, in SaeObjective objective, SaeWorkspace space,
        SaeStatistics statistics, bool training)
    {
        double means = 0;
        for (int i = 0; i < space.InputWidth; i++) means += space.ColumnSums[i] * space.ColumnSums[i];
        statistics.Tokens = tokens;
        statistics.Reconstruction = total.SquaredError / tokens;
        statistics.Sparsity = total.Sparsity / tokens / (objective.SparsityScale == SparsityScale.Mean ? space.Latents : 1);
        // The reference leaves the term out when the auxiliary reconstruction of the whole batch is zero.
        statistics.Auxiliary = training && objective.AuxCoefficient > 0 && total.AuxAny != 0 ? total.Auxiliary / tokens : 0;
        (statistics.PreActivation, statistics.SmallestActive) = (0, double.NaN);
        statistics.Loss = statistics.Reconstruction + objective.SparsityCoefficient * statistics.Sparsity + objective.AuxCoefficient * statistics.Auxiliary;
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
