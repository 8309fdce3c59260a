using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SaeUpdate
{
    private const int CudaBlockElements = 1024, ElementThreads = 256, RowThreads = 128, ClipThreads = 1024;

    private static double ApplyCuda(in SaeTensors tensors, in SaeUpdateOptions options, SaeWorkspace workspace)
    {
        SaeCudaState state = workspace.Cuda!;
        state.SetCoefficients(SaeCoefficients.Of(new SaeObjective(), options, 1, workspace.Latents));
        Enqueue(tensors, options, state, state.Coefficients);
        return state.ReadStatistics().Norm;
    }

    /// <summary>Puts the update into the device's stream and waits for nothing; rate, decay and bias corrections are read from <paramref name="coefficients"/>.</summary>
    internal static void Enqueue(in SaeTensors tensors, in SaeUpdateOptions options, SaeCudaState state, DevicePointer coefficients)
    {
        CudaStream stream = state.Device.Stream;
        SaeKernels kernels = state.Kernels;
        bool muon = options.Optimiser == SaeOptimiser.Muon;
        SaeSegments segments = SaeSegments.Of(tensors);
        SaeAdam adam = new(options);
        int rows = tensors.DecoderRows, width = tensors.DecoderColumns, runs = segments.Blocks(BlockElements), unit = options.DecoderNorm == DecoderNorm.Unit ? 1 : 0;
        kernels.Project.Launch(stream, new LaunchShape(rows, RowThreads), tensors.Decoder, width, unit, state.Squares);
        kernels.Squares.Launch(stream, new LaunchShape(runs, ElementThreads), segments, new DevicePointer(state.Squares.Address + (ulong)rows * sizeof(double)));
        kernels.Clip.Launch(stream, new LaunchShape(1, ClipThreads), state.Squares, rows + runs, options.ClipNorm, coefficients, state.Statistics, state.Clip);
        SaeSegments moved = muon ? SaeSegments.Of(tensors, matrices: false) : segments;
        kernels.Adam.Launch(stream, new LaunchShape(moved.Blocks(CudaBlockElements), ElementThreads), moved, tensors.Threshold, adam, coefficients, state.Clip);
        if (!muon) kernels.AdamRows.Launch(stream, new LaunchShape(rows, RowThreads), tensors.Decoder, width, unit, adam, coefficients, state.Clip);
    }

    /// <summary>Muon's part of the update, behind the rest; waits for the norm of the gradients.</summary>
    internal static void MoveMatricesCuda(SaeParameters parameters, SaeParameters gradients, SaeParameters first, in SaeUpdateOptions options, SaeCudaState state, Muon muon)
    {
        double norm = state.ReadStatistics().Norm;
        if (double.IsFinite(norm)) MoveMatrices(parameters, gradients, first, options, ClipScale(norm, options), muon);
    }
}
