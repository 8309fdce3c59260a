// The sparse backward pass: gradients of chosen pairs alone. A block has a latent; the tokens that concern it are bits
// of masks, expanded in ascending order. Each of its warps keeps a decoder row and the gradient of 512 dimensions in
// registers and takes every fourth token; the four parts are joined in order. Floor: a row of residuals and one of
// tokens for each pair, and the gradient rows once a tile.
#include <bs/sae_rule.cuh>

namespace bs {

constexpr int lane_dims = 16, segment_dims = lane_dims * warp_size, pair_warps = sae_threads / warp_size;
constexpr unsigned active_bit = 0x8000;

struct SaeBackward {
    // [latents, token_words]: active pairs, others with a gradient, auxiliary ones; null where there are none.
    const unsigned *active, *window, *auxiliary;
    int token_words, width;
    const float *tokens, *error, *second, *decoder; // rows of `second` as those of `error`
    long long token_stride, error_stride, decoder_stride;
    const int* prefixes;    // ends of nested dictionaries, each with residuals of its own; null for one
    long long group_stride; // from residuals to residuals of the next
    int groups, first_tile;
    float scale, second_scale;
    const float* norms;
    const SaeCoefficients* coefficients;
    float *to_decoder, *to_encoder, *to_gate; // the latter two [latents, width]; to_gate null where tied
    long long to_decoder_stride;
};

// The scalar product of a row with the decoder row, whose present segment is in registers, in every lane.
__device__ __forceinline__ float sae_along(const float (&row)[lane_dims], const float (&weights)[lane_dims],
                                           const float* from, const float* decoder, int width) {
    float dot = 0;
    if (width <= segment_dims) {
#pragma unroll
        for (int k = 0; k < lane_dims; k++)
            dot = fmaf(row[k], weights[k], dot);
    } else {
        for (int i = lane_rank(); i < width; i += warp_size)
            dot = fmaf(from[i], decoder[i], dot);
    }
    return warp_sum(dot);
}

__device__ __forceinline__ void sae_load(float (&row)[lane_dims], const float* from, int left) {
#pragma unroll
    for (int k = 0; k < lane_dims; k++)
        row[k] = k * warp_size + lane_rank() < left ? from[k * warp_size + lane_rank()] : 0.0f;
}

__device__ __forceinline__ void sae_add(float (&sum)[lane_dims], float factor, const float (&row)[lane_dims]) {
#pragma unroll
    for (int k = 0; k < lane_dims; k++)
        sum[k] = fmaf(factor, row[k], sum[k]);
}

// Adds the warps' parts in order and puts them into a row.
__device__ __forceinline__ void sae_join(const float (&sum)[lane_dims], float (*parts)[segment_dims], float* to,
                                         int left, bool overwrite) {
#pragma unroll
    for (int k = 0; k < lane_dims; k++)
        parts[warp_rank()][k * warp_size + lane_rank()] = sum[k];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < segment_dims && i < left; i += sae_threads) {
        float all = parts[0][i];
        for (int w = 1; w < pair_warps; w++)
            all += parts[w][i];
        to[i] = overwrite ? all : to[i] + all;
    }
    __syncthreads();
}

} // namespace bs

// Pairs that are not active and have a gradient, as bits by latent and, where there is a place for them, by token.
// Grid: words of latents x chunks of tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_window_f32(bs::SaeTile tile, bs::SaeRule rule, unsigned* by_token, unsigned* by_latent, int token_words) {
    using namespace bs;
    const int lane = lane_rank(), words = static_cast<int>(gridDim.x),
              j = static_cast<int>(blockIdx.x) * sae_side + lane;
    const int t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp_rank()) * sae_side;
    const bool mine = j < tile.latents;
    unsigned row = 0, column = 0;
    for (int i = 0; i < sae_side && t0 + i < tile.tokens; i++) {
        const bool wanted = mine && rule.wanted(tile.m(t0 + i, j), tile.g(t0 + i, j), j);
        const unsigned bits = __ballot_sync(full_warp, wanted);
        row = lane == i ? bits : row;
        column |= (bits >> lane & 1u) << i;
    }
    if (by_token && t0 + lane < tile.tokens)
        by_token[static_cast<long long>(t0 + lane) * words + blockIdx.x] = row;
    if (mine && t0 < tile.tokens)
        by_latent[static_cast<long long>(j) * token_words + t0 / sae_side] = column;
}

