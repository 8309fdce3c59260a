// What lies between the products of networks trained side by side: batch normalisation there and back, sums over
// columns, Adam with clipping, validation and test errors. blockIdx.z is the network; the rows of a batch are summed in
// double precision in an order that their number fixes.
#include <bs/mlp.cuh>
#include <bs/reduce.cuh>

namespace bs {

// Blocks of 32 neighbouring columns, eight threads to a column, each of which takes every eighth row.
constexpr int column_threads = 32, row_threads = 8;

__device__ __forceinline__ int mlp_column() {
    return static_cast<int>(blockIdx.x) * column_threads + static_cast<int>(threadIdx.x);
}

// The eight parts of a column, added in order; every thread of the column gets the sum. `parts` may be used again.
__device__ __forceinline__ double column_sum(double part, double (&parts)[row_threads][column_threads]) {
    parts[threadIdx.y][threadIdx.x] = part;
    __syncthreads();
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < row_threads; i++)
        sum += parts[i][threadIdx.x];
    __syncthreads();
    return sum;
}

// Where the rows that a layer normalises lie: gathered features for the first layer, activations for the others.
struct LayerInput {
    const float* from;
    const int* rows;
    long long stride;

    static __device__ __forceinline__ LayerInput of(const MlpState& s, const MlpLayer& l, MlpBatch batch) {
        if (l.number == 0)
            return LayerInput{s.x, mlp_rows(s, batch), s.inputs};
        return LayerInput{mlp_work(s) + l.input, nullptr, l.pitch};
    }
    __device__ __forceinline__ float at(int row, int column) const {
        return from[(rows ? rows[row] : row) * stride + column];
    }
};

} // namespace bs

// Batch normalisation by the batch's own mean and biased variance; running statistics take a tenth of it, with the
// unbiased variance.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_normalise(bs::MlpState s, bs::MlpLayer l, int step) {
    __shared__ double parts[bs::row_threads][bs::column_threads];
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_train, step);
    if (batch.count == 0)
        return;
    const bs::LayerInput input = bs::LayerInput::of(s, l, batch);
    const int k = bs::mlp_column(), rows = k < l.width ? batch.count : 0, start = static_cast<int>(threadIdx.y);
    double sum = 0.0;
    for (int i = start; i < rows; i += bs::row_threads)
        sum += input.at(i, k);
    const double mean = bs::column_sum(sum, parts) / batch.count;
    double squares = 0.0;
    for (int i = start; i < rows; i += bs::row_threads) {
        const double centred = input.at(i, k) - mean;
        squares = fma(centred, centred, squares);
    }
    squares = bs::column_sum(squares, parts);
    if (k >= l.width)
        return;
    float* work = bs::mlp_work(s);
    const float* parameters = bs::mlp_parameters(s);
    const float inverse = static_cast<float>(1.0 / sqrt(squares / batch.count + 1e-5));
    const float centre = static_cast<float>(mean), gamma = parameters[l.gamma + k], beta = parameters[l.beta + k];
    for (int i = start; i < rows; i += bs::row_threads) {
        const float normalised = (input.at(i, k) - centre) * inverse;
        const long long place = static_cast<long long>(i) * l.pitch + k;
        work[l.normalised + place] = normalised;
        work[l.output + place] = fmaf(normalised, gamma, beta);
    }
    if (start == 0) {
        float* running = s.running + blockIdx.z * s.running_stride + l.running;
        const float variance = static_cast<float>(squares / (batch.count - 1));
        running[k] += 0.1f * (centre - running[k]);
        running[l.width + k] += 0.1f * (variance - running[l.width + k]);
        work[l.inverse + k] = inverse;
    }
}

// The same by running statistics.
extern "C" __global__ void __launch_bounds__(256)
    bs_mlp_normalise_running(bs::MlpState s, bs::MlpLayer l, int purpose, int step) {
    const bs::MlpBatch batch = bs::mlp_batch(s, purpose, step);
    const int k = bs::mlp_column();
    if (k >= l.width)
        return;
    const bs::LayerInput input = bs::LayerInput::of(s, l, batch);
    const float* running = s.running + blockIdx.z * s.running_stride + l.running;
    const float* parameters = bs::mlp_parameters(s);
    const float scale = parameters[l.gamma + k] / sqrtf(running[l.width + k] + 1e-5f);
    const float shift = parameters[l.beta + k] - running[k] * scale;
    float* output = bs::mlp_work(s) + l.output;
    for (int i = static_cast<int>(threadIdx.y); i < batch.count; i += bs::row_threads)
        output[static_cast<long long>(i) * l.pitch + k] = fmaf(input.at(i, k), scale, shift);
}

