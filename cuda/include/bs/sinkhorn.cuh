// Log-sum-exps of Sinkhorn's potentials. Potentials, differences and sums are in double precision, exponentials in that
// of the cost: an exponent is taken relative to the largest, so the terms that matter have small exponents and small
// errors. The order of every sum follows from the shape of the cost.
#pragma once
#include <bs/device.cuh>
#include <bs/reduce.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // of the cost, or double
#endif

namespace bs {

using Element = BS_ELEMENT;

// The largest x so far and the sum of exp((x - largest) / eps).
struct PotentialSum {
    double largest;
    double sum;
};

__device__ __forceinline__ PotentialSum empty_potential_sum() {
    return {-infinity_double(), 0.0};
}

__device__ __forceinline__ double relative_exp(double x, double largest, double inverse_epsilon) {
    return static_cast<double>(exponential(static_cast<Element>((x - largest) * inverse_epsilon)));
}

// Four at a time: the sum is rescaled at most once for them.
__device__ __forceinline__ void add_four(PotentialSum& s, const double (&x)[4], double inverse_epsilon) {
    const double most = fmax(fmax(x[0], x[1]), fmax(x[2], x[3]));
    if (most == -infinity_double())
        return;
    if (most > s.largest) {
        s.sum *= relative_exp(s.largest, most, inverse_epsilon);
        s.largest = most;
    }
#pragma unroll
    for (int e = 0; e < 4; e++)
        s.sum += relative_exp(x[e], s.largest, inverse_epsilon);
}

__device__ __forceinline__ PotentialSum join(const PotentialSum& a, const PotentialSum& b, double inverse_epsilon) {
    const double most = fmax(a.largest, b.largest);
    if (most == -infinity_double())
        return a;
    return {most,
            a.sum * exp((a.largest - most) * inverse_epsilon) + b.sum * exp((b.largest - most) * inverse_epsilon)};
}

__device__ __forceinline__ PotentialSum warp_join(PotentialSum s, double inverse_epsilon) {
    for (int step = 16; step > 0; step /= 2) {
        const PotentialSum other = {__shfl_xor_sync(full_warp, s.largest, step),
                                    __shfl_xor_sync(full_warp, s.sum, step)};
        s = join(s, other, inverse_epsilon);
    }
    return s;
}

// What the constraint on a marginal makes of a softmin -eps log sum exp((potential - cost) / eps).
struct MarginalStep {
    double damping; // 1 where the marginal is given
    double shift;
    double bound; // the largest potential

    __device__ __forceinline__ double potential(double softmin, double mass, double epsilon) const {
        const double x = fma(epsilon, log(mass), damping * (softmin + shift));
        return x > bound ? bound : x; // NaN stays
    }
};

__device__ __forceinline__ double softmin(const PotentialSum& s, double epsilon) {
    return -epsilon * log(s.sum) - s.largest;
}

constexpr int sinkhorn_warps = 8;

} // namespace bs
