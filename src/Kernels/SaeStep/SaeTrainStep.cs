using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What stays the same over all steps of a run.</summary>
public readonly record struct SaeTrainStepOptions
{
    public SaeTrainStepOptions() { }

    /// <summary>Everything but λ and the exponent of the penalty.</summary>
    public SaeObjective Objective { get; init; } = new();

    /// <summary>Everything but learning rate and step.</summary>
    public SaeUpdateOptions Update { get; init; } = new();

    /// <summary>Decay of the usage average.</summary>
    public double UsageDecay { get; init; } = 0.99;

    /// <summary>A latent that fired on none of so many tokens is dead; 0 keeps no count.</summary>
    public long DeadAfterTokens { get; init; }

    /// <summary>Decay of the threshold of the BatchTopK family towards the smallest active pre-activation of a batch.</summary>
    public double ThresholdDecay { get; init; } = 0.999;
}

/// <summary>
/// Whole training steps of one model: losses and gradients taken, usage averaged, dead latents counted, parameters updated. On a GPU a step is recorded once
/// and replayed with one call; its coefficients travel with the tokens, its sums stay on the device, and the host waits only in <see cref="Read"/> and,
/// two steps ahead, for memory to put tokens in. Bytes of the result depend on tokens, coefficients and <see cref="SaeWorkspace.Decoding"/> alone.
/// </summary>
public sealed partial class SaeTrainStep : IDisposable
{
    private readonly SaeTrainStepOptions _options;
    private readonly SaeHeld _parameters, _gradients, _first, _second;
    private readonly DeviceBuffer<float> _usage;
    private readonly SaeWorkspace _workspace;
    private readonly SaeTokenFeed _feed;
    private readonly Muon? _muon;
    private readonly int _slot, _width;
    private SaeObjective _objective;
    private SaeUpdateOptions _update;

    /// <param name="parameters">The model; this and the other arrays must outlive the object.</param>
    /// <param name="gradients">Overwritten by every step.</param>
    /// <param name="first">First moments.</param>
    /// <param name="second">Second moments.</param>
    /// <param name="usage">Moving average of usage [d_sae].</param>
    /// <param name="workspace">Made for this model.</param>
    /// <param name="feed">Tokens, prepared.</param>
    /// <param name="options">What stays the same.</param>
    /// <param name="slot">Which of the feed's models this is.</param>
    public SaeTrainStep(SaeParameters parameters, SaeParameters gradients, SaeParameters first, SaeParameters second, DeviceBuffer<float> usage,
        SaeWorkspace workspace, SaeTokenFeed feed, in SaeTrainStepOptions options, int slot = 0)
    {
        (_parameters, _gradients, _first, _second) = (new(parameters), new(gradients), new(first), new(second));
        (_usage, _workspace, _feed, _options, _slot) = (usage, workspace, feed, options, slot);
        _width = workspace.InputWidth;
        TokensSinceFired = workspace.Device.Allocate<long>(workspace.Latents);
        // The first steps of a gated autoencoder are dense; what they need is held from the start, so that memory can be stated before it.
        if (workspace.Cuda is null && workspace.Shape.Architecture == SaeArchitecture.Gated) workspace.RequireDenseBuffers();
        if (options.Update.Optimiser == SaeOptimiser.Muon) _muon = new Muon(workspace.Device, _width, workspace.Latents);
    }

    /// <summary>Losses and counts; on a GPU those of the last <see cref="Read"/>.</summary>
    public SaeStatistics Statistics { get; } = new();

    /// <summary>Norm of all gradients, the decoder's projected, before clipping; on a GPU that of the last <see cref="Read"/>.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>First step whose loss or norm was not finite, -1 for none; on a GPU as of the last <see cref="Read"/>. On the host that step moved nothing.</summary>
    public long DivergedAt { get; private set; } = -1;

    /// <summary>Tokens seen since each latent was last active [d_sae], 0 for one that was active in the last batch.</summary>
    public DeviceBuffer<long> TokensSinceFired { get; }

    /// <summary>Says what the next step is, before <see cref="SaeTokenFeed.Send"/>.</summary>
    /// <param name="step">Number of the step, 0 for the first.</param>
    /// <param name="sparsityCoefficient">λ.</param>
    /// <param name="learningRate">0 still updates the moments.</param>
    /// <param name="sparsityExponent">p of the penalty.</param>
    public void Plan(long step, double sparsityCoefficient, double learningRate, double sparsityExponent = 1)
    {
        _objective = _options.Objective with { SparsityCoefficient = sparsityCoefficient, SparsityExponent = sparsityExponent };
        _update = _options.Update with { LearningRate = learningRate, Step = step + 1 };
        if (_workspace.Cuda is not null) PlanCuda();
    }

