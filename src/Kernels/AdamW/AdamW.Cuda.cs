using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class AdamW
{
    private const int CudaThreads = 256;
    private const long CudaRun = 1 << 15;

    private static readonly JitRequest s_module = new("cuda/kernels/adam_w/adam_w_any.cu");

    /// <summary>Blocks of the sum of squares, each of which leaves a partial.</summary>
    internal static int CudaRuns(long length) => checked((int)((length + CudaRun - 1) / CudaRun));

    internal static void CudaPartials(CudaDevice gpu, DeviceSpan<float> values, DeviceSpan<double> partials) =>
        DeviceKernels.Get(gpu, s_module, "bs_adam_w_squares_f32").Launch(gpu.Stream, new LaunchShape(CudaRuns(values.Length), CudaThreads), values.Address, values.Length, partials.Address);

    internal static void CudaNorm(CudaDevice gpu, DeviceSpan<double> partials, double maximum, DeviceSpan<double> norm) =>
        DeviceKernels.Get(gpu, s_module, "bs_adam_w_norm").Launch(gpu.Stream, new LaunchShape(1, 1024), partials.Address, (int)partials.Length, maximum, norm.Address);

    private static CudaKernel CudaKernelOf<T>(CudaDevice gpu, string entry) =>
        DeviceKernels.Get(gpu, s_module, entry + (typeof(T) == typeof(float) ? "_f32" : "_f64"));

    private static void CudaUpdate<T>(CudaDevice gpu, DeviceSpan<T> p, DeviceSpan<T> g, DeviceSpan<T> m, DeviceSpan<T> v, in AdamWFactors factors, DevicePointer clip) where T : unmanaged =>
        DeviceKernels.Get(gpu, s_module, typeof(T) == typeof(float) ? "bs_adam_w_f32" : "bs_adam_w_f64").Launch(
            gpu.Stream, LaunchShape.For(p.Length, CudaThreads), p.Address, g.Address, m.Address, v.Address, p.Length, factors, clip);

    private static double CudaSquares<T>(CudaDevice gpu, DeviceSpan<T> values) where T : unmanaged
    {
        int blocks = CudaRuns(values.Length);
        if (blocks == 0) return 0;
        using DeviceBuffer<double> partials = gpu.Allocate<double>(blocks);
        CudaKernelOf<T>(gpu, "bs_adam_w_squares").Launch(gpu.Stream, new LaunchShape(blocks, CudaThreads), values.Address, values.Length, partials.View.Address);
        double[] runs = new double[blocks];
        partials.CopyTo(runs);
        double sum = 0;
        foreach (double run in runs) sum += run;
        return sum;
    }

    private static void CudaScale(CudaDevice gpu, DeviceSpan<float> values, float factor) =>
        CudaKernelOf<float>(gpu, "bs_adam_w_scale").Launch(gpu.Stream, LaunchShape.For(values.Length, CudaThreads), values.Address, values.Length, factor);
}
