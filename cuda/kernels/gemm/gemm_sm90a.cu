// C = alpha op(A) op(B) + beta C with wgmma, single precision in memory, row-major; op(A) is [m, k], op(B) is [k, n],
// all addresses and rows at multiples of 16 bytes. BS_FORM as in gemm_sm80.cu: 0 takes three tf32 products, 1 rounds to
// bf16.
//
// A block computes 128 x 128 elements, each of two warpgroups 64 x 128 of them. One more warp lets the copy engine
// bring slabs of 128 lines by 32 or 64 levels to shared memory, as they lie in memory, into a ring whose places change
// hands at mbarriers. The warpgroups turn a slab into operands of wgmma, rows of 128 bytes of depth: split or rounded,
// and turned round where the lines are contiguous. While the tensor cores work on one slab's operands the next are
// made.
//
// As in gemm_sm80.cu the products of a slab start from zero and are added to the sums in the ordinary way.
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
#include <bs/tensor_tile.cuh>
#include <bs/wgmma.cuh>

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

constexpr int lines = 128, consumers = 256;
constexpr bool split_elements = BS_FORM == BS_FORM_TF32X3;
constexpr int levels = split_elements ? 32 : 64; // a row of an operand: 128 bytes
constexpr int boxes = levels / 32;               // of 32 levels, for one matrix
constexpr int box_bytes = lines * 32 * 4, operand_bytes = lines * 128;
constexpr int stages = split_elements ? 3 : 2, stage_bytes = 2 * boxes * box_bytes;
// Of the left and of the right: one in bf16; high and low parts in tf32.
constexpr int operands = split_elements ? 2 : 1, buffer_bytes = 2 * operands * operand_bytes;

// Four consecutive levels of a line out of a box: [line, 32] in the swizzle of 128 bytes, or [32, line].
template <bool depth_is_contiguous>
__device__ __forceinline__ void take_four(float (&x)[4], const unsigned char* box, int line, int level) {
    if (depth_is_contiguous) {
        load_four(x, reinterpret_cast<const float*>(box + swizzle_128(line, 4 * level)));
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            x[i] = reinterpret_cast<const float*>(box)[(level + i) * lines + line];
    }
}

// This thread's part of a matrix' slab, from its boxes to its operands.
template <bool depth_is_contiguous>
__device__ __forceinline__ void make_operands(unsigned char* to, const unsigned char* from) {
#pragma unroll
    for (int i = 0; i < lines * 8 / consumers; i++) {
        const int e = i * consumers + static_cast<int>(threadIdx.x), line = e % lines, piece = e / lines;
        unsigned char* at = to + swizzle_128(line, 16 * piece);
        if (split_elements) {
            float x[4];
            take_four<depth_is_contiguous>(x, from, line, 4 * piece);
            split_tf32 parts[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                parts[j] = split_finite(x[j]);
            *reinterpret_cast<uint4*>(at) =
                make_uint4(parts[0].high.bits, parts[1].high.bits, parts[2].high.bits, parts[3].high.bits);
            *reinterpret_cast<uint4*>(at + operand_bytes) =
                make_uint4(parts[0].low.bits, parts[1].low.bits, parts[2].low.bits, parts[3].low.bits);
        } else {
            const unsigned char* box = from + piece / 4 * box_bytes;
            float x[4], y[4];
            take_four<depth_is_contiguous>(x, box, line, piece % 4 * 8);
            take_four<depth_is_contiguous>(y, box, line, piece % 4 * 8 + 4);
            *reinterpret_cast<uint4*>(at) = make_uint4(round_bf16x2(x[0], x[1]).bits, round_bf16x2(x[2], x[3]).bits,
                                                       round_bf16x2(y[0], y[1]).bits, round_bf16x2(y[2], y[3]).bits);
        }
    }
}

// Starts the products of a slab for a warpgroup's 64 lines of the left.
__device__ __forceinline__ void start_products(float (&d)[64], const unsigned char* buffer, int group) {
    const WgmmaOperand a = WgmmaOperand::at(buffer + group * (operand_bytes / 2)),
                       b = WgmmaOperand::at(buffer + operands * operand_bytes);
    wgmma_fence();
    if (split_elements) {
        const WgmmaOperand a_low = WgmmaOperand::at(buffer + operand_bytes + group * (operand_bytes / 2)),
                           b_low = WgmmaOperand::at(buffer + 3 * operand_bytes);
#pragma unroll
        for (int s = 0; s < 4; s++) {
            wgmma_tf32<128>(d, a_low.step(s), b.step(s), s > 0);
            wgmma_tf32<128>(d, a.step(s), b_low.step(s), true);
        }
#pragma unroll
        for (int s = 0; s < 4; s++)
            wgmma_tf32<128>(d, a.step(s), b.step(s), true);
    } else {
#pragma unroll
        for (int s = 0; s < 4; s++)
            wgmma_bf16<128>(d, a.step(s), b.step(s), s > 0);
    }
    wgmma_commit();
}

} // namespace bs

