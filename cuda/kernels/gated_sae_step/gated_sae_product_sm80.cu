// The two products of the gated autoencoder with d_sae columns, on the tensor cores, and what is done with their
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
#include <bs/gated_sae.cuh>
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

constexpr int stages = 4, threads = 2 * BS_TILE, warps = threads / warp_size, side_squares = BS_TILE / sae_side;
using Rows = TensorSlab<BS_FORM, BS_TILE, threads, true>;
using Columns = TensorSlab<BS_FORM, BS_TILE, threads, BS_STAGE == 1>;
constexpr int stage_floats = Rows::floats + Columns::floats;
// The finished tile takes the place of the slabs; its fragments are stored without all of them meeting in one bank.
constexpr int tile_pitch = BS_TILE + 8;

// One element as the ordinary units compute it: where its parts or products are not finite although it may be.
__device__ __forceinline__ float plain_product(const float* x, const float* w, long long step, int count) {
    float sum = 0.0f;
    for (int p = 0; p < count; p++)
        sum = fmaf(x[p], w[p * step], sum);
    return sum;
}

// The tile x[first_row ...] w, with rows of x and columns (BS_STAGE 0) or rows (BS_STAGE 1) of w, left in `memory`.
__device__ __forceinline__ void product_tile(float* memory, const float* x, long long x_stride, int wide_x,
                                             const float* w, long long w_stride, int wide_w, int rows, int columns,
                                             int depth, int first_row, int first_column) {
    const int slabs = ceil_divide(depth, kTensorSlab);
    auto fetch = [&](int slab) {
        if (slab < slabs) {
            float* to = memory + slab % stages * stage_floats;
            Rows::fetch(to, x, x_stride, wide_x, first_row, rows, slab * kTensorSlab, depth);
            Columns::fetch(to + Rows::floats, w, w_stride, wide_w, first_column, columns, slab * kTensorSlab, depth);
        }
        cp_async_commit();
    };
    for (int slab = 0; slab < stages - 1; slab++)
        fetch(slab);
    constexpr int down = BS_TILE / 2, across = 32;
    const int warp = warp_rank(), warp_row = warp % 2 * down, warp_column = warp / 2 * across;
    float sum[down / 16][across / 8][4] = {};
    for (int slab = 0; slab < slabs; slab++) {
        cp_async_wait<stages - 2>();
        __syncthreads();
        fetch(slab + stages - 1);
        const float* from = memory + slab % stages * stage_floats;
        tensor_slab_product<Rows, Columns>(sum, from, warp_row, from + Rows::floats, warp_column);
    }
    cp_async_wait<0>();
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
                memory[(row(i) + 8 * (e / 2)) * tile_pitch + column(j) + e % 2] = sum[i][j][e];
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
            memory[r * tile_pitch + c] =
                plain_product(x + (first_row + r) * x_stride, w + (first_column + c) * (BS_STAGE == 1 ? w_stride : 1),
                              BS_STAGE == 1 ? 1 : w_stride, depth);
    }
    __syncthreads();
}

} // namespace bs

