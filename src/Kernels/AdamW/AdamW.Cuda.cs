using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class AdamW
{
    private const int CudaThreads = 256;
    private const long CudaRun = 1 << 15;

    private static CudaKernel CudaKernelOf<T>(CudaDevice gpu, string entry) =>
        gpu.Kernels.Get(KernelCode.Sources, new JitRequest("cuda/kernels/adam_w/adam_w_any.cu"), entry + (typeof(T) == typeof(float) ? "_f32" : "_f64"));

    private static void CudaUpdate<T>(CudaDevice gpu, DeviceSpan<T> p, DeviceSpan<T> g, DeviceSpan<T> m, DeviceSpan<T> v, in AdamWFactors factors) where T : unmanaged =>
        CudaKernelOf<T>(gpu, "bs_adam_w").Launch(gpu.Stream, LaunchShape.For(p.Length, CudaThreads), p.Address, g.Address, m.Address, v.Address, p.Length, factors);

    private static double CudaSquares<T>(CudaDevice gpu, DeviceSpan<T> values) where T : unmanaged
    {
        int blocks = checked((int)((values.Length + CudaRun - 1) / CudaRun));
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
