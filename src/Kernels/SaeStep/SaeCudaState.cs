using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Device memory of the step for one model, and its kernels. Pre-activations exist for one tile of tokens at a time; the cut follows from the
/// shape alone, and with it the order of every sum.
/// </summary>
internal sealed unsafe class SaeCudaState : IDisposable
{
    /// <summary>Tokens and latents of the square that a warp owns, and tokens of one partial sum.</summary>
    public const int Side = 32, Chunk = 256;

    /// <summary>Tokens of one partial sum where products and what follows them are one kernel: at least so many.</summary>
    private const int ProductTile = 64;

    /// <summary>Shared memory of the selection for each auxiliary latent: a list of each of four warps and the joined one.</summary>
    public const int SelectBytes = 5 * sizeof(ulong);

    // Pre-activations of a tile: 16 MiB, so that they, their gradient and that of the weights fit into the 50 MB of cache of a large device.
    private const long TileElements = 4 << 20;

    // 128 MiB where the backward pass is sparse: it reads the tile at chosen pairs alone, and it touches every row of the gradient once a tile.
    private const long SparseTileElements = 32 << 20;
    private const int MaxTileTokens = 4096;

    private readonly List<IDisposable> _owned = [];
    private readonly DeviceBuffer<SaeCoefficients> _coefficients;
    private readonly DeviceBuffer<SaeDeviceStatistics> _statistics;
    private readonly DeviceBuffer<int> _usage;
    private readonly DeviceBuffer<double> _tokenTotal;
    private readonly PinnedBuffer<SaeDeviceStatistics> _hostStatistics;
    private readonly PinnedBuffer<int> _hostUsage;
    private readonly PinnedBuffer<double> _hostTokenSums;
    private SaeRuleState? _rules;

    public SaeCudaState(CudaDevice device, in SaeShape shape, int auxLatents, int tileTokens)
    {
        (int width, int latents) = (shape.InputWidth, shape.Latents);
        bool tied = shape.Tied;
        (Device, Shape) = (device, shape);
        RequireShared(device, SelectBytes * (long)auxLatents, $"{auxLatents} auxiliary latents");
        RequireShared(device, auxLatents > 0 ? sizeof(float) * (long)width : 0, $"tokens of {width} dimensions");
        Stride = RoundUp(latents, Side);
        TileTokens = tileTokens > 0 ? RoundUp(tileTokens, Side) : (int)Math.Clamp((shape.Architecture == SaeArchitecture.Gated ? TileElements : SparseTileElements) / Stride / Side * Side, Chunk, MaxTileTokens);
        if (TileTokens > MaxTileTokens) throw new ArgumentOutOfRangeException(nameof(tileTokens), $"A tile of {TileTokens} tokens; expected at most {MaxTileTokens}.");
        Words = Stride / Side;
        TokenWords = TileTokens / Side;
        Kernels = new SaeKernels(device);
        long pairs = (long)TileTokens * Stride;
        Encoder = New<float>(pairs);
        Gate = tied ? Encoder : New<float>(pairs);
        Work = shape.HasActiveLatents ? DevicePointer.Null : New<float>(pairs);
        Error = New<float>((long)TileTokens * width);
        ByToken = New<uint>((long)TileTokens * Words);
        ByLatent = New<uint>((long)latents * TokenWords);
        Norms = New<float>(latents);
        Clip = New<float>(1);
        _coefficients = Own(device.Allocate<SaeCoefficients>(1));
        _statistics = Own(device.Allocate<SaeDeviceStatistics>(1));
        _statistics.CopyFrom([new SaeDeviceStatistics { Diverged = -1 }]);
        if (auxLatents > 0)
        {
            AuxIndex = New<int>((long)TileTokens * auxLatents);
            AuxValue = New<float>((long)TileTokens * auxLatents);
            AuxGradient = New<float>((long)TileTokens * auxLatents);
            AuxCount = New<int>(TileTokens);
            AuxChosen = New<uint>((long)TileTokens * Words);
        }
        int chunks = (TileTokens + ProductTile - 1) / ProductTile;
        LatentPartials = LatentSums(chunks * (long)latents, out _);
        LatentTotals = LatentSums(latents, out _usage);
        TokenPartials = New<double>((long)chunks * width);
        ErrorPartials = New<double>((long)chunks * width);
        _tokenTotal = Own(device.Allocate<double>(width));
        ErrorTotals = New<double>(width);
        TokenSums = new SaeTokenSums(New<double>(TileTokens), New<double>(TileTokens), New<double>(TileTokens), New<int>(TileTokens), New<int>(TileTokens), DevicePointer.Null);
        long weights = (long)width * latents, run = SaeUpdate.BlockElements;
        Squares = New<double>(latents + (tied ? 1 : 2) * (weights / run + 1) + 3 * (latents / run + 1) + width / run + 1);
        _hostStatistics = Own(new PinnedBuffer<SaeDeviceStatistics>(device, 1));
        _hostUsage = Own(new PinnedBuffer<int>(device, latents));
        _hostTokenSums = Own(new PinnedBuffer<double>(device, width));
        _hostUsage.Span.Clear();
        _hostTokenSums.Span.Clear();
    }

