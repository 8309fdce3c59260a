// Networks trained side by side (src/Kernels/MlpBank): where their arrays lie, which rows of which network a block
// works on, and which units are dropped. Laid out as in src/Kernels/MlpBank/MlpCudaTypes.cs.
#pragma once
#include <bs/device.cuh>
#include <bs/philox.cuh>

namespace bs {

// What a batch is for; the rows of a network are those to fit, then those that validate, then those to test on.
constexpr int mlp_train = 0, mlp_validate = 1, mlp_test = 2;

struct MlpSlot {
    int fitted, count, active, unused;
    unsigned long long stream, steps;
};

// One layer: batch normalisation of `width` columns, then a product with weights [width, next]. Offsets into a
// network's parameters, running statistics or working memory; rows of working memory are pitch or next_pitch elements
// apart.
struct MlpLayer {
    int number, width, next, pitch, next_pitch, last;
    long long gamma, beta, weight, bias; // parameters
    long long running;                   // running means, then variances
    long long input;                     // activations of the layer below; of the first layer nothing
    long long normalised, output, inverse;
    long long made;     // activations, of the last layer residuals or predictions
    long long above;    // the loss's gradient by what was made, but for a factor in the last layer
    long long gradient; // the loss's gradient by the input
};

struct MlpState {
    const float* x; // [n, inputs]
    const float* y; // [n, outputs]
    const int* rows;
    const int* order; // [slots, n] each
    const MlpSlot* slots;
    const double* factors; // [steps of an epoch, slots, 2]: Adam's step size and the root of its correction
    float* parameters;
    float* gradients;
    float* first;
    float* second;
    float* running;
    float* scale;   // [slots, 2, outputs]: minus the inverse deviation, mean by deviation
    double* ranges; // [slots, 4, outputs]: mean, deviation, least, most
    double* norms;  // [slots, runs of the gradient]
    double* losses; // [slots, parts of the validation]
    double* errors; // [slots, outputs]
    float* work;
    long long parameter_stride, running_stride, work_stride;
    int n, inputs, outputs, hidden, batch, slot_count, runs, parts;
    unsigned long long seed;
    double weight_decay, gradient_clip, clip_margin;
    float kept;
    unsigned threshold;
};

// Rows first ... first + count - 1 of a network's list.
struct MlpBatch {
    int first, count;
};

__device__ __forceinline__ MlpBatch mlp_batch(const MlpState& s, int purpose, int step) {
    const MlpSlot slot = s.slots[blockIdx.z];
    const int begin = purpose == mlp_train ? 0 : purpose == mlp_validate ? slot.fitted : slot.count;
    const int end = purpose == mlp_train ? slot.fitted : purpose == mlp_validate ? slot.count : s.n;
    const long long first = begin + static_cast<long long>(step) * s.batch;
    const long long left = end - first;
    int count = !slot.active || left <= 0 ? 0 : static_cast<int>(left < s.batch ? left : s.batch);
    if (purpose == mlp_train && count < 2)
        count = 0; // a single row has no variance
    return MlpBatch{static_cast<int>(first), count};
}

__device__ __forceinline__ const int* mlp_rows(const MlpState& s, MlpBatch batch) {
    return s.rows + static_cast<long long>(blockIdx.z) * s.n + batch.first;
}
__device__ __forceinline__ const float* mlp_target(const MlpState& s, int row) {
    return s.y + static_cast<long long>(s.order[static_cast<long long>(blockIdx.z) * s.n + row]) * s.outputs;
}
__device__ __forceinline__ float* mlp_work(const MlpState& s) {
    return s.work + blockIdx.z * s.work_stride;
}
__device__ __forceinline__ float* mlp_parameters(const MlpState& s) {
    return s.parameters + blockIdx.z * s.parameter_stride;
}
__device__ __forceinline__ float* mlp_gradients(const MlpState& s) {
    return s.gradients + blockIdx.z * s.parameter_stride;
}

// The mean squared error's factor, which the gradient above the last layer lacks.
__device__ __forceinline__ float mlp_loss_factor(const MlpState& s, const MlpLayer& l, int rows) {
    return l.last ? static_cast<float>(2.0 / (static_cast<double>(rows) * s.outputs)) : 1.0f;
}

// What two neighbouring units (the first one even) of a row of the batch are multiplied by: 0 where they are dropped.
__device__ __forceinline__ void mlp_keep(const MlpState& s, const MlpSlot& slot, int layer, int step, int row, int unit,
                                         float (&keep)[2]) {
    const unsigned long long blocks = static_cast<unsigned long long>((s.hidden + 3) / 4);
    const unsigned long long line = ((slot.steps + step) * 2 + layer) * static_cast<unsigned long long>(s.batch) + row;
    unsigned words[4];
    philox(s.seed, slot.stream, line * blocks + unit / 4, words);
    const bool last = unit % 4 != 0; // a position serves four units
    keep[0] = (last ? words[2] : words[0]) < s.threshold ? 0.0f : s.kept;
    keep[1] = (last ? words[3] : words[1]) < s.threshold ? 0.0f : s.kept;
}

} // namespace bs
