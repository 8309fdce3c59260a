using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks.Device;

/// <summary>Operands made on the device: random values, since zeros hide mistakes and run faster.</summary>
internal static class DeviceArrays
{
    public const string Source = "cuda/kernels/ceilings/ceilings_any.cu";
    private static readonly JitRequest s_module = new(Source);

    /// <summary>A kernel of this folder's own.</summary>
    public static CudaKernel Kernel(CudaDevice gpu, string entry) => gpu.Kernels.Get(DeviceKernels.Sources, s_module, entry);

    /// <summary>Uniform in (-1, 1), the same for the same seed and size.</summary>
    public static Matrix<float> Random(this CudaDevice gpu, int rows, int columns, uint seed, List<IDisposable> owned)
    {
        Matrix<float> matrix = gpu.AllocateMatrix<float>(rows, columns);
        owned.Add(matrix);
        Fill(gpu, matrix.Buffer.View.Slice(0, (long)rows * columns), seed);
        return matrix;
    }

    public static DeviceBuffer<T> Array<T>(this CudaDevice gpu, long length, List<IDisposable> owned) where T : unmanaged
    {
        DeviceBuffer<T> buffer = gpu.Allocate<T>(length);
        owned.Add(buffer);
        return buffer;
    }

    public static Matrix<T> Output<T>(this CudaDevice gpu, int rows, int columns, List<IDisposable> owned) where T : unmanaged
    {
        Matrix<T> matrix = gpu.AllocateMatrix<T>(rows, columns);
        owned.Add(matrix);
        return matrix;
    }

    public static void Fill(CudaDevice gpu, DeviceSpan<float> values, uint seed)
    {
        int blocks = (int)Math.Clamp((values.Length + 255) / 256, 1, 16L * gpu.Info.Multiprocessors);
        Kernel(gpu, "bs_ceilings_random_f32").Launch(gpu.Stream, new LaunchShape(blocks, 256), values.Address, values.Length, seed);
    }

    /// <exception cref="DeviceException">The device has less free memory than the case needs.</exception>
    public static void Require(this CudaDevice gpu, double bytes)
    {
        if (bytes > 0.9 * gpu.Info.MemoryBytes)
            throw new DeviceException($"the case needs {bytes / 1e9:F0} GB of device memory and {gpu.Info.Name} has {gpu.Info.MemoryBytes / 1e9:F0} GB");
    }
}
