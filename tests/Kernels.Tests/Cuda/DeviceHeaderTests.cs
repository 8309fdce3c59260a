using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests.Cuda;

/// <summary>The headers under cuda/include, through kernels that only these tests use.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class DeviceHeaderTests(CudaDeviceFixture fixture)
{
    private static readonly JitRequest s_module = new("cuda/kernels/test/headers.cu");

    private static readonly KernelSourceSet s_sources = new(new Dictionary<string, string>(
        Directory.GetFiles(Path.Combine(RepositoryRoot.Path, "cuda", "include", "bs"), "*.cuh")
            .Select(file => KeyValuePair.Create($"cuda/include/bs/{Path.GetFileName(file)}", File.ReadAllText(file))))
    {
        [s_module.Source] = """
            #include <bs/ptx.cuh>
            #include <bs/reduce.cuh>

            extern "C" __global__ void bs_round(const float* x, unsigned* bf16, unsigned* tf32, float* split, int n) {
                const int i = blockIdx.x * blockDim.x + threadIdx.x;
                if (i >= n) return;
                bf16[i] = bs::to_bf16x2(x[i], -x[i]).bits;
                tf32[i] = bs::to_tf32(x[i]).bits;
                const bs::split_tf32 parts = bs::split(x[i]);
                split[i] = bs::to_float(parts.high) + bs::to_float(parts.low);
            }

            // d [16, 8] = a [16, 8] b [8, 8] + d, one warp.
            extern "C" __global__ void bs_mma_tf32(const float* a, const float* b, float* d) {
                const int g = threadIdx.x / 4, t = threadIdx.x % 4;
                const bs::tf32 x[4] = {bs::to_tf32(a[g * 8 + t]), bs::to_tf32(a[(g + 8) * 8 + t]), bs::to_tf32(a[g * 8 + t + 4]), bs::to_tf32(a[(g + 8) * 8 + t + 4])};
                const bs::tf32 y[2] = {bs::to_tf32(b[t * 8 + g]), bs::to_tf32(b[(t + 4) * 8 + g])};
                float z[4];
                for (int i = 0; i < 4; i++) z[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
                bs::mma_m16n8k8_tf32(z, x, y);
                for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = z[i];
            }

            // d [16, 16] = a [16, 16] b [16, 16], one warp; both operands row-major in shared memory, brought there by cp.async.
            extern "C" __global__ void bs_mma_bf16(const unsigned short* a, const unsigned short* b, float* d) {
                __shared__ __align__(16) unsigned short sa[16][16];
                __shared__ __align__(16) unsigned short sb[16][16];
                const int lane = threadIdx.x, line = lane / 2, column = lane % 2 * 8;
                bs::cp_async_16(&sa[line][column], a + line * 16 + column);
                for (int i = 0; i < 8; i += 2) bs::cp_async_4(&sb[line][column + i], b + line * 16 + column + i);
                bs::cp_async_commit();
                bs::cp_async_wait<0>();
                __syncthreads();
                unsigned x[4], y[4];
                bs::ldmatrix_x4(x, &sa[lane % 16][lane / 16 * 8]);
                bs::ldmatrix_x4<true>(y, &sb[lane % 16][lane / 16 * 8]);
                const int g = lane / 4, t = lane % 4;
                for (int half = 0; half < 2; half++) {
                    const unsigned w[2] = {y[2 * half], y[2 * half + 1]};
                    float z[4] = {};
                    bs::mma_m16n8k16_bf16(z, x, w);
                    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 16 + half * 8 + 2 * t + i % 2] = z[i];
                }
            }

            // The first `valid` bytes of every 16 are copied, the rest is zero.
            extern "C" __global__ void bs_copy(const unsigned char* from, unsigned char* to, int valid) {
                __shared__ __align__(16) unsigned char buffer[32 * 16];
                bs::cp_async_16(buffer + 16 * threadIdx.x, from + 16 * threadIdx.x, valid);
                bs::cp_async_commit();
                bs::cp_async_wait<0>();
                for (int i = 0; i < 16; i++) to[16 * threadIdx.x + i] = buffer[16 * threadIdx.x + i];
            }

            extern "C" __global__ void bs_block_results(const float* x, float* results, int n) {
                __shared__ float scratch[32];
                __shared__ bs::LogSum<float> pairs[32];
                const float mine = threadIdx.x < n ? x[threadIdx.x] : 0;
                const float sum = bs::block_sum(mine, scratch);
                const float maximum = bs::block_maximum(threadIdx.x < n ? mine : -bs::infinity(), scratch);
                bs::LogSum<float> all = bs::LogSum<float>::empty();
                if (threadIdx.x < n) all.add(mine);
                all = bs::block_log_sum(all, pairs);
                results[3 * threadIdx.x] = sum;
                results[3 * threadIdx.x + 1] = maximum;
                results[3 * threadIdx.x + 2] = all.log_sum_exp();
            }
            """,
    });

    private static CudaKernel Kernel(CudaDevice gpu, string entry) => gpu.Kernels.Get(s_sources, s_module, entry);

    [Fact]
    public void Short_floats_are_rounded_to_nearest_even()
    {
        CudaDevice gpu = fixture.Require();
        CounterRandom random = new(11, 3);
        float[] x = new float[4000];
        for (int i = 0; i < x.Length; i++) x[i] = (float)(random.NextNormal() * Math.Pow(2, i % 200 - 100));
        // Ties on either side of even, the largest finite value, which rounds to infinity, subnormal numbers, infinity and NaN.
        foreach ((int i, uint bits) in new uint[] { 0x3F808000, 0x3F818000, 0x3F801000, 0x3F803000, 0x7F7FFFFF, 0x00000001, 0x00008000, 0x00018000, 0x80000000, 0x7F800000, 0x7F800001, 0xFFFFFFFF }.Index())
            x[i] = BitConverter.UInt32BitsToSingle(bits);
        using DeviceBuffer<float> values = gpu.Allocate<float>(x.Length), split = gpu.Allocate<float>(x.Length);
        using DeviceBuffer<uint> bf16 = gpu.Allocate<uint>(x.Length), tf32 = gpu.Allocate<uint>(x.Length);
        values.CopyFrom(x);
        Kernel(gpu, "bs_round").Launch(gpu.Stream, LaunchShape.For(x.Length, 128), values.View.Address, bf16.View.Address, tf32.View.Address, split.View.Address, x.Length);
        uint[] pairs = new uint[x.Length], shorter = new uint[x.Length];
        float[] sums = new float[x.Length];
        bf16.CopyTo(pairs);
        tf32.CopyTo(shorter);
        split.CopyTo(sums);
        for (int i = 0; i < x.Length; i++)
        {
            CheckRounded(x[i], (pairs[i] & 0xFFFF) << 16, 16);
            CheckRounded(-x[i], pairs[i] & 0xFFFF0000, 16);
            CheckRounded(x[i], shorter[i], 13);
            if (float.IsNormal(x[i]) && Math.Abs(x[i]) is > 1e-20f and < 1e30f) Assert.Equal(x[i], sums[i], Math.Abs(x[i]) / (1 << 21));
        }
    }

    /// <summary>The result must be one of the two neighbours that end in zeros, the nearer one, and the even one of two that are as near.</summary>
    private static void CheckRounded(float x, uint bits, int dropped)
    {
        float rounded = BitConverter.UInt32BitsToSingle(bits);
        Assert.Equal(0u, bits & ((1u << dropped) - 1));
        if (!float.IsFinite(x))
        {
            Assert.Equal(x, rounded);
            return;
        }
        uint below = BitConverter.SingleToUInt32Bits(x) & ~((1u << dropped) - 1), above = below + (1u << dropped);
        // The step after the largest finite value has the length of the one before it, where infinity has none.
        double low = BitConverter.UInt32BitsToSingle(below), gap = low - BitConverter.UInt32BitsToSingle(below - (1u << dropped));
        double high = float.IsInfinity(BitConverter.UInt32BitsToSingle(above)) ? low + gap : BitConverter.UInt32BitsToSingle(above);
        double toLow = Math.Abs(x - low), toHigh = Math.Abs(high - x);
        uint expected = toLow < toHigh || (toLow == toHigh && (below >> dropped) % 2 == 0) ? below : above;
        Assert.True(expected == bits, $"{x:R} became {bits:X8}, expected {expected:X8}");
    }

    [Fact]
    public void Products_of_tf32_are_matrix_products()
    {
        CudaDevice gpu = fixture.Require();
        float[] a = Integers(16 * 8, 1), b = Integers(8 * 8, 2), d = Integers(16 * 8, 3), start = [.. d];
        using DeviceBuffer<float> x = gpu.Allocate<float>(a.Length), y = gpu.Allocate<float>(b.Length), z = gpu.Allocate<float>(d.Length);
        x.CopyFrom(a);
        y.CopyFrom(b);
        z.CopyFrom(d);
        Kernel(gpu, "bs_mma_tf32").Launch(gpu.Stream, new LaunchShape(1, 32), x.View.Address, y.View.Address, z.View.Address);
        z.CopyTo(d);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++) Assert.Equal(start[i * 8 + j] + Enumerable.Range(0, 8).Sum(k => a[i * 8 + k] * b[k * 8 + j]), d[i * 8 + j]);
    }

    [Fact]
    public void Products_of_bf16_through_ldmatrix_are_matrix_products()
    {
        CudaDevice gpu = fixture.Require();
        float[] a = Integers(256, 4), b = Integers(256, 5), d = new float[256];
        using DeviceBuffer<ushort> x = gpu.Allocate<ushort>(256), y = gpu.Allocate<ushort>(256);
        using DeviceBuffer<float> z = gpu.Allocate<float>(256);
        x.CopyFrom([.. a.Select(Upper)]);
        y.CopyFrom([.. b.Select(Upper)]);
        Kernel(gpu, "bs_mma_bf16").Launch(gpu.Stream, new LaunchShape(1, 32), x.View.Address, y.View.Address, z.View.Address);
        z.CopyTo(d);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++) Assert.Equal(Enumerable.Range(0, 16).Sum(k => a[i * 16 + k] * b[k * 16 + j]), d[i * 16 + j]);
    }

    /// <summary>Small integers: exact in every format, and so are their products and sums.</summary>
    private static float[] Integers(int count, ulong seed)
    {
        CounterRandom random = new(seed, 5);
        return [.. Enumerable.Range(0, count).Select(_ => (float)Math.Round(random.NextNormal() * 8))];
    }

    private static ushort Upper(float x) => (ushort)(BitConverter.SingleToUInt32Bits(x) >> 16);

    [Theory]
    [InlineData(16)]
    [InlineData(12)]
    [InlineData(0)]
    public void Asynchronous_copies_fill_up_with_zeros(int valid)
    {
        CudaDevice gpu = fixture.Require();
        byte[] bytes = [.. Enumerable.Range(0, 512).Select(i => (byte)(i % 251 + 1))], read = new byte[512];
        using DeviceBuffer<byte> from = gpu.Allocate<byte>(512), to = gpu.Allocate<byte>(512);
        from.CopyFrom(bytes);
        Kernel(gpu, "bs_copy").Launch(gpu.Stream, new LaunchShape(1, 32), from.View.Address, to.View.Address, valid);
        to.CopyTo(read);
        for (int i = 0; i < 512; i++) Assert.Equal(i % 16 < valid ? bytes[i] : 0, read[i]);
    }

    [Theory]
    [InlineData(32, 7)]
    [InlineData(96, 96)]
    [InlineData(1024, 1000)]
    public void Every_thread_of_a_block_gets_the_same_sum_maximum_and_log_sum_exp(int threads, int count)
    {
        CudaDevice gpu = fixture.Require();
        CounterRandom random = new(9, 9);
        float[] x = [.. Enumerable.Range(0, count).Select(_ => (float)random.NextNormal())], read = new float[3 * threads];
        using DeviceBuffer<float> values = gpu.Allocate<float>(count), results = gpu.Allocate<float>(read.Length);
        values.CopyFrom(x);
        Kernel(gpu, "bs_block_results").Launch(gpu.Stream, new LaunchShape(1, threads), values.View.Address, results.View.Address, count);
        results.CopyTo(read);
        // Pairwise: log2(1024) = 10 additions deep, half a unit each.
        Assert.Equal(x.Sum(v => (double)v), read[0], 10 * 6e-8 * x.Sum(v => Math.Abs((double)v)));
        Assert.Equal(x.Max(), read[1]);
        Assert.Equal(Math.Log(x.Sum(v => Math.Exp(v))), read[2], 1e-6);
        for (int t = 1; t < threads; t++) Assert.Equal(read[..3], read[(3 * t)..(3 * t + 3)]);
    }
}
