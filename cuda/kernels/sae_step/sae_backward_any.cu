// Backward pass of the paper's autoencoder over one tile, beside its products: the straight-through gradient element by
// element, the decoder gradient from active pairs, and the sums that leave the tile. Every sum has one owner and an
// order fixed by the shape. Floor: products and their gradient read once, the gradient written once.
#include <bs/sae.cuh>

// q [tokens, latents], the products of residuals and decoder rows, becomes dL/dm + dL/dg of a tied model; otherwise
// dL/dm, and `gate` [tokens, latents] gets dL/dg. Sums of both over the chunk. Grid: words of latents x chunks of
// tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_straight_through_f32(bs::SaeTile tile, float* q, float* gate, const float* norms,
                                const bs::SaeCoefficients* coefficients, float bandwidth, bs::SaeAuxiliary auxiliary,
                                bs::SaeLatentSums partial) {
    using namespace bs;
    __shared__ double of_magnitude[sae_warps][sae_side], of_gate[sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank();
    const int j = static_cast<int>(blockIdx.x) * sae_side + lane,
              t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp) * sae_side;
    const bool mine = j < tile.latents;
    const float penalty = mine ? coefficients->penalty * norms[j] : 0.0f;
    float sum_magnitude = 0, sum_gate = 0;
    for (int i = 0; mine && i < sae_side && t0 + i < tile.tokens; i++) {
        const long long at = (t0 + i) * tile.stride + j;
        const float2 to = sae_straight_through(tile, t0 + i, j, q[at], penalty, bandwidth, auxiliary);
        q[at] = gate ? to.x : to.x + to.y;
        if (gate)
            gate[at] = to.y;
        sum_magnitude += to.x;
        sum_gate += to.y;
    }
    of_magnitude[warp][lane] = sum_magnitude;
    of_gate[warp][lane] = sum_gate;
    __syncthreads();
    if (warp != 0 || !mine)
        return;
    double magnitude = 0, open = 0;
    for (int w = 0; w < sae_warps; w++) {
        magnitude += of_magnitude[w][lane];
        open += of_gate[w][lane];
    }
    const long long place = static_cast<long long>(blockIdx.y) * tile.latents + j;
    partial.magnitude[place] = magnitude;
    partial.gate[place] = open;
}

// gradient[j] (+)= scale * sum over the tokens on which latent j is active, in ascending order. A block to a latent.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_decoder_gradient_f32(bs::SaeTile tile, const unsigned* by_latent, int token_words, const float* error,
                                long long error_stride, int width, float scale, float* gradient,
                                long long gradient_stride, int first_tile) {
    using namespace bs;
    __shared__ SaeGather list;
    const int j = static_cast<int>(blockIdx.x);
    for (int first = 0; first < width; first += sae_dims * sae_threads) {
        float sum[sae_dims] = {};
        sae_gather(
            by_latent + static_cast<long long>(j) * token_words, sae_words(tile.tokens),
            [&](int t) { return tile.m(t, j); }, error, error_stride, first, width, sum, list);
#pragma unroll
        for (int k = 0; k < sae_dims; k++) {
            const int i = first + k * sae_threads + static_cast<int>(threadIdx.x);
            if (i < width) {
                float* to = gradient + j * gradient_stride + i;
                *to = first_tile ? scale * sum[k] : fmaf(scale, sum[k], *to);
            }
        }
    }
}

// Column sums of tokens and residuals over chunks [chunks, width]. Grid: blocks of 32 dimensions x chunks.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_token_columns_f32(const float* tokens, long long token_stride, const float* error, long long error_stride,
                             int rows, int width, double* token_partial, double* error_partial) {
    using namespace bs;
    __shared__ double of_tokens[sae_warps][sae_side], of_errors[sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank(), i = static_cast<int>(blockIdx.x) * sae_side + lane;
    const int t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp) * sae_side;
    double x = 0, e = 0;
    for (int t = t0; i < width && t < t0 + sae_side && t < rows; t++) {
        x += tokens[t * token_stride + i];
        e += error[t * error_stride + i];
    }
    of_tokens[warp][lane] = x;
    of_errors[warp][lane] = e;
    __syncthreads();
    if (warp != 0 || i >= width)
        return;
    x = e = 0;
    for (int w = 0; w < sae_warps; w++) {
        x += of_tokens[w][lane];
        e += of_errors[w][lane];
    }
    token_partial[static_cast<long long>(blockIdx.y) * width + i] = x;
    error_partial[static_cast<long long>(blockIdx.y) * width + i] = e;
}

