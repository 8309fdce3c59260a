using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GatedSaeStep
{
    private const int SquareThreads = 256, RowThreads = 128, SelectWarps = 4, NormRows = 8;

    private static void RunCuda(MatrixView<float> tokens, GatedSaeParameters parameters, GatedSaeParameters gradients, bool backward, in GatedSaeObjective objective,
        GatedSaeWorkspace workspace, GatedSaeStatistics statistics)
    {
        GatedSaeCudaState state = workspace.Cuda!;
        state.SetCoefficients(GatedSaeCoefficients.Of(objective, new GatedSaeUpdateOptions(), tokens.Rows, workspace.Latents));
        Enqueue(tokens, parameters, gradients, backward, objective, workspace, state.Coefficients);
        state.ReadAll().CopyTo(statistics, tokens.Rows, workspace.Latents, objective, backward);
    }

    /// <summary>
    /// Puts the whole pass into the device's stream and waits for nothing: sums stay on the device, and what changes from step to step is read
    /// from <paramref name="coefficients"/>, so that the launches can be recorded once and replayed.
    /// </summary>
    internal static void Enqueue(MatrixView<float> tokens, GatedSaeParameters parameters, GatedSaeParameters gradients, bool backward, in GatedSaeObjective objective,
        GatedSaeWorkspace workspace, DevicePointer coefficients)
    {
        GatedSaeCudaState state = workspace.Cuda!;
        DeviceKernels.Report(state.Device, Operation, state.Describe(workspace.Decoding));
        workspace.BatchTokens = tokens.Rows;
        CudaPass pass = new()
        {
            State = state,
            Parameters = parameters,
            Gradients = gradients,
            Backward = backward,
            Dense = workspace.Decoding == GatedSaeDecoding.Dense,
            Kept = backward && objective.AuxCoefficient > 0 ? Math.Min(objective.AuxLatents, workspace.AuxLatents) : 0,
            AuxBias = objective.AuxDoubleBias ? parameters.DecoderBias.Address : DevicePointer.Null,
            AuxScale = (float)(2 * objective.AuxCoefficient / tokens.Rows),
            ResidualScale = (float)(2.0 / tokens.Rows),
            Bandwidth = objective.StraightThrough == StraightThrough.Windowed ? (float)objective.Bandwidth : 0,
            Coefficients = coefficients,
        };
        state.Kernels.Norms.Launch(state.Device.Stream, new LaunchShape((state.Latents + NormRows - 1) / NormRows, SquareThreads),
            parameters.Decoder.Address, parameters.Decoder.Stride, state.Latents, state.Width, state.Norms);
        int tiles = (tokens.Rows + state.TileTokens - 1) / state.TileTokens;
        // Tiles of equal length: the last one is not a stump.
        int even = ((tokens.Rows + tiles - 1) / tiles + GatedSaeCudaState.Side - 1) / GatedSaeCudaState.Side * GatedSaeCudaState.Side;
        for (int start = 0; start < tokens.Rows; start += even)
        {
            pass.FirstTile = start == 0;
            pass.Tokens = tokens.RowBlock(start, Math.Min(even, tokens.Rows - start));
            pass.Run();
        }
        state.Kernels.Finish.Launch(state.Device.Stream, new LaunchShape(1, SquareThreads), state.LatentTotals, state.Norms, state.Latents, state.TokenTotals, state.ErrorTotals,
            state.Width, (double)tokens.Rows, 2.0 / tokens.Rows, gradients.MagnitudeBias.Address, gradients.GateBias.Address, gradients.DecoderBias.Address, state.Statistics);
    }

    private static void EncodeCuda(MatrixView<float> tokens, GatedSaeParameters parameters, GatedSaeWorkspace workspace, MatrixView<float> activations)
    {
        GatedSaeCudaState state = workspace.Cuda!;
        for (int start = 0; start < tokens.Rows; start += state.TileTokens)
        {
            int count = Math.Min(state.TileTokens, tokens.Rows - start);
            GatedSaeTile tile = EncodeTile(state, tokens.RowBlock(start, count), parameters);
            MatrixView<float> target = activations.RowBlock(start, count);
            state.Kernels.Activations.Launch(state.Device.Stream, Pairs(state, count), tile, target.Address, target.Stride);
        }
    }

    /// <summary>usage ← decay · usage + (1 − decay) · share of the last batch's tokens on which a latent was active.</summary>
    /// <param name="workspace">Of the last <see cref="Run"/>.</param>
    /// <param name="usage">[d_sae], updated.</param>
    /// <param name="decay">0 up to, not including, 1.</param>
    public static void AverageUsage(GatedSaeWorkspace workspace, DeviceSpan<float> usage, double decay)
    {
        if (usage.Length != workspace.Latents) throw new ArgumentException($"There are {usage.Length} averages for {workspace.Latents} latents.", nameof(usage));
        float keep = (float)decay, rest = (float)(1 - decay);
        if (workspace.Cuda is { } state)
        {
            state.Kernels.Usage.Launch(state.Device.Stream, LaunchShape.For(state.Latents, SquareThreads), state.LatentTotals.Usage, state.Latents, (float)workspace.BatchTokens, keep, rest, usage.Address);
            return;
        }
        ReadOnlySpan<int> counts = workspace.UsageCounts;
        Span<float> averages = usage.Host;
        for (int j = 0; j < averages.Length; j++) averages[j] = averages[j] * keep + rest * ((float)counts[j] / workspace.BatchTokens);
    }

    /// <summary>The encoder product of a tile; a tied model needs one.</summary>
    internal static GatedSaeTile EncodeTile(GatedSaeCudaState state, MatrixView<float> tokens, GatedSaeParameters parameters)
    {
        Product(Transpose.No, Transpose.No, 1, tokens, parameters.Magnitude, 0, Tile(state, state.Magnitude, tokens.Rows));
        if (!parameters.Tied) Product(Transpose.No, Transpose.No, 1, tokens, parameters.Gate, 0, Tile(state, state.Gate, tokens.Rows));
        return new GatedSaeTile(state.Magnitude, state.Gate, parameters.MagnitudeBias.Address, parameters.GateBias.Address, state.Stride, tokens.Rows, state.Latents);
    }

    /// <summary>Every dense product of the step.</summary>
    private static void Product(Transpose transposeA, Transpose transposeB, float alpha, MatrixView<float> a, MatrixView<float> b, float beta, MatrixView<float> c) =>
        Gemm.Multiply(transposeA, transposeB, alpha, a, b, beta, c);

    private static MatrixView<float> Tile(GatedSaeCudaState state, DevicePointer data, int tokens) => new((float*)data.Address, tokens, state.Latents, state.Stride, state.Device);

    private static LaunchShape Pairs(GatedSaeCudaState state, int tokens) => new(new Extent((state.Latents + SquareThreads - 1) / SquareThreads, tokens), SquareThreads);

    /// <summary>One tile of tokens, forward and backward.</summary>
    private ref struct CudaPass
    {
        public GatedSaeCudaState State;
        public MatrixView<float> Tokens;
        public GatedSaeParameters Parameters, Gradients;
        public bool Backward, Dense, FirstTile;
        public int Kept;
        public DevicePointer AuxBias, Coefficients;
        public float AuxScale, ResidualScale, Bandwidth;
        private GatedSaeTile _tile;

        private readonly int Count => Tokens.Rows;
        private readonly int Chunks => (Count + GatedSaeCudaState.Chunk - 1) / GatedSaeCudaState.Chunk;
        private readonly CudaStream Stream => State.Device.Stream;
        private readonly LaunchShape Squares => new(new Extent(State.Words, Chunks), SquareThreads);
        private readonly MatrixView<float> Error => new((float*)State.Error.Address, Count, State.Width, State.Width, State.Device);
        private readonly MatrixView<float> Work => Tile(State, State.Work, Count);

        /// <summary>Sums over tiles: the first one overwrites.</summary>
        private readonly float Onto => FirstTile ? 0 : 1;

        public void Run()
        {
            _tile = EncodeTile(State, Tokens, Parameters);
            State.Kernels.Classify.Launch(Stream, Squares, _tile, State.ByToken, State.ByLatent, State.TokenWords, State.LatentPartials);
            Decode();
            if (Kept > 0) Auxiliary();
            if (Backward) Gradient();
            Join();
        }

        /// <summary>Reconstruction minus token, and the decoder's gradient, which a dense tile forms from the same activations.</summary>
        private readonly void Decode()
        {
            if (Dense)
            {
                State.Kernels.Activations.Launch(Stream, Pairs(State, Count), _tile, State.Work, (long)State.Stride);
                Product(Transpose.No, Transpose.No, 1, Work, Parameters.Decoder, 0, Error);
                State.Kernels.Residual.Launch(Stream, new LaunchShape(Count, RowThreads), State.ByToken, State.Words, Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride,
                    State.Width, State.Error, (long)State.Width, State.TokenSums);
                if (Backward) Product(Transpose.Yes, Transpose.No, ResidualScale, Work, Error, Onto, Gradients.Decoder);
                return;
            }
            State.Kernels.Decode.Launch(Stream, new LaunchShape(Count, RowThreads), _tile, State.ByToken, Parameters.Decoder.Address, Parameters.Decoder.Stride,
                Parameters.DecoderBias.Address, Tokens.Address, Tokens.Stride, State.Width, State.Error, (long)State.Width, State.TokenSums);
            if (Backward)
                State.Kernels.DecoderGradient.Launch(Stream, new LaunchShape(State.Latents, RowThreads), _tile, State.ByLatent, State.TokenWords, State.Error, (long)State.Width, State.Width,
                    ResidualScale, Gradients.Decoder.Address, Gradients.Decoder.Stride, FirstTile ? 1 : 0);
        }

        private readonly void Auxiliary()
        {
            State.Kernels.Select.Launch(Stream, new LaunchShape((Count + SelectWarps - 1) / SelectWarps, SelectWarps * 32, SelectWarps * Kept * sizeof(ulong)), _tile, Kept, State.AuxIndex, State.AuxValue, State.AuxCount);
            State.Kernels.Auxiliary.Launch(Stream, new LaunchShape(Count, RowThreads, State.Width * sizeof(float)), State.AuxIndex, State.AuxValue, State.AuxCount, Kept,
                Parameters.Decoder.Address, Parameters.Decoder.Stride, AuxBias, State.Error, (long)State.Width, State.Width, AuxScale, State.AuxGradient, State.AuxChosen, State.Words, State.TokenSums);
        }

        private readonly void Gradient()
        {
            Product(Transpose.No, Transpose.Yes, ResidualScale, Error, Parameters.Decoder, 0, Work);
            State.Kernels.StraightThrough.Launch(Stream, Squares, _tile, State.Work, Parameters.Tied ? DevicePointer.Null : State.Gate, State.Norms, Coefficients, Bandwidth,
                State.AuxChosen, State.AuxIndex, State.AuxCount, State.AuxGradient, Kept, State.LatentPartials);
            Product(Transpose.Yes, Transpose.No, 1, Tokens, Work, Onto, Gradients.Magnitude);
            if (!Parameters.Tied) Product(Transpose.Yes, Transpose.No, 1, Tokens, Tile(State, State.Gate, Count), Onto, Gradients.Gate);
        }

        /// <summary>Adds the sums of the tile to those of the batch.</summary>
        private readonly void Join()
        {
            State.Kernels.TokenColumns.Launch(Stream, new LaunchShape(new Extent((State.Width + GatedSaeCudaState.Side - 1) / GatedSaeCudaState.Side, Chunks), SquareThreads), Tokens.Address, Tokens.Stride,
                State.Error, (long)State.Width, Count, State.Width, State.TokenPartials, State.ErrorPartials);
            State.Kernels.JoinColumns.Launch(Stream, LaunchShape.For((long)State.Latents + State.Width, SquareThreads), State.LatentPartials, State.LatentTotals, State.Latents, State.TokenPartials,
                State.ErrorPartials, State.TokenTotals, State.ErrorTotals, State.Width, Chunks, FirstTile ? 1 : 0, Backward ? 1 : 0);
            State.Kernels.JoinTokens.Launch(Stream, new LaunchShape(1, SquareThreads), State.TokenSums, Count, State.Statistics, FirstTile ? 1 : 0, Kept > 0 ? 1 : 0);
        }
    }
}
