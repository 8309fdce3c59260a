using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>A small model with a batch of unit-norm tokens, drawn from a seed.</summary>
internal sealed class SaeCase : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    public SaeCase(ComputeDevice device, int tokens, int d, int latents, bool tied, float gateBias, float magnitudeBias, ulong seed = 1)
        : this(device, tokens, SaeShape.Gated(d, latents, tied), gateBias, magnitudeBias, seed) { }

    public SaeCase(ComputeDevice device, int tokens, in SaeShape shape, float gateBias, float magnitudeBias, ulong seed = 1)
    {
        int d = shape.InputWidth;
        Device = device;
        Shape = shape;
        CounterRandom random = new(seed);
        Tokens = Own(device.AllocateMatrix<float>(tokens, d));
        for (int t = 0; t < tokens; t++)
        {
            Span<float> row = Tokens.Row(t);
            double norm = 0;
            for (int i = 0; i < d; i++)
            {
                row[i] = (float)random.NextNormal();
                norm += row[i] * row[i];
            }
            for (int i = 0; i < d; i++) row[i] = (float)(row[i] / Math.Sqrt(norm));
        }
        Values = new ModelArrays(device, shape, _owned);
        Gradients = new ModelArrays(device, shape, _owned);
        Values.Fill(ref random, gateBias, magnitudeBias);
        Workspace = new SaeWorkspace(device, shape);
        _owned.Add(Workspace);
    }

    public ComputeDevice Device { get; }
    public SaeShape Shape { get; }
    public Matrix<float> Tokens { get; }
    public ModelArrays Values { get; }
    public ModelArrays Gradients { get; }
    public SaeWorkspace Workspace { get; }
    public SaeStatistics Statistics { get; } = new();

    public void Step(in SaeObjective objective) => SaeStep.Run(Tokens.View, Values.View, Gradients.View, objective, Workspace, Statistics);

    public void Dispose()
    {
        foreach (IDisposable o in _owned) o.Dispose();
    }

    private T Own<T>(T value) where T : IDisposable
    {
        _owned.Add(value);
        return value;
    }
}

/// <summary>Owns the arrays behind <see cref="SaeParameters"/>.</summary>
internal sealed class ModelArrays
{
    private readonly DeviceBuffer<float>? _gateBias;

    public ModelArrays(ComputeDevice device, int d, int latents, bool tied, List<IDisposable> owned) : this(device, SaeShape.Gated(d, latents, tied), owned) { }

    public ModelArrays(ComputeDevice device, in SaeShape shape, List<IDisposable> owned)
    {
        int d = shape.InputWidth, latents = shape.Latents;
        Encoder = device.AllocateMatrix<float>(d, latents);
        if (!shape.Tied) Gate = device.AllocateMatrix<float>(d, latents);
        Decoder = device.AllocateMatrix<float>(latents, d);
        EncoderBias = device.Allocate<float>(latents);
        if (shape.HasGateBias) _gateBias = device.Allocate<float>(latents);
        if (shape.HasMagnitudeScale) MagnitudeScale = device.Allocate<float>(latents);
        if (shape.HasThreshold) Threshold = device.Allocate<float>(latents);
        DecoderBias = device.Allocate<float>(d);
        owned.AddRange([Encoder, Decoder, EncoderBias, DecoderBias]);
        foreach (IDisposable? optional in (IDisposable?[])[Gate, _gateBias, MagnitudeScale, Threshold]) if (optional is not null) owned.Add(optional);
    }

    public Matrix<float> Encoder { get; }
    public Matrix<float>? Gate { get; }
    public Matrix<float> Decoder { get; }
    public DeviceBuffer<float> EncoderBias { get; }

    /// <summary>Of a gated autoencoder.</summary>
    public DeviceBuffer<float> GateBias => _gateBias!;

    public DeviceBuffer<float>? MagnitudeScale { get; }
    public DeviceBuffer<float>? Threshold { get; }
    public DeviceBuffer<float> DecoderBias { get; }

    public SaeParameters View => new()
    {
        Encoder = Encoder.View,
        Gate = Gate is null ? default : Gate.View,
        Decoder = Decoder.View,
        EncoderBias = EncoderBias.View,
        GateBias = _gateBias is null ? default : _gateBias.View,
        MagnitudeScale = MagnitudeScale is null ? default : MagnitudeScale.View,
        Threshold = Threshold is null ? default : Threshold.View,
        DecoderBias = DecoderBias.View,
    };

    /// <summary>Every array with the name of its tensor.</summary>
    public IEnumerable<(string Name, float[] Values)> Arrays()
    {
        foreach ((string name, DeviceBuffer<float> buffer) in Buffers())
        {
            float[] values = new float[buffer.Length];
            buffer.CopyTo(values);
            yield return (name, values);
        }
    }

    /// <summary>Copies every array from another model of the same shape, on any device.</summary>
    public void CopyFrom(ModelArrays other)
    {
        foreach (((_, DeviceBuffer<float> buffer), (_, float[] values)) in Buffers().Zip(other.Arrays())) buffer.CopyFrom(values);
    }

    private IEnumerable<(string Name, DeviceBuffer<float> Buffer)> Buffers()
    {
        yield return ("W_mag", Encoder.Buffer);
        if (Gate is not null) yield return ("W_gate", Gate.Buffer);
        yield return ("W_dec", Decoder.Buffer);
        yield return ("b_mag", EncoderBias);
        if (_gateBias is not null) yield return ("b_gate", _gateBias);
        if (MagnitudeScale is not null) yield return ("r_mag", MagnitudeScale);
        if (Threshold is not null) yield return ("threshold", Threshold);
        yield return ("b_dec", DecoderBias);
    }

    public void Fill(ref CounterRandom random, float gateBias, float magnitudeBias)
    {
        foreach (ref float v in Encoder.Buffer.View.Host) v = (float)(0.02 * random.NextNormal());
        if (Gate is not null) foreach (ref float v in Gate.Buffer.View.Host) v = (float)(0.02 * random.NextNormal());
        // Rows of slightly different length: the norm in the penalty is not 1 by accident.
        for (int j = 0; j < Decoder.Rows; j++)
            foreach (ref float v in Decoder.Row(j)) v = (float)((0.8 + 0.4 * j / Decoder.Rows) * random.NextNormal() / Math.Sqrt(Decoder.Columns));
        foreach (ref float v in EncoderBias.View.Host) v = magnitudeBias + (float)(0.005 * random.NextNormal());
        if (_gateBias is not null) foreach (ref float v in _gateBias.View.Host) v = gateBias + (float)(0.005 * random.NextNormal());
        foreach (ref float v in DecoderBias.View.Host) v = (float)(0.01 * random.NextNormal());
        if (MagnitudeScale is not null) foreach (ref float v in MagnitudeScale.View.Host) v = (float)(0.2 * random.NextNormal());
        if (Threshold is not null) foreach (ref float v in Threshold.View.Host) v = (float)Math.Abs(0.01 + 0.005 * random.NextNormal());
    }
}
