// alpha op(A) op(B) + beta C on the ordinary arithmetic units, row-major; op(A) is [m, k], op(B) is [k, n]. Every
// element is one chain of fused multiply-adds in the order of k, whatever the tile: tiles change speed, not results.
//
// A block of 16 x 16 threads computes a tile of BS_GEMM_TILE x BS_GEMM_TILE. It holds slices of depth 16 of both
// operands in shared memory, depth first, and the next slice in registers on its way. A thread owns 4 x 4 elements in
// every 64 x 64 quarter.
#pragma once
#include <bs/device.cuh>

#ifndef BS_GEMM_TILE
#define BS_GEMM_TILE 64
#endif

namespace bs {

constexpr int tile = BS_GEMM_TILE, depth = 16, side = 16, own = 4, quarters = tile / 64;
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

// The tile that blockIdx.x and blockIdx.y name, of the products of the levels from `begin` to `end`.
template <bool transpose_a, bool transpose_b, class T>
__device__ __forceinline__ void gemm(int m, int n, int begin, int end, T alpha, const T* a, long long stride_a,
                                     const T* b, long long stride_b, T beta, T* c, long long stride_c) {
    __shared__ __align__(16) T slice_a[depth][pitch];
    __shared__ __align__(16) T slice_b[depth][pitch];
    const int first_row = static_cast<int>(blockIdx.x) * tile, first_column = static_cast<int>(blockIdx.y) * tile;
    const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);

    T sum[quarters * own][quarters * own] = {};
    Slice<transpose_a, T> next_a;
    Slice<!transpose_b, T> next_b;
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
