using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Softmax
{
    private static readonly JitRequest s_module = new("cuda/kernels/softmax/softmax_any.cu");

    private static void CudaRows<T>(CudaDevice gpu, MatrixView<T> x, MatrixView<T> y) where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Rows(x.Rows, x.Columns);
        Kernel<T>(gpu, "bs_softmax_rows_f32", "bs_softmax_rows_f64", shape).Launch(gpu.Stream, shape, x.Address, x.Stride, y.Address, y.Stride, x.Columns);
    }

    private static void CudaLogSumRows<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Rows(x.Rows, x.Columns);
        Kernel<T>(gpu, "bs_softmax_log_sum_rows_f32", "bs_softmax_log_sum_rows_f64", shape).Launch(gpu.Stream, shape, x.Address, x.Stride, x.Columns, result.Address);
    }

    private static void CudaLogSumColumns<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged
    {
        // A partial result is a maximum in the matrix's type and a sum in double: 16 bytes for either type.
        LaunchShape shape = CudaShapes.Columns(x.Columns, 2 * sizeof(double));
        Kernel<T>(gpu, "bs_softmax_log_sum_columns_f32", "bs_softmax_log_sum_columns_f64", shape).Launch(gpu.Stream, shape, x.Address, x.Stride, x.Rows, x.Columns, result.Address);
    }

    private static CudaKernel Kernel<T>(CudaDevice gpu, string single, string wide, in LaunchShape shape)
    {
        string entry = typeof(T) == typeof(float) ? single : wide;
        DeviceKernels.Report(gpu, nameof(Softmax), (entry, shape));
        return DeviceKernels.Get(gpu, s_module, entry);
    }
}
