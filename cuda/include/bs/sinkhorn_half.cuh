// The halves of a log-domain Sinkhorn iteration and the coupling of two potentials, as a block does its part of them.
// blockIdx.x and blockIdx.y say which part; blockIdx.z is left to launches of several problems.
#pragma once
#include <bs/sinkhorn.cuh>

namespace bs {

constexpr int sinkhorn_chunk = 256; // rows of a column partial

// f[i] from g: one block per row. Where they are not null, change receives how far f moved and exponent eps times the
// logarithm of the plan's row sum.
__device__ __forceinline__ void row_potential(const Element* cost, long long stride, int columns, const double* a,
                                              const double* g, double epsilon, double inverse_epsilon,
                                              MarginalStep step, double* f, double* change, double* exponent) {
    __shared__ PotentialSum warps[sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const Element* row = cost + static_cast<long long>(blockIdx.x) * stride;
    PotentialSum s = empty_potential_sum();
    for (int j = thread; j < columns; j += 4 * threads) {
        double x[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            const int at = j + e * threads;
            x[e] = at < columns ? g[at] - row[at] : -infinity_double();
        }
        add_four(s, x, inverse_epsilon);
    }
    s = warp_join(s, inverse_epsilon);
    if (thread % 32 == 0)
        warps[thread / 32] = s;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < threads / 32; w++)
        s = join(s, warps[w], inverse_epsilon);
    const double least = softmin(s, epsilon), potential = step.potential(least, a[blockIdx.x], epsilon);
    if (change != nullptr) {
        change[blockIdx.x] = fabs(potential - f[blockIdx.x]);
        exponent[blockIdx.x] = potential - least;
    }
    f[blockIdx.x] = potential;
}

// Column sums over chunks of 256 rows, [chunks, columns]: a lane has a column, so that a warp reads whole lines, and
// the eight warps of a block share the rows of the chunk.
__device__ __forceinline__ void column_partial(const Element* cost, long long stride, int rows, int columns,
                                               const double* f, double inverse_epsilon, double* largest, double* sums) {
    __shared__ PotentialSum warps[sinkhorn_warps][32];
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int j = static_cast<int>(blockIdx.x) * 32 + lane;
    const int end = min(rows, (static_cast<int>(blockIdx.y) + 1) * sinkhorn_chunk);
    PotentialSum s = empty_potential_sum();
    if (j < columns) {
        for (int i = static_cast<int>(blockIdx.y) * sinkhorn_chunk + warp; i < end; i += 4 * sinkhorn_warps) {
            double x[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int at = i + e * sinkhorn_warps;
                x[e] = at < end ? f[at] - cost[at * stride + j] : -infinity_double();
            }
            add_four(s, x, inverse_epsilon);
        }
    }
    warps[warp][lane] = s;
    __syncthreads();
    if (warp != 0 || j >= columns)
        return;
    for (int w = 1; w < sinkhorn_warps; w++)
        s = join(s, warps[w][lane], inverse_epsilon);
    largest[static_cast<long long>(blockIdx.y) * columns + j] = s.largest;
    sums[static_cast<long long>(blockIdx.y) * columns + j] = s.sum;
}

// Joins the chunks in their order: the next g, and per block the squared violation of the column marginal by the g that
// led to these sums. change and exponent as for the rows; next_g may be g.
__device__ __forceinline__ void column_potential(const double* largest, const double* sums, int chunks, int columns,
                                                 const double* b, const double* g, double epsilon,
                                                 double inverse_epsilon, MarginalStep step, double* next_g,
                                                 double* violation, double* change, double* exponent) {
    __shared__ double warps[sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x);
    const int j = static_cast<int>(blockIdx.x) * 256 + thread;
    double square = 0.0;
    if (j < columns) {
        PotentialSum s = empty_potential_sum();
        for (int chunk = 0; chunk < chunks; chunk++) {
            const long long at = static_cast<long long>(chunk) * columns + j;
            s = join(s, {largest[at], sums[at]}, inverse_epsilon);
        }
        const double difference = exp((g[j] + s.largest) * inverse_epsilon) * s.sum - b[j];
        square = difference * difference;
        const double least = softmin(s, epsilon), potential = step.potential(least, b[j], epsilon);
        if (change != nullptr) {
            change[j] = fabs(potential - g[j]);
            exponent[j] = potential - least;
        }
        next_g[j] = potential;
    }
    for (int step = 16; step > 0; step /= 2)
        square += __shfl_xor_sync(full_warp, square, step);
    if (thread % 32 == 0)
        warps[thread / 32] = square;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < sinkhorn_warps; w++)
        square += warps[w];
    violation[blockIdx.x] = square;
}

// coupling_ij = exp((f_i + g_j - C_ij) / eps), the change from what the matrix held, and its square per row: one block
// per row. change may be null; values below 1e-30 are set to zero in it.
__device__ __forceinline__ void coupling_row(const Element* cost, long long stride, int columns, const double* f,
                                             const double* g, double inverse_epsilon, Element* coupling,
                                             long long coupling_stride, float* change, long long change_stride,
                                             double* row_change) {
    __shared__ double warps[sinkhorn_warps];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const long long i = blockIdx.x;
    double squares = 0.0;
    for (int j = thread; j < columns; j += threads) {
        const Element value = static_cast<Element>(exp((f[i] + g[j] - cost[i * stride + j]) * inverse_epsilon));
        const double difference = static_cast<double>(value) - static_cast<double>(coupling[i * coupling_stride + j]);
        coupling[i * coupling_stride + j] = value;
        squares = fma(difference, difference, squares);
        if (change != nullptr)
            change[i * change_stride + j] = fabs(difference) < 1e-30 ? 0.0f : static_cast<float>(difference);
    }
    for (int step = 16; step > 0; step /= 2)
        squares += __shfl_xor_sync(full_warp, squares, step);
    if (thread % 32 == 0)
        warps[thread / 32] = squares;
    __syncthreads();
    if (thread != 0)
        return;
    for (int w = 1; w < threads / 32; w++)
        squares += warps[w];
    row_change[i] = squares;
}

} // namespace bs
