// What is done with the products of an autoencoder while a tile of them lies in shared memory: SIDE tokens x
// SIDE latents, rows SIDE + 8 apart, sums behind it. For all of `warps` warps, which meet in sync().
#pragma once
#include <bs/sae.cuh>

namespace bs {

template <int side, int warps, class Sync> struct SaeProductTile {
    static constexpr int squares = side / sae_side, pitch = side + 8;
    float* memory;
    int first_token, first_latent;
    Sync sync;

    // The product of tokens and weights, which also goes to `product`: of a tied model for both parts, otherwise of the
    // gate, with the magnitudes in tile.magnitude. Active pairs as bits, sums of this block of tokens.
    __device__ __forceinline__ void encode(const SaeTile& tile, float* product, bool tied, unsigned* by_token,
                                           int words, unsigned* by_latent, int token_words,
                                           const SaeLatentSums& partial) const {
        // Behind the finished tile.
        auto* penalties = reinterpret_cast<double(*)[side]>(memory + side * pitch);
        auto* counts = reinterpret_cast<int(*)[squares][side]>(penalties + squares);
        for (int s = warp_rank(); s < squares * squares; s += warps) {
            const int down = s / squares, lane = lane_rank(), own = s % squares * sae_side + lane;
            const int t0 = first_token + down * sae_side, j = first_latent + own;
            const bool mine = j < tile.latents;
            const float magnitude_bias = mine ? tile.magnitude_bias[j] : 0.0f,
                        gate_bias = mine ? tile.gate_bias[j] : 0.0f,
                        magnitude_scale = mine && tile.scale ? tile.scale[j] : 1.0f,
                        threshold = mine && tile.threshold ? tile.threshold[j] : 0.0f;
            const SaeSquare square = sae_classify(tile.tokens - t0, mine, [&](int i, float& m, float& g) {
                const float z = memory[(down * sae_side + i) * pitch + own];
                const long long at = (t0 + i) * tile.stride + j;
                // Exactly the product and the bias where there is neither scale nor threshold.
                m = fmaf(tied ? z : tile.magnitude[at], magnitude_scale, magnitude_bias);
                g = z + gate_bias - threshold;
                product[at] = z;
            });
            if (t0 + lane < tile.tokens && first_latent + s % squares * sae_side < tile.latents)
                by_token[static_cast<long long>(t0 + lane) * words + first_latent / sae_side + s % squares] =
                    square.row;
            if (mine && t0 < tile.tokens)
                by_latent[static_cast<long long>(j) * token_words + t0 / sae_side] = square.column;
            penalties[down][own] = square.penalty;
            counts[0][down][own] = __popc(square.column);
            counts[1][down][own] = square.positive;
            counts[2][down][own] = square.open;
        }
        sync();
        const int own = thread_rank(), j = first_latent + own;
        if (own >= side || j >= tile.latents)
            return;
        double sum = 0;
        int used = 0, positive = 0, open = 0;
        for (int down = 0; down < squares; down++) {
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

    // The product of residuals and decoder rows, times scale: the straight-through gradient in its place in `q` and
    // `gate`, and its sums.
    __device__ __forceinline__ void differentiate(const SaeTile& tile, float scale, float* q, float* gate,
                                                  const float* norms, float penalty_of_pair, float bandwidth,
                                                  const SaeAuxiliary& auxiliary, const SaeLatentSums& partial) const {
        auto* of_magnitude = reinterpret_cast<double(*)[side]>(memory + side * pitch);
        auto* of_gate = of_magnitude + squares;
        for (int s = warp_rank(); s < squares * squares; s += warps) {
            const int down = s / squares, own = s % squares * sae_side + lane_rank();
            const int t0 = first_token + down * sae_side, j = first_latent + own;
            const bool mine = j < tile.latents;
            const float penalty = mine ? penalty_of_pair * norms[j] : 0.0f;
            float sum_magnitude = 0, sum_gate = 0;
            for (int i = 0; mine && i < sae_side && t0 + i < tile.tokens; i++) {
                const long long at = (t0 + i) * tile.stride + j;
                // Rounded before anything is added, as where the product comes from memory.
                const float along = __fmul_rn(scale, memory[(down * sae_side + i) * pitch + own]);
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
        sync();
        const int own = thread_rank(), j = first_latent + own;
        if (own >= side || j >= tile.latents)
            return;
        double magnitude = 0, open = 0;
        for (int down = 0; down < squares; down++) {
            magnitude += of_magnitude[down][own];
            open += of_gate[down][own];
        }
        const long long place = static_cast<long long>(blockIdx.x) * tile.latents + j;
        partial.magnitude[place] = magnitude;
        partial.gate[place] = open;
    }
};

} // namespace bs
