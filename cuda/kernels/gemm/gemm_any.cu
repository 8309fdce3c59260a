// C = alpha op(A) op(B) + beta C on the ordinary arithmetic units, row-major; op(A) is [m, k], op(B) is [k, n].
// Every element is one chain of fused multiply-adds in the order of k, whatever the tile: tiles change speed, not
// results.
//
// A block of 16 x 16 threads computes a tile of BS_TILE x BS_TILE. It holds slices of depth 16 of both operands in
// shared memory, depth first, and the next slice in registers on its way. A thread owns 4 x 4 elements in every 64 x 64
// quarter. With more than one block in z, block z has the z-th part of the depth and writes to the z-th of as many
// matrices, which gemm_join_any.cu adds up.
//
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
#include <bs/device.cuh>

#ifndef BS_TILE
#define BS_TILE 64
#endif
#ifndef BS_TRANSPOSE_A
#define BS_TRANSPOSE_A 0 // 1: A is stored [k, m]
#endif
#ifndef BS_TRANSPOSE_B
#define BS_TRANSPOSE_B 0 // 1: B is stored [n, k]
#endif

namespace bs {

constexpr int tile = BS_TILE, depth = 16, side = 16, own = 4, quarters = tile / 64;
constexpr int threads = side * side, fetches = tile * depth / threads;
// Four elements more than the tile: columns of 16 elements are stored without all of them meeting in one bank.
constexpr int pitch = tile + 4;
static_assert(tile % 64 == 0, "a tile is made of quarters of 64 x 64");

// One slice of an operand seen as [line, depth], where a line is a row of op(A) or a column of op(B). Neighbouring
// threads read neighbouring elements of memory: along the depth, or along the lines.
template <bool lines_are_contiguous, class T> struct Slice {
    T held[fetches];

    static __device__ __forceinline__ int line(int i) {
        const int e = i * threads + thread_rank();
        return lines_are_contiguous ? e % tile : e / depth;
    }
    static __device__ __forceinline__ int level(int i) {
        const int e = i * threads + thread_rank();
        return lines_are_contiguous ? e / tile : e % depth;
    }

    __device__ __forceinline__ void fetch(const T* x, long long stride, int first_line, int lines, int first_level,
                                          int levels) {
#pragma unroll
        for (int i = 0; i < fetches; i++) {
            const int l = first_line + line(i), p = first_level + level(i);
            const long long at = lines_are_contiguous ? p * stride + l : l * stride + p;
            held[i] = l < lines && p < levels ? x[at] : T(0);
        }
    }

    __device__ __forceinline__ void store(T (&to)[depth][pitch]) const {
#pragma unroll
        for (int i = 0; i < fetches; i++)
            to[level(i)][line(i)] = held[i];
    }
};

template <class T>
__device__ __forceinline__ void gemm(int m, int n, int k, int part, T alpha, const T* a, long long stride_a, const T* b,
                                     long long stride_b, T beta, T* c, long long stride_c) {
    __shared__ __align__(16) T slice_a[depth][pitch];
    __shared__ __align__(16) T slice_b[depth][pitch];
    const int first_row = static_cast<int>(blockIdx.x) * tile, first_column = static_cast<int>(blockIdx.y) * tile;
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);

    const int begin = static_cast<int>(blockIdx.z) * part, end = begin < k - part ? begin + part : k;

    T sum[quarters * own][quarters * own] = {};
    Slice<BS_TRANSPOSE_A, T> next_a;
    Slice<!BS_TRANSPOSE_B, T> next_b;
    next_a.fetch(a, stride_a, first_row, m, begin, end);
    next_b.fetch(b, stride_b, first_column, n, begin, end);
    for (int level = begin; level < end; level += depth) {
        next_a.store(slice_a);
        next_b.store(slice_b);
        __syncthreads();
        if (level + depth < end) {
            next_a.fetch(a, stride_a, first_row, m, level + depth, end);
            next_b.fetch(b, stride_b, first_column, n, level + depth, end);
        }
#pragma unroll
        for (int p = 0; p < depth; p++) {
            T x[quarters * own], y[quarters * own];
#pragma unroll
            for (int q = 0; q < quarters; q++) {
                load_four(x + q * own, &slice_a[p][q * 64 + ty * own]);
                load_four(y + q * own, &slice_b[p][q * 64 + tx * own]);
            }
            // Levels beyond the depth are zero in both operands, so that they change nothing, not even beside
            // infinities.
#pragma unroll
            for (int i = 0; i < quarters * own; i++) {
#pragma unroll
                for (int j = 0; j < quarters * own; j++)
                    sum[i][j] = fma(x[i], y[j], sum[i][j]);
            }
        }
        __syncthreads();
    }

    c += blockIdx.z * (m * stride_c);
#pragma unroll
    for (int i = 0; i < quarters * own; i++) {
        const int row = first_row + i / own * 64 + ty * own + i % own;
#pragma unroll
        for (int j = 0; j < quarters * own; j++) {
            const int column = first_column + j / own * 64 + tx * own + j % own;
            if (row < m && column < n) {
                T* to = c + row * stride_c + column;
                *to = beta == T(0) ? alpha * sum[i][j] : fma(beta, *to, alpha * sum[i][j]);
            }
        }
    }
}

} // namespace bs

extern "C" __global__ void __launch_bounds__(256)
    bs_gemm_f32(int m, int n, int k, int part, float alpha, const float* a, long long stride_a, const float* b,
                long long stride_b, float beta, float* c, long long stride_c) {
    bs::gemm<float>(m, n, k, part, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
}

#if BS_TILE == 64
extern "C" __global__ void __launch_bounds__(256)
    bs_gemm_f64(int m, int n, int k, int part, double alpha, const double* a, long long stride_a, const double* b,
                long long stride_b, double beta, double* c, long long stride_c) {
    bs::gemm<double>(m, n, k, part, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
}
#endif
