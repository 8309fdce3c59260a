// Slabs of single-precision matrices in shared memory and their product on the tensor cores with mma.sync, in three
// tf32 products or in bf16. For kernels whose blocks compute tiles of sums of products.
#pragma once
#include <bs/ptx.cuh>

#define BS_FORM_TF32X3 0 // every element split into two tf32 numbers, three products
#define BS_FORM_BF16 1   // every element rounded to bf16

namespace bs {

constexpr int kTensorSlab = 16; // depth of a slab

// One operand as [line, depth], where a line is a row of the left or a column of the right matrix. In memory the depth
// is contiguous, or the lines are; shared memory keeps that order. The pitches spread the eight lines and four levels
// that a warp reads at a time over all banks.
template <int form, int lines_of_slab, int threads, bool depth_is_contiguous> struct TensorSlab {
    static constexpr int form_of_slab = form;
    static constexpr int pitch = depth_is_contiguous ? kTensorSlab + (form == BS_FORM_BF16 ? 8 : 4)
                                                     : lines_of_slab + (form == BS_FORM_BF16 ? 4 : 8);
    static constexpr int floats = pitch * (depth_is_contiguous ? lines_of_slab : kTensorSlab);
    static constexpr int fetches = lines_of_slab * kTensorSlab / 4 / threads;
    static_assert(lines_of_slab * kTensorSlab % (4 * threads) == 0, "every thread fetches as much");

    static __device__ __forceinline__ int at(int line, int level) {
        return depth_is_contiguous ? line * pitch + level : level * pitch + line;
    }

    // Starts the copies of levels from first_level on, of `levels` in all, of lines from first_line on; what lies
    // outside is zero. wide: the matrix' rows start at multiples of 16 bytes.
    static __device__ __forceinline__ void fetch(float* slab, const float* x, long long stride, bool wide,
                                                 int first_line, int lines, int first_level, int levels) {
        constexpr int run = (depth_is_contiguous ? kTensorSlab : lines_of_slab) / 4;
#pragma unroll
        for (int i = 0; i < fetches; i++) {
            const int e = i * threads + thread_rank();
            const int line = depth_is_contiguous ? e / run : e % run * 4,
                      level = depth_is_contiguous ? e % run * 4 : e / run;
            const int l = first_line + line, p = first_level + level;
            const int left = depth_is_contiguous ? levels - p : lines - l;
            const int valid = (depth_is_contiguous ? l < lines : p < levels) ? min(max(left, 0), 4) : 0;
            const float* from = valid == 0 ? x : x + (depth_is_contiguous ? l * stride + p : p * stride + l);
            float* to = slab + at(line, level);
            if (wide) {
                cp_async_16(to, from, 4 * valid);
            } else {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    cp_async_4(to + j, j < valid ? from + j : x, j < valid);
            }
        }
    }

    // Two elements one after the other in depth, as bf16.
    static __device__ __forceinline__ unsigned pair(const float* slab, int line, int level) {
        if (depth_is_contiguous) {
            const float2 v = *reinterpret_cast<const float2*>(slab + at(line, level));
            return round_bf16x2(v.x, v.y).bits;
        }
        return round_bf16x2(slab[at(line, level)], slab[at(line, level + 1)]).bits;
    }

    // The left operand of m16n8k8: 16 lines, 8 levels, still in single precision.
    static __device__ __forceinline__ void load_left(float (&x)[4], const float* slab, int line, int level) {
        const int lane = lane_rank();
        if (depth_is_contiguous) {
            // Four floats are a row of eight 16-bit elements: ldmatrix hands float t of line g to its lane.
            unsigned bits[4];
            ldmatrix_x4(bits, slab + at(line + lane % 16, level + lane / 16 * 4));
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[i] = __uint_as_float(bits[i]);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[i] = slab[at(line + lane / 4 + i % 2 * 8, level + lane % 4 + i / 2 * 4)];
        }
    }

    // The right operands of two neighbouring m16n8k8: 16 lines, 8 levels.
    static __device__ __forceinline__ void load_right(float (&x)[2][2], const float* slab, int line, int level) {
        const int lane = lane_rank();
        if (depth_is_contiguous) {
            unsigned bits[4];
            ldmatrix_x4(bits, slab + at(line + lane / 16 * 8 + lane % 8, level + lane / 8 % 2 * 4));
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[i / 2][i % 2] = __uint_as_float(bits[i]);
        } else {
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[i / 2][i % 2] = slab[at(line + i / 2 * 8 + lane / 4, level + lane % 4 + i % 2 * 4)];
        }
    }
};

// sum += the product of one slab, for a warp's 16 m lines of the left from row on and 8 n of the right from column on;
// elements lie in sum as mma.sync leaves them.
template <class Left, class Right, int m, int n>
__device__ __forceinline__ void tensor_slab_product(float (&sum)[m][n][4], const float* left, int row,
                                                    const float* right, int column) {
    if constexpr (Left::form_of_slab == BS_FORM_BF16) {
        const int g = lane_rank() / 4, t = lane_rank() % 4;
        unsigned y[n][2];
#pragma unroll
        for (int j = 0; j < n; j++) {
            y[j][0] = Right::pair(right, column + 8 * j + g, 2 * t);
            y[j][1] = Right::pair(right, column + 8 * j + g, 2 * t + 8);
        }
#pragma unroll
        for (int i = 0; i < m; i++) {
            const int line = row + 16 * i + g;
            const unsigned x[4] = {Left::pair(left, line, 2 * t), Left::pair(left, line + 8, 2 * t),
                                   Left::pair(left, line, 2 * t + 8), Left::pair(left, line + 8, 2 * t + 8)};
#pragma unroll
            for (int j = 0; j < n; j++)
                mma_m16n8k16_bf16(sum[i][j], x, y[j]);
        }
    } else {
        constexpr int steps = kTensorSlab / 8;
        tf32 y_high[n][steps][2], y_low[n][steps][2];
#pragma unroll
        for (int j = 0; j < n; j += 2) {
#pragma unroll
            for (int s = 0; s < steps; s++) {
                float y[2][2];
                Right::load_right(y, right, column + 8 * j, 8 * s);
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const split_tf32 parts = split_finite(y[e / 2][e % 2]);
                    y_high[j + e / 2][s][e % 2] = parts.high;
                    y_low[j + e / 2][s][e % 2] = parts.low;
                }
            }
        }
#pragma unroll
        for (int i = 0; i < m; i++) {
            tf32 x_high[steps][4], x_low[steps][4];
#pragma unroll
            for (int s = 0; s < steps; s++) {
                float x[4];
                Left::load_left(x, left, row + 16 * i, 8 * s);
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const split_tf32 parts = split_finite(x[e]);
                    x_high[s][e] = parts.high;
                    x_low[s][e] = parts.low;
                }
            }
#pragma unroll
            for (int j = 0; j < n; j++) {
                // Three sums, each from zero: exchanging left and right gives the same bits.
                float large[4] = {}, small[4] = {}, other[4] = {};
#pragma unroll
                for (int s = 0; s < steps; s++) {
                    mma_m16n8k8_tf32(small, x_low[s], y_high[j][s]);
                    mma_m16n8k8_tf32(other, x_high[s], y_low[j][s]);
                    mma_m16n8k8_tf32(large, x_high[s], y_high[j][s]);
                }
#pragma unroll
                for (int e = 0; e < 4; e++)
                    sum[i][j][e] += large[e] + (small[e] + other[e]);
            }
        }
    }
}

// sum += the product of all slabs, `stages` of which are in shared memory at a time. `fetch` starts the copies of one:
// the places of its left and right part, and its number. Nothing is on its way afterwards.
template <class Left, class Right, int stages, int m, int n, class Fetch>
__device__ __forceinline__ void tensor_product(float (&sum)[m][n][4], float* memory, int slabs, int row, int column,
                                               Fetch fetch) {
    constexpr int floats = Left::floats + Right::floats;
    auto start = [&](int slab) {
        if (slab < slabs) {
            float* to = memory + slab % stages * floats;
            fetch(to, to + Left::floats, slab);
        }
        cp_async_commit();
    };
    for (int slab = 0; slab < stages - 1; slab++)
        start(slab);
    for (int slab = 0; slab < slabs; slab++) {
        cp_async_wait<stages - 2>();
        __syncthreads();
        // The slab that everyone has finished gives its place to the one three ahead.
        start(slab + stages - 1);
        const float* from = memory + slab % stages * floats;
        tensor_slab_product<Left, Right>(sum, from, row, from + Left::floats, column);
    }
    cp_async_wait<0>();
}

} // namespace bs