// Gradient by the bias: column sums of the gradient above.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_bias_gradient(bs::MlpState s, bs::MlpLayer l, int step) {
    __shared__ double parts[bs::row_threads][bs::column_threads];
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_train, step);
    if (batch.count == 0)
        return;
    const int k = bs::mlp_column(), rows = k < l.next ? batch.count : 0;
    const float* above = bs::mlp_work(s) + l.above;
    double sum = 0.0;
    for (int i = static_cast<int>(threadIdx.y); i < rows; i += bs::row_threads)
        sum += above[static_cast<long long>(i) * l.next_pitch + k];
    sum = bs::column_sum(sum, parts);
    if (k < l.next && threadIdx.y == 0)
        bs::mlp_gradients(s)[l.bias + k] = static_cast<float>(sum * bs::mlp_loss_factor(s, l, batch.count));
}

// Back through batch normalisation, and through dropout and ReLU of the layer below: an activation is positive exactly
// where the unit was kept and its input was positive. The gradient is changed in place.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_normalise_back(bs::MlpState s, bs::MlpLayer l, int step) {
    __shared__ double parts[bs::row_threads][bs::column_threads];
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_train, step);
    if (batch.count == 0)
        return;
    const int k = bs::mlp_column(), rows = k < l.width ? batch.count : 0, start = static_cast<int>(threadIdx.y);
    float* work = bs::mlp_work(s);
    float* gradient = work + l.gradient;
    const float* normalised = work + l.normalised;
    double sum = 0.0, product = 0.0;
    for (int i = start; i < rows; i += bs::row_threads) {
        const long long place = static_cast<long long>(i) * l.pitch + k;
        const double g = gradient[place];
        sum += g;
        product = fma(g, static_cast<double>(normalised[place]), product);
    }
    sum = bs::column_sum(sum, parts);
    product = bs::column_sum(product, parts);
    if (k >= l.width)
        return;
    if (start == 0) {
        float* gradients = bs::mlp_gradients(s);
        gradients[l.gamma + k] = static_cast<float>(product);
        gradients[l.beta + k] = static_cast<float>(sum);
    }
    if (l.number == 0)
        return; // nothing has a gradient below
    const float mean = static_cast<float>(sum / batch.count), slope = static_cast<float>(product / batch.count);
    const float factor = bs::mlp_parameters(s)[l.gamma + k] * work[l.inverse + k];
    const float* activation = work + l.input;
    for (int i = start; i < rows; i += bs::row_threads) {
        const long long place = static_cast<long long>(i) * l.pitch + k;
        const float g = (gradient[place] - mean - normalised[place] * slope) * factor;
        gradient[place] = activation[place] > 0.0f ? g * s.kept : 0.0f;
    }
}

// norms[network, run] = sum of squares of a run of 32768 elements of its gradient.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_squares(bs::MlpState s, int step) {
    constexpr long long run = 1 << 15;
    __shared__ double scratch[bs::warp_size];
    if (bs::mlp_batch(s, bs::mlp_train, step).count == 0)
        return;
    const float* gradients = bs::mlp_gradients(s);
    const long long start = blockIdx.x * run;
    const long long end = start + run < s.parameter_stride ? start + run : s.parameter_stride;
    double sum = 0.0;
    for (long long i = start + threadIdx.x; i < end; i += blockDim.x)
        sum = fma(static_cast<double>(gradients[i]), static_cast<double>(gradients[i]), sum);
    sum = bs::block_sum(sum, scratch);
    if (threadIdx.x == 0)
        s.norms[static_cast<long long>(blockIdx.z) * s.runs + blockIdx.x] = sum;
}

// Clipping by the network's norm, the L2 penalty, and Adam's step; a block has 1024 parameters.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_adam(bs::MlpState s, int step) {
    __shared__ double clipping;
    if (bs::mlp_batch(s, bs::mlp_train, step).count == 0)
        return;
    if (threadIdx.x == 0) {
        double sum = 0.0;
        for (int i = 0; i < s.runs; i++)
            sum += s.norms[static_cast<long long>(blockIdx.z) * s.runs + i];
        const double factor = s.gradient_clip / (sqrt(sum) + 1e-6);
        clipping = factor < 1.0 ? factor : 1.0;
    }
    __syncthreads();
    const double* factors = s.factors + 2 * (static_cast<long long>(step) * s.slot_count + blockIdx.z);
    const float clip = static_cast<float>(clipping), decay = static_cast<float>(s.weight_decay / clipping);
    const float step_size = static_cast<float>(-factors[0]), root = static_cast<float>(factors[1]);
    const long long network = blockIdx.z * s.parameter_stride;
    float* parameters = s.parameters + network;
    float* first = s.first + network;
    float* second = s.second + network;
    const float* gradients = s.gradients + network;
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const long long i = blockIdx.x * 1024ll + e * 256 + threadIdx.x;
        if (i >= s.parameter_stride)
            return;
        const float gradient = fmaf(parameters[i], decay, gradients[i]) * clip;
        const float m = fmaf(gradient, static_cast<float>(1 - 0.9), first[i] * 0.9f);
        const float v = second[i] * 0.999f + gradient * static_cast<float>(1 - 0.999) * gradient;
        first[i] = m;
        second[i] = v;
        parameters[i] += m * step_size / (sqrtf(v) / root + 1e-8f);
    }
}

