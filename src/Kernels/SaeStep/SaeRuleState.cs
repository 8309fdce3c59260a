using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Device memory beside <see cref="SaeCudaState"/> that only some architectures and objectives need; each array exists from its first use on.</summary>
internal sealed class SaeRuleState(SaeCudaState state) : IDisposable
{
    /// <summary>Share of the device's memory in which pre-activations of a whole batch are kept, so that its selection forms each product once.</summary>
    private const int KeptShare = 8;

    private const int Bins = 2048, CutWords = 4;

    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<string, DevicePointer> _arrays = [];
    private DeviceBuffer<float>? _batch, _nested;
    private DeviceBuffer<uint>? _equal;
    private DeviceBuffer<int>? _prefixes;
    private IReadOnlyList<int>? _known;
    private SaeRuleSums _sums;

    private int Pairs => checked(state.TileTokens * state.Stride);

    /// <summary>Sums of the batch.</summary>
    public SaeRuleSums Sums
    {
        get
        {
            if (_sums == default) _sums = new(New<double>(state.Latents), New<double>(state.Latents), New<double>(state.Latents), New<double>(state.Latents), New<double>(state.Latents), New<int>(state.Latents));
            return _sums;
        }
    }

    /// <summary>Penalties that are not linear in the pre-activation, by latent of the batch.</summary>
    public DevicePointer Penalty => Array<double>(nameof(Penalty), state.Latents);

    /// <summary>exp(r_mag).</summary>
    public DevicePointer Scales => Array<float>(nameof(Scales), state.Latents);

    /// <summary>Tokens of a tile less the decoder's bias, contiguous.</summary>
    public DevicePointer Centred => Array<float>(nameof(Centred), (long)state.TileTokens * state.Width);

    /// <summary>Gradient of the encoder's weights, and of gate weights of their own, [d_sae, d_in].</summary>
    public DevicePointer EncoderRows => Array<float>(nameof(EncoderRows), (long)state.Latents * state.Width);
    public DevicePointer GateRows => Array<float>(nameof(GateRows), (long)state.Latents * state.Width);

    /// <summary>Pairs that are not active and have a gradient, by latent; open gates by token.</summary>
    public DevicePointer Window => Array<uint>(nameof(Window), (long)state.Latents * state.TokenWords);
    public DevicePointer Open => Array<uint>(nameof(Open), (long)state.TileTokens * state.Words);

    /// <summary>Chosen auxiliary pairs by latent, and what their reconstruction leaves.</summary>
    public DevicePointer AuxByLatent => Array<uint>(nameof(AuxByLatent), (long)state.Latents * state.TokenWords);
    public DevicePointer AuxError => Array<float>(nameof(AuxError), (long)state.TileTokens * state.Width);

    /// <summary>Products of the open gates' residuals and decoder rows, where these are formed for all pairs.</summary>
    public DevicePointer Second => Array<float>(nameof(Second), Pairs);

    /// <summary>Sums of squares of tokens, which the open gates' residual has no use for.</summary>
    public DevicePointer Unused => Array<double>(nameof(Unused), state.TileTokens);

    /// <summary>Squared errors of all prefixes, by token.</summary>
    public DevicePointer NestedSums => Array<double>(nameof(NestedSums), state.TileTokens);

    /// <summary>The selection of a batch, and its histogram, all 0 between batches.</summary>
    public DevicePointer Cut => Array<uint>(nameof(Cut), CutWords);
    public DevicePointer Histogram => Array<uint>(nameof(Histogram), Bins);

    /// <summary>For tests: whether pre-activations of the whole batch are kept; null goes by their size.</summary>
    public bool? Keep { get; set; }

    /// <summary>Place for the pre-activations of a whole batch; null where they are too many.</summary>
    public DevicePointer Batch(int tokens)
    {
        long elements = (long)tokens * state.Stride;
        if (!(Keep ?? elements * sizeof(float) <= state.Device.Info.MemoryBytes / KeptShare)) return DevicePointer.Null;
        if (_batch is null || _batch.Length < elements) _batch = Own(state.Device.Allocate<float>(elements));
        return _batch.View.Address;
    }

    /// <summary>Counts of equal keys, by token of the batch.</summary>
    public DevicePointer Equal(int tokens)
    {
        if (_equal is null || _equal.Length < tokens) _equal = Own(state.Device.Allocate<uint>(tokens));
        return _equal.View.Address;
    }

    /// <summary>Residuals that latents of each prefix follow, [prefixes, tile, d_in].</summary>
    public DevicePointer Nested(int prefixes)
    {
        long elements = (long)prefixes * state.TileTokens * state.Width;
        if (_nested is null || _nested.Length < elements) _nested = Own(state.Device.Allocate<float>(elements));
        return _nested.View.Address;
    }

    /// <summary>The prefixes on the device.</summary>
    public DevicePointer Prefixes(IReadOnlyList<int> prefixes)
    {
        if (ReferenceEquals(_known, prefixes)) return _prefixes!.View.Address;
        _prefixes = Own(state.Device.Allocate<int>(prefixes.Count));
        _prefixes.CopyFrom([.. prefixes]);
        _known = prefixes;
        return _prefixes.View.Address;
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    private DevicePointer Array<T>(string name, long length) where T : unmanaged
    {
        if (_arrays.TryGetValue(name, out DevicePointer pointer)) return pointer;
        return _arrays[name] = New<T>(length);
    }

    private DevicePointer New<T>(long length) where T : unmanaged => Own(state.Device.Allocate<T>(length)).View.Address;

    private T Own<T>(T value) where T : IDisposable
    {
        _owned.Add(value);
        return value;
    }
}
