// What the architectures beside the paper's need around their passes: the gradient of all pairs of a tile, penalties
// along active pairs, the sums that leave a batch, and the state that follows them. Floor: the tile read once for the
// first, active pairs for the second; the others are sizes of the model.
#include <bs/sae_rule.cuh>

// factor[j] = exp(logarithm[j]).
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_scales_f32(const float* logarithm, int latents, float* factor) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j < latents)
        factor[j] = expf(logarithm[j]);
}

// to = tokens - bias, contiguous. Grid: blocks of dimensions x tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_subtract_f32(const float* tokens, long long stride, const float* bias, int width, float* to) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const long long t = blockIdx.y;
    if (i < width)
        to[t * width + i] = tokens[t * stride + i] - bias[i];
}

// As bs_sae_straight_through_f32 for the other architectures: q [tokens, latents], the products of residuals and
// decoder rows, becomes the gradient of the encoder's product; `second` are the products of the auxiliary residual of
// open gates, or null. Sums of the batch. Grid: words of latents.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_differentiate_f32(bs::SaeTile tile, bs::SaeRule rule, float* q, const float* second, const float* norms,
                             const bs::SaeCoefficients* coefficients, bs::SaeAuxiliary auxiliary, bs::SaeRuleSums sums,
                             int first_tile) {
    using namespace bs;
    __shared__ double parts[3][sae_warps][sae_side];
    __shared__ int windows[sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank(), j = static_cast<int>(blockIdx.x) * sae_side + lane;
    const bool mine = j < tile.latents;
    const SaeWeights weights{coefficients->penalty, mine ? norms[j] : 0.0f, coefficients->exponent};
    double magnitude = 0, gate = 0, extra = 0;
    int window = 0;
    for (int t0 = warp * sae_side; t0 < tile.tokens; t0 += sae_warps * sae_side)
        for (int t = t0; mine && t < t0 + sae_side && t < tile.tokens; t++) {
            const long long at = t * tile.stride + j;
            const bool active = tile.m(t, j) > 0 && tile.g(t, j) > 0;
            const SaePair pair =
                sae_pair(tile, rule, t, j, active, q[at], second ? second[at] : 0.0f, weights, auxiliary);
            q[at] = sae_encoder_part(tile, j, pair, true);
            magnitude += pair.magnitude;
            gate += pair.gate;
            extra += pair.extra;
            window += pair.window;
        }
    parts[0][warp][lane] = magnitude;
    parts[1][warp][lane] = gate;
    parts[2][warp][lane] = extra;
    windows[warp][lane] = window;
    __syncthreads();
    if (warp != 0 || !mine)
        return;
    magnitude = first_tile ? 0.0 : sums.magnitude[j];
    gate = first_tile ? 0.0 : sums.gate[j];
    extra = first_tile ? 0.0 : sums.extra[j];
    window = first_tile ? 0 : sums.window[j];
    for (int w = 0; w < sae_warps; w++) {
        magnitude += parts[0][w][lane];
        gate += parts[1][w][lane];
        extra += parts[2][w][lane];
        window += windows[w][lane];
    }
    sums.magnitude[j] = magnitude;
    sums.gate[j] = gate;
    sums.extra[j] = extra;
    sums.window[j] = window;
}

// Penalties that are not linear in the pre-activation, along the active pairs of a latent, and what a dead latent lacks
// to its threshold. A block to a latent.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_penalty_f32(bs::SaeTile tile, bs::SaeRule rule, const unsigned* by_latent, int token_words,
                       const float* norms, const bs::SaeCoefficients* coefficients, double* penalty,
                       bs::SaeRuleSums sums, int first_tile) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    const int j = static_cast<int>(blockIdx.x), words = sae_words(tile.tokens);
    const float exponent = coefficients->exponent, steep = rule.tanh_scale * norms[j];
    double sum = 0, slope = 0, closed = 0;
    for (int word = static_cast<int>(threadIdx.x); word < words; word += sae_threads)
        for (unsigned bits = by_latent[static_cast<long long>(j) * token_words + word]; bits != 0; bits &= bits - 1) {
            const float a = tile.m(word * 32 + __ffs(static_cast<int>(bits)) - 1, j);
            if (rule.tanh_penalty()) {
                const float bend = tanhf(steep * a);
                sum += bend;
                slope += rule.tanh_scale * a * (1.0f - bend * bend);
            } else {
                sum += exponent == 1 ? a : powf(a, exponent);
            }
        }
    for (int t = static_cast<int>(threadIdx.x); rule.below > 0 && rule.dead[j] != 0 && t < tile.tokens;
         t += sae_threads)
        closed += fmaxf(-tile.g(t, j), 0.0f);
    sum = block_sum(sum, scratch);
    slope = block_sum(slope, scratch);
    closed = block_sum(closed, scratch);
    if (threadIdx.x != 0)
        return;
    penalty[j] = (first_tile ? 0.0 : penalty[j]) + sum;
    sums.slope[j] = (first_tile ? 0.0 : sums.slope[j]) + slope;
    sums.closed[j] = (first_tile ? 0.0 : sums.closed[j]) + closed;
}

namespace bs {

// Where the gradients of vectors go; null where an architecture has none.
struct SaeVectorGradients {
    float *encoder_bias, *gate_bias, *scale, *threshold, *decoder_bias;
};

} // namespace bs