// losses[network, part] = sum of squared residuals of eight validation rows.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_loss(bs::MlpState s, bs::MlpLayer l, int step) {
    __shared__ double scratch[bs::warp_size];
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_validate, step);
    const float* residuals = bs::mlp_work(s) + l.made;
    const int first = static_cast<int>(blockIdx.x) * 8, end = min(first + 8, batch.count);
    double sum = 0.0;
    for (int i = first; i < end; i++) {
        for (int k = static_cast<int>(threadIdx.x); k < l.next; k += static_cast<int>(blockDim.x)) {
            const double residual = residuals[static_cast<long long>(i) * l.next_pitch + k];
            sum = fma(residual, residual, sum);
        }
    }
    sum = bs::block_sum(sum, scratch);
    if (threadIdx.x == 0)
        s.losses[static_cast<long long>(blockIdx.z) * s.parts + static_cast<long long>(step) * gridDim.x + blockIdx.x] =
            sum;
}

// Mean, deviation and range of each target over the fitted rows, and how the network sees the target.
extern "C" __global__ void __launch_bounds__(256) bs_mlp_scale(bs::MlpState s) {
    __shared__ double parts[bs::row_threads][bs::column_threads];
    const bs::MlpSlot slot = s.slots[blockIdx.z];
    if (!slot.active)
        return;
    const int* rows = s.rows + static_cast<long long>(blockIdx.z) * s.n;
    const int k = bs::mlp_column(), end = k < s.outputs ? slot.fitted : 0, start = static_cast<int>(threadIdx.y);
    double sum = 0.0;
    float least = bs::infinity(), most = -bs::infinity();
    for (int i = start; i < end; i += bs::row_threads) {
        const float value = bs::mlp_target(s, rows[i])[k];
        sum += value;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    const double mean = bs::column_sum(sum, parts) / slot.fitted;
    double squares = 0.0;
    for (int i = start; i < end; i += bs::row_threads) {
        const double centred = bs::mlp_target(s, rows[i])[k] - mean;
        squares = fma(centred, centred, squares);
    }
    squares = bs::column_sum(squares, parts);
    parts[threadIdx.y][threadIdx.x] = least;
    __syncthreads();
    for (int i = 0; i < bs::row_threads; i++)
        least = parts[i][threadIdx.x] < least ? static_cast<float>(parts[i][threadIdx.x]) : least;
    __syncthreads();
    parts[threadIdx.y][threadIdx.x] = most;
    __syncthreads();
    for (int i = 0; i < bs::row_threads; i++)
        most = parts[i][threadIdx.x] > most ? static_cast<float>(parts[i][threadIdx.x]) : most;
    if (k >= s.outputs || start != 0)
        return;
    // A target that does not vary over the fitted rows is left as it is, less its mean.
    const double deviation = least < most ? sqrt(squares / slot.fitted) : 1.0;
    double* range = s.ranges + static_cast<long long>(blockIdx.z) * 4 * s.outputs + k;
    range[0] = mean;
    range[s.outputs] = deviation;
    range[2ll * s.outputs] = least;
    range[3ll * s.outputs] = most;
    float* scale = s.scale + static_cast<long long>(blockIdx.z) * 2 * s.outputs + k;
    scale[0] = static_cast<float>(-1.0 / deviation);
    scale[s.outputs] = static_cast<float>(mean / deviation);
}

// Adds the squared errors of a batch of test rows, target by target, predictions kept within the range and its margin.
extern "C" __global__ void __launch_bounds__(128) bs_mlp_errors(bs::MlpState s, bs::MlpLayer l, int step) {
    const bs::MlpBatch batch = bs::mlp_batch(s, bs::mlp_test, step);
    const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (batch.count == 0 || k >= s.outputs)
        return;
    const int* rows = bs::mlp_rows(s, batch);
    const float* predicted = bs::mlp_work(s) + l.made + k;
    const double* range = s.ranges + static_cast<long long>(blockIdx.z) * 4 * s.outputs + k;
    const double mean = range[0], deviation = range[s.outputs], least = range[2ll * s.outputs],
                 most = range[3ll * s.outputs], margin = s.clip_margin * (most - least);
    double sum = s.errors[static_cast<long long>(blockIdx.z) * s.outputs + k];
    for (int i = 0; i < batch.count; i++) {
        double value = mean + deviation * predicted[static_cast<long long>(i) * l.next_pitch];
        value = value < least - margin ? least - margin : value > most + margin ? most + margin : value;
        const double error = bs::mlp_target(s, rows[i])[k] - value;
        sum = fma(error, error, sum);
    }
    s.errors[static_cast<long long>(blockIdx.z) * s.outputs + k] = sum;
}
