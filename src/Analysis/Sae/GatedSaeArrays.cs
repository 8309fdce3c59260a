using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Owns arrays in the shapes of a model: parameters, gradients or moments.</summary>
internal sealed class GatedSaeArrays : IDisposable
{
    public GatedSaeArrays(ComputeDevice device, int inputWidth, int latents, bool tied)
    {
        Device = device;
        Magnitude = device.AllocateMatrix<float>(inputWidth, latents);
        Gate = tied ? null : device.AllocateMatrix<float>(inputWidth, latents);
        MagnitudeBias = device.Allocate<float>(latents);
        GateBias = device.Allocate<float>(latents);
        Decoder = device.AllocateMatrix<float>(latents, inputWidth);
        DecoderBias = device.Allocate<float>(inputWidth);
    }

    public ComputeDevice Device { get; }
    public Matrix<float> Magnitude { get; }
    public Matrix<float>? Gate { get; }
    public DeviceBuffer<float> MagnitudeBias { get; }
    public DeviceBuffer<float> GateBias { get; }
    public Matrix<float> Decoder { get; }
    public DeviceBuffer<float> DecoderBias { get; }

    public int InputWidth => Magnitude.Rows;
    public int Latents => Magnitude.Columns;
    public bool Tied => Gate is null;

    public GatedSaeParameters View => new()
    {
        Magnitude = Magnitude.View,
        Gate = Gate is null ? default : Gate.View,
        MagnitudeBias = MagnitudeBias.View,
        GateBias = GateBias.View,
        Decoder = Decoder.View,
        DecoderBias = DecoderBias.View,
    };

    /// <summary>Every array with its name and shape on disk.</summary>
    public IEnumerable<(string Name, DeviceBuffer<float> Buffer, long[] Shape)> Tensors()
    {
        yield return ("W_mag", Magnitude.Buffer, [InputWidth, Latents]);
        if (Gate is not null) yield return ("W_gate", Gate.Buffer, [InputWidth, Latents]);
        yield return ("b_mag", MagnitudeBias, [Latents]);
        yield return ("b_gate", GateBias, [Latents]);
        yield return ("W_dec", Decoder.Buffer, [Latents, InputWidth]);
        yield return ("b_dec", DecoderBias, [InputWidth]);
    }

    public void Dispose()
    {
        Magnitude.Dispose();
        Gate?.Dispose();
        MagnitudeBias.Dispose();
        GateBias.Dispose();
        Decoder.Dispose();
        DecoderBias.Dispose();
    }
}
