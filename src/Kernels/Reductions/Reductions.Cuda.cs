using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class Reductions
{
    private static readonly JitRequest s_module = new("cuda/kernels/reductions/reductions_any.cu");

    private static void CudaRows<TTerm, T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<double> shifts, DeviceSpan<double> results)
        where TTerm : struct, ITerm where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Rows(x.Rows, x.Columns);
        DeviceKernels.Report(gpu, nameof(Reductions), (CudaEntry<TTerm, T>.Row, shape));
        DeviceKernels.Get(gpu, s_module, CudaEntry<TTerm, T>.Row).Launch(gpu.Stream, shape, x.Address, x.Stride, x.Columns, shifts.Address, results.Address);
    }

    private static void CudaColumns<TTerm, T>(CudaDevice gpu, MatrixView<T> x, DeviceSpan<double> shifts, DeviceSpan<double> results)
        where TTerm : struct, ITerm where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Columns(x.Columns, sizeof(double));
        DeviceKernels.Report(gpu, nameof(Reductions), (CudaEntry<TTerm, T>.Column, shape));
        DeviceKernels.Get(gpu, s_module, CudaEntry<TTerm, T>.Column).Launch(gpu.Stream, shape, x.Address, x.Stride, x.Rows, x.Columns, shifts.Address, results.Address);
    }

    private static void CudaDots<T>(CudaDevice gpu, MatrixView<T> x, MatrixView<T> y, DeviceSpan<double> results) where T : unmanaged
    {
        LaunchShape shape = CudaShapes.Rows(x.Rows, x.Columns);
        string entry = typeof(T) == typeof(float) ? "bs_reductions_row_dot_f32" : "bs_reductions_row_dot_f64";
        DeviceKernels.Report(gpu, nameof(Reductions), (entry, shape));
        DeviceKernels.Get(gpu, s_module, entry).Launch(gpu.Stream, shape, x.Address, x.Stride, y.Address, y.Stride, x.Columns, results.Address);
    }

    private static void CudaDivide(CudaDevice gpu, DeviceSpan<double> values, int count) =>
        DeviceKernels.Get(gpu, s_module, "bs_reductions_divide_f64").Launch(
            gpu.Stream, LaunchShape.For(values.Length, 256), values.Address, values.Length, (double)count);

    private static void CudaSquareRoots(CudaDevice gpu, DeviceSpan<double> values) =>
        DeviceKernels.Get(gpu, s_module, "bs_reductions_root_f64").Launch(gpu.Stream, LaunchShape.For(values.Length, 256), values.Address, values.Length);

    /// <summary>Names of entry points, put together once.</summary>
    private static class CudaEntry<TTerm, T> where TTerm : struct, ITerm
    {
        private static readonly string s_type = typeof(T) == typeof(float) ? "f32" : "f64";
        public static readonly string Row = $"bs_reductions_row_{TTerm.Name}_{s_type}";
        public static readonly string Column = $"bs_reductions_column_{TTerm.Name}_{s_type}";
    }
}
