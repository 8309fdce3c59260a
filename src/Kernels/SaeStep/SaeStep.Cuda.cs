using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SaeStep
{
    private const int SquareThreads = 256, RowThreads = 128, SelectWarps = 4, NormRows = 8;

    /// <summary>Shared memory for the keys of a token: above it (8,192 latents) they are formed again in every round.</summary>
    private const int HeldKeyBytes = 32 << 10;

    private static void RunCuda(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective,
        SaeWorkspace workspace, SaeStatistics statistics)
    {
        SaeCudaState state = workspace.Cuda!;
        state.SetCoefficients(SaeCoefficients.Of(objective, new SaeUpdateOptions(), tokens.Rows, workspace.Latents));
        Enqueue(tokens, parameters, gradients, backward, objective, workspace, state.Coefficients);
        state.ReadAll().CopyTo(statistics, tokens.Rows, workspace.Shape, objective, backward);
    }

    /// <summary>
    /// Puts the whole pass into the device's stream and waits for nothing: sums stay on the device, and what changes from step to step is read
    /// from <paramref name="coefficients"/>, so that the launches can be recorded once and replayed.
    /// </summary>
    internal static void Enqueue(MatrixView<float> tokens, SaeParameters parameters, SaeParameters gradients, bool backward, in SaeObjective objective,
        SaeWorkspace workspace, DevicePointer coefficients)
    {
        SaeCudaState state = workspace.Cuda!;
        DeviceKernels.Report(state.Device, Operation, state.Describe(tokens.Rows, workspace));
        workspace.BatchTokens = tokens.Rows;
        CudaPass pass = CudaPass.Of(state, tokens.Rows, parameters, gradients, backward, objective, workspace, coefficients);
        state.Kernels.Norms.Launch(state.Device.Stream, new LaunchShape((state.Latents + NormRows - 1) / NormRows, SquareThreads),
            parameters.Decoder.Address, parameters.Decoder.Stride, state.Latents, state.Width, state.Norms);
        PrepareModel(state, parameters);
        int tiles = (tokens.Rows + state.TileTokens - 1) / state.TileTokens;
        // Tiles of equal length: the last one is not a stump.
        int even = ((tokens.Rows + tiles - 1) / tiles + SaeCudaState.Side - 1) / SaeCudaState.Side * SaeCudaState.Side;
        if (pass.SelectsFromBatch) pass.SelectFromBatch(tokens, even);
        for (int start = 0; start < tokens.Rows; start += even)
        {
            pass.At(tokens, start, even);
            pass.Run();
        }
        pass.Finish(tokens.Rows);
    }

    private static void EncodeCuda(MatrixView<float> tokens, SaeParameters parameters, SaeWorkspace workspace, MatrixView<float> activations)
    {
        SaeCudaState state = workspace.Cuda!;
        PrepareModel(state, parameters);
        for (int start = 0; start < tokens.Rows; start += state.TileTokens)
        {
            int count = Math.Min(state.TileTokens, tokens.Rows - start);
            SaeTile tile = EncodeTile(state, tokens.RowBlock(start, count), parameters, workspace.Precision, out DevicePointer active);
            MatrixView<float> target = activations.RowBlock(start, count);
            state.Kernels.Activations.Launch(state.Device.Stream, Pairs(state, count), tile, active, target.Address, target.Stride);
        }
    }

    /// <summary>usage ← decay · usage + (1 − decay) · share of the last batch's tokens on which a latent was active.</summary>
    /// <param name="workspace">Of the last <see cref="Run"/>.</param>
    /// <param name="usage">[d_sae], updated.</param>
    /// <param name="decay">0 up to, not including, 1.</param>
    public static void AverageUsage(SaeWorkspace workspace, DeviceSpan<float> usage, double decay)
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

    /// <summary>What every tile reads and follows from the parameters alone.</summary>
    internal static void PrepareModel(SaeCudaState state, SaeParameters parameters)
    {
        if (state.Shape.HasMagnitudeScale)
            state.Kernels.Scales.Launch(state.Device.Stream, LaunchShape.For(state.Latents, SquareThreads), parameters.MagnitudeScale.Address, state.Latents, state.Rules.Scales);
    }

    /// <summary>Pre-activations of a tile for use outside training; <paramref name="active"/> are its active pairs as bits, or null where signs tell.</summary>
    internal static SaeTile EncodeTile(SaeCudaState state, MatrixView<float> tokens, SaeParameters parameters, GemmPrecision precision, out DevicePointer active)
    {
        tokens = EncoderInput(state, tokens, parameters);
        Product(Transpose.No, Transpose.No, 1, tokens, parameters.Encoder, 0, Tile(state, state.Encoder, tokens.Rows), precision);
        if (!parameters.Tied) Product(Transpose.No, Transpose.No, 1, tokens, parameters.Gate, 0, Tile(state, state.Gate, tokens.Rows), precision);
        SaeTile tile = Describe(state, tokens.Rows, parameters, state.Encoder, thresholds: true);
        active = state.Shape.Architecture == SaeArchitecture.TopK ? state.ByToken : DevicePointer.Null;
        if (state.Shape.Architecture == SaeArchitecture.TopK) SelectByToken(state, tile);
        return tile;
    }

    /// <summary>Tokens as the encoder sees them.</summary>
    private static MatrixView<float> EncoderInput(SaeCudaState state, MatrixView<float> tokens, SaeParameters parameters)
    {
        if (!state.Shape.SubtractDecoderBias) return tokens;
        state.Kernels.Subtract.Launch(state.Device.Stream, new LaunchShape(new Extent((state.Width + SquareThreads - 1) / SquareThreads, tokens.Rows), SquareThreads), tokens.Address, tokens.Stride,
            parameters.DecoderBias.Address, state.Width, state.Rules.Centred);
        return new MatrixView<float>((float*)state.Rules.Centred.Address, tokens.Rows, state.Width, state.Width, state.Device);
    }

    /// <summary>The k largest of every token of a tile, as bits.</summary>
    private static void SelectByToken(SaeCudaState state, in SaeTile tile)
    {
        int bytes = tile.Latents * sizeof(uint), held = bytes <= HeldKeyBytes ? 1 : 0;
        state.Kernels.TopK.Launch(state.Device.Stream, new LaunchShape(tile.Tokens, SquareThreads, held * bytes), tile, state.Shape.ActiveLatents, held, state.ByToken, state.Words);
    }

    private static SaeTile Describe(SaeCudaState state, int tokens, SaeParameters parameters, DevicePointer encoder, bool thresholds)
    {
        SaeShape shape = state.Shape;
        return new(encoder, shape.Tied ? encoder : state.Gate, parameters.EncoderBias.Address, shape.HasGateBias ? parameters.GateBias.Address : parameters.EncoderBias.Address,
            shape.HasMagnitudeScale ? state.Rules.Scales : DevicePointer.Null, shape.HasThreshold && thresholds ? parameters.Threshold.Address : DevicePointer.Null,
            state.Stride, tokens, state.Latents);
    }

    /// <summary>Every dense product of the step that has a kernel to itself.</summary>
    private static void Product(Transpose transposeA, Transpose transposeB, float alpha, MatrixView<float> a, MatrixView<float> b, float beta, MatrixView<float> c, GemmPrecision precision) =>
        Gemm.Multiply(transposeA, transposeB, alpha, a, b, beta, c, precision);

    /// <summary>1 where every row starts at a multiple of 16 bytes.</summary>
    private static int Wide(MatrixView<float> matrix) => (nuint)matrix.Pointer % 16 == 0 && matrix.Stride % 4 == 0 ? 1 : 0;

    private static MatrixView<float> Tile(SaeCudaState state, DevicePointer data, int tokens) => new((float*)data.Address, tokens, state.Latents, state.Stride, state.Device);

    private static LaunchShape Pairs(SaeCudaState state, int tokens) => new(new Extent((state.Latents + SquareThreads - 1) / SquareThreads, tokens), SquareThreads);
}
