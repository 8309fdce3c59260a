// AdamW (Loshchilov and Hutter 2019) over flat arrays in one pass, and the sum of squares that clipping needs.
//
// Floor: 7 sizeof(T) bytes an element (parameter and both moments read and written, gradient read); sizeof(T) for the
// sum of squares. Scalars come prepared in double precision and are rounded once; elements are updated in their own
// type, in the host's order of operations.
#include <bs/reduce.cuh>

namespace bs {

struct AdamFactors {
    double gradient_scale, decay, beta1, beta2, epsilon, step_size, root_of_correction;
};

__device__ __forceinline__ float root(float x) {
    return sqrtf(x);
}
__device__ __forceinline__ double root(double x) {
    return sqrt(x);
}

template <class T>
__device__ __forceinline__ void adam_step(T* p, const T* g, T* m, T* v, long long count, AdamFactors f,
                                          const double* clip) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    const T gradient = g[i] * T(clip ? f.gradient_scale * clip[1] : f.gradient_scale);
    const T first = fma(gradient, T(1 - f.beta1), m[i] * T(f.beta1));
    const T second = v[i] * T(f.beta2) + gradient * T(1 - f.beta2) * gradient;
    const T denominator = root(second) / T(f.root_of_correction) + T(f.epsilon);
    m[i] = first;
    v[i] = second;
    p[i] = p[i] * T(f.decay) + first * T(-f.step_size) / denominator;
}

// partials[b] = sum of squares of the b-th run of 32768 elements. Blocks of 256.
constexpr long long squares_run = 1 << 15;

template <class T> __device__ __forceinline__ void square_sum(const T* x, long long count, double* partials) {
    __shared__ double scratch[warp_size];
    const long long start = static_cast<long long>(blockIdx.x) * squares_run;
    const long long end = start + squares_run < count ? start + squares_run : count;
    double sum = 0;
    for (long long i = start + threadIdx.x; i < end; i += blockDim.x)
        sum = fma(static_cast<double>(x[i]), static_cast<double>(x[i]), sum);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0)
        partials[blockIdx.x] = sum;
}

} // namespace bs

extern "C" __global__ void __launch_bounds__(256)
    bs_adam_w_f32(float* p, const float* g, float* m, float* v, long long count, bs::AdamFactors factors,
                  const double* clip) {
    bs::adam_step(p, g, m, v, count, factors, clip);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_adam_w_f64(double* p, const double* g, double* m, double* v, long long count, bs::AdamFactors factors,
                  const double* clip) {
    bs::adam_step(p, g, m, v, count, factors, clip);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_adam_w_squares_f32(const float* x, long long count, double* partials) {
    bs::square_sum(x, count, partials);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_adam_w_squares_f64(const double* x, long long count, double* partials) {
    bs::square_sum(x, count, partials);
}

// norm[0] = root of all partials, added in an order that their number fixes; norm[1] = the factor that clips to
// `maximum`, where that is positive. One block.
extern "C" __global__ void __launch_bounds__(1024)
    bs_adam_w_norm(const double* partials, int count, double maximum, double* norm) {
    __shared__ double scratch[bs::warp_size];
    double sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
        sum += partials[i];
    sum = sqrt(bs::block_sum(sum, scratch));
    if (threadIdx.x != 0)
        return;
    const double factor = maximum > 0 ? maximum / (sum + 1e-6) : 1.0;
    norm[0] = sum;
    norm[1] = factor < 1.0 ? factor : 1.0;
}

extern "C" __global__ void __launch_bounds__(256) bs_adam_w_scale_f32(float* x, long long count, float factor) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count)
        x[i] *= factor;
}
