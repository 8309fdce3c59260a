// As sae_product_sm80.cu, with the products on warpgroups: rows of all matrices at multiples of 16 bytes.
//   BS_STAGE 0: tokens W and what the encoder does with it.  BS_STAGE 1: scale * residuals W_dec^T and the gradient.
// A block has 128 tokens x 128 latents; the loop is that of bs/warpgroup_tile.cuh.
//
// ptx-gate: BS_STAGE=0 BS_FORM=0
// ptx-gate: BS_STAGE=1 BS_FORM=0
// ptx-gate: BS_STAGE=0 BS_FORM=1
// ptx-gate: BS_STAGE=1 BS_FORM=1
#include <bs/gemm_target.cuh>
#include <bs/sae_product.cuh>
#include <bs/warpgroup_tile.cuh>

#ifndef BS_STAGE
#define BS_STAGE 0
#endif
#ifndef BS_FORM
#define BS_FORM BS_FORM_TF32X3
#endif

namespace bs {

using Tile = WarpgroupTile<BS_FORM, false, BS_STAGE == 1>;

// The copy engine's warp has gone.
struct Consumers {
    __device__ __forceinline__ void operator()() const { named_barrier_sync(1, Tile::consumers); }
};
using Product = SaeProductTile<Tile::lines, Tile::consumers / warp_size, Consumers>; // takes the place of the ring
static_assert(Product::pitch * Tile::lines * 4 + Product::squares * Tile::lines * 20 <=
                  Tile::stages * Tile::stage_bytes,
              "the finished tile and its sums fit into the ring");

// Sums as wgmma leaves them to a tile in shared memory, for every consumer.
__device__ __forceinline__ void finish_tile(float* memory, const float (&sum)[64], const float* x, long long x_stride,
                                            const float* w, long long w_stride, int rows, int columns, int depth,
                                            int first_row, int first_column) {
    const int thread = static_cast<int>(threadIdx.x), g = thread % 32 / 4, t = thread % 4;
    auto row = [=](int i) { return thread / 32 * 16 + g + i / 2 % 2 * 8; };
    auto column = [=](int i) { return 2 * t + i / 4 * 8 + i % 2; };
    unsigned long long again = 0;
    Consumers()(); // the last slab has become operands everywhere
#pragma unroll
    for (int i = 0; i < 64; i++) {
        memory[row(i) * Product::pitch + column(i)] = sum[i];
        if (Tile::split_elements && !isfinite(sum[i]))
            again |= 1ull << i;
    }
    // These are few: a loop over them, where one in every element would cost the kernel registers.
    for (; again != 0; again &= again - 1) {
        const int i = __ffsll(static_cast<long long>(again)) - 1, r = row(i), c = column(i);
        if (first_row + r < rows && first_column + c < columns)
            memory[r * Product::pitch + c] = plain_product(x + (first_row + r) * x_stride, 1,
                                                           w + (first_column + c) * (BS_STAGE == 1 ? w_stride : 1),
                                                           BS_STAGE == 1 ? 1 : w_stride, depth);
    }
    Consumers()();
}

} // namespace bs

#if BS_STAGE == 0
// Parameters as of bs_sae_encode_f32.
extern "C" __global__ void __launch_bounds__(bs::Tile::threads)
    bs_sae_encode_wgmma(const __grid_constant__ bs::TensorMap map_tokens,
                        const __grid_constant__ bs::TensorMap map_weights, const float* tokens, long long token_stride,
                        const float* weights, long long weight_stride, int width, bs::SaeTile tile, float* product,
                        int tied, unsigned* by_token, int words, unsigned* by_latent, int token_words,
                        bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(unsigned char, ring);
    const int first_token = static_cast<int>(blockIdx.x) * Tile::lines,
              first_latent = static_cast<int>(blockIdx.y) * Tile::lines;
    Tile::run(ring, map_tokens, map_weights, first_token, first_latent, 0, width, [&](const float(&sum)[64]) {
        float* memory = reinterpret_cast<float*>(ring);
        finish_tile(memory, sum, tokens, token_stride, weights, weight_stride, tile.tokens, tile.latents, width,
                    first_token, first_latent);
        Product{memory, first_token, first_latent, {}}.encode(tile, product, tied, by_token, words, by_latent,
                                                              token_words, partial);
    });
}
#else
// Parameters as of bs_sae_gradient_f32.
extern "C" __global__ void __launch_bounds__(bs::Tile::threads)
    bs_sae_gradient_wgmma(const __grid_constant__ bs::TensorMap map_error,
                          const __grid_constant__ bs::TensorMap map_decoder, const float* error, long long error_stride,
                          const float* decoder, long long decoder_stride, int width, float scale, bs::SaeTile tile,
                          float* q, float* gate, const float* norms, const bs::SaeCoefficients* coefficients,
                          float bandwidth, bs::SaeAuxiliary auxiliary, bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(unsigned char, ring);
    const int first_token = static_cast<int>(blockIdx.x) * Tile::lines,
              first_latent = static_cast<int>(blockIdx.y) * Tile::lines;
    Tile::run(ring, map_error, map_decoder, first_token, first_latent, 0, width, [&](const float(&sum)[64]) {
        float* memory = reinterpret_cast<float*>(ring);
        finish_tile(memory, sum, error, error_stride, decoder, decoder_stride, tile.tokens, tile.latents, width,
                    first_token, first_latent);
        Product{memory, first_token, first_latent, {}}.differentiate(tile, scale, q, gate, norms, coefficients->penalty,
                                                                     bandwidth, auxiliary, partial);
    });
}
#endif
