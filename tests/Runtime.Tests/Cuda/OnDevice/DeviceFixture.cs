using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

/// <summary>One device for the tests that need one; without it they are skipped with the reason.</summary>
public sealed class DeviceFixture : IDisposable
{
    private readonly CudaDevice? _device;
    private readonly string _reason;

    // A ring much smaller than the arrays, so that copies go around it.
    public DeviceFixture() => _device = CudaEmulator.Open(out _reason, new CudaDeviceOptions { StagingBytes = 4096, StagingSlots = 3 });

    public CudaDevice Require()
    {
        Assert.SkipWhen(_device is null, _reason);
        return _device!;
    }

    public void Dispose() => _device?.Dispose();
}

/// <summary>Tests on the device run one class after another: they share it, and some change variables of the process.</summary>
[CollectionDefinition(Name)]
public sealed class DeviceCollection : ICollectionFixture<DeviceFixture>
{
    public const string Name = "device";
}

/// <summary>Kernels that only these tests use.</summary>
internal static class TestKernels
{
    public static KernelSourceSet Sources { get; } = new(new Dictionary<string, string>
    {
        ["cuda/include/bs/test_index.cuh"] = """
            #pragma once
            #ifndef BS_DYNAMIC_SHARED
            #define BS_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
            #endif
            __device__ inline long long bs_index() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
            """,
        ["cuda/kernels/test/vector.cu"] = """
            #include <bs/test_index.cuh>
            #ifndef BS_SCALE
            #define BS_SCALE 1
            #endif
            extern "C" __global__ void bs_add(const float* x, const float* y, float* z, long long n) {
                long long i = bs_index();
                if (i < n) z[i] = BS_SCALE * x[i] + y[i];
            }
            extern "C" __global__ void bs_increment(int* x, int by, int n) {
                long long i = bs_index();
                if (i < n) x[i] += by;
            }
            """,
        ["cuda/kernels/test/arguments.cu"] = """
            struct Mixed { char a; double b; short c; };
            extern "C" __global__ void bs_arguments(double* out, char a1, double a2, short a3, float a4, Mixed a5, long long a6, int a7, unsigned char a8,
                                                    double a9, int a10, float a11, short a12, long long a13, char a14, double a15) {
                out[0] = a1; out[1] = a2; out[2] = a3; out[3] = a4; out[4] = a5.a; out[5] = a5.b; out[6] = a5.c; out[7] = (double)a6; out[8] = a7; out[9] = a8;
                out[10] = a9; out[11] = a10; out[12] = a11; out[13] = a12; out[14] = (double)a13; out[15] = a14; out[16] = a15;
            }
            """,
        ["cuda/kernels/test/shared.cu"] = """
            #include <bs/test_index.cuh>
            extern "C" __global__ void bs_reverse(int* x, int n) {
                BS_DYNAMIC_SHARED(int, s);
                for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = x[i];
                __syncthreads();
                for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = s[n - 1 - i];
            }
            extern "C" __global__ void bs_block_numbers(int* x) { if (threadIdx.x == 0) x[blockIdx.x + gridDim.x * blockIdx.y] = 100 * blockIdx.y + blockIdx.x; }
            """,
        ["cuda/kernels/test/broken.cu"] = "#include <bs/test_index.cuh>\nextern \"C\" __global__ void bs_broken(float* x) {\n    x[bs_index()] = undefined_name;\n}\n",
    });

    public static readonly JitRequest Vector = new("cuda/kernels/test/vector.cu");

    public static CudaKernel Add(CudaDevice device) => device.Kernels.Get(Sources, Vector, "bs_add");

    public static CudaKernel Increment(CudaDevice device) => device.Kernels.Get(Sources, Vector, "bs_increment");
}
