// C = alpha op(A) op(B) + beta C on the tensor cores, single precision in memory, row-major; op(A) is [m, k], op(B) is
// [k, n]. BS_FORM 0 splits every element into two tf32 numbers and takes three products ("3xTF32"): the error is that
// of single precision. BS_FORM 1 rounds the elements to bf16.
//
// A block computes BS_TILE x BS_TILE elements, a warp BS_TILE / 2 x 32 of them. Slabs of depth 16 of both operands come
// to shared memory by cp.async, three ahead of the one in use. With more than one block in z, block z has the z-th part
// of the depth and writes to the z-th of as many matrices, which gemm_join_any.cu adds up.
//
// The tensor cores cut sums off where other units round them, a bias that grows with the depth. So the three products
// of a slab start from zero, the small ones first, and the slab's sum is added in the ordinary way (Ootomo and Yokota
// 2022). The order of every sum is fixed by k and the parts: tiles change speed, not results.
//
// ptx-gate: BS_FORM=0 BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=0 BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=0 BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=0 BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
#include <bs/gemm_target.cuh>
#include <bs/tensor_tile.cuh>

#ifndef BS_FORM
#define BS_FORM BS_FORM_TF32X3
#endif
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

constexpr int stages = 4;
constexpr int threads = 2 * BS_TILE;
using Rows = TensorSlab<BS_FORM, BS_TILE, threads, !BS_TRANSPOSE_A>;
using Columns = TensorSlab<BS_FORM, BS_TILE, threads, BS_TRANSPOSE_B>;

} // namespace bs

// wide_a, wide_b: rows of the stored matrix start at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(bs::threads)
    bs_gemm_tensor(int m, int n, int k, int part, float alpha, const float* a, long long stride_a, int wide_a,
                   const float* b, long long stride_b, int wide_b, float beta, float* c, long long stride_c) {
    BS_DYNAMIC_SHARED(float, memory);
    const int first_row = static_cast<int>(blockIdx.x) * BS_TILE, first_column = static_cast<int>(blockIdx.y) * BS_TILE;
    const int begin = static_cast<int>(blockIdx.z) * part, end = begin < k - part ? begin + part : k;
    const int slabs = (end - begin + bs::kTensorSlab - 1) / bs::kTensorSlab;
    constexpr int down = BS_TILE / 2, across = 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int warp_row = warp % 2 * down, warp_column = warp / 2 * across;
    float sum[down / 16][across / 8][4] = {};
    bs::tensor_product<bs::Rows, bs::Columns, bs::stages>(
        sum, memory, slabs, warp_row, warp_column, [&](float* left, float* right, int slab) {
            const int level = begin + slab * bs::kTensorSlab;
            bs::Rows::fetch(left, a, stride_a, wide_a, first_row, m, level, end);
            bs::Columns::fetch(right, b, stride_b, wide_b, first_column, n, level, end);
        });

    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    const bs::GemmTarget target = bs::GemmTarget::of(m, n, begin, end, alpha, beta, c, stride_c, a, stride_a,
                                                     BS_TRANSPOSE_A, b, stride_b, BS_TRANSPOSE_B);
    auto row = [=](int i) { return first_row + warp_row + 16 * i + g; };
    auto column = [=](int j) { return first_column + warp_column + 8 * j + 2 * t; };
    unsigned long long again = 0;
#pragma unroll
    for (int i = 0; i < down / 16; i++) {
#pragma unroll
        for (int j = 0; j < across / 8; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (target.put < BS_FORM == BS_FORM_TF32X3 > (row(i) + 8 * (e / 2), column(j) + e % 2, sum[i][j][e]))
                    again |= 1ull << (across / 2 * i + 4 * j + e);
        }
    }
    for (; again != 0; again &= again - 1) {
        const int bit = __ffsll(static_cast<long long>(again)) - 1, e = bit % 4;
        target.put_again(row(bit / (across / 2)) + 8 * (e / 2), column(bit % (across / 2) / 4) + e % 2);
    }
}
