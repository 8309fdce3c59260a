// C = alpha op(A) op(B) + beta C with wgmma, single precision in memory, row-major; op(A) is [m, k], op(B) is [k, n],
// all addresses and rows at multiples of 16 bytes. BS_FORM as in gemm_sm80.cu: 0 takes three tf32 products, 1 rounds to
// bf16.
//
// The loop is that of bs/warpgroup_tile.cuh. As in gemm_sm80.cu the products of a slab start from zero and are added to
// the sums in the ordinary way.
//
// ptx-gate: BS_FORM=0 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=0 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=0 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_FORM=1 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_FORM=1 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
#include <bs/gemm_target.cuh>
#include <bs/warpgroup_tile.cuh>

#ifndef BS_FORM
#define BS_FORM BS_FORM_TF32X3
#endif
#ifndef BS_TRANSPOSE_A
#define BS_TRANSPOSE_A 0 // 1: A is stored [k, m]
#endif
#ifndef BS_TRANSPOSE_B
#define BS_TRANSPOSE_B 0 // 1: B is stored [n, k]
#endif

namespace bs {

using Tile = WarpgroupTile<BS_FORM, BS_TRANSPOSE_A, BS_TRANSPOSE_B>;

} // namespace bs

// map_a, map_b: boxes of 128 lines by 32 levels, in the swizzle of 128 bytes where the depth is contiguous.
extern "C" __global__ void __launch_bounds__(bs::Tile::threads)
    bs_gemm_wgmma(const __grid_constant__ bs::TensorMap map_a, const __grid_constant__ bs::TensorMap map_b, int m,
                  int n, int k, int part, float alpha, const float* a, long long stride_a, const float* b,
                  long long stride_b, float beta, float* c, long long stride_c) {
    BS_DYNAMIC_SHARED(unsigned char, ring);
    const int first_row = static_cast<int>(blockIdx.x) * bs::Tile::lines,
              first_column = static_cast<int>(blockIdx.y) * bs::Tile::lines;
    const int begin = static_cast<int>(blockIdx.z) * part, end = begin < k - part ? begin + part : k;
    bs::Tile::run(ring, map_a, map_b, first_row, first_column, begin, end, [&](const float(&sum)[64]) {
        const bs::GemmTarget target = bs::GemmTarget::of(m, n, begin, end, alpha, beta, c, stride_c, a, stride_a,
                                                         BS_TRANSPOSE_A, b, stride_b, BS_TRANSPOSE_B);
        const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
        const int row = first_row + static_cast<int>(threadIdx.x) / 32 * 16 + g, column = first_column + 2 * t;
        unsigned long long again = 0;
#pragma unroll
        for (int i = 0; i < 64; i++)
            if (target.put<bs::Tile::split_elements>(row + i / 2 % 2 * 8, column + i / 4 * 8 + i % 2, sum[i]))
                again |= 1ull << i;
        for (; again != 0; again &= again - 1) {
            const int i = __ffsll(static_cast<long long>(again)) - 1;
            target.put_again(row + i / 2 % 2 * 8, column + i / 4 * 8 + i % 2);
        }
    });
}