// map_a, map_b: boxes of 128 lines by 32 levels, in the swizzle of 128 bytes where the depth is contiguous.
extern "C" __global__ void __launch_bounds__(bs::consumers + 32)
    bs_gemm_wgmma(const __grid_constant__ bs::TensorMap map_a, const __grid_constant__ bs::TensorMap map_b, int m,
                  int n, int k, int part, float alpha, const float* a, long long stride_a, const float* b,
                  long long stride_b, float beta, float* c, long long stride_c) {
    BS_DYNAMIC_SHARED(unsigned char, ring);
    unsigned char* buffers = ring + bs::stages * bs::stage_bytes;
    bs::Mbarrier* full = reinterpret_cast<bs::Mbarrier*>(buffers + 2 * bs::buffer_bytes);
    bs::Mbarrier* empty = full + bs::stages;
    const int first_row = static_cast<int>(blockIdx.x) * bs::lines,
              first_column = static_cast<int>(blockIdx.y) * bs::lines;
    const int begin = static_cast<int>(blockIdx.z) * part, end = begin < k - part ? begin + part : k;
    const int slabs = (end - begin + bs::levels - 1) / bs::levels;
    if (threadIdx.x == 0) {
        for (int s = 0; s < bs::stages; s++) {
            bs::mbarrier_init(full + s, 1);
            bs::mbarrier_init(empty + s, 1);
        }
        bs::mbarrier_fence_init();
    }
    __syncthreads();

    if (threadIdx.x >= bs::consumers) {
        if (threadIdx.x > bs::consumers)
            return;
        for (int slab = 0; slab < slabs; slab++) {
            const int s = slab % bs::stages;
            if (slab >= bs::stages)
                bs::mbarrier_wait(empty + s, (slab / bs::stages - 1) % 2);
            bs::mbarrier_arrive_expect(full + s, bs::stage_bytes);
            unsigned char* to = ring + s * bs::stage_bytes;
            for (int box = 0; box < bs::boxes; box++, to += bs::box_bytes) {
                const int level = begin + slab * bs::levels + box * 32;
                bs::tma_load_2d(to, &map_a, BS_TRANSPOSE_A ? first_row : level, BS_TRANSPOSE_A ? level : first_row,
                                full + s);
                bs::tma_load_2d(to + bs::boxes * bs::box_bytes, &map_b, BS_TRANSPOSE_B ? level : first_column,
                                BS_TRANSPOSE_B ? first_column : level, full + s);
            }
        }
        return;
    }

    const int group = static_cast<int>(threadIdx.x) / 128;
    float sum[64] = {}, d[64] = {}; // of no slab at first
    for (int slab = 0; slab < slabs; slab++) {
        const int s = slab % bs::stages;
        const unsigned char* from = ring + s * bs::stage_bytes;
        unsigned char* buffer = buffers + slab % 2 * bs::buffer_bytes;
        bs::mbarrier_wait(full + s, slab / bs::stages % 2);
        bs::make_operands<!BS_TRANSPOSE_A>(buffer, from);
        bs::make_operands<BS_TRANSPOSE_B>(buffer + bs::operands * bs::operand_bytes, from + bs::boxes * bs::box_bytes);
        // Without a condition, so that the assembler sees every group end before the next begins.
        bs::wgmma_wait<0>(d);
#pragma unroll
        for (int i = 0; i < 64; i++)
            sum[i] += d[i];
        bs::fence_proxy_async();
        // All have made their part, and all have finished with the operands that the next slab will replace.
        bs::named_barrier_sync(1, bs::consumers);
        if (threadIdx.x == 0)
            bs::mbarrier_arrive(empty + s);
        bs::start_products(d, buffer, group);
    }
    bs::wgmma_wait<0>(d);

    const bs::GemmTarget target = bs::GemmTarget::of(m, n, begin, end, alpha, beta, c, stride_c, a, stride_a,
                                                     BS_TRANSPOSE_A, b, stride_b, BS_TRANSPOSE_B);
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    const int row = first_row + static_cast<int>(threadIdx.x) / 32 * 16 + g, column = first_column + 2 * t;
    unsigned long long again = 0;
#pragma unroll
    for (int i = 0; i < 64; i++)
        if (target.put<bs::split_elements>(row + i / 2 % 2 * 8, column + i / 4 * 8 + i % 2, sum[i] + d[i]))
            again |= 1ull << i;
    for (; again != 0; again &= again - 1) {
        const int i = __ffsll(static_cast<long long>(again)) - 1;
        target.put_again(row + i / 2 % 2 * 8, column + i / 4 * 8 + i % 2);
    }
}