    public CudaDevice Device { get; }
    public SaeKernels Kernels { get; }
    public SaeShape Shape { get; }
    public int Width => Shape.InputWidth;
    public int Latents => Shape.Latents;

    /// <summary>What the paper's exact step has no use for; allocated when it is first asked for.</summary>
    public SaeRuleState Rules => _rules ??= Own(new SaeRuleState(this));

    /// <summary>Nested dictionaries whose errors differ.</summary>
    public static int PrefixesOf(in SaeShape shape, in SaeObjective objective) => shape.Architecture == SaeArchitecture.Matryoshka && objective.Prefixes is { } prefixes ? prefixes.Count : 1;

    /// <summary>Whether dead latents are drawn to their thresholds.</summary>
    public static bool Below(in SaeShape shape, in SaeObjective objective, bool training) =>
        training && shape.Architecture == SaeArchitecture.JumpRelu && objective.JumpReluLoss == JumpReluLoss.Tanh && objective.PreActivationCoefficient > 0;

    /// <summary>Elements from token to token of a tile's pre-activations.</summary>
    public int Stride { get; }

    /// <summary>Tokens whose pre-activations exist at the same time, at most.</summary>
    public int TileTokens { get; }

    /// <summary>Words of a token's bit mask over latents, and of a latent's over the tokens of a tile.</summary>
    public int Words { get; }
    public int TokenWords { get; }

    // One tile.
    public DevicePointer Encoder { get; }
    public DevicePointer Gate { get; }

    /// <summary>Activations of a dense tile, then products of residuals and decoder rows, then the gradient of the pre-activations.</summary>
    public DevicePointer Work { get; }
    public DevicePointer Error { get; }
    public DevicePointer ByToken { get; }
    public DevicePointer ByLatent { get; }
    public DevicePointer AuxIndex { get; }
    public DevicePointer AuxValue { get; }
    public DevicePointer AuxGradient { get; }
    public DevicePointer AuxCount { get; }
    public DevicePointer AuxChosen { get; }
    public SaeLatentSums LatentPartials { get; }
    public SaeTokenSums TokenSums { get; }
    public DevicePointer TokenPartials { get; }
    public DevicePointer ErrorPartials { get; }

    // The batch.
    public DevicePointer Norms { get; }
    public SaeLatentSums LatentTotals { get; }
    public DevicePointer TokenTotals => _tokenTotal.View.Address;
    public DevicePointer ErrorTotals { get; }
    public DevicePointer Statistics => _statistics.View.Address;
    public DevicePointer Squares { get; }
    public DevicePointer Clip { get; }

    /// <summary>Coefficients of calls that bring none of their own.</summary>
    public DevicePointer Coefficients => _coefficients.View.Address;

    /// <summary>For tests: products and what follows them in one kernel of this configuration, or never (Tile 0), whatever the shape; null goes by the shape.</summary>
    public GemmConfig? Forced { get; set; }

