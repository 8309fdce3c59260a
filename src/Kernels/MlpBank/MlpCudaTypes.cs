using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

// Laid out as in cuda/include/bs/mlp.cuh.

/// <summary>What a batch is for.</summary>
internal enum MlpPurpose
{
    Train,
    Validate,
    Test,
}

/// <summary>A network in its place.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct MlpSlotState(int Fitted, int Count, int Active, int Unused, ulong Stream, long Steps);

/// <summary>One layer's widths, and where its arrays lie among a network's parameters, running statistics and working memory.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MlpLayerPlaces
{
    public int Number, Width, Next, Pitch, NextPitch, Last;
    public long Gamma, Beta, Weight, Bias, Running, Input, Normalised, Output, Inverse, Made, Above, Gradient;

    /// <summary>Places of all layers; <paramref name="running"/> and <paramref name="work"/> are what a network needs of both memories.</summary>
    public static MlpLayerPlaces[] Of(MlpLayout layout, int batch, out int running, out long work)
    {
        MlpLayerPlaces[] layers = new MlpLayerPlaces[MlpLayout.Layers];
        (running, work) = (0, 0);
        for (int l = 0; l < layers.Length; l++)
        {
            int width = layout.Widths[l], next = layout.Widths[l + 1], pitch = Pitched(width), nextPitch = Pitched(next);
            ref MlpLayerPlaces at = ref layers[l];
            (at.Number, at.Width, at.Next, at.Pitch, at.NextPitch, at.Last) = (l, width, next, pitch, nextPitch, l == layers.Length - 1 ? 1 : 0);
            (at.Gamma, at.Beta, at.Weight, at.Bias, at.Running) = (layout.Gamma[l], layout.Beta[l], layout.Weight[l], layout.Bias[l], running);
            running += 2 * width;
            at.Normalised = Take(ref work, batch, pitch);
            at.Output = Take(ref work, batch, pitch);
            at.Gradient = Take(ref work, batch, pitch);
            at.Inverse = Take(ref work, 1, pitch);
            at.Made = Take(ref work, batch, nextPitch);
        }
        for (int l = 0; l < layers.Length; l++)
        {
            layers[l].Input = l == 0 ? 0 : layers[l - 1].Made;
            layers[l].Above = l == layers.Length - 1 ? layers[l].Made : layers[l + 1].Gradient;
        }
        return layers;
    }

    /// <summary>Rows start at multiples of 16 bytes, so that they are copied in such pieces.</summary>
    private static int Pitched(int width) => checked((width + 3) / 4 * 4);

    private static long Take(ref long length, int rows, int pitch)
    {
        long start = length;
        length += (long)MlpLayout.Padded(checked(rows * pitch));
        return start;
    }
}

/// <summary>The arrays of all networks and what they share.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MlpState
{
    public DevicePointer X, Y, Rows, Order, Slots, Factors, Parameters, Gradients, First, Second, Running, Scale, Ranges, Norms, Losses, Errors, Work;
    public long ParameterStride, RunningStride, WorkStride;
    public int RowCount, Inputs, Outputs, Hidden, Batch, SlotCount, Runs, Parts;
    public ulong Seed;
    public double WeightDecay, GradientClip, ClipMargin;
    public float Kept;
    public uint Threshold;
}

/// <summary>How a bank is laid out, for <see cref="DeviceKernels.Report{T}"/>.</summary>
internal readonly record struct MlpBankConfig(int Slots, int Inputs, int Hidden, int Outputs, int Batch, long BytesOfNetwork);
