using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What stays the same over all steps of a run.</summary>
public readonly record struct SaeTrainStepOptions
{
    public SaeTrainStepOptions() { }

    /// <summary>Tokens of a step.</summary>
    public required int Batch { get; init; }

    /// <summary>Everything but λ.</summary>
    public SaeObjective Objective { get; init; } = new();

    /// <summary>Everything but learning rate and step.</summary>
    public SaeUpdateOptions Update { get; init; } = new();

    /// <summary>Decay of the usage average.</summary>
    public double UsageDecay { get; init; } = 0.99;
}

/// <summary>
/// Whole training steps: tokens are centred and scaled, losses and gradients taken, usage averaged, parameters updated. On a GPU a step is recorded once
/// and replayed with one call; its coefficients travel with the tokens, its sums stay on the device, and the host waits only in <see cref="Read"/> and,
/// two steps ahead, for memory to put tokens in. Bytes of the result depend on tokens, coefficients and <see cref="SaeWorkspace.Decoding"/> alone.
/// </summary>
public sealed partial class SaeTrainStep : IDisposable
{
    private readonly SaeTrainStepOptions _options;
    private readonly SaeHeld _parameters, _gradients, _first, _second;
    private readonly DeviceBuffer<float> _usage;
    private readonly SaeWorkspace _workspace;
    private readonly CentredUnitRows? _centring;
    private readonly bool _batchMean;
    private readonly TokenTransfer _transfer;
    private readonly Matrix<float>? _batch;
    private readonly int _width;
    private SaeObjective _objective;

    /// <param name="parameters">The model; this and the other arrays must outlive the object.</param>
    /// <param name="gradients">Overwritten by every step.</param>
    /// <param name="first">First moments.</param>
    /// <param name="second">Second moments.</param>
    /// <param name="usage">Moving average of usage [d_sae].</param>
    /// <param name="workspace">Made for this model.</param>
    /// <param name="centring">Prepares tokens with the mean it holds; null leaves them as they are.</param>
    /// <param name="batchMean">Takes the mean of every batch instead.</param>
    /// <param name="options">What stays the same.</param>
    public SaeTrainStep(SaeParameters parameters, SaeParameters gradients, SaeParameters first, SaeParameters second, DeviceBuffer<float> usage,
        SaeWorkspace workspace, CentredUnitRows? centring, bool batchMean, in SaeTrainStepOptions options)
    {
        (_parameters, _gradients, _first, _second) = (new(parameters), new(gradients), new(first), new(second));
        (_usage, _workspace, _centring, _batchMean, _options) = (usage, workspace, centring, batchMean, options);
        _width = workspace.InputWidth;
        _transfer = new TokenTransfer(workspace.Device, options.Batch, _width, workspace.Cuda is null ? 0 : SaeCoefficients.Floats);
        // What arrives must stay as it is while the step after the next is being sent: prepared tokens have a place of their own.
        if (workspace.Cuda is not null && centring is not null) _batch = workspace.Device.AllocateMatrix<float>(options.Batch, _width);
    }

    /// <summary>Losses and counts; on a GPU those of the last <see cref="Read"/>.</summary>
    public SaeStatistics Statistics { get; } = new();

    /// <summary>Norm of all gradients, the decoder's projected, before clipping; on a GPU that of the last <see cref="Read"/>.</summary>
    public double GradientNorm { get; private set; }

    /// <summary>First step whose loss or norm was not finite, -1 for none; on a GPU as of the last <see cref="Read"/>.</summary>
    public long DivergedAt { get; private set; } = -1;

    /// <summary>Host memory for the tokens of the next step.</summary>
    public MatrixView<float> Next() => _transfer.Next(_options.Batch);

    /// <summary>One step on the tokens in <see cref="Next"/>.</summary>
    /// <param name="step">Number of the step, 0 for the first.</param>
    /// <param name="sparsityCoefficient">λ.</param>
    /// <param name="learningRate">0 still updates the moments.</param>
    public void Run(long step, double sparsityCoefficient, double learningRate)
    {
        _objective = _options.Objective with { SparsityCoefficient = sparsityCoefficient };
        SaeUpdateOptions update = _options.Update with { LearningRate = learningRate, Step = step + 1 };
        if (_workspace.Cuda is not null)
        {
            RunCuda(update);
            return;
        }
        MatrixView<float> tokens = _transfer.Send(_options.Batch);
        Prepare(tokens, tokens);
        SaeStep.Run(tokens, _parameters.View, _gradients.View, _objective, _workspace, Statistics);
        SaeStep.AverageUsage(_workspace, _usage.View, _options.UsageDecay);
        GradientNorm = SaeUpdate.Apply(_parameters.View, _gradients.View, _first.View, _second.View, update, _workspace);
        if (DivergedAt < 0 && !(double.IsFinite(Statistics.Loss) && double.IsFinite(GradientNorm))) DivergedAt = step;
        _transfer.Release();
    }

    /// <summary>Brings statistics, norm and <see cref="DivergedAt"/> up to the last step; on a GPU this waits for it.</summary>
    public void Read()
    {
        if (_workspace.Cuda is not { } state) return;
        SaeDeviceStatistics sums = state.ReadStatistics();
        sums.CopyTo(Statistics, _options.Batch, _workspace.Latents, _objective, true);
        GradientNorm = sums.Norm;
        DivergedAt = sums.Diverged;
    }

    public void Dispose()
    {
        DisposeGraphs();
        _transfer.Dispose();
        _batch?.Dispose();
    }

    private void Prepare(MatrixView<float> source, MatrixView<float> destination)
    {
        if (_centring is null) return;
        if (_batchMean) _centring.UseMeanOf(source);
        _centring.Apply(source, destination);
    }
}

/// <summary>Views that can be kept: the arrays behind them must outlive it.</summary>
internal readonly unsafe struct SaeHeld(SaeParameters p)
{
    private readonly ComputeDevice _device = p.Encoder.Device;
    private readonly float* _magnitude = p.Encoder.Pointer, _gate = p.Gate.Pointer, _magnitudeBias = p.EncoderBias.Pointer, _gateBias = p.GateBias.Pointer,
        _decoder = p.Decoder.Pointer, _decoderBias = p.DecoderBias.Pointer;
    private readonly long _magnitudeStride = p.Encoder.Stride, _gateStride = p.Gate.Stride, _decoderStride = p.Decoder.Stride;
    private readonly int _width = p.InputWidth, _latents = p.Latents;

    public SaeParameters View => new()
    {
        Encoder = new MatrixView<float>(_magnitude, _width, _latents, _magnitudeStride, _device),
        Gate = _gate == null ? default : new MatrixView<float>(_gate, _width, _latents, _gateStride, _device),
        EncoderBias = new DeviceSpan<float>(_magnitudeBias, _latents, _device),
        GateBias = new DeviceSpan<float>(_gateBias, _latents, _device),
        Decoder = new MatrixView<float>(_decoder, _latents, _width, _decoderStride, _device),
        DecoderBias = new DeviceSpan<float>(_decoderBias, _width, _device),
    };
}