    /// <summary>The planned step on the feed's tokens.</summary>
    public void Run()
    {
        if (_workspace.Cuda is not null)
        {
            RunCuda();
            return;
        }
        SaeStep.Run(_feed.Tokens, _parameters.View, _gradients.View, _objective, _workspace, Statistics);
        SaeStep.AverageUsage(_workspace, _usage.View, _options.UsageDecay);
        CountDead();
        AverageThreshold();
        bool finite = double.IsFinite(Statistics.Loss);
        if (finite) GradientNorm = SaeUpdate.Apply(_parameters.View, _gradients.View, _first.View, _second.View, _update, _workspace, _muon);
        if (DivergedAt < 0 && !(finite && double.IsFinite(GradientNorm))) DivergedAt = _update.Step - 1;
    }

    /// <summary>Brings statistics, norm and <see cref="DivergedAt"/> up to the last step; on a GPU this waits for it.</summary>
    public void Read()
    {
        if (_workspace.Cuda is not { } state) return;
        SaeDeviceStatistics sums = state.ReadStatistics();
        sums.CopyTo(Statistics, _feed.Batch, _workspace.Shape, _objective, true);
        GradientNorm = sums.Norm;
        DivergedAt = sums.Diverged;
    }

    /// <summary>Sets <see cref="TokensSinceFired"/> and with it which latents are dead, as at the end of an earlier step.</summary>
    public void Restore(ReadOnlySpan<long> tokensSinceFired)
    {
        TokensSinceFired.CopyFrom(tokensSinceFired);
        if (_options.DeadAfterTokens == 0) return;
        byte[] dead = new byte[tokensSinceFired.Length];
        for (int j = 0; j < dead.Length; j++) dead[j] = (byte)(tokensSinceFired[j] >= _options.DeadAfterTokens ? 1 : 0);
        _workspace.Dead.CopyFrom(dead);
    }

    public void Dispose()
    {
        DisposeGraphs();
        TokensSinceFired.Dispose();
        _muon?.Dispose();
    }

    /// <summary>The threshold with which the BatchTopK family encodes outside training, one for all latents.</summary>
    private void AverageThreshold()
    {
        if (_workspace.Shape.Architecture is not (SaeArchitecture.BatchTopK or SaeArchitecture.Matryoshka)) return;
        Span<float> threshold = _parameters.View.Threshold.Host;
        double smallest = Statistics.SmallestActive, decay = _options.ThresholdDecay;
        threshold.Fill((float)(_update.Step == 1 ? smallest : decay * threshold[0] + (1 - decay) * smallest));
    }

    private void CountDead()
    {
        if (_options.DeadAfterTokens == 0) return;
        Span<long> since = TokensSinceFired.View.Host;
        Span<byte> dead = _workspace.Dead.View.Host;
        ReadOnlySpan<int> counts = _workspace.UsageCounts;
        for (int j = 0; j < since.Length; j++)
        {
            since[j] = counts[j] > 0 ? 0 : since[j] + _feed.Batch;
            dead[j] = (byte)(since[j] >= _options.DeadAfterTokens ? 1 : 0);
        }
    }
}

/// <summary>Views that can be kept: the arrays behind them must outlive it.</summary>
internal readonly unsafe struct SaeHeld(SaeParameters p)
{
    private readonly ComputeDevice _device = p.Encoder.Device;
    private readonly float* _magnitude = p.Encoder.Pointer, _gate = p.Gate.Pointer, _magnitudeBias = p.EncoderBias.Pointer, _gateBias = p.GateBias.Pointer,
        _magnitudeScale = p.MagnitudeScale.Pointer, _threshold = p.Threshold.Pointer, _decoder = p.Decoder.Pointer, _decoderBias = p.DecoderBias.Pointer;
    private readonly long _magnitudeStride = p.Encoder.Stride, _gateStride = p.Gate.Stride, _decoderStride = p.Decoder.Stride;
    private readonly int _width = p.InputWidth, _latents = p.Latents;

    public SaeParameters View => new()
    {
        Encoder = new MatrixView<float>(_magnitude, _width, _latents, _magnitudeStride, _device),
        Gate = _gate == null ? default : new MatrixView<float>(_gate, _width, _latents, _gateStride, _device),
        EncoderBias = new DeviceSpan<float>(_magnitudeBias, _latents, _device),
        GateBias = Span(_gateBias),
        MagnitudeScale = Span(_magnitudeScale),
        Threshold = Span(_threshold),
        Decoder = new MatrixView<float>(_decoder, _latents, _width, _decoderStride, _device),
        DecoderBias = new DeviceSpan<float>(_decoderBias, _width, _device),
    };

    private DeviceSpan<float> Span(float* pointer) => pointer == null ? default : new DeviceSpan<float>(pointer, _latents, _device);
}