// Gradients of one latent over a tile: decoder row, encoder column (as a row), biases, scale or threshold. A block to a
// latent.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_sparse_backward_f32(bs::SaeTile tile, bs::SaeRule rule, bs::SaeBackward from, bs::SaeAuxiliary auxiliary,
                               bs::SaeRuleSums sums) {
    using namespace bs;
    __shared__ unsigned short list[sae_threads * 32];
    __shared__ float parts[pair_warps][segment_dims];
    __shared__ double totals[3][pair_warps];
    __shared__ int in_window[pair_warps], scratch[pair_warps];
    const int j = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x), warp = warp_rank();
    const int words = sae_words(tile.tokens);
    const long long masks = static_cast<long long>(j) * from.token_words;
    unsigned active = 0, all = 0;
    if (thread < words) {
        active = from.active[masks + thread];
        all = active | (from.window ? from.window[masks + thread] : 0u) |
              (from.auxiliary ? from.auxiliary[masks + thread] : 0u);
    }
    int total;
    int place = block_prefix(__popc(all), scratch, total);
    for (; all != 0; all &= all - 1) {
        const int bit = __ffs(static_cast<int>(all)) - 1;
        list[place++] = static_cast<unsigned short>(thread * 32 + bit) |
                        static_cast<unsigned short>((active >> bit & 1u) != 0 ? active_bit : 0u);
    }
    __syncthreads();
    if (total == 0 && !from.first_tile)
        return;
    int group = 0;
    for (int p = 0; from.prefixes && p + 1 < from.groups; p++)
        group += from.prefixes[p] <= j;
    const float* errors = from.error + group * from.group_stride;
    const float* decoder = from.decoder + j * from.decoder_stride;
    const SaeWeights weights{from.coefficients->penalty, from.norms[j], from.coefficients->exponent};
    for (int first = 0; first < from.width; first += segment_dims) {
        const int left = from.width - first;
        float own[lane_dims], to_decoder[lane_dims] = {}, to_encoder[lane_dims] = {}, to_gate[lane_dims] = {};
        double by_magnitude = 0, by_gate = 0, by_extra = 0;
        int window = 0;
        sae_load(own, decoder + first, left);
        for (int e = warp; e < total; e += pair_warps) {
            const int t = list[e] & (active_bit - 1);
            const bool on = (list[e] & active_bit) != 0;
            const float* error = errors + t * from.error_stride;
            float row[lane_dims], along = 0, second = 0;
            if (from.second) {
                const float* other = from.second + t * from.error_stride;
                sae_load(row, other + first, left);
                second = from.second_scale * sae_along(row, own, other, decoder, from.width);
            }
            if (rule.follows_residual(on, tile.g(t, j))) {
                sae_load(row, error + first, left);
                along = from.scale * sae_along(row, own, error, decoder, from.width);
                if (on)
                    sae_add(to_decoder, from.scale * tile.m(t, j), row);
            }
            const SaePair pair = sae_pair(tile, rule, t, j, on, along, second, weights, auxiliary);
            sae_load(row, from.tokens + t * from.token_stride + first, left);
            sae_add(to_encoder, sae_encoder_part(tile, j, pair, from.to_gate == nullptr), row);
            if (from.to_gate)
                sae_add(to_gate, pair.gate, row);
            by_magnitude += pair.magnitude;
            by_gate += pair.gate;
            by_extra += pair.extra;
            window += pair.window;
        }
        const bool overwrite = from.first_tile != 0;
        sae_join(to_decoder, parts, from.to_decoder + j * from.to_decoder_stride + first, left, overwrite);
        sae_join(to_encoder, parts, from.to_encoder + static_cast<long long>(j) * from.width + first, left, overwrite);
        if (from.to_gate)
            sae_join(to_gate, parts, from.to_gate + static_cast<long long>(j) * from.width + first, left, overwrite);
        if (first != 0)
            continue;
        if (lane_rank() == 0) {
            totals[0][warp] = by_magnitude;
            totals[1][warp] = by_gate;
            totals[2][warp] = by_extra;
            in_window[warp] = window;
        }
    }
    __syncthreads();
    if (thread != 0)
        return;
    double magnitude = 0, gate = 0, extra = 0;
    int window = 0;
    for (int w = 0; w < pair_warps; w++) {
        magnitude += totals[0][w];
        gate += totals[1][w];
        extra += totals[2][w];
        window += in_window[w];
    }
    sums.magnitude[j] = (from.first_tile ? 0.0 : sums.magnitude[j]) + magnitude;
    sums.gate[j] = (from.first_tile ? 0.0 : sums.gate[j]) + gate;
    sums.extra[j] = (from.first_tile ? 0.0 : sums.extra[j]) + extra;
    sums.window[j] = (from.first_tile ? 0 : sums.window[j]) + window;
}

// target [columns, rows] = source [rows, columns] turned round. Grid: squares of columns x squares of rows.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_transpose_f32(const float* source, int rows, int columns, float* target, long long target_stride) {
    using namespace bs;
    __shared__ float square[sae_side][sae_side + 1];
    const int lane = lane_rank(), warp = warp_rank(), i0 = static_cast<int>(blockIdx.y) * sae_side,
              j0 = static_cast<int>(blockIdx.x) * sae_side;
    for (int i = warp; i < sae_side; i += sae_warps)
        if (i0 + i < rows && j0 + lane < columns)
            square[i][lane] = source[static_cast<long long>(i0 + i) * columns + j0 + lane];
    __syncthreads();
    for (int j = warp; j < sae_side; j += sae_warps)
        if (j0 + j < columns && i0 + lane < rows)
            target[(j0 + j) * target_stride + i0 + lane] = square[lane][j];
}