#if BS_STAGE == 0
// tile.gate is where the product goes; of a tied model it is tile.magnitude too, otherwise the magnitudes are there
// already. Grid: blocks of tokens x blocks of latents; a block of tokens is a chunk of the partial sums.
extern "C" __global__ void __launch_bounds__(bs::threads)
    bs_gated_sae_encode_f32(const float* tokens, long long token_stride, int wide_tokens, const float* weights,
                            long long weight_stride, int wide_weights, int width, bs::SaeTile tile, float* product,
                            int tied, unsigned* by_token, int words, unsigned* by_latent, int token_words,
                            bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(float, memory);
    // Behind the finished tile.
    auto* penalties = reinterpret_cast<double(*)[BS_TILE]>(memory + BS_TILE * tile_pitch);
    auto* counts = reinterpret_cast<int(*)[side_squares][BS_TILE]>(penalties + side_squares);
    const int first_token = static_cast<int>(blockIdx.x) * BS_TILE,
              first_latent = static_cast<int>(blockIdx.y) * BS_TILE;
    product_tile(memory, tokens, token_stride, wide_tokens, weights, weight_stride, wide_weights, tile.tokens,
                 tile.latents, width, first_token, first_latent);
    for (int s = warp_rank(); s < side_squares * side_squares; s += warps) {
        const int down = s / side_squares, lane = lane_rank(), own = s % side_squares * sae_side + lane;
        const int t0 = first_token + down * sae_side, j = first_latent + own;
        const bool mine = j < tile.latents;
        const float magnitude_bias = mine ? tile.magnitude_bias[j] : 0.0f, gate_bias = mine ? tile.gate_bias[j] : 0.0f;
        const SaeSquare square = sae_classify(tile.tokens - t0, mine, [&](int i, float& m, float& g) {
            const float z = memory[(down * sae_side + i) * tile_pitch + own];
            const long long at = (t0 + i) * tile.stride + j;
            m = (tied ? z : tile.magnitude[at]) + magnitude_bias;
            g = z + gate_bias;
            product[at] = z;
        });
        if (t0 + lane < tile.tokens && first_latent + s % side_squares * sae_side < tile.latents)
            by_token[static_cast<long long>(t0 + lane) * words + first_latent / sae_side + s % side_squares] =
                square.row;
        if (mine && t0 < tile.tokens)
            by_latent[static_cast<long long>(j) * token_words + t0 / sae_side] = square.column;
        penalties[down][own] = square.penalty;
        counts[0][down][own] = __popc(square.column);
        counts[1][down][own] = square.positive;
        counts[2][down][own] = square.open;
    }
    __syncthreads();
    const int own = thread_rank(), j = first_latent + own;
    if (own >= BS_TILE || j >= tile.latents)
        return;
    double sum = 0;
    int used = 0, positive = 0, open = 0;
    for (int down = 0; down < side_squares; down++) {
        sum += penalties[down][own];
        used += counts[0][down][own];
        positive += counts[1][down][own];
        open += counts[2][down][own];
    }
    const long long at = static_cast<long long>(blockIdx.x) * tile.latents + j;
    partial.penalty[at] = sum;
    partial.usage[at] = used;
    partial.positive[at] = positive;
    partial.open[at] = open;
}
#else
// As bs_gated_sae_straight_through_f32, with the product in front.
extern "C" __global__ void __launch_bounds__(bs::threads)
    bs_gated_sae_gradient_f32(const float* error, long long error_stride, int wide_error, const float* decoder,
                              long long decoder_stride, int wide_decoder, int width, float scale, bs::SaeTile tile,
                              float* q, float* gate, const float* norms, const bs::SaeCoefficients* coefficients,
                              float bandwidth, bs::SaeAuxiliary auxiliary, bs::SaeLatentSums partial) {
    using namespace bs;
    BS_DYNAMIC_SHARED(float, memory);
    // Behind the finished tile.
    auto* of_magnitude = reinterpret_cast<double(*)[BS_TILE]>(memory + BS_TILE * tile_pitch);
    auto* of_gate = of_magnitude + side_squares;
    const int first_token = static_cast<int>(blockIdx.x) * BS_TILE,
              first_latent = static_cast<int>(blockIdx.y) * BS_TILE;
    product_tile(memory, error, error_stride, wide_error, decoder, decoder_stride, wide_decoder, tile.tokens,
                 tile.latents, width, first_token, first_latent);
    for (int s = warp_rank(); s < side_squares * side_squares; s += warps) {
        const int down = s / side_squares, own = s % side_squares * sae_side + lane_rank();
        const int t0 = first_token + down * sae_side, j = first_latent + own;
        const bool mine = j < tile.latents;
        const float penalty = mine ? coefficients->penalty * norms[j] : 0.0f;
        float sum_magnitude = 0, sum_gate = 0;
        for (int i = 0; mine && i < sae_side && t0 + i < tile.tokens; i++) {
            const long long at = (t0 + i) * tile.stride + j;
            // Rounded before anything is added, as where the product comes from memory.
            const float along = __fmul_rn(scale, memory[(down * sae_side + i) * tile_pitch + own]);
            const float2 to = sae_straight_through(tile, t0 + i, j, along, penalty, bandwidth, auxiliary);
            q[at] = gate ? to.x : to.x + to.y;
            if (gate)
                gate[at] = to.y;
            sum_magnitude += to.x;
            sum_gate += to.y;
        }
        of_magnitude[down][own] = sum_magnitude;
        of_gate[down][own] = sum_gate;
    }
    __syncthreads();
    const int own = thread_rank(), j = first_latent + own;
    if (own >= BS_TILE || j >= tile.latents)
        return;
    double magnitude = 0, open = 0;
    for (int down = 0; down < side_squares; down++) {
        magnitude += of_magnitude[down][own];
        open += of_gate[down][own];
    }
    const long long place = static_cast<long long>(blockIdx.x) * tile.latents + j;
    partial.magnitude[place] = magnitude;
    partial.gate[place] = open;
}
#endif
