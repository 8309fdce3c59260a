// What the architectures of autoencoders differ in once a pair of token and latent is known: which pairs have a
// gradient, and which one. One function serves the passes over all pairs of a tile and those over chosen pairs.
#pragma once
#include <bs/sae.cuh>

namespace bs {

// As SaeArchitecture and JumpReluLoss of the host.
enum class SaeKind : int { Gated, GatedOriginal, Relu, TopK, BatchTopK, JumpRelu, Matryoshka };
enum class SaeJumpLoss : int { L0, Tanh, QuadraticL0 };

struct SaeRule {
    SaeKind kind;
    SaeJumpLoss loss;
    float bandwidth; // of the window around g = 0; 0 for none
    float tanh_scale;
    float below; // weight of the pre-activation loss, per pair; 0 for none
    const unsigned char* dead;

    __device__ __forceinline__ bool tanh_penalty() const {
        return kind == SaeKind::JumpRelu && loss == SaeJumpLoss::Tanh;
    }
    __device__ __forceinline__ bool in_window(float g) const { return fabsf(g) < 0.5f * bandwidth; }
    __device__ __forceinline__ bool is_below(float g, int j) const { return below > 0 && g < 0 && dead[j] != 0; }

    // Whether a pair that is not active has a gradient of its own.
    __device__ __forceinline__ bool wanted(float m, float g, int j) const {
        switch (kind) {
        case SaeKind::Gated:
            return g > 0 || (m > 0 && in_window(g));
        case SaeKind::GatedOriginal:
            return g > 0;
        case SaeKind::JumpRelu:
            return in_window(g) || is_below(g, j);
        default:
            return false;
        }
    }
    // Whether its gradient contains the product of residual and decoder row.
    __device__ __forceinline__ bool follows_residual(bool active, float g) const { return active || in_window(g); }
};

// Derivatives of the loss by the magnitude and gate of a pair, and by scale or threshold of its latent.
struct SaePair {
    float magnitude, gate, extra;
    bool window;
};

// What a rule reads beside the tile.
struct SaeWeights {
    float penalty;  // coefficient of the sparsity penalty, per pair
    float norm;     // of the decoder row
    float exponent; // of the penalty on activations
};

// along: residual . decoder row, scaled. second: the same of the auxiliary residual of open gates.
__device__ __forceinline__ SaePair sae_pair(const SaeTile& tile, const SaeRule& rule, int t, int j, bool active,
                                            float along, float second, const SaeWeights& w,
                                            const SaeAuxiliary& auxiliary) {
    const float m = tile.m(t, j), g = tile.g(t, j), weight = w.penalty * w.norm;
    SaePair to{active ? along : 0.0f, 0.0f, 0.0f, false};
    switch (rule.kind) {
    case SaeKind::Gated: {
        const float2 gated = sae_straight_through(tile, t, j, along, weight, rule.bandwidth, auxiliary);
        to.magnitude = gated.x;
        to.gate = gated.y;
        return to;
    }
    case SaeKind::GatedOriginal:
        to.gate = g > 0 ? weight + second : 0.0f;
        to.extra = active ? along * (tile.magnitude[t * tile.stride + j] * tile.scale[j]) : 0.0f;
        return to;
    case SaeKind::Relu:
        if (active)
            to.magnitude += w.exponent == 1 ? weight : weight * w.exponent * powf(fmaxf(m, 1e-6f), w.exponent - 1);
        break;
    case SaeKind::JumpRelu: {
        const float threshold = tile.threshold[j];
        float whole = along;
        if (rule.loss == SaeJumpLoss::Tanh) {
            const float bend = active ? tanhf(rule.tanh_scale * m * w.norm) : 0.0f;
            whole = fmaf(weight * rule.tanh_scale, 1.0f - bend * bend, whole);
        }
        to.magnitude = active ? whole : 0.0f;
        to.window = rule.in_window(g);
        if (to.window)
            to.extra = -(threshold / rule.bandwidth) * whole;
        if (rule.is_below(g, j)) {
            to.magnitude -= rule.below * w.norm;
            to.extra = fmaf(rule.below, w.norm, to.extra);
        }
        break;
    }
    default:
        break;
    }
    to.magnitude += auxiliary.of(t, j);
    return to;
}

// Sums per latent of the batch.
struct SaeRuleSums {
    double *magnitude, *gate, *extra; // gradients
    double* slope;                    // derivative of the penalty by the row's length
    double* closed;                   // what dead latents lack to their thresholds
    int* window;                      // pairs in the window
};

// What the gradient of the encoder's product is: of one weight matrix for both parts, or of the magnitudes' own.
__device__ __forceinline__ float sae_encoder_part(const SaeTile& tile, int j, const SaePair& pair, bool tied) {
    const float own = tile.scale ? pair.magnitude * tile.scale[j] : pair.magnitude;
    return tied ? own + pair.gate : own;
}

} // namespace bs
