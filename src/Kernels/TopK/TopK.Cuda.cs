using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class TopK
{
    private const int CudaWarps = 4;

    private static void Cuda<T>(CudaDevice gpu, MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged
    {
        int k = indices.Columns;
        if (k == 0) return;
        CudaKernel kernel = DeviceKernels.Get(gpu, new JitRequest("cuda/kernels/top_k/top_k_any.cu"), typeof(T) == typeof(float) ? "bs_top_k_rows_f32" : "bs_top_k_rows_f64");
        // A list is 12 bytes an entry. Longer ones than shared memory holds are those of a sort, which this is not.
        int shared = checked(CudaWarps * k * 12);
        if (shared > gpu.Info.SharedBytesPerBlock)
            throw new DeviceException($"{gpu.Name} finds the {gpu.Info.SharedBytesPerBlock / (CudaWarps * 12)} largest elements of a row at most; {k} were asked for.");
        kernel.Launch(gpu.Stream, new LaunchShape((x.Rows + CudaWarps - 1) / CudaWarps, 32 * CudaWarps, shared),
            x.Address, x.Stride, x.Rows, x.Columns, indices.Address, indices.Stride, values.Address, values.Stride, k);
    }
}
