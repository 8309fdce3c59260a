using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Memory of an autoencoder's step: packed weights, buffers of one token tile, gradient accumulators. Its size depends on the widths and on the
/// tile; only the choice among all pairs of a batch (BatchTopK) holds a list of the chosen ones. No array of tokens × latents exists. One workspace serves one caller at a time.
/// </summary>
public sealed unsafe partial class SaeWorkspace : IDisposable
{
    /// <summary>Latents of one parallel block of work; a multiple of every panel width.</summary>
    internal const int BlockLatents = 128;

    /// <summary>Rows of the register tile.</summary>
    internal const int Sliver = 6;

    /// <summary>Tokens whose pre-activations exist at the same time, at most.</summary>
    internal const int MaxTileTokens = 516;

    /// <summary>Tokens of one cache-sized piece of a tile.</summary>
    internal const int MaxSubTokens = 132;

    private readonly List<IDisposable> _buffers = [];
    private readonly CpuDevice _device = null!;

    /// <param name="device">Where the parameters live.</param>
    /// <param name="shape">The autoencoder.</param>
    /// <param name="auxLatents">Largest number of auxiliary latents per token that will be asked for.</param>
    public SaeWorkspace(ComputeDevice device, in SaeShape shape, int auxLatents = 32) : this(device, shape, auxLatents, 0) { }

    /// <summary>With tiles of <paramref name="tileTokens"/> tokens on a GPU; 0 takes as many as suit the width.</summary>
    internal SaeWorkspace(ComputeDevice device, in SaeShape shape, int auxLatents, int tileTokens)
    {
        shape.Validate();
        ArgumentOutOfRangeException.ThrowIfNegative(auxLatents);
        int inputWidth = shape.InputWidth, latents = shape.Latents;
        bool tied = shape.Tied;
        Device = device;
        Shape = shape;
        _buffers.Add(Dead = device.Allocate<byte>(latents));
        AuxLatents = Math.Min(auxLatents, latents);
        if (device is CudaDevice gpu)
        {
            _buffers.Add(Cuda = new SaeCudaState(gpu, shape, AuxLatents, tileTokens));
            return;
        }
        _device = device as CpuDevice ?? throw new DeviceException($"The autoencoder's step has no implementation for {device.Name}.");
        PaddedLatents = (latents + BlockLatents - 1) / BlockLatents * BlockLatents;
        PaddedRows = (inputWidth + Sliver - 1) / Sliver * Sliver;
        PaddedColumns = (inputWidth + 31) / 32 * 32;
        // A wide dictionary gets a lower tile, so that the pre-activations of a tile stay within 32 MiB.
        TileTokens = Math.Max(MaxSubTokens, (int)Math.Min(MaxTileTokens, (8L << 20) / PaddedLatents / Sliver * Sliver));
        AllocateWeights();
        AllocateTile();
        AllocateShape();
        AllocateScratch(_device.Pool.Threads);
    }

    public ComputeDevice Device { get; }
    public SaeShape Shape { get; }

    /// <summary>1 for latents that count as dead [d_sae], on the device; the caller's to fill, all 0 at first.</summary>
    public DeviceBuffer<byte> Dead { get; }

    public int InputWidth => Shape.InputWidth;
    public int Latents => Shape.Latents;
    public bool Tied => Shape.Tied;
    public int AuxLatents { get; }

    /// <summary>Tokens of the last batch on which each latent was active [d_sae].</summary>
    public ReadOnlySpan<int> UsageCounts => Cuda is null ? new ReadOnlySpan<int>(Usage, Latents) : Cuda.HostUsage;

    /// <summary>Sum of the last batch's tokens [d_in], for a variance over many batches.</summary>
    public ReadOnlySpan<double> TokenSums => Cuda is null ? new ReadOnlySpan<double>(ColumnSums, InputWidth) : Cuda.HostTokenSums;

    /// <summary>
    /// How a GPU decodes the next batch and forms its decoder gradient. Results agree to rounding, not to the bit, so the choice is the caller's and
    /// <see cref="ChooseDecoding"/> makes it from counts. The host chooses for each tile by itself.
    /// </summary>
    public SaeDecoding Decoding { get; set; }

    /// <summary>Decoding for batches like the one that was counted: dense above <see cref="DenseShare"/>.</summary>
    public void ChooseDecoding(long activePairs, long tokens) => Decoding = activePairs > DenseShare * tokens * Latents ? SaeDecoding.Dense : SaeDecoding.Sparse;

    /// <summary>
    /// Share of active pairs from which products are the faster way on a GPU, where three TF32 products take the place of one in single precision:
    /// 137 gathered rows of 512 cost what a product with 8,192 latents costs (docs/kernels.md).
    /// </summary>
    public const double DenseShare = 0.017;

    /// <summary>How a GPU forms dense products. The host has the error of single precision whatever it says.</summary>
    public GemmPrecision Precision { get; set; }

    internal SaeCudaState? Cuda { get; }

    /// <summary>Tokens of the last batch.</summary>
    internal long BatchTokens { get; set; }

    internal int PaddedLatents { get; }
    internal int PaddedRows { get; }
    internal int PaddedColumns { get; }
    internal int TileTokens { get; }
    internal int Blocks => PaddedLatents / BlockLatents;
    internal int MaskWords => PaddedLatents / 64;

