// What a device can do at most, measured: one kernel for each unit that limits another kernel. They compute nothing
// that anyone needs; each writes so that the compiler cannot leave its work out, and their results are held against
// the host by tests all the same.
//
// bs_ceilings_copy_f32      bytes through memory, reading and writing
// bs_ceilings_read_f32      bytes read
// bs_ceilings_ffma_f32/f64  multiply-adds of registers
// bs_ceilings_ex2_f32       2^x of the special function unit
// bs_ceilings_gather_f32    rows of 1 KiB at random from a table that the second-level cache holds
// bs_ceilings_mma_bf16/tf32 products of the tensor cores from registers (mma.sync)
// bs_ceilings_empty         a launch
// bs_ceilings_random_f32/f64/bf16  operands: uniform in (-1, 1)
#include <bs/device.cuh>
#include <bs/ptx.cuh>
#include <bs/ptx_special.cuh>

namespace bs {

constexpr int chains = 16;
constexpr int unrolled = 8;

__device__ __forceinline__ long long global_rank() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ long long global_size() {
    return static_cast<long long>(gridDim.x) * blockDim.x;
}

// Uniform in (-1, 1): the finaliser of MurmurHash3.
__device__ __forceinline__ float random_at(long long place, unsigned seed) {
    unsigned h =
        static_cast<unsigned>(place) ^ (static_cast<unsigned>(place >> 32) * 0x9E3779B9u) ^ (seed * 0x85EBCA6Bu);
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (static_cast<float>(h >> 9) + 0.5f) * 0x1p-22f - 1.0f;
}

// Element of an operand of the tensor cores: thirteen values between -0.75 and 0.75, exact in every format.
__device__ __forceinline__ float operand(int reg, int element) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    return static_cast<float>((7 * lane + 3 * reg + 5 * element) % 13 - 6) / 8;
}

// x -> a x + b, `steps` times, in sixteen independent chains that start at the thread's number; the sum of the chains.
template <class T> __device__ __forceinline__ void multiply_add_chains(T* out, int steps, T a, T b) {
    T x[chains];
#pragma unroll
    for (int c = 0; c < chains; c++)
        x[c] = static_cast<T>(threadIdx.x) + static_cast<T>(c);
    for (int s = 0; s < steps; s += unrolled) {
#pragma unroll
        for (int u = 0; u < unrolled; u++) {
#pragma unroll
            for (int c = 0; c < chains; c++)
                x[c] = fma(x[c], a, b);
        }
    }
    T sum = 0;
#pragma unroll
    for (int c = 0; c < chains; c++)
        sum += x[c];
    out[global_rank()] = sum;
}

} // namespace bs

extern "C" __global__ void bs_ceilings_empty() {}

// x [count], count a multiple of four.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_copy_f32(const float4* x, float4* y, long long quads) {
    for (long long i = bs::global_rank(); i < quads; i += bs::global_size())
        y[i] = x[i];
}

// sums [threads]: of the elements that each thread has read.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_read_f32(const float4* x, float* sums, long long quads) {
    float4 sum = make_float4(0, 0, 0, 0);
    const long long step = bs::global_size();
    long long i = bs::global_rank();
    for (; i + 3 * step < quads; i += 4 * step) {
        const float4 a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
        sum.x += (a.x + b.x) + (c.x + d.x);
        sum.y += (a.y + b.y) + (c.y + d.y);
        sum.z += (a.z + b.z) + (c.z + d.z);
        sum.w += (a.w + b.w) + (c.w + d.w);
    }
    for (; i < quads; i += step) {
        const float4 a = x[i];
        sum.x += a.x;
        sum.y += a.y;
        sum.z += a.z;
        sum.w += a.w;
    }
    sums[bs::global_rank()] = (sum.x + sum.y) + (sum.z + sum.w);
}

// 16 multiply-adds a step and thread; steps a multiple of eight.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_ffma_f32(float* out, int steps, float a, float b) {
    bs::multiply_add_chains(out, steps, a, b);
}

extern "C" __global__ void __launch_bounds__(256) bs_ceilings_ffma_f64(double* out, int steps, double a, double b) {
    bs::multiply_add_chains(out, steps, a, b);
}

// x -> 2^-x, which stays in (0, 1]; 16 a step and thread; steps a multiple of eight.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_ex2_f32(float* out, int steps) {
    float x[bs::chains];
