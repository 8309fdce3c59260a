// What the kernels of the autoencoders share: one tile of tokens, its sums, and the gather along a bit mask.
// A tile is cut into squares of 32 tokens x 32 latents, a warp to a square with a lane to a latent, and chunks of 256
// tokens, a block of eight warps to a chunk of 32 latents. Sets of pairs are bit masks, kept by token and by latent:
// both are lists in ascending order, whatever their number, and need no space for the worst case.
#pragma once
#include <bs/reduce.cuh>

namespace bs {

constexpr int sae_side = 32;     // tokens and latents of a square
constexpr int sae_warps = 8;     // squares of a block
constexpr int sae_chunk = 256;   // tokens of one partial sum
constexpr int sae_threads = 128; // of blocks that own a token or a latent
constexpr int sae_dims = 4;      // input dimensions of one of those threads at a time

// Products of one tile [tokens, latents] without their biases; where no gate has weights of its own there is one
// product for both. A pair is active where m > 0 and g > 0: without a gate g is m, with a threshold m less the
// threshold.
struct SaeTile {
    const float* magnitude;
    const float* gate;
    const float* magnitude_bias;
    const float* gate_bias;
    const float* scale;     // of the magnitudes' product, by latent; null for 1
    const float* threshold; // of the gate, by latent; null for 0
    long long stride;
    int tokens, latents;

    __device__ __forceinline__ float m_of(float product, int j) const {
        return scale ? fmaf(product, scale[j], magnitude_bias[j]) : product + magnitude_bias[j];
    }
    __device__ __forceinline__ float g_of(float product, int j) const {
        const float g = product + gate_bias[j];
        return threshold ? g - threshold[j] : g;
    }
    __device__ __forceinline__ float m(int t, int j) const { return m_of(magnitude[t * stride + j], j); }
    __device__ __forceinline__ float g(int t, int j) const { return g_of(gate[t * stride + j], j); }
};

// Whether a pair is active: by its bit, or without bits by its pre-activations.
__device__ __forceinline__ bool sae_active(const SaeTile& tile, const unsigned* by_token, int t, int j) {
    if (by_token)
        return (by_token[static_cast<long long>(t) * ((tile.latents + 31) / 32) + j / 32] >> j % 32 & 1u) != 0;
    return tile.m(t, j) > 0 && tile.g(t, j) > 0;
}

// What changes from step to step.
struct SaeCoefficients {
    float penalty; // of the sparsity penalty, per pair
    float decay;   // 1 - lr * weight decay
    float rate;    // lr / (1 - beta1^t)
    float root;    // 1 / sqrt(1 - beta2^t)
    int step;
    float exponent; // of the penalty on activations
    int unused[2];
};

// Sums per latent: of a chunk [chunks, latents], or of the batch [latents].
struct SaeLatentSums {
    double *penalty, *magnitude, *gate;
    int *usage, *positive, *open;
};

// Sums per token of the tile.
struct SaeTokenSums {
    double *squared_error, *squares, *auxiliary;
    int *any, *auxiliary_any;
    double* nested; // over all prefixes; null where there is one
};

// Sums of the batch; laid out as on the host.
struct SaeStatistics {
    double squared_error, squares, auxiliary, sparsity, mean_squares, norm;
    long long active, positive, open, with_active, auxiliary_any;
    long long diverged; // first step with a loss or norm that is not finite, -1 for none
    double nested;      // squared errors of all prefixes
    double closed;      // pre-activations of dead latents below their thresholds, times row lengths
    float smallest;     // activation that was selected, 0 for none
    int unused;
};

__device__ __forceinline__ int sae_words(int items) {
    return ceil_divide(items, sae_side);
}

__device__ __forceinline__ bool sae_finite(double x) {
    return fabs(x) < infinity_double();
}

// Exclusive prefix sum over the threads of the block; `scratch` is one element per warp.
template <class T> __device__ __forceinline__ T block_prefix(T v, T* scratch, T& total) {
    const int lane = lane_rank(), warp = warp_rank(), warps = static_cast<int>(blockDim.x) / warp_size;
    T sum = v;
#pragma unroll
    for (int step = 1; step < warp_size; step *= 2) {
        const T other = __shfl_up_sync(full_warp, sum, step);
        sum += lane >= step ? other : T(0);
    }
    if (lane == warp_size - 1)
        scratch[warp] = sum;
    __syncthreads();
    T before = 0;
    total = 0;
    for (int w = 0; w < warps; w++) {
        before += w < warp ? scratch[w] : T(0);
        total += scratch[w];
    }
    __syncthreads();
    return before + sum - v;
}

struct SaeGather {
    int index[sae_threads * 32];
    float value[sae_threads * 32];
    int scratch[sae_threads / warp_size];
};

// Set bits of 128 words of a mask from `start` on, in ascending order, with their values. All threads of a block of 128
// take part. Returns how many there are.
template <class Value>
__device__ __forceinline__ int sae_expand(const unsigned* mask, int words, int start, Value value, SaeGather& list) {
    const int thread = static_cast<int>(threadIdx.x);
    unsigned word = start + thread < words ? mask[start + thread] : 0u;
    int total;
    int place = block_prefix(__popc(word), list.scratch, total);
    for (; word != 0; word &= word - 1) {
        const int i = (start + thread) * 32 + __ffs(static_cast<int>(word)) - 1;
        list.index[place] = i;
        list.value[place++] = value(i);
    }
    __syncthreads();
    return total;
}

// sum[k] += value(i) * rows[i, first + thread + 128 k] over the set bits i of a mask, in ascending order. All threads
// of a block of 128 take part. Returns how many bits are set.
template <class Value>
__device__ __forceinline__ int sae_gather(const unsigned* mask, int words, Value value, const float* rows,
                                          long long stride, int first, int width, float (&sum)[sae_dims],
                                          SaeGather& list) {
    const int thread = static_cast<int>(threadIdx.x);
    int count = 0;
    for (int start = 0; start < words; start += sae_threads) {
        const int total = sae_expand(mask, words, start, value, list);
#pragma unroll 4
        for (int e = 0; e < total; e++) {
            const float* row = rows + list.index[e] * stride;
            const float v = list.value[e];
#pragma unroll
            for (int k = 0; k < sae_dims; k++) {
                const int i = first + k * sae_threads + thread;
                if (i < width)
                    sum[k] = fmaf(v, row[i], sum[k]);
            }
        }
        __syncthreads();
        count += total;
    }
    return count;
}

// What a warp learns of a square: bits of active pairs by token (lane = token) and by latent (lane = latent), counts
// and the penalty of the lane's latent.
struct SaeSquare {
    unsigned row, column;
    int positive, open;
    float penalty;
};

// values(i, m, g) gives the pre-activations of the square's token i and the lane's latent. Whole warp.
template <class Values> __device__ __forceinline__ SaeSquare sae_classify(int tokens, bool mine, Values values) {
    SaeSquare s{0u, 0u, 0, 0, 0.0f};
    const int lane = lane_rank();
    for (int i = 0; i < sae_side && i < tokens; i++) {
        float m = 0, g = 0;
        if (mine)
            values(i, m, g);
        const unsigned bits = __ballot_sync(full_warp, m > 0 && g > 0);
        s.row = lane == i ? bits : s.row;
        s.column |= (bits >> lane & 1u) << i;
        s.positive += m > 0;
        s.open += g > 0;
        s.penalty += g > 0 ? g : 0.0f;
    }
    return s;
}

// Chosen auxiliary pairs: as bits [tokens, words], and in lists [tokens, kept] of latents and gradients.
struct SaeAuxiliary {
    const unsigned* chosen;
    const int *index, *count;
    const float* gradient;
    int words, kept, anywhere; // anywhere: also active pairs may be chosen

