// Log-domain Sinkhorn half iterations: g = eps (log b - LSE_i((f_i - C_ij) / eps)), then f = eps (log a - LSE_j((g_j -
// C_ij) / eps)), each with one reading of the cost, and what other constraints on a marginal make of them; the coupling
// of two potentials; sums of partial results.
// ptx-gate: BS_ELEMENT=double
#include <bs/sinkhorn.cuh>

namespace bs {

constexpr int sinkhorn_chunk = 256; // rows of a column partial

} // namespace bs

// f[i] from g: one block per row. Where they are not null, change receives how far f moved and exponent eps times the
// logarithm of the plan's row sum.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_rows(const bs::Element* cost, long long stride, int columns, const double* a, const double* g,
                     double epsilon, double inverse_epsilon, bs::MarginalStep step, double* f, double* change,
                     double* exponent) {
    __shared__ bs::PotentialSum warps[bs::sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const bs::Element* row = cost + static_cast<long long>(blockIdx.x) * stride;
    bs::PotentialSum s = bs::empty_potential_sum();
    for (int j = thread; j < columns; j += 4 * threads) {
        double x[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int at = j + e * threads;
            x[e] = at < columns ? g[at] - row[at] : -bs::infinity_double();
        }
        bs::add_four(s, x, inverse_epsilon);
    }
    s = bs::warp_join(s, inverse_epsilon);
    if (thread % 32 == 0)
        warps[thread / 32] = s;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < threads / 32; w++)
        s = bs::join(s, warps[w], inverse_epsilon);
    const double least = bs::softmin(s, epsilon), potential = step.potential(least, a[blockIdx.x], epsilon);
    if (change != nullptr) {
        change[blockIdx.x] = fabs(potential - f[blockIdx.x]);
        exponent[blockIdx.x] = potential - least;
    }
    f[blockIdx.x] = potential;
}

// Column sums over chunks of 256 rows, [chunks, columns]: a lane has a column, so that a warp reads whole lines, and
// the eight warps of a block share the rows of the chunk.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_column_partials(const bs::Element* cost, long long stride, int rows, int columns, const double* f,
                                double inverse_epsilon, double* largest, double* sums) {
    __shared__ bs::PotentialSum warps[bs::sinkhorn_warps][32];
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int j = static_cast<int>(blockIdx.x) * 32 + lane;
    const int end = min(rows, (static_cast<int>(blockIdx.y) + 1) * bs::sinkhorn_chunk);
    bs::PotentialSum s = bs::empty_potential_sum();
    if (j < columns) {
        for (int i = static_cast<int>(blockIdx.y) * bs::sinkhorn_chunk + warp; i < end; i += 4 * bs::sinkhorn_warps) {
            double x[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int at = i + e * bs::sinkhorn_warps;
                x[e] = at < end ? f[at] - cost[at * stride + j] : -bs::infinity_double();
            }
            bs::add_four(s, x, inverse_epsilon);
        }
    }
    warps[warp][lane] = s;
    __syncthreads();
    if (warp != 0 || j >= columns)
        return;
    for (int w = 1; w < bs::sinkhorn_warps; w++)
        s = bs::join(s, warps[w][lane], inverse_epsilon);
    largest[static_cast<long long>(blockIdx.y) * columns + j] = s.largest;
    sums[static_cast<long long>(blockIdx.y) * columns + j] = s.sum;
}

// Joins the chunks in their order: the next g, and per block the squared violation of the column marginal by the g that
// led to these sums. change and exponent as for the rows; next_g may be g.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_columns(const double* largest, const double* sums, int chunks, int columns, const double* b,
                        const double* g, double epsilon, double inverse_epsilon, bs::MarginalStep step, double* next_g,
                        double* violation, double* change, double* exponent) {
    __shared__ double warps[bs::sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x);
    const int j = static_cast<int>(blockIdx.x) * 256 + thread;
    double square = 0.0;
    if (j < columns) {
        bs::PotentialSum s = bs::empty_potential_sum();
        for (int chunk = 0; chunk < chunks; chunk++) {
            const long long at = static_cast<long long>(chunk) * columns + j;
            s = bs::join(s, {largest[at], sums[at]}, inverse_epsilon);
        }
        const double difference = exp((g[j] + s.largest) * inverse_epsilon) * s.sum - b[j];
        square = difference * difference;
        const double least = bs::softmin(s, epsilon), potential = step.potential(least, b[j], epsilon);
        if (change != nullptr) {
            change[j] = fabs(potential - g[j]);
            exponent[j] = potential - least;
        }
        next_g[j] = potential;
    }
    for (int step = 16; step > 0; step /= 2)
        square += __shfl_xor_sync(bs::full_warp, square, step);
    if (thread % 32 == 0)
        warps[thread / 32] = square;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < bs::sinkhorn_warps; w++)
        square += warps[w];
    violation[blockIdx.x] = square;
}

// coupling_ij = exp((f_i + g_j - C_ij) / eps), the change from what the matrix held, and its square per row: one block
// per row. change may be null; values below 1e-30 are set to zero in it.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_coupling(const bs::Element* cost, long long stride, int columns, const double* f, const double* g,
                         double inverse_epsilon, bs::Element* coupling, long long coupling_stride, float* change,
                         long long change_stride, double* row_change) {
    __shared__ double warps[bs::sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const long long i = blockIdx.x;
    double squares = 0.0;
    for (int j = thread; j < columns; j += threads) {
        const bs::Element value = static_cast<bs::Element>(exp((f[i] + g[j] - cost[i * stride + j]) * inverse_epsilon));
        const double difference = static_cast<double>(value) - static_cast<double>(coupling[i * coupling_stride + j]);
        coupling[i * coupling_stride + j] = value;
        squares = fma(difference, difference, squares);
        if (change != nullptr)
            change[i * change_stride + j] = fabs(difference) < 1e-30 ? 0.0f : static_cast<float>(difference);
    }
    for (int step = 16; step > 0; step /= 2)
        squares += __shfl_xor_sync(bs::full_warp, squares, step);
    if (thread % 32 == 0)
        warps[thread / 32] = squares;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < threads / 32; w++)
        squares += warps[w];
    row_change[i] = squares;
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
