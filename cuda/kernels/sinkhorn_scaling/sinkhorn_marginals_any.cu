// What transport problems do with their potentials between two readings of the cost where the marginals are not both
// given. Everything is in double precision, on one block or one thread an element.
#include <bs/device.cuh>
#include <bs/reduce.cuh>

namespace bs {

// log sum_i exp(scale x_i + power log mass_i), the masses left out where power is 0; all threads get it.
__device__ __forceinline__ double log_sum_over(long long n, const double* x, const double* mass, double scale,
                                               double power, LogSum<double>* scratch) {
    LogSum<double> sum = LogSum<double>::empty();
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        sum.add(power == 0.0 ? scale * x[i] : fma(scale, x[i], power * log(mass[i])));
    return block_log_sum(sum, scratch).log_sum_exp();
}

} // namespace bs

// state: [0] the largest change, [1] the logarithm of the plan's mass from epsilon times those of its column sums, [2]
// the best shift of f by a number and of g by its opposite, which is made where rho is not 0.
extern "C" __global__ void __launch_bounds__(1024)
    bs_sinkhorn_settle(long long rows, long long columns, const double* a, const double* b, double epsilon, double rho,
                       double* f, double* g, const double* changes, const double* exponents, double* state) {
    __shared__ double scratch[bs::warp_size];
    __shared__ bs::LogSum<double> sums[bs::warp_size];
    double change = 0.0;
    for (long long i = threadIdx.x; i < rows + columns; i += blockDim.x)
        change = bs::Maximum::join(change, changes[i]);
    change = bs::block_maximum(change, scratch);
    const double mass = bs::log_sum_over(columns, exponents, nullptr, 1.0 / epsilon, 0.0, sums);
    double shift = 0.0;
    if (rho > 0.0) {
        // Of the potentials without the masses' part: f - epsilon log a.
        const double power = 1.0 + epsilon / rho;
        const double from_rows = bs::log_sum_over(rows, f, a, -1.0 / rho, power, sums);
        shift = 0.5 * rho * (from_rows - bs::log_sum_over(columns, g, b, -1.0 / rho, power, sums));
        for (long long i = threadIdx.x; i < rows; i += blockDim.x)
            f[i] += shift;
        for (long long j = threadIdx.x; j < columns; j += blockDim.x)
            g[j] -= shift;
    }
    if (threadIdx.x == 0) {
        state[0] = change;
        state[1] = mass;
        state[2] = shift;
    }
}

// potential_i += scale log mass_i + shift.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_add_masses(double* potentials, const double* masses, long long count, double scale, double shift) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count)
        potentials[i] += fma(scale, log(masses[i]), shift);
}
