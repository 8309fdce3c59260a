// Forward pass of an autoencoder over one tile of tokens, after the encoder product: sets of pairs, decoding,
// residual. Floor: one read of the tile's products, then L0 decoder rows a token; a tile stays in the cache of a large
// device.
#include <bs/sae.cuh>

namespace bs {

// One token's residual over the dimensions of a pass, and what it adds to the sums.
__device__ __forceinline__ void sae_residual(const float* token, const float* bias, float* error, int first, int width,
                                             const float (&reconstruction)[sae_dims], double& squared_error,
                                             double& squares) {
#pragma unroll
    for (int k = 0; k < sae_dims; k++) {
        const int i = first + k * sae_threads + static_cast<int>(threadIdx.x);
        if (i < width) {
            const float x = token[i], e = reconstruction[k] + (bias[i] - x);
            error[i] = e;
            squared_error = fma(static_cast<double>(e), static_cast<double>(e), squared_error);
            squares = fma(static_cast<double>(x), static_cast<double>(x), squares);
        }
    }
}

__device__ __forceinline__ void sae_token_done(SaeTokenSums sums, double squared_error, double squares, bool any,
                                               double* scratch) {
    squared_error = block_sum(squared_error, scratch);
    squares = block_sum(squares, scratch);
    if (threadIdx.x == 0) {
        sums.squared_error[blockIdx.x] = squared_error;
        sums.squares[blockIdx.x] = squares;
        sums.any[blockIdx.x] = any;
    }
}

} // namespace bs

// norms[j] = length of decoder row j. A warp to a row.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_norms_f32(const float* decoder, long long stride, int latents, int width, float* norms) {
    const int j = static_cast<int>(blockIdx.x) * bs::sae_warps + bs::warp_rank();
    if (j >= latents)
        return;
    double sum = 0;
    for (int i = bs::lane_rank(); i < width; i += bs::warp_size) {
        const double w = decoder[j * stride + i];
        sum = fma(w, w, sum);
    }
    sum = bs::warp_sum(sum);
    if (bs::lane_rank() == 0)
        norms[j] = static_cast<float>(sqrt(sum));
}

// Active pairs as bits, by token [tokens, words of latents] and by latent [latents, token_words]; sums of the chunk.
// Grid: words of latents x chunks of tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_classify_f32(bs::SaeTile tile, unsigned* by_token, unsigned* by_latent, int token_words,
                        bs::SaeLatentSums partial) {
    using namespace bs;
    __shared__ double penalties[sae_warps][sae_side];
    __shared__ int counts[3][sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank(), words = static_cast<int>(gridDim.x);
    const int j = static_cast<int>(blockIdx.x) * sae_side + lane,
              t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp) * sae_side;
    const bool mine = j < tile.latents;
    const SaeSquare square = sae_classify(tile.tokens - t0, mine, [&](int i, float& m, float& g) {
        m = tile.m(t0 + i, j);
        g = tile.g(t0 + i, j);
    });
    if (t0 + lane < tile.tokens)
        by_token[static_cast<long long>(t0 + lane) * words + blockIdx.x] = square.row;
    if (mine && t0 < tile.tokens)
        by_latent[static_cast<long long>(j) * token_words + t0 / sae_side] = square.column;
    penalties[warp][lane] = square.penalty;
    counts[0][warp][lane] = __popc(square.column);
    counts[1][warp][lane] = square.positive;
    counts[2][warp][lane] = square.open;
    __syncthreads();
    if (warp != 0 || !mine)
        return;
    double sum = 0;
    int used = 0, positive = 0, open = 0;
    for (int w = 0; w < sae_warps; w++) {
        sum += penalties[w][lane];
        used += counts[0][w][lane];
        positive += counts[1][w][lane];
        open += counts[2][w][lane];
    }
    const long long at = static_cast<long long>(blockIdx.y) * tile.latents + j;
    partial.penalty[at] = sum;
    partial.usage[at] = used;
    partial.positive[at] = positive;
    partial.open[at] = open;
}

// activations[t, j] = m where the pair is active: where its bit is set, or without bits where m > 0 and g > 0; else 0.
// Grid: blocks of latents x tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_activations_f32(bs::SaeTile tile, const unsigned* by_token, float* activations, long long stride) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), t = static_cast<int>(blockIdx.y);
    if (j >= tile.latents)
        return;
    activations[t * stride + j] = bs::sae_active(tile, by_token, t, j) ? tile.m(t, j) : 0.0f;
}