    // Gradient of a pair, by its magnitude.
    __device__ __forceinline__ float of(int t, int j) const {
        if (kept == 0 || (chosen[static_cast<long long>(t) * words + j / 32] >> j % 32 & 1u) == 0)
            return 0.0f;
        const int* own = index + static_cast<long long>(t) * kept;
        int low = 0;
        for (int high = count[t]; low + 1 < high;) {
            const int middle = (low + high) / 2;
            (own[middle] <= j ? low : high) = middle;
        }
        return gradient[static_cast<long long>(t) * kept + low];
    }
};

// Derivative of the gate: of the sigmoid, or a rectangle of the given width where that is positive.
__device__ __forceinline__ float sae_slope(float g, float bandwidth) {
    if (bandwidth > 0)
        return fabsf(g) < 0.5f * bandwidth ? 1.0f / bandwidth : 0.0f;
    const float e = expf(-fabsf(g));
    return e / fmaf(e, 2.0f + e, 1.0f); // e / (1 + e)^2
}

// Gradients of one pair: x by the magnitude, y by the gate. along: residual . decoder row, scaled.
__device__ __forceinline__ float2 sae_straight_through(const SaeTile& tile, int t, int j, float along, float penalty,
                                                       float bandwidth, const SaeAuxiliary& auxiliary) {
    const float m = tile.m(t, j), g = tile.g(t, j);
    float2 to = make_float2(0.0f, 0.0f);
    if (m > 0)
        to.y = along * m * sae_slope(g, bandwidth);
    if (g > 0) {
        to.y += penalty;
        to.x = m > 0 ? along : 0.0f;
        if (auxiliary.anywhere)
            to.x += auxiliary.of(t, j);
    } else {
        to.x = auxiliary.of(t, j);
    }
    return to;
}

} // namespace bs
