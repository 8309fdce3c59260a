using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>The headers of compute capability 9.0 (mbarrier, copy engine, wgmma) through kernels that only these tests use.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class WarpgroupHeaderTests(CudaDeviceFixture fixture)
{
    private static readonly JitRequest s_module = new("cuda/kernels/test/warpgroup_headers.cu");

    private static readonly KernelSourceSet s_sources = new(new Dictionary<string, string>(
        Directory.GetFiles(Path.Combine(RepositoryRoot.Path, "cuda", "include", "bs"), "*.cuh")
            .Select(file => KeyValuePair.Create($"cuda/include/bs/{Path.GetFileName(file)}", File.ReadAllText(file))))
    {
        [s_module.Source] = """
            #include <bs/wgmma.cuh>

            // The box [16, 32] at (column, row), read back through the swizzle: out [16, 32], and its sum by a thread that did not wait.
            extern "C" __global__ void bs_box(const __grid_constant__ bs::TensorMap map, int column, int row, int swizzled, float* out, float* early) {
                __shared__ __align__(1024) float box[16 * 32];
                __shared__ bs::Mbarrier barrier;
                for (int i = threadIdx.x; i < 16 * 32; i += 32) box[i] = -1.0f;
                if (threadIdx.x == 0) {
                    bs::mbarrier_init(&barrier, 1);
                    bs::mbarrier_fence_init();
                }
                bs::fence_proxy_async();
                __syncthreads();
                if (threadIdx.x == 0) {
                    bs::mbarrier_arrive_expect(&barrier, sizeof box);
                    bs::tma_load_2d(box, &map, column, row, &barrier);
                }
                if (threadIdx.x == 0 && early != nullptr) *early = box[0];
                bs::mbarrier_wait(&barrier, 0);
                for (int i = threadIdx.x; i < 16 * 32; i += 32) {
                    const int r = i / 32, b = i % 32 * 4;
                    out[i] = *reinterpret_cast<const float*>(reinterpret_cast<const char*>(box) + (swizzled ? bs::swizzle_128(r, b) : 4 * i));
                }
            }

            // Ten rounds of a ring of two places: the producer writes round numbers, the consumers add them up.
            extern "C" __global__ void bs_ring(int* sums) {
                __shared__ int place[2];
                __shared__ bs::Mbarrier full[2], empty[2];
                if (threadIdx.x == 0) {
                    for (int s = 0; s < 2; s++) {
                        bs::mbarrier_init(full + s, 1);
                        bs::mbarrier_init(empty + s, 64);
                    }
                    bs::mbarrier_fence_init();
                }
                __syncthreads();
                if (threadIdx.x >= 64) {
                    if (threadIdx.x != 64) return;
                    for (int i = 0; i < 10; i++) {
                        if (i >= 2) bs::mbarrier_wait(empty + i % 2, (i / 2 - 1) % 2);
                        place[i % 2] = i + 1;
                        bs::mbarrier_arrive(full + i % 2);
                    }
                    return;
                }
                int sum = 0;
                for (int i = 0; i < 10; i++) {
                    bs::mbarrier_wait(full + i % 2, i / 2 % 2);
                    sum += place[i % 2] * (i + 1);
                    bs::mbarrier_arrive(empty + i % 2);
                }
                sums[threadIdx.x] = sum;
            }

            // out [64, N] = a [64, 32] b [N, 32]^T in tf32, or of [., 64] in bf16; early: what thread 0 reads before the wait.
            template <int N, bool bf16> __device__ void product(const unsigned* a, const unsigned* b, float* out, float* early) {
                BS_DYNAMIC_SHARED(unsigned char, memory);
                unsigned char* right = memory + 64 * 128;
                for (int i = threadIdx.x; i < 64 * 32; i += 128) *reinterpret_cast<unsigned*>(memory + bs::swizzle_128(i / 32, i % 32 * 4)) = a[i];
                for (int i = threadIdx.x; i < N * 32; i += 128) *reinterpret_cast<unsigned*>(right + bs::swizzle_128(i / 32, i % 32 * 4)) = b[i];
                bs::fence_proxy_async();
                __syncthreads();
                const bs::WgmmaOperand x = bs::WgmmaOperand::at(memory), y = bs::WgmmaOperand::at(right);
                float d[N / 2];
                bs::wgmma_fence();
                for (int s = 0; s < 4; s++) {
                    if (bf16) bs::wgmma_bf16<N>(d, x.step(s), y.step(s), s > 0);
                    else bs::wgmma_tf32<N>(d, x.step(s), y.step(s), s > 0);
                }
                bs::wgmma_commit();
                if (early != nullptr && threadIdx.x == 0) *early = d[0];
                bs::wgmma_wait<0>(d);
                const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, w = threadIdx.x / 32;
                for (int i = 0; i < N / 2; i++) out[(16 * w + g + i / 2 % 2 * 8) * N + i / 4 * 8 + 2 * t + i % 2] = d[i];
            }
            extern "C" __global__ void __launch_bounds__(128) bs_tf32_64(const unsigned* a, const unsigned* b, float* out, float* early) { product<64, false>(a, b, out, early); }
            extern "C" __global__ void __launch_bounds__(128) bs_tf32_128(const unsigned* a, const unsigned* b, float* out, float* early) { product<128, false>(a, b, out, early); }
            extern "C" __global__ void __launch_bounds__(128) bs_bf16_64(const unsigned* a, const unsigned* b, float* out, float* early) { product<64, true>(a, b, out, early); }
            extern "C" __global__ void __launch_bounds__(128) bs_bf16_128(const unsigned* a, const unsigned* b, float* out, float* early) { product<128, true>(a, b, out, early); }
            """,
    });

    private CudaDevice Require()
    {
        CudaDevice gpu = fixture.Require();
        Assert.SkipUnless(gpu.Info.Capability == new ComputeCapability(9, 0), "the instructions are of compute capability 9.0");
        return gpu;
    }

    private static CudaKernel Kernel(CudaDevice gpu, string entry) => gpu.Kernels.Get(s_sources, s_module, entry);

    [Theory]
    [InlineData(TensorSwizzle.None, 0, 0)]
    [InlineData(TensorSwizzle.Bytes128, 0, 0)]
    [InlineData(TensorSwizzle.Bytes128, 28, 11)]
    [InlineData(TensorSwizzle.None, 28, -3)]
    public void Boxes_arrive_whole_with_zeros_beyond_the_matrix(TensorSwizzle swizzle, int column, int row)
    {
        CudaDevice gpu = Require();
        const int rows = 20, columns = 50;
        using Matrix<float> matrix = Matrix<float>.From(gpu, rows, columns + 2, [.. Enumerable.Range(0, rows * (columns + 2)).Select(i => (float)(i + 1))]);
        using DeviceBuffer<float> result = gpu.Allocate<float>(16 * 32), early = gpu.Allocate<float>(1);
        TensorMap map = TensorMap.Create(matrix.View.ColumnBlock(0, columns), TensorElement.Float32, 16, 32, swizzle);
        Kernel(gpu, "bs_box").Launch(gpu.Stream, new LaunchShape(1, 32), map, column, row, swizzle == TensorSwizzle.None ? 0 : 1, result.View.Address, early.View.Address);
        float[] box = result.ToHost();
        for (int r = 0; r < 16; r++)
            for (int c = 0; c < 32; c++)
            {
                bool inside = row + r is >= 0 and < rows && column + c is >= 0 and < columns;
                Assert.Equal(inside ? (row + r) * (columns + 2) + column + c + 1 : 0, box[r * 32 + c]);
            }
        // The emulated engine copies at the last moment, so that a missing wait is seen.
        if (!CudaEmulator.IsHardware) Assert.Equal(-1, early.ToHost()[0]);
    }

    [Fact]
    public void A_ring_hands_its_places_from_producer_to_consumers_and_back()
    {
        CudaDevice gpu = Require();
        using DeviceBuffer<int> sums = gpu.Allocate<int>(64);
        Kernel(gpu, "bs_ring").Launch(gpu.Stream, new LaunchShape(1, 96), sums.View.Address);
        Assert.All(sums.ToHost(), sum => Assert.Equal(385, sum));
    }

    [Theory]
    [InlineData("bs_tf32_64", 64, 32)]
    [InlineData("bs_tf32_128", 128, 32)]
    [InlineData("bs_bf16_64", 64, 64)]
    [InlineData("bs_bf16_128", 128, 64)]
    public void Products_of_warpgroups_are_matrix_products(string entry, int n, int k)
    {
        CudaDevice gpu = Require();
        CounterRandom random = new(7, 5);
        float[] a = [.. Enumerable.Range(0, 64 * k).Select(_ => (float)Math.Round(random.NextNormal() * 8))], b = [.. Enumerable.Range(0, n * k).Select(_ => (float)Math.Round(random.NextNormal() * 8))];
        using DeviceBuffer<uint> x = gpu.Allocate<uint>(64 * 32), y = gpu.Allocate<uint>(n * 32);
        using DeviceBuffer<float> result = gpu.Allocate<float>(64 * n), early = gpu.Allocate<float>(1);
        x.CopyFrom(Words(a, k));
        y.CopyFrom(Words(b, k));
        Kernel(gpu, entry).Launch(gpu.Stream, new LaunchShape(1, 128, 128 * (64 + n)), x.View.Address, y.View.Address, result.View.Address, early.View.Address);
        float[] d = result.ToHost();
        for (int i = 0; i < 64; i++)
            for (int j = 0; j < n; j++) Assert.Equal(Enumerable.Range(0, k).Sum(p => a[i * k + p] * b[j * k + p]), d[i * n + j]);
        if (!CudaEmulator.IsHardware) Assert.Equal(float.NaN, early.ToHost()[0]);
    }

    /// <summary>Rows of 128 bytes: 32 floats with garbage below the bits that tf32 has, or 64 bf16.</summary>
    private static uint[] Words(float[] x, int k) => k == 32
        ? [.. x.Select(v => BitConverter.SingleToUInt32Bits(v) | 0x1FFF)]
        : [.. Enumerable.Range(0, x.Length / 2).Select(i => (BitConverter.SingleToUInt32Bits(x[2 * i]) >> 16) | (BitConverter.SingleToUInt32Bits(x[2 * i + 1]) & 0xFFFF0000))];
}
