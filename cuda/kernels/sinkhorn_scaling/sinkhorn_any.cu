// Log-domain Sinkhorn half iterations: g = eps (log b - LSE_i((f_i - C_ij) / eps)), then f = eps (log a - LSE_j((g_j -
// C_ij) / eps)), each with one reading of the cost, and what other constraints on a marginal make of them; the coupling
// of two potentials; sums of partial results.
// ptx-gate: BS_ELEMENT=double
#include <bs/sinkhorn_half.cuh>

extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_rows(const bs::Element* cost, long long stride, int columns, const double* a, const double* g,
                     double epsilon, double inverse_epsilon, bs::MarginalStep step, double* f, double* change,
                     double* exponent) {
    bs::row_potential(cost, stride, columns, a, g, epsilon, inverse_epsilon, step, f, change, exponent);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_column_partials(const bs::Element* cost, long long stride, int rows, int columns, const double* f,
                                double inverse_epsilon, double* largest, double* sums) {
    bs::column_partial(cost, stride, rows, columns, f, inverse_epsilon, largest, sums);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_columns(const double* largest, const double* sums, int chunks, int columns, const double* b,
                        const double* g, double epsilon, double inverse_epsilon, bs::MarginalStep step, double* next_g,
                        double* violation, double* change, double* exponent) {
    bs::column_potential(largest, sums, chunks, columns, b, g, epsilon, inverse_epsilon, step, next_g, violation,
                         change, exponent);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_coupling(const bs::Element* cost, long long stride, int columns, const double* f, const double* g,
                         double inverse_epsilon, bs::Element* coupling, long long coupling_stride, float* change,
                         long long change_stride, double* row_change) {
    bs::coupling_row(cost, stride, columns, f, g, inverse_epsilon, coupling, coupling_stride, change, change_stride,
                     row_change);
}

// row_sums_i = sum_j t log t over the positive entries of a coupling: one block per row.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_logarithms(const bs::Element* coupling, long long stride, int columns, double* row_sums) {
    __shared__ double warps[bs::warp_size];
    const long long i = blockIdx.x;
    double sum = 0.0;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x)) {
        const double t = static_cast<double>(coupling[i * stride + j]);
        if (t > 0.0)
            sum = fma(t, log(t), sum);
    }
    sum = bs::block_sum(sum, warps);
    if (threadIdx.x == 0)
        row_sums[i] = sum;
}

// The sum of count partial results, by one block; sum may be one of them.
extern "C" __global__ void __launch_bounds__(256) bs_sinkhorn_sum(const double* parts, long long count, double* sum) {
    __shared__ double warps[bs::warp_size];
    double total = 0.0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x)
        total += parts[i];
    total = bs::block_sum(total, warps);
    if (threadIdx.x == 0)
        *sum = total;
}