#pragma unroll
    for (int c = 0; c < bs::chains; c++)
        x[c] = static_cast<float>(c) / bs::chains;
    for (int s = 0; s < steps; s += bs::unrolled) {
#pragma unroll
        for (int u = 0; u < bs::unrolled; u++) {
#pragma unroll
            for (int c = 0; c < bs::chains; c++)
                x[c] = bs::exp2_approx(-x[c]);
        }
    }
    float sum = 0;
#pragma unroll
    for (int c = 0; c < bs::chains; c++)
        sum += x[c];
    out[bs::global_rank()] = sum;
}

// table [rows, 256] in single precision; each warp reads `rows_per_warp` rows of its part of `indices`, four under way
// at a time, 32 bytes a lane in two accesses of 16. sums [threads]. rows_per_warp is a multiple of four.
extern "C" __global__ void __launch_bounds__(256)
    bs_ceilings_gather_f32(const float4* table, const int* indices, int rows_per_warp, float* sums) {
    const int lane = static_cast<int>(threadIdx.x) & 31;
    const long long warp = bs::global_rank() / 32;
    const int* mine = indices + warp * rows_per_warp;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int r = 0; r < rows_per_warp; r += 4) {
        float4 part[8];
#pragma unroll
        for (int u = 0; u < 4; u++) {
            const float4* row = table + static_cast<long long>(mine[r + u]) * 64;
            part[2 * u] = row[lane];
            part[2 * u + 1] = row[lane + 32];
        }
#pragma unroll
        for (int u = 0; u < 8; u++) {
            sum.x += part[u].x;
            sum.y += part[u].y;
            sum.z += part[u].z;
            sum.w += part[u].w;
        }
    }
    sums[bs::global_rank()] = (sum.x + sum.y) + (sum.z + sum.w);
}

// D = A B + D in eight independent accumulators, the same product `steps` times; 4096 operations a product and eight
// products a step and warp. Operands of zeros or ones would draw less power than real ones and flatter the device.
// out [threads]: sum of the thread's elements.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_mma_bf16(float* out, int steps) {
    unsigned a[4], b[2];
    for (int r = 0; r < 4; r++)
        a[r] = bs::to_bf16x2(bs::operand(r, 0), bs::operand(r, 1)).bits;
    for (int r = 0; r < 2; r++)
        b[r] = bs::to_bf16x2(bs::operand(r + 4, 0), bs::operand(r + 4, 1)).bits;
    float d[8][4] = {};
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int c = 0; c < 8; c++)
            bs::mma_m16n8k16_bf16(d[c], a, b);
    }
    float sum = 0;
#pragma unroll
    for (int c = 0; c < 8; c++)
        sum += (d[c][0] + d[c][1]) + (d[c][2] + d[c][3]);
    out[bs::global_rank()] = sum;
}

// As above with half the depth: 2048 operations a product.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_mma_tf32(float* out, int steps) {
    bs::tf32 a[4], b[2];
    for (int r = 0; r < 4; r++)
        a[r] = bs::to_tf32(bs::operand(r, 0));
    for (int r = 0; r < 2; r++)
        b[r] = bs::to_tf32(bs::operand(r + 4, 0));
    float d[8][4] = {};
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int c = 0; c < 8; c++)
            bs::mma_m16n8k8_tf32(d[c], a, b);
    }
    float sum = 0;
#pragma unroll
    for (int c = 0; c < 8; c++)
        sum += (d[c][0] + d[c][1]) + (d[c][2] + d[c][3]);
    out[bs::global_rank()] = sum;
}

// x [count]: values in (-1, 1) that follow from place and seed alone.
extern "C" __global__ void __launch_bounds__(256) bs_ceilings_random_f32(float* x, long long count, unsigned seed) {
    for (long long i = bs::global_rank(); i < count; i += bs::global_size())
        x[i] = bs::random_at(i, seed);
}

extern "C" __global__ void __launch_bounds__(256) bs_ceilings_random_f64(double* x, long long count, unsigned seed) {
    for (long long i = bs::global_rank(); i < count; i += bs::global_size())
        x[i] = bs::random_at(i, seed);
}

extern "C" __global__ void __launch_bounds__(256) bs_ceilings_random_bf16(bs::bf16* x, long long count, unsigned seed) {
    for (long long i = bs::global_rank(); i < count; i += bs::global_size())
        x[i] = bs::to_bf16(bs::random_at(i, seed));
}
