using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class TopK
{
    private const int CudaWarps = 4;

    /// <summary>Longest list that a pass keeps: 12 KiB of shared memory a block, so that several blocks share a multiprocessor.</summary>
    private const int CudaListLength = 256;

    private static readonly JitRequest s_module = new("cuda/kernels/top_k/top_k_any.cu");

    /// <summary>How many passes over the rows there are, and how many elements each one finds at most.</summary>
    private readonly record struct CudaPasses(int K, int Passes, int ListLength, LaunchShape Shape);

    private static void Cuda<T>(CudaDevice gpu, MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged
    {
        int k = indices.Columns, passes = (k + CudaListLength - 1) / CudaListLength;
        if (k == 0) return;
        int length = (k + passes - 1) / passes;
        LaunchShape shape = new((x.Rows + CudaWarps - 1) / CudaWarps, 32 * CudaWarps, CudaWarps * length * 12);
        DeviceKernels.Report(gpu, nameof(TopK), new CudaPasses(k, passes, length, shape));
        CudaKernel kernel = DeviceKernels.Get(gpu, s_module, typeof(T) == typeof(float) ? "bs_top_k_rows_f32" : "bs_top_k_rows_f64");
        for (int found = 0; found < k; found += length)
            kernel.Launch(gpu.Stream, shape, x.Address, x.Stride, x.Rows, x.Columns, indices.Address, indices.Stride, values.Address, values.Stride, found, Math.Min(length, k - found));
    }
}