    /// <summary>How the products with d_sae columns are formed for so many tokens, and whether one kernel does it together with what follows.</summary>
    /// <param name="tokens">Tokens of the tile.</param>
    /// <param name="precision">Of dense products.</param>
    /// <param name="wide">Whether rows of all matrices start at multiples of 16 bytes.</param>
    /// <param name="config">Units, tile, and whether on warpgroups.</param>
    public bool Fused(int tokens, GemmPrecision precision, bool wide, out GemmConfig config)
    {
        config = GemmConfig.For(tokens, Latents, Width, true, precision);
        if (wide) config = config.OnWarpgroups(Device.Info.Capability, tokens, Latents, Width);
        if (Forced is { Tile: > 0 } forced) config = forced;
        return Forced is not { Tile: 0 } && config.Form != GemmForm.Ordinary && config.Parts == 1;
    }

    public ReadOnlySpan<int> HostUsage => _hostUsage.Span;
    public ReadOnlySpan<double> HostTokenSums => _hostTokenSums.Span;

    public void SetCoefficients(in SaeCoefficients coefficients) => Device.Upload(new ReadOnlySpan<SaeCoefficients>(in coefficients), _coefficients.View);

    /// <summary>The sums of the batch; waits for the work before it.</summary>
    public SaeDeviceStatistics ReadStatistics()
    {
        Device.Stream.Download(_statistics.View, _hostStatistics.Span);
        Device.Stream.Synchronize();
        return _hostStatistics.Span[0];
    }

    /// <summary>The same with the counts of latents and the sums of tokens.</summary>
    public SaeDeviceStatistics ReadAll()
    {
        Device.Stream.Download(_usage.View, _hostUsage.Span);
        Device.Stream.Download(_tokenTotal.View, _hostTokenSums.Span);
        return ReadStatistics();
    }

    /// <summary>What is printed when a person asks for configurations.</summary>
    public SaeCudaConfig Describe(int tokens, SaeWorkspace workspace)
    {
        bool fused = Fused(Math.Min(tokens, TileTokens), workspace.Precision, Width % 4 == 0 && Latents % 4 == 0, out GemmConfig product);
        return new(Shape.Architecture, TileTokens, Latents, Width, workspace.Decoding, SaeWorkspace.DenseShare, product, fused);
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    private static void RequireShared(CudaDevice device, long bytes, string what)
    {
        if (bytes > device.Info.SharedBytesPerBlock - 1024)
            throw new DeviceException($"{what} need {bytes} bytes of shared memory in a block and {device.Info.Name} has {device.Info.SharedBytesPerBlock}; use fewer, or --device cpu.");
    }

    private static int RoundUp(int value, int multiple) => checked((value + multiple - 1) / multiple * multiple);

    private SaeLatentSums LatentSums(long length, out DeviceBuffer<int> usage)
    {
        usage = Own(Device.Allocate<int>(length));
        return new SaeLatentSums(New<double>(length), New<double>(length), New<double>(length), usage.View.Address, New<int>(length), New<int>(length));
    }

    private DevicePointer New<T>(long length) where T : unmanaged => Own(Device.Allocate<T>(length)).View.Address;

    private T Own<T>(T value) where T : IDisposable
    {
        _owned.Add(value);
        return value;
    }
}

/// <summary>The configuration of the step on a GPU.</summary>
/// <param name="Architecture">Of the model.</param>
/// <param name="TileTokens">Tokens whose pre-activations exist at the same time.</param>
/// <param name="Latents">d_sae.</param>
/// <param name="InputWidth">d_in.</param>
/// <param name="Decoding">Of this batch.</param>
/// <param name="DenseAbove">Share of active pairs above which the next is dense.</param>
/// <param name="Product">How the products with d_sae columns are formed.</param>
/// <param name="Fused">One kernel forms such a product and does what follows it.</param>
internal readonly record struct SaeCudaConfig(SaeArchitecture Architecture, int TileTokens, int Latents, int InputWidth, SaeDecoding Decoding, double DenseAbove, GemmConfig Product, bool Fused);
