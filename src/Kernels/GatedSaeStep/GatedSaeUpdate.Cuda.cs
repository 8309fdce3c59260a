using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GatedSaeUpdate
{
    private const int CudaBlockElements = 1024, ElementThreads = 256, RowThreads = 128, ClipThreads = 1024;

    private static double ApplyCuda(in GatedSaeTensors tensors, in GatedSaeUpdateOptions options, GatedSaeWorkspace workspace)
    {
        GatedSaeCudaState state = workspace.Cuda!;
        state.SetCoefficients(GatedSaeCoefficients.Of(new GatedSaeObjective(), options, 1, workspace.Latents));
        Enqueue(tensors, options, state, state.Coefficients);
        return state.ReadStatistics().Norm;
    }

    /// <summary>Puts the update into the device's stream and waits for nothing; rate, decay and bias corrections are read from <paramref name="coefficients"/>.</summary>
    internal static void Enqueue(in GatedSaeTensors tensors, in GatedSaeUpdateOptions options, GatedSaeCudaState state, DevicePointer coefficients)
    {
        CudaStream stream = state.Device.Stream;
        GatedSaeKernels kernels = state.Kernels;
        GatedSaeSegments segments = GatedSaeSegments.Of(tensors);
        GatedSaeAdam adam = new(options);
        int rows = tensors.DecoderRows, width = tensors.DecoderColumns, runs = segments.Blocks(BlockElements);
        kernels.Project.Launch(stream, new LaunchShape(rows, RowThreads), tensors.Decoder, width, state.Squares);
        kernels.Squares.Launch(stream, new LaunchShape(runs, ElementThreads), segments, new DevicePointer(state.Squares.Address + (ulong)rows * sizeof(double)));
        kernels.Clip.Launch(stream, new LaunchShape(1, ClipThreads), state.Squares, rows + runs, options.ClipNorm, coefficients, state.Statistics, state.Clip);
        kernels.Adam.Launch(stream, new LaunchShape(segments.Blocks(CudaBlockElements), ElementThreads), segments, adam, coefficients, state.Clip);
        kernels.AdamRows.Launch(stream, new LaunchShape(rows, RowThreads), tensors.Decoder, width, adam, coefficients, state.Clip);
    }
}
