// Acceleration of one problem (bs/mixing.cuh), by one block. What the host decides by goes into `state`: [0] squared
// violation of the column marginal, [1] dual objective, [2] squared residual, [3] directions used by the last mixing
// (0: it changed nothing), [4] its largest change.
#include <bs/mixing.cuh>

// Keeps the pair (x, image) and evaluates it.
extern "C" __global__ void __launch_bounds__(1024)
    bs_sinkhorn_record(long long rows, long long columns, const double* x, const double* image, const double* g,
                       const double* a, const double* b, const double* violations, int blocks, double* image_slot,
                       double* residual_slot, double* state) {
    const bs::MixingRecord now =
        bs::record_pair(rows, columns, x, image, g, a, b, violations, blocks, image_slot, residual_slot);
    if (threadIdx.x == 0) {
        state[0] = now.violation;
        state[1] = now.merit;
        state[2] = now.residual;
    }
}

// Moves f, which is the newest image, by at most `radius`.
extern "C" __global__ void __launch_bounds__(1024)
    bs_sinkhorn_mix(long long rows, const double* images, const double* residuals, int slots, int newest, int pairs,
                    double* directions, double radius, double* f, double* state) {
    const bs::Mixing mixing = bs::mix_pairs(rows, images, residuals, slots, newest, pairs, directions, radius, f);
    if (threadIdx.x == 0) {
        state[3] = mixing.directions;
        state[4] = mixing.taken;
    }
}