    // Weights packed once per step: panels of latents, each [d_in][panel].
    internal float* MagnitudePanels, GatePanels, DecoderPanels;
    // Decoder rows as panels of input dimensions [d_sae][panel]; only dense tiles need them.
    internal float* DecoderRowPanels;
    internal float* EncoderBias, GateBias, DecoderNorms;

    // One tile of tokens.
    internal float* MagnitudePre, GatePre;
    internal float* TokenSlivers, TokenColumnSlivers, ResidualSlivers, ResidualColumnSlivers;
    internal ulong* ActiveMask;
    internal float* PanelMaxima;
    internal int* AuxIndex, AuxCount;
    internal float* AuxGradient, AuxValue;

    // Accumulators over the batch.
    internal float* MagnitudeGradient, GateGradient, DecoderGradientPanels;
    internal double* MagnitudeBiasGradient, GateBiasGradient, DecoderBiasGradient, ColumnSums;
    internal int* Usage;
    internal BlockSums* EncodeSums;
    internal BlockSums* TokenBlockSums;
    internal double* UpdateSums;

    // Per worker.
    internal float* ProductScratch, ActivationScratch, RowScratch, ValueScratch, CandidateScratch, PackScratch;
    internal int* IndexScratch;
    internal int RowScratchStride => PaddedColumns;

    internal bool HasDenseBuffers => DecoderRowPanels != null;

    /// <summary>Buffers for tiles whose activations are dense; made when the first such tile is met.</summary>
    internal void RequireDenseBuffers()
    {
        if (HasDenseBuffers) return;
        ResidualColumnSlivers = New<float>((long)PaddedRows * TileTokens);
        DecoderGradientPanels = New<float>((long)PaddedLatents * PaddedRows);
        ActivationScratch = New<float>((long)_device.Pool.Threads * BlockLatents * TileTokens);
        PackScratch = New<float>((long)_device.Pool.Threads * MaxSubTokens * 2 * BlockLatents);
        DecoderRowPanels = New<float>((long)PaddedColumns * PaddedLatents);
    }

    public void Dispose()
    {
        foreach (IDisposable buffer in _buffers) buffer.Dispose();
        _buffers.Clear();
    }

    private void AllocateWeights()
    {
        long panels = (long)PaddedLatents * InputWidth, gradients = (long)PaddedLatents * PaddedRows;
        MagnitudePanels = New<float>(panels);
        GatePanels = Tied ? MagnitudePanels : New<float>(panels);
        DecoderPanels = New<float>(panels);
        MagnitudeGradient = New<float>(gradients);
        GateGradient = Tied ? MagnitudeGradient : New<float>(gradients);
        EncoderBias = New<float>(PaddedLatents);
        GateBias = New<float>(PaddedLatents);
        DecoderNorms = New<float>(PaddedLatents);
        MagnitudeBiasGradient = New<double>(PaddedLatents);
        GateBiasGradient = New<double>(PaddedLatents);
        DecoderBiasGradient = New<double>(InputWidth);
        ColumnSums = New<double>(InputWidth);
        Usage = New<int>(PaddedLatents);
        EncodeSums = New<BlockSums>(Blocks);
        TokenBlockSums = New<BlockSums>(TileTokens);
        long weights = (long)Latents * InputWidth;
        UpdateSums = New<double>(2 * (weights / SaeUpdate.BlockElements + 1) + 2 * (Latents / SaeUpdate.BlockElements + 1) + InputWidth / SaeUpdate.BlockElements + 1 + Latents / SaeUpdate.BlockRows + 1);
    }

    private void AllocateTile()
    {
        long pairs = (long)PaddedLatents * TileTokens;
        MagnitudePre = New<float>(pairs);
        GatePre = Tied ? MagnitudePre : New<float>(pairs);
        TokenSlivers = New<float>((long)TileTokens * InputWidth);
        ResidualSlivers = New<float>((long)TileTokens * InputWidth);
        TokenColumnSlivers = New<float>((long)PaddedRows * TileTokens);
        ActiveMask = New<ulong>((long)TileTokens * MaskWords);
        PanelMaxima = New<float>((long)TileTokens * PaddedLatents / 8);
        AuxIndex = New<int>((long)TileTokens * AuxLatents);
        AuxGradient = New<float>((long)TileTokens * AuxLatents);
        AuxValue = New<float>((long)TileTokens * AuxLatents);
        AuxCount = New<int>(TileTokens);
    }

    private void AllocateScratch(int workers)
    {
        // The second half is for the gradient that the auxiliary loss of the original gated autoencoder sends to every open gate.
        ProductScratch = New<float>(2L * workers * BlockLatents * MaxSubTokens);
        RowScratch = New<float>((long)workers * 2 * RowScratchStride);
        IndexScratch = New<int>((long)workers * PaddedLatents);
        ValueScratch = New<float>((long)workers * PaddedLatents);
        CandidateScratch = New<float>((long)workers * PaddedLatents);
    }

    private T* New<T>(long length) where T : unmanaged
    {
        DeviceBuffer<T> buffer = _device.Allocate<T>(length);
        _buffers.Add(buffer);
        return buffer.Pointer;
    }

    /// <summary>What one block of work adds to the statistics; a cache line of its own.</summary>
    internal struct BlockSums
    {
        public double Sparsity, SquaredError, Squares, Auxiliary, Fit, PreActivation;
        public long Active, Reached, MagnitudePositive, GatePositive;
        public int TokensWithActive, AuxAny;
    }
}
