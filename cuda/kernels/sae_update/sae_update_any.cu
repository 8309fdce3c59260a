// The parameter update of an autoencoder: the decoder gradient loses its part along the decoder row, one norm of
// all gradients, clipping, AdamW, decoder rows back to unit length (a free decoder is a parameter like any other). The
// norm, its clipping factor and the scalars of the step stay on the device. Floor: parameters, gradients and moments
// read, parameters and moments written, 28 bytes a parameter, and the gradients once more before it for their norm.
#include <bs/sae.cuh>

namespace bs {

constexpr long long update_run = 1 << 15; // elements of one partial sum of squares
constexpr long long update_block = 1024;  // elements of one block

struct SaeSegment {
    float *value, *gradient, *first, *second;
    long long length;
};

// Everything but the decoder; a length of 0 where there is none.
struct SaeSegments {
    SaeSegment part[5];
};

struct SaeAdam {
    float beta1, rest1, beta2, rest2, epsilon;
};

// The segment of which `block` is a part when each has ceil(length / run) blocks; `block` becomes its number there.
__device__ __forceinline__ SaeSegment sae_locate(const SaeSegments& all, long long run, long long& block, int& index) {
    SaeSegment found = all.part[0];
    long long left = block;
    index = 0;
    bool done = false;
#pragma unroll
    for (int s = 0; s < 5; s++) {
        const SaeSegment& part = all.part[s];
        const long long blocks = ceil_divide(part.length, run);
        // Member by member: a copy of the whole would be kept in memory.
        const bool here = !done && left < blocks;
        found.value = here ? part.value : found.value;
        found.gradient = here ? part.gradient : found.gradient;
        found.first = here ? part.first : found.first;
        found.second = here ? part.second : found.second;
        found.length = here ? part.length : found.length;
        index = here ? s : index;
        done |= here;
        left -= done ? 0 : blocks;
    }
    block = left;
    return found;
}

__device__ __forceinline__ float sae_adam(const SaeSegment& s, long long i, float clip, const SaeAdam& adam,
                                          const SaeCoefficients& c, float decay) {
    const float gradient = s.gradient[i] * clip;
    const float m = fmaf(gradient, adam.rest1, s.first[i] * adam.beta1);
    const float v = fmaf(gradient * gradient, adam.rest2, s.second[i] * adam.beta2);
    s.first[i] = m;
    s.second[i] = v;
    return fmaf(-c.rate, m / fmaf(sqrtf(v), c.root, adam.epsilon), s.value[i] * decay);
}

} // namespace bs

// squares[row] of the decoder gradient after it has lost its part along the decoder row, in place; with `unit` 0 it
// stays as it is. A block to a row.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_project_f32(bs::SaeSegment decoder, int width, int unit, double* squares) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    const long long start = static_cast<long long>(blockIdx.x) * width;
    double along = 0, norm = 0, sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < width; i += sae_threads) {
        const double w = decoder.value[start + i];
        along = fma(w, static_cast<double>(decoder.gradient[start + i]), along);
        norm = fma(w, w, norm);
    }
    along = block_sum(along, scratch);
    norm = block_sum(norm, scratch);
    const double factor = unit && norm > 0 ? along / norm : 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < width; i += sae_threads) {
        const double w = decoder.value[start + i];
        const float g = static_cast<float>(fma(-factor, w, static_cast<double>(decoder.gradient[start + i])));
        decoder.gradient[start + i] = g;
        sum = fma(static_cast<double>(g), static_cast<double>(g), sum);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        squares[blockIdx.x] = sum;
}

// squares[block] of the other gradients, runs of 32768 elements.
extern "C" __global__ void __launch_bounds__(256) bs_sae_squares_f32(bs::SaeSegments all, double* squares) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    long long block = blockIdx.x;
    int index;
    const SaeSegment s = sae_locate(all, update_run, block, index);
    const long long start = block * update_run, end = start + update_run < s.length ? start + update_run : s.length;
    double sum = 0;
    for (long long i = start + threadIdx.x; i < end; i += blockDim.x)
        sum = fma(static_cast<double>(s.gradient[i]), static_cast<double>(s.gradient[i]), sum);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        squares[blockIdx.x] = sum;
}

// The norm of all gradients, the factor that clips it, and whether training has diverged: then the factor is negative,
// and nothing moves. One block.
extern "C" __global__ void __launch_bounds__(1024)
    bs_sae_clip_f32(const double* squares, int count, double clip_norm, const bs::SaeCoefficients* coefficients,
                    bs::SaeStatistics* statistics, float* clip) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    double sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
        sum += squares[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x != 0)
        return;
    const double norm = sqrt(sum), factor = clip_norm > 0 ? clip_norm / (norm + 1e-6) : 1.0;
    SaeStatistics& s = *statistics;
    s.norm = norm;
    const bool sound =
        sae_finite(norm) && sae_finite(s.squared_error) && sae_finite(s.sparsity) && sae_finite(s.auxiliary);
    *clip = !sound ? -1.0f : static_cast<float>(factor < 1.0 ? factor : 1.0);
    if (!sound && s.diverged < 0)
        s.diverged = coefficients->step;
}

// `threshold` is the segment that has no weight decay and stays at 0 or above, -1 for none.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_adam_f32(bs::SaeSegments all, int threshold, bs::SaeAdam adam, const bs::SaeCoefficients* coefficients,
                    const float* clip) {
    using namespace bs;
    long long block = blockIdx.x;
    int index;
    const SaeSegment s = sae_locate(all, update_block, block, index);
    const SaeCoefficients c = *coefficients;
    const float scale = *clip;
    if (scale < 0)
        return;
    const long long end = (block + 1) * update_block < s.length ? (block + 1) * update_block : s.length;
    for (long long i = block * update_block + threadIdx.x; i < end; i += blockDim.x)
        s.value[i] = index == threshold ? fmaxf(sae_adam(s, i, scale, adam, c, 1.0f), 0.0f)
                                        : sae_adam(s, i, scale, adam, c, c.decay);
}

// The same for the decoder, whose rows return to unit length where `unit` says so. A block to a row.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_adam_rows_f32(bs::SaeSegment decoder, int width, int unit, bs::SaeAdam adam,
                         const bs::SaeCoefficients* coefficients, const float* clip) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    const SaeCoefficients c = *coefficients;
    const float scale = *clip;
    if (scale < 0)
        return;
    const long long start = static_cast<long long>(blockIdx.x) * width;
    double norm = 0;
    for (int i = static_cast<int>(threadIdx.x); i < width; i += sae_threads) {
        const float w = sae_adam(decoder, start + i, scale, adam, c, c.decay);
        decoder.value[start + i] = w;
        norm = fma(static_cast<double>(w), static_cast<double>(w), norm);
    }
    norm = block_sum(norm, scratch);
    const float factor = unit && norm > 0 ? static_cast<float>(1.0 / sqrt(norm)) : 1.0f;
    // Every thread meets again the elements that it wrote.
    for (int i = static_cast<int>(threadIdx.x); i < width; i += sae_threads)
        decoder.value[start + i] *= factor;
}