// After the last tile: counts and penalties of the batch, gradients of all vectors. One block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_rule_finish_f32(bs::SaeRule rule, bs::SaeLatentSums total, bs::SaeRuleSums sums, const float* norms,
                           int latents, const double* token_total, const double* error_total, int width, double tokens,
                           double residual_scale, double target, const bs::SaeCoefficients* coefficients,
                           bs::SaeVectorGradients to, bs::SaeStatistics* statistics) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    __shared__ long long integers[warp_size];
    const bool jump = rule.kind == SaeKind::JumpRelu, count = jump && rule.loss != SaeJumpLoss::Tanh;
    double sparsity = 0, closed = 0, means = 0;
    long long active = 0, positive = 0, open = 0;
    for (int j = static_cast<int>(threadIdx.x); j < latents; j += static_cast<int>(blockDim.x)) {
        if (rule.kind <= SaeKind::Relu)
            sparsity += total.penalty[j] * norms[j];
        else if (jump)
            sparsity += count ? static_cast<double>(total.usage[j]) : total.penalty[j];
        closed += rule.below > 0 ? sums.closed[j] * norms[j] : 0.0;
        active += total.usage[j];
        positive += total.positive[j];
        open += total.open[j];
        if (to.encoder_bias)
            to.encoder_bias[j] = static_cast<float>(sums.magnitude[j]);
        if (to.gate_bias)
            to.gate_bias[j] = static_cast<float>(sums.gate[j]);
        if (to.scale)
            to.scale[j] = static_cast<float>(sums.extra[j]);
    }
    for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x)) {
        means += token_total[i] * token_total[i];
        if (to.decoder_bias)
            to.decoder_bias[i] = static_cast<float>(residual_scale * error_total[i]);
    }
    sparsity = block_sum(sparsity, scratch);
    closed = block_sum(closed, scratch);
    means = block_sum(means, scratch);
    active = block_sum(active, integers);
    positive = block_sum(positive, integers);
    open = block_sum(open, integers);
    // The step of a latent counts in L0 by the same rectangle; how much follows from the L0 of the whole batch.
    double step = count ? static_cast<double>(coefficients->penalty) : 0.0;
    if (count && rule.loss == SaeJumpLoss::QuadraticL0)
        step *= 2.0 * (static_cast<double>(active) / tokens / target - 1.0) / target;
    for (int j = static_cast<int>(threadIdx.x); to.threshold && j < latents; j += static_cast<int>(blockDim.x))
        to.threshold[j] = jump ? static_cast<float>(sums.extra[j] - step / rule.bandwidth * sums.window[j]) : 0.0f;
    if (threadIdx.x != 0)
        return;
    SaeStatistics& s = *statistics;
    s.sparsity = sparsity;
    s.closed = closed;
    s.mean_squares = means / tokens;
    s.active = active;
    s.positive = positive;
    s.open = open;
}

// gradient[j] += (what the penalties gain by the length of row j) * row / length. A block to a row.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_length_f32(bs::SaeRule rule, const double* penalty, bs::SaeRuleSums sums, const float* norms,
                      const bs::SaeCoefficients* coefficients, const float* decoder, long long decoder_stride,
                      int width, float* gradient, long long gradient_stride) {
    using namespace bs;
    const int j = static_cast<int>(blockIdx.x);
    double by_length = coefficients->penalty * (rule.tanh_penalty() ? sums.slope[j] : penalty[j]);
    if (rule.below > 0)
        by_length += rule.below * sums.closed[j];
    const float factor = norms[j] > 0 ? static_cast<float>(by_length / norms[j]) : 0.0f;
    for (int i = static_cast<int>(threadIdx.x); i < width; i += sae_threads) {
        float* to = gradient + j * gradient_stride + i;
        *to = fmaf(factor, decoder[j * decoder_stride + i], *to);
    }
}

// The encoder sees tokens less the decoder's bias: gradient[i] -= encoder row i . sums of the gradient of its product,
// to which the magnitudes bring a factor by latent (or 1) and, with `both`, the gates their own. A block to a
// dimension.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_centre_gradient_f32(const float* encoder, long long stride, int latents, const double* magnitude,
                               const float* scale, const double* gate, int both, float* gradient) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    double sum = 0;
    for (int j = static_cast<int>(threadIdx.x); j < latents; j += sae_threads) {
        double by_product = magnitude[j] * (scale ? static_cast<double>(scale[j]) : 1.0);
        if (both)
            by_product += gate[j];
        sum = fma(static_cast<double>(encoder[blockIdx.x * stride + j]), by_product, sum);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        gradient[blockIdx.x] -= static_cast<float>(sum);
}

// Tokens since each latent fired, and which of them count as dead.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_dead(const int* counts, int latents, long long tokens, long long dead_after, long long* since,
                unsigned char* dead) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j >= latents)
        return;
    const long long now = counts[j] > 0 ? 0 : since[j] + tokens;
    since[j] = now;
    dead[j] = now >= dead_after;
}

// threshold <- decay threshold + (1 - decay) * the smallest activation selected; that itself at the first step.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_threshold_f32(const bs::SaeStatistics* statistics, const bs::SaeCoefficients* coefficients, int latents,
                         double decay, float* threshold) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j >= latents)
        return;
    const double smallest = statistics->smallest;
    threshold[j] = static_cast<float>(
        coefficients->step == 0 ? smallest : decay * static_cast<double>(threshold[j]) + (1.0 - decay) * smallest);
}
