// The two products of an autoencoder with d_sae columns, on the tensor cores, and what is done with their
// elements while they are in shared memory.
//   BS_STAGE 0: tokens W. Writes the product, active pairs as bits by token and by latent, sums per latent.
//   BS_STAGE 1: scale * residuals W_dec^T. Writes the straight-through gradient in its place, and its sums per latent.
// A block has BS_TILE tokens x BS_TILE latents; slabs, forms and the order of every sum are those of gemm_sm80.cu.
//
// ptx-gate: BS_STAGE=0 BS_FORM=0 BS_TILE=64
// ptx-gate: BS_STAGE=0 BS_FORM=0 BS_TILE=128
// ptx-gate: BS_STAGE=1 BS_FORM=0 BS_TILE=64
// ptx-gate: BS_STAGE=1 BS_FORM=0 BS_TILE=128
// ptx-gate: BS_STAGE=0 BS_FORM=1 BS_TILE=64
// ptx-gate: BS_STAGE=0 BS_FORM=1 BS_TILE=128
// ptx-gate: BS_STAGE=1 BS_FORM=1 BS_TILE=64
// ptx-gate: BS_STAGE=1 BS_FORM=1 BS_TILE=128
#include <bs/gemm_target.cuh>
#include <bs/sae_product.cuh>
#include <bs/tensor_tile.cuh>

#ifndef BS_STAGE
#define BS_STAGE 0
#endif
#ifndef BS_FORM
#define BS_FORM BS_FORM_TF32X3
#endif
#ifndef BS_TILE
#define BS_TILE 64
#endif

namespace bs {

constexpr int stages = 4, threads = 2 * BS_TILE;
using Rows = TensorSlab<BS_FORM, BS_TILE, threads, true>;
using Columns = TensorSlab<BS_FORM, BS_TILE, threads, BS_STAGE == 1>;
struct AllThreads {
    __device__ __forceinline__ void operator()() const { __syncthreads(); }
};
using Product = SaeProductTile<BS_TILE, threads / warp_size, AllThreads>; // takes the place of the slabs

// The tile x[first_row ...] w, with rows of x and columns (BS_STAGE 0) or rows (BS_STAGE 1) of w, left in `memory`.
__device__ __forceinline__ void product_tile(float* memory, const float* x, long long x_stride, int wide_x,
                                             const float* w, long long w_stride, int wide_w, int rows, int columns,
                                             int depth, int first_row, int first_column) {
    const int slabs = ceil_divide(depth, kTensorSlab);
    constexpr int down = BS_TILE / 2, across = 32;
    const int warp = warp_rank(), warp_row = warp % 2 * down, warp_column = warp / 2 * across;
    float sum[down / 16][across / 8][4] = {};
    tensor_product<Rows, Columns, stages>(
        sum, memory, slabs, warp_row, warp_column, [&](float* left, float* right, int slab) {
            const int level = slab * kTensorSlab;
            Rows::fetch(left, x, x_stride, wide_x, first_row, rows, level, depth);
            Columns::fetch(right, w, w_stride, wide_w, first_column, columns, level, depth);
        });
    __syncthreads();
    const int g = lane_rank() / 4, t = lane_rank() % 4;
    auto row = [=](int i) { return warp_row + 16 * i + g; };
    auto column = [=](int j) { return warp_column + 8 * j + 2 * t; };
    unsigned long long again = 0;
#pragma unroll
    for (int i = 0; i < down / 16; i++) {
#pragma unroll
        for (int j = 0; j < across / 8; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                memory[(row(i) + 8 * (e / 2)) * Product::pitch + column(j) + e % 2] = sum[i][j][e];
                if (BS_FORM == BS_FORM_TF32X3 && !isfinite(sum[i][j][e]))
                    again |= 1ull << (across / 2 * i + 4 * j + e);
            }
        }
    }
    // These are few: a loop over them, where one in every element would cost the kernel registers.
    for (; again != 0; again &= again - 1) {
        const int bit = __ffsll(static_cast<long long>(again)) - 1, e = bit % 4;
        const int r = row(bit / (across / 2)) + 8 * (e / 2), c = column(bit % (across / 2) / 4) + e % 2;
        if (first_row + r < rows && first_column + c < columns)
            memory[r * Product::pitch + c] = plain_product(x + (first_row + r) * x_stride, 1,
                                                           w + (first_column + c) * (BS_STAGE == 1 ? w_stride : 1),
                                                           BS_STAGE == 1 ? 1 : w_stride, depth);
    }
    __syncthreads();
}

} // namespace bs

#if BS_STAGE == 0
// tile.gate is where the product goes; of a tied model it is tile.magnitude too, otherwise the magnitudes are there
// already. Grid: blocks of tokens x blocks of latents; a block of tokens is a chunk of the partial sums.
extern "C" __global__ void __launch_bounds__(bs::threads)
    bs_sae_encode_f32(const float* tokens, long long token_stride, int wide_tokens, const float* weights,
                      long long weight_stride, int wide_weights, int width, bs::SaeTile tile, float* product, int tied,
                      unsigned* by_token, int words, unsigned* by_latent, int token_words, bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(float, memory);
    const int first_token = static_cast<int>(blockIdx.x) * BS_TILE,
              first_latent = static_cast<int>(blockIdx.y) * BS_TILE;
    product_tile(memory, tokens, token_stride, wide_tokens, weights, weight_stride, wide_weights, tile.tokens,
                 tile.latents, width, first_token, first_latent);
    Product{memory, first_token, first_latent, {}}.encode(tile, product, tied, by_token, words, by_latent, token_words,
                                                          partial);
}
#else
// As bs_sae_straight_through_f32, with the product in front.
extern "C" __global__ void __launch_bounds__(bs::threads)
    bs_sae_gradient_f32(const float* error, long long error_stride, int wide_error, const float* decoder,
                        long long decoder_stride, int wide_decoder, int width, float scale, bs::SaeTile tile, float* q,
                        float* gate, const float* norms, const bs::SaeCoefficients* coefficients, float bandwidth,
                        bs::SaeAuxiliary auxiliary, bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(float, memory);
    const int first_token = static_cast<int>(blockIdx.x) * BS_TILE,
              first_latent = static_cast<int>(blockIdx.y) * BS_TILE;
    product_tile(memory, error, error_stride, wide_error, decoder, decoder_stride, wide_decoder, tile.tokens,
                 tile.latents, width, first_token, first_latent);
    Product{memory, first_token, first_latent, {}}.differentiate(tile, scale, q, gate, norms, coefficients->penalty,
                                                                 bandwidth, auxiliary, partial);
}
#endif