// Adds the chunks of a tile, in order, to the sums of the batch: forward and backward ones of latents, 0 where there
// was no such pass, and those of dimensions. A thread to a latent, then one to a dimension.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_join_columns(bs::SaeLatentSums partial, bs::SaeLatentSums total, int latents, const double* token_partial,
                        const double* error_partial, double* token_total, double* error_total, int width, int forward,
                        int backward, int chunks, int first_tile) {
    const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (at < latents) {
        double penalty = 0, magnitude = 0, gate = 0;
        int usage = 0, positive = 0, open = 0;
        if (!first_tile) {
            penalty = total.penalty[at], usage = total.usage[at], positive = total.positive[at], open = total.open[at];
            magnitude = total.magnitude[at], gate = total.gate[at];
        }
        for (int c = 0; c < forward; c++) {
            const long long from = static_cast<long long>(c) * latents + at;
            penalty += partial.penalty[from];
            usage += partial.usage[from];
            positive += partial.positive[from];
            open += partial.open[from];
        }
        for (int c = 0; c < backward; c++) {
            const long long from = static_cast<long long>(c) * latents + at;
            magnitude += partial.magnitude[from];
            gate += partial.gate[from];
        }
        total.penalty[at] = penalty, total.usage[at] = usage, total.positive[at] = positive, total.open[at] = open;
        total.magnitude[at] = magnitude, total.gate[at] = gate;
    } else if (at - latents < width) {
        const int i = at - latents;
        double x = first_tile ? 0.0 : token_total[i], e = first_tile ? 0.0 : error_total[i];
        for (int c = 0; c < chunks; c++) {
            x += token_partial[static_cast<long long>(c) * width + i];
            e += error_partial[static_cast<long long>(c) * width + i];
        }
        token_total[i] = x;
        error_total[i] = e;
    }
}

// Adds the tokens of a tile to the sums of the batch. One block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_join_tokens(bs::SaeTokenSums sums, int tokens, bs::SaeStatistics* statistics, int first_tile,
                       int auxiliary) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    double squared_error = 0, squares = 0, aux = 0, nested = 0;
    int any = 0, auxiliary_any = 0;
    for (int t = static_cast<int>(threadIdx.x); t < tokens; t += static_cast<int>(blockDim.x)) {
        squared_error += sums.squared_error[t];
        squares += sums.squares[t];
        any += sums.any[t];
        if (auxiliary) {
            aux += sums.auxiliary[t];
            auxiliary_any |= sums.auxiliary_any[t];
        }
        if (sums.nested)
            nested += sums.nested[t];
    }
    squared_error = block_sum(squared_error, scratch);
    squares = block_sum(squares, scratch);
    aux = block_sum(aux, scratch);
    nested = block_sum(nested, scratch);
    const double with_active = block_sum(static_cast<double>(any), scratch);
    auxiliary_any = __syncthreads_or(auxiliary_any);
    if (threadIdx.x != 0)
        return;
    SaeStatistics& s = *statistics;
    s.squared_error = (first_tile ? 0.0 : s.squared_error) + squared_error;
    s.squares = (first_tile ? 0.0 : s.squares) + squares;
    s.auxiliary = (first_tile ? 0.0 : s.auxiliary) + aux;
    s.nested = (first_tile ? 0.0 : s.nested) + nested;
    s.with_active = (first_tile ? 0 : s.with_active) + static_cast<long long>(with_active);
    s.auxiliary_any = (first_tile ? 0 : s.auxiliary_any) | auxiliary_any;
}

// After the last tile: counts and penalty of the batch, gradients of the biases (where there is a place for them). One
// block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_finish_f32(bs::SaeLatentSums total, const float* norms, int latents, const double* token_total,
                      const double* error_total, int width, double tokens, double residual_scale, float* magnitude_bias,
                      float* gate_bias, float* decoder_bias, bs::SaeStatistics* statistics) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    __shared__ long long integers[warp_size];
    double sparsity = 0, means = 0;
    long long active = 0, positive = 0, open = 0;
    for (int j = static_cast<int>(threadIdx.x); j < latents; j += static_cast<int>(blockDim.x)) {
        sparsity += total.penalty[j] * norms[j];
        active += total.usage[j];
        positive += total.positive[j];
        open += total.open[j];
        if (magnitude_bias) {
            magnitude_bias[j] = static_cast<float>(total.magnitude[j]);
            gate_bias[j] = static_cast<float>(total.gate[j]);
        }
    }
    for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x)) {
        means += token_total[i] * token_total[i];
        if (decoder_bias)
            decoder_bias[i] = static_cast<float>(residual_scale * error_total[i]);
    }
    sparsity = block_sum(sparsity, scratch);
    means = block_sum(means, scratch);
    active = block_sum(active, integers);
    positive = block_sum(positive, integers);
    open = block_sum(open, integers);
    if (threadIdx.x != 0)
        return;
    SaeStatistics& s = *statistics;
    s.sparsity = sparsity;
    s.mean_squares = means / tokens;
    s.active = active;
    s.positive = positive;
    s.open = open;
}

// usage[j] <- decay usage[j] + rest * share of the batch's tokens on which latent j is active.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_usage_f32(const int* counts, int latents, float tokens, float decay, float rest, float* usage) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j < latents)
        usage[j] = usage[j] * decay + rest * (static_cast<float>(counts[j]) / tokens);
}
