using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Softmax
{
    private static readonly JitRequest s_module = new("cuda/kernels/softmax/softmax_any.cu");

    private static void CudaRows<T>(CudaDevice gpu, MatrixView<T> x, MatrixView<T> y) where T : unmanaged =>
        Kernel<T>(gpu, "bs_softmax_rows_f32", "bs_softmax_rows_f64").Launch(
            gpu.Stream, CudaShapes.Rows(x.Rows, x.Columns), x.Address, x.Stride, y.Address, y.Stride, x.Columns);

    private static void CudaLogSumRows<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged =>
        Kernel<T>(gpu, "bs_softmax_log_sum_rows_f32", "bs_softmax_log_sum_rows_f64").Launch(
            gpu.Stream, CudaShapes.Rows(x.Rows, x.Columns), x.Address, x.Stride, x.Columns, result.Address);

    // A partial result is a maximum in the matrix's type and a sum in double: 16 bytes for either type.
    private static void CudaLogSumColumns<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged =>
        Kernel<T>(gpu, "bs_softmax_log_sum_columns_f32", "bs_softmax_log_sum_columns_f64").Launch(
            gpu.Stream, CudaShapes.Columns(x.Columns, 2 * sizeof(double)), x.Address, x.Stride, x.Rows, x.Columns, result.Address);

    private static CudaKernel Kernel<T>(CudaDevice gpu, string single, string wide) => DeviceKernels.Get(gpu, s_module, typeof(T) == typeof(float) ? single : wide);
}
