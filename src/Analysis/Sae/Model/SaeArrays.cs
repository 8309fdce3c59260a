using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Owns arrays in the shapes of a model: parameters, gradients or moments.</summary>
internal sealed class SaeArrays : IDisposable
{
    public SaeArrays(ComputeDevice device, in SaeShape shape)
    {
        Device = device;
        Shape = shape;
        int inputWidth = shape.InputWidth, latents = shape.Latents;
        Encoder = device.AllocateMatrix<float>(inputWidth, latents);
        if (!shape.Tied) Gate = device.AllocateMatrix<float>(inputWidth, latents);
        EncoderBias = device.Allocate<float>(latents);
        if (shape.HasGateBias) GateBias = device.Allocate<float>(latents);
        if (shape.HasMagnitudeScale) MagnitudeScale = device.Allocate<float>(latents);
        if (shape.HasThreshold) Threshold = device.Allocate<float>(latents);
        Decoder = device.AllocateMatrix<float>(latents, inputWidth);
        DecoderBias = device.Allocate<float>(inputWidth);
    }

    public ComputeDevice Device { get; }
    public SaeShape Shape { get; }
    public Matrix<float> Encoder { get; }
    public Matrix<float>? Gate { get; }
    public DeviceBuffer<float> EncoderBias { get; }
    public DeviceBuffer<float>? GateBias { get; }
    public DeviceBuffer<float>? MagnitudeScale { get; }
    public DeviceBuffer<float>? Threshold { get; }
    public Matrix<float> Decoder { get; }
    public DeviceBuffer<float> DecoderBias { get; }

    public int InputWidth => Shape.InputWidth;
    public int Latents => Shape.Latents;

    public SaeParameters View => new()
    {
        Encoder = Encoder.View,
        Gate = Gate is null ? default : Gate.View,
        EncoderBias = EncoderBias.View,
        GateBias = GateBias is null ? default : GateBias.View,
        MagnitudeScale = MagnitudeScale is null ? default : MagnitudeScale.View,
        Threshold = Threshold is null ? default : Threshold.View,
        Decoder = Decoder.View,
        DecoderBias = DecoderBias.View,
    };

    /// <summary>Every array with its name and shape on disk.</summary>
    public IEnumerable<(string Name, DeviceBuffer<float> Buffer, long[] Shape)> Tensors()
    {
        yield return (Shape.Architecture == SaeArchitecture.Gated ? "W_mag" : "W_enc", Encoder.Buffer, [InputWidth, Latents]);
        if (Gate is not null) yield return ("W_gate", Gate.Buffer, [InputWidth, Latents]);
        yield return (Shape.HasGateBias ? "b_mag" : "b_enc", EncoderBias, [Latents]);
        if (GateBias is not null) yield return ("b_gate", GateBias, [Latents]);
        if (MagnitudeScale is not null) yield return ("r_mag", MagnitudeScale, [Latents]);
        if (Threshold is not null) yield return ("threshold", Threshold, [Latents]);
        yield return ("W_dec", Decoder.Buffer, [Latents, InputWidth]);
        yield return ("b_dec", DecoderBias, [InputWidth]);
    }

    public void Dispose()
    {
        Encoder.Dispose();
        Gate?.Dispose();
        EncoderBias.Dispose();
        GateBias?.Dispose();
        MagnitudeScale?.Dispose();
        Threshold?.Dispose();
        Decoder.Dispose();
        DecoderBias.Dispose();
    }
}
