// The products of networks trained side by side, on the tensor cores in three TF32 products with the slabs of
// bs/tensor_tile.cuh: one launch for all networks, blockIdx.z the network. A block has 128 x 128 elements. What follows
// a product (bias, ReLU and dropout; the residual; the loss's factor) is done where its sums are.
//
// The order of every sum follows from the rows of the batch and the widths of the layer alone.
#include <bs/mlp.cuh>
#include <bs/tensor_tile.cuh>

namespace bs {

constexpr int stages = 4, tile = 128, product_threads = 256;

// op(A) [m, k] times op(B) [k, n]. deep: the depth is contiguous in memory. `put` receives a row, an even column, and
// the sums of this column and the next, which may be outside.
template <bool deep_a, bool deep_b, class Put>
__device__ __forceinline__ void mlp_product(float* memory, int m, int n, int k, const float* a, long long stride_a,
                                            const float* b, long long stride_b, bool wide_b, Put put) {
    using Rows = TensorSlab<BS_FORM_TF32X3, tile, product_threads, deep_a>;
    using Columns = TensorSlab<BS_FORM_TF32X3, tile, product_threads, deep_b>;
    const int first_row = static_cast<int>(blockIdx.x) * tile, first_column = static_cast<int>(blockIdx.y) * tile;
    if (first_row >= m || first_column >= n)
        return;
    const int slabs = ceil_divide(k, kTensorSlab);
    constexpr int down = tile / 2, across = 32;
    const int warp = warp_rank(), warp_row = warp % 2 * down, warp_column = warp / 2 * across;
    float sum[down / 16][across / 8][4] = {};
    tensor_product<Rows, Columns, stages>(sum, memory, slabs, warp_row, warp_column,
                                          [&](float* left, float* right, int slab) {
                                              const int level = slab * kTensorSlab;
                                              Rows::fetch(left, a, stride_a, true, first_row, m, level, k);
                                              Columns::fetch(right, b, stride_b, wide_b, first_column, n, level, k);
                                          });

    const int g = lane_rank() / 4, t = lane_rank() % 4;
#pragma unroll
    for (int i = 0; i < down / 16; i++) {
#pragma unroll
        for (int j = 0; j < across / 8; j++) {
            const int row = first_row + warp_row + 16 * i + g, column = first_column + warp_column + 8 * j + 2 * t;
            if (column >= n)
                continue;
            if (row < m)
                put(row, column, sum[i][j][0], sum[i][j][1]);
            if (row + 8 < m)
                put(row + 8, column, sum[i][j][2], sum[i][j][3]);
        }
    }
}

// Not below 0; a NaN stays one.
__device__ __forceinline__ float rectified(float x) {
    return x < 0.0f ? 0.0f : x;
}

} // namespace bs

// Normalised rows times weights. Hidden layers: bias, ReLU, and in training dropout. The last layer: the residual, or
// to test the prediction.
extern "C" __global__ void __launch_bounds__(bs::product_threads)
    bs_mlp_forward(bs::MlpState s, bs::MlpLayer l, int purpose, int step) {
    BS_DYNAMIC_SHARED(float, memory);
    const bs::MlpBatch batch = bs::mlp_batch(s, purpose, step);
    if (batch.count == 0)
        return;
    const bs::MlpSlot slot = s.slots[blockIdx.z];
    const int* rows = bs::mlp_rows(s, batch);
    float* work = bs::mlp_work(s);
    const float* parameters = bs::mlp_parameters(s);
    const float* bias = parameters + l.bias;
    const float* inverse = s.scale + static_cast<long long>(blockIdx.z) * 2 * s.outputs;
    const float* offset = inverse + s.outputs;
    float* made = work + l.made;
    auto put = [&](int row, int column, float first, float second) {
        float sum[2] = {first, second}, keep[2] = {1.0f, 1.0f};
        if (!l.last && purpose == bs::mlp_train)
            bs::mlp_keep(s, slot, l.number, step, row, column, keep);
        const float* target = l.last ? bs::mlp_target(s, rows[row]) : nullptr;
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const int k = column + e;
            if (k >= l.next)
                continue;
            float value;
            if (!l.last)
                value = bs::rectified(bias[k] + sum[e]) * keep[e];
            else if (purpose == bs::mlp_test)
                value = bias[k] + sum[e];
            else
                value = fmaf(target[k], inverse[k], bias[k] + offset[k]) + sum[e];
            made[static_cast<long long>(row) * l.next_pitch + k] = value;
        }
    };
    bs::mlp_product<true, false>(memory, batch.count, l.next, l.width, work + l.output, l.pitch, parameters + l.weight,
                                 l.next, l.next % 4 == 0, put);
}

// Gradient by the weights: normalised rows, transposed, times the gradient above.
extern "C" __global__ void __launch_bounds__(bs::product_threads)
    bs_mlp_weight_gradient(bs::MlpState s, bs::MlpLayer l, int step) {
    BS_DYNAMIC_SHARED(float, memory);
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_train, step);
    if (batch.count == 0)
        return;
    const float* work = bs::mlp_work(s);
    float* gradient = bs::mlp_gradients(s) + l.weight;
    const float factor = bs::mlp_loss_factor(s, l, batch.count);
    auto put = [&](int row, int column, float first, float second) {
        float* to = gradient + static_cast<long long>(row) * l.next + column;
        to[0] = factor * first;
        if (column + 1 < l.next)
            to[1] = factor * second;
    };
    bs::mlp_product<false, false>(memory, l.width, l.next, batch.count, work + l.output, l.pitch, work + l.above,
                                  l.next_pitch, true, put);
}

// Gradient by the normalised rows: the gradient above times the weights, transposed.
extern "C" __global__ void __launch_bounds__(bs::product_threads)
    bs_mlp_input_gradient(bs::MlpState s, bs::MlpLayer l, int step) {
    BS_DYNAMIC_SHARED(float, memory);
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_train, step);
    if (batch.count == 0)
        return;
    float* work = bs::mlp_work(s);
    float* gradient = work + l.gradient;
    const float factor = bs::mlp_loss_factor(s, l, batch.count);
    auto put = [&](int row, int column, float first, float second) {
        float* to = gradient + static_cast<long long>(row) * l.pitch + column;
        to[0] = factor * first;
        if (column + 1 < l.width)
            to[1] = factor * second;
    };
    bs::mlp_product<true, true>(memory, batch.count, l.width, l.next, work + l.above, l.next_pitch,
                                bs::mlp_parameters(s) + l.weight, l.next, l.next % 4 == 0, put);
}
