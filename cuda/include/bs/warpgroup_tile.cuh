// Sums of products on warpgroups (9.0a), single precision in memory, for kernels whose blocks compute tiles of 128 x
// 128.
#pragma once
#include <bs/tensor_tile.cuh>
#include <bs/tma.cuh>
#include <bs/wgmma.cuh>

namespace bs {

// What a block of two warpgroups and a warp for the copy engine computes: 128 x 128 sums of op(A) op(B), each warpgroup
// 64 x 128 of them. The copy engine brings slabs of 128 lines by 32 or 64 levels to shared memory, as they lie in
// memory, into a ring whose places change hands at mbarriers. The warpgroups turn a slab into operands of wgmma, rows
// of 128 bytes of depth: split or rounded, and turned round where the lines are contiguous. While the tensor cores work
// on one slab's operands the next are made. The products of a slab start from zero and are added to the sums in the
// ordinary way.
template <int form, bool transpose_a, bool transpose_b> struct WarpgroupTile {
    static constexpr int lines = 128, consumers = 256, threads = consumers + 32;
    static constexpr bool split_elements = form == BS_FORM_TF32X3;
    static constexpr int levels = split_elements ? 32 : 64; // a row of an operand: 128 bytes
    static constexpr int boxes = levels / 32;               // of 32 levels, for one matrix
    static constexpr int box_bytes = lines * 32 * 4, operand_bytes = lines * 128;
    static constexpr int stages = split_elements ? 3 : 2, stage_bytes = 2 * boxes * box_bytes;
    // Of the left and of the right: one in bf16; high and low parts in tf32.
    static constexpr int operands = split_elements ? 2 : 1, buffer_bytes = 2 * operands * operand_bytes;

    // Four consecutive levels of a line out of a box: [line, 32] in the swizzle of 128 bytes, or [32, line].
    template <bool depth_is_contiguous>
    static __device__ __forceinline__ void take_four(float (&x)[4], const unsigned char* box, int line, int level) {
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
    static __device__ __forceinline__ void make_operands(unsigned char* to, const unsigned char* from) {
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
                *reinterpret_cast<uint4*>(at) =
                    make_uint4(round_bf16x2(x[0], x[1]).bits, round_bf16x2(x[2], x[3]).bits,
                               round_bf16x2(y[0], y[1]).bits, round_bf16x2(y[2], y[3]).bits);
            }
        }
    }

    // Starts the products of a slab for a warpgroup's 64 lines of the left.
    static __device__ __forceinline__ void start_products(float (&d)[64], const unsigned char* buffer, int group) {
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

    // Levels begin ... end - 1 of the tile at (first_row, first_column). map_a, map_b: boxes of 128 lines by 32 levels,
    // in the swizzle of 128 bytes where the depth is contiguous. done(sums) is for the 256 consumers, which meet at
    // named barrier 1 and no other; the ring is theirs again. Sums lie as wgmma leaves them.
    template <class Done>
    static __device__ __forceinline__ void run(unsigned char* ring, const TensorMap& map_a, const TensorMap& map_b,
                                               int first_row, int first_column, int begin, int end, Done done) {
        unsigned char* buffers = ring + stages * stage_bytes;
        Mbarrier* full = reinterpret_cast<Mbarrier*>(buffers + 2 * buffer_bytes);
        Mbarrier* empty = full + stages;
        const int slabs = (end - begin + levels - 1) / levels;
        if (threadIdx.x == 0) {
            for (int s = 0; s < stages; s++) {
                mbarrier_init(full + s, 1);
                mbarrier_init(empty + s, 1);
            }
            mbarrier_fence_init();
        }
        __syncthreads();

        if (threadIdx.x >= consumers) {
            if (threadIdx.x > consumers)
                return;
            for (int slab = 0; slab < slabs; slab++) {
                const int s = slab % stages;
                if (slab >= stages)
                    mbarrier_wait(empty + s, (slab / stages - 1) % 2);
                mbarrier_arrive_expect(full + s, stage_bytes);
                unsigned char* to = ring + s * stage_bytes;
                for (int box = 0; box < boxes; box++, to += box_bytes) {
                    const int level = begin + slab * levels + box * 32;
                    tma_load_2d(to, &map_a, transpose_a ? first_row : level, transpose_a ? level : first_row, full + s);
                    tma_load_2d(to + boxes * box_bytes, &map_b, transpose_b ? level : first_column,
                                transpose_b ? first_column : level, full + s);
                }
            }
            return;
        }

        const int group = static_cast<int>(threadIdx.x) / 128;
        float sum[64] = {}, d[64] = {}; // of no slab at first
        for (int slab = 0; slab < slabs; slab++) {
            const int s = slab % stages;
            const unsigned char* from = ring + s * stage_bytes;
            unsigned char* buffer = buffers + slab % 2 * buffer_bytes;
            mbarrier_wait(full + s, slab / stages % 2);
            make_operands<!transpose_a>(buffer, from);
            make_operands<transpose_b>(buffer + operands * operand_bytes, from + boxes * box_bytes);
            // Without a condition, so that the assembler sees every group end before the next begins.
            wgmma_wait<0>(d);
#pragma unroll
            for (int i = 0; i < 64; i++)
                sum[i] += d[i];
            fence_proxy_async();
            // All have made their part, and all have finished with the operands that the next slab will replace.
            named_barrier_sync(1, consumers);
            if (threadIdx.x == 0)
                mbarrier_arrive(empty + s);
            start_products(d, buffer, group);
        }
        wgmma_wait<0>(d);
#pragma unroll
        for (int i = 0; i < 64; i++)
            sum[i] += d[i];
        done(sum);
    }
};

} // namespace bs