// error[t] = reconstruction - token from the active latents alone, in ascending order. A block to a token.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_decode_f32(bs::SaeTile tile, const unsigned* by_token, const float* decoder, long long decoder_stride,
                      const float* bias, const float* tokens, long long token_stride, int width, float* error,
                      long long error_stride, bs::SaeTokenSums sums) {
    using namespace bs;
    __shared__ SaeGather list;
    __shared__ double scratch[warp_size];
    const int t = static_cast<int>(blockIdx.x), words = sae_words(tile.latents);
    double squared_error = 0, squares = 0;
    int count = 0;
    for (int first = 0; first < width; first += sae_dims * sae_threads) {
        float sum[sae_dims] = {};
        count = sae_gather(
            by_token + static_cast<long long>(t) * words, words, [&](int j) { return tile.m(t, j); }, decoder,
            decoder_stride, first, width, sum, list);
        sae_residual(tokens + t * token_stride, bias, error + t * error_stride, first, width, sum, squared_error,
                     squares);
    }
    sae_token_done(sums, squared_error, squares, count > 0, scratch);
}

// The same for nested dictionaries, the first ends[p] latents each: reconstruction - token of the last, all of them, in
// `error`, and in nested[p] [tokens, width] the sum of this and of all larger ones, divided by their number. Latents
// follow residuals p where ends[p - 1] <= j < ends[p].
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_nested_decode_f32(bs::SaeTile tile, const unsigned* by_token, const float* decoder, long long decoder_stride,
                             const float* bias, const float* tokens, long long token_stride, int width, float* error,
                             const int* ends, int prefixes, float* nested, long long nested_stride,
                             bs::SaeTokenSums sums) {
    using namespace bs;
    __shared__ SaeGather list;
    __shared__ double scratch[warp_size];
    const int t = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x), words = sae_words(tile.latents);
    const long long row = static_cast<long long>(t) * width;
    const unsigned* mask = by_token + static_cast<long long>(t) * words;
    double squared_error = 0, squares = 0, all = 0;
    int count = 0;
    for (int first = 0; first < width; first += sae_dims * sae_threads) {
        float sum[sae_dims] = {};
        count = 0;
        int prefix = 0;
        const auto leave = [&] {
#pragma unroll
            for (int k = 0; k < sae_dims; k++) {
                const int i = first + k * sae_threads + thread;
                if (i < width) {
                    const float e = sum[k] + (bias[i] - tokens[t * token_stride + i]);
                    nested[prefix * nested_stride + row + i] = e;
                    all = fma(static_cast<double>(e), static_cast<double>(e), all);
                }
            }
            prefix++;
        };
        for (int start = 0; start < words; start += sae_threads) {
            const int total = sae_expand(mask, words, start, [&](int j) { return tile.m(t, j); }, list);
            for (int e = 0; e < total; e++) {
                while (list.index[e] >= ends[prefix])
                    leave();
                const float* from = decoder + list.index[e] * decoder_stride;
#pragma unroll
                for (int k = 0; k < sae_dims; k++) {
                    const int i = first + k * sae_threads + thread;
                    if (i < width)
                        sum[k] = fmaf(list.value[e], from[i], sum[k]);
                }
            }
            __syncthreads();
            count += total;
        }
        while (prefix < prefixes)
            leave();
        sae_residual(tokens + t * token_stride, bias, error + row, first, width, sum, squared_error, squares);
        // Every thread meets again the elements that it wrote.
        for (int i = first + thread; i < width && i < first + sae_dims * sae_threads; i += sae_threads) {
            float larger = 0;
            for (int p = prefixes - 1; p >= 0; p--) {
                float* to = nested + p * nested_stride + row + i;
                larger += *to;
                *to = larger / static_cast<float>(prefixes);
            }
        }
    }
    all = block_sum(all, scratch);
    if (thread == 0)
        sums.nested[t] = all;
    sae_token_done(sums, squared_error, squares, count > 0, scratch);
}

// As bs_sae_decode_f32 where `error` holds activations times decoder already.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_residual_f32(const unsigned* by_token, int words, const float* bias, const float* tokens,
                        long long token_stride, int width, float* error, long long error_stride,
                        bs::SaeTokenSums sums) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    const int t = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
    double squared_error = 0, squares = 0;
    for (int first = 0; first < width; first += sae_dims * sae_threads) {
        float sum[sae_dims] = {};
#pragma unroll
        for (int k = 0; k < sae_dims; k++) {
            const int i = first + k * sae_threads + thread;
            sum[k] = i < width ? error[t * error_stride + i] : 0.0f;
        }
        sae_residual(tokens + t * token_stride, bias, error + t * error_stride, first, width, sum, squared_error,
                     squares);
    }
    unsigned bits = 0;
    for (int word = thread; word < words; word += sae_threads)
        bits |= by_token[static_cast<long long>(t) * words + word];
    sae_token_done(sums, squared_error, squares, __syncthreads_or(bits != 0), scratch);
}
