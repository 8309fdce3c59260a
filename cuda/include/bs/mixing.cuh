// Anderson acceleration (type II; Walker and Ni 2011) of Sinkhorn's iteration f -> G(f) on vectors that stay on the
// device, by one block: modified Gram-Schmidt is a chain of short sums, each of which must be known before the next.
// The last pairs (f, G(f)) lie in a ring of `slots` images and as many residuals G(f) - f.
#pragma once
#include <bs/device.cuh>
#include <bs/reduce.cuh>

namespace bs {

constexpr int mixing_depth = 10;
constexpr double mixing_dependent = 1e-10; // a direction whose new part is a smaller share of it carries only rounding

// Sums over the elements that a thread has: all threads get the result.
template <class Term> __device__ __forceinline__ double sum_over(long long n, double* scratch, Term term) {
    double sum = 0.0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        sum += term(i);
    return block_sum(sum, scratch);
}

// How an iteration went.
struct MixingRecord {
    double violation; // squared, of the column marginal
    double merit;     // the dual objective
    double residual;  // squared, of the row potential
};

// Keeps the pair (x, image) and evaluates it; all threads get the result.
__device__ __forceinline__ MixingRecord record_pair(long long rows, long long columns, const double* x,
                                                    const double* image, const double* g, const double* a,
                                                    const double* b, const double* violations, int blocks,
                                                    double* image_slot, double* residual_slot) {
    __shared__ double scratch[warp_size];
    const double violation = sum_over(blocks, scratch, [=](long long i) { return violations[i]; });
    const double squares = sum_over(rows, scratch, [=](long long i) {
        const double residual = image[i] - x[i];
        image_slot[i] = image[i];
        residual_slot[i] = residual;
        return residual * residual;
    });
    const double from_rows = sum_over(rows, scratch, [=](long long i) { return image[i] * a[i]; });
    const double from_columns = sum_over(columns, scratch, [=](long long j) { return g[j] * b[j]; });
    return {violation, from_rows + from_columns, squares};
}

// What a mixing did.
struct Mixing {
    int directions; // 0: it changed nothing
    double taken;   // its largest change
};

// Moves f, which is the newest image, towards the combination of the last pairs whose residual is least, by at most
// `radius`. `newest` is the slot of the newest pair, `pairs` their number. All threads get the result.
__device__ __forceinline__ Mixing mix_pairs(long long rows, const double* images, const double* residuals, int slots,
                                            int newest, int pairs, double* directions, double radius, double* f) {
    __shared__ double scratch[warp_size];
    __shared__ double triangle[mixing_depth][mixing_depth];
    __shared__ double weights[mixing_depth];
    const auto slot = [=](int age) { return static_cast<long long>((newest - age + slots) % slots) * rows; };
    int used = 0;
    for (int c = 0; c < pairs - 1 && c < mixing_depth; c++) {
        // A thread touches its own elements of every direction alone.
        double* direction = directions + c * rows;
        const double *newer = residuals + slot(c), *older = residuals + slot(c + 1);
        const double before = sqrt(sum_over(rows, scratch, [=](long long i) {
            const double difference = newer[i] - older[i];
            direction[i] = difference;
            return difference * difference;
        }));
        for (int d = 0; d < c; d++) {
            const double* other = directions + d * rows;
            const double overlap = sum_over(rows, scratch, [=](long long i) { return other[i] * direction[i]; });
            if (threadIdx.x == 0)
                triangle[d][c] = overlap;
            for (long long i = threadIdx.x; i < rows; i += blockDim.x)
                direction[i] = fma(-overlap, other[i], direction[i]);
        }
        const double length = sqrt(sum_over(rows, scratch, [=](long long i) { return direction[i] * direction[i]; }));
        if (!(length > mixing_dependent * before) || length == 0.0)
            break;
        const double weight = sum_over(rows, scratch, [=](long long i) {
            direction[i] /= length;
            return direction[i] * residuals[slot(0) + i];
        });
        if (threadIdx.x == 0) {
            triangle[c][c] = length;
            weights[c] = weight;
        }
        used = c + 1;
    }
    __syncthreads();
    if (threadIdx.x == 0)
        for (int c = used - 1; c >= 0; c--) {
            for (int d = c + 1; d < used; d++)
                weights[c] -= triangle[c][d] * weights[d];
            weights[c] /= triangle[c][c];
        }
    __syncthreads();
    const auto step = [&](long long i) {
        double sum = 0.0;
        for (int c = 0; c < used; c++)
            sum -= weights[c] * (images[slot(c) + i] - images[slot(c + 1) + i]);
        return sum;
    };
    double largest = 0.0;
    for (long long i = threadIdx.x; i < rows; i += blockDim.x)
        largest = Maximum::join(largest, fabs(step(i)));
    largest = block_maximum(largest, scratch);
    const bool possible = used > 0 && largest > 0.0 && largest < infinity_double();
    const double taken = fmin(largest, radius);
    if (possible)
        for (long long i = threadIdx.x; i < rows; i += blockDim.x)
            f[i] = fma(taken / largest, step(i), f[i]);
    return {possible ? used : 0, taken};
}

} // namespace bs
