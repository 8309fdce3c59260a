using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class MatrixElements
{
    private const string CudaSource = "cuda/kernels/matrix_elements/matrix_elements_any.cu";
    private static readonly JitRequest s_single = new(CudaSource), s_double = new(CudaSource, "BS_ELEMENT=double");

    private static void CudaSummary<T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<double> rows) where T : unmanaged =>
        CudaEntry<T>(gpu, "bs_matrix_summary").Launch(gpu.Stream, Shape(x.Rows, x.Columns), x.Address, x.Stride, x.Rows, x.Columns, rows.Address);

    private static CudaKernel CudaEntry<T>(CudaDevice gpu, string name) where T : unmanaged => DeviceKernels.Get(gpu, typeof(T) == typeof(double) ? s_double : s_single, name);

    /// <summary>One block per row, with threads for eight elements each.</summary>
    private static LaunchShape Shape(int rows, int columns)
    {
        int threads = 32;
        while (threads < 256 && threads * 8 < columns) threads *= 2;
        return new LaunchShape(rows, threads);
    }
}
