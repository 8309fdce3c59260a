// Many Gromov-Wasserstein problems in one launch: blockIdx.z is the problem, whose shape, operands and state come from
// a table, and blockIdx.x and blockIdx.y its part, as in a launch of its own. Blocks beyond a problem's shape, and
// those of a problem that has nothing to do, end at once. Nothing that is computed depends on which problems share a
// launch. ptx-gate: BS_ELEMENT=double
#include <bs/gemm_plain.cuh>
#include <bs/linearise.cuh>
#include <bs/mixing.cuh>
#include <bs/sinkhorn_half.cuh>

namespace bs {

// What a problem does in the next turn of the inner solve.
constexpr int refresh_columns = 0; // f is new: the column sums, and with them the next g
constexpr int iterate = 1;
constexpr int solved = 2;
constexpr int finished = 3; // the outer iteration has ended too

constexpr int mixing_slots = mixing_depth + 1;
constexpr int mix_every = 4;
constexpr double first_radius = 4.0, merit_rounding = 1e-12, worst_growth = 10.0;

// As the host reads it.
struct BatchState {
    double change; // squared Frobenius norm of the last change of the coupling
    double error;  // Euclidean norm of the violation of the column marginal
    double merit;  // dual objective
    double plain_merit, plain_residual, step_length, radius;
    int phase, iterations, converged;
    int current; // which of the two column potentials led to f
    int newest, pairs, since_mixing, mixed;
};

struct BatchProblem {
    int rows, columns;
    const Element *left, *right; // h1(C1) [n, n] and h2(C2) [m, m], symmetric
    const double *row_term, *column_term, *p, *q;
    const Element* between; // [n, m] or null
    Element *coupling, *product, *cost, *scratch;
    double *f, *start, *g, *largest, *sums, *violations, *row_change, *images, *residuals, *directions;
    double tolerance; // of the column marginal
    BatchState* state;
};

// The dual objective decides, which plain iterations never lower; so close to the solution that its change is rounding,
// the residual does.
__device__ __forceinline__ bool improved(const BatchState& s, const MixingRecord& now, double epsilon) {
    const double noise = merit_rounding * fmax(epsilon, fabs(now.merit));
    return now.merit > s.plain_merit + noise ||
           (now.merit > s.plain_merit - noise && now.residual <= worst_growth * worst_growth * s.plain_residual);
}

// After an iteration, by all threads alike: takes the last mixing back, mixes, or leaves f as it is.
__device__ __forceinline__ void accelerate(const BatchProblem& p, BatchState& s, const MixingRecord& now,
                                           double epsilon) {
    s.phase = refresh_columns;
    if (s.mixed && !improved(s, now, epsilon)) {
        // Go on from the plain iterate that the mixing had replaced, without the pairs that misled it.
        const double* plain = p.images + static_cast<long long>((s.newest + mixing_slots - 1) % mixing_slots) * p.rows;
        for (int i = static_cast<int>(threadIdx.x); i < p.rows; i += static_cast<int>(blockDim.x))
            p.f[i] = plain[i];
        s.radius = s.step_length / 4.0;
        s.mixed = s.since_mixing = s.pairs = 0;
        return;
    }
    if (s.mixed && s.step_length == s.radius)
        s.radius *= 4.0;
    s.mixed = 0;
    if (++s.since_mixing >= mix_every) {
        s.since_mixing = 0;
        if (s.pairs >= 2) {
            const Mixing mixing =
                mix_pairs(p.rows, p.images, p.residuals, mixing_slots, s.newest, s.pairs, p.directions, s.radius, p.f);
            s.mixed = mixing.directions > 0;
            s.step_length = mixing.taken;
            s.plain_merit = now.merit;
            s.plain_residual = now.residual;
            return;
        }
    }
    s.phase = iterate;
}

} // namespace bs

// scratch = left coupling, or in the second pass product = scratch right; 16 x 16 threads.
extern "C" __global__ void __launch_bounds__(256) bs_batch_product(const bs::BatchProblem* problems, int second) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase == bs::finished || static_cast<int>(blockIdx.x) * bs::tile >= p.rows ||
        static_cast<int>(blockIdx.y) * bs::tile >= p.columns)
        return;
    const bs::Element one = 1, none = 0;
    const int depth = second ? p.columns : p.rows;
    bs::gemm<false, false>(p.rows, p.columns, 0, depth, one, second ? p.scratch : p.left, depth,
                           second ? p.right : p.coupling, p.columns, none, second ? p.product : p.scratch, p.columns);
}

// The linear cost from the product, and the start of its solve.
extern "C" __global__ void __launch_bounds__(32)
    bs_batch_linearise(const bs::BatchProblem* problems, double scale, double weight, int proximal, double epsilon) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase == bs::finished || static_cast<int>(blockIdx.x) >= p.rows)
        return;
    bs::linearise_row(p.product, p.columns, p.row_term, p.column_term, scale, p.columns, p.between, p.columns, weight,
                      proximal ? p.coupling : nullptr, p.columns, epsilon, p.cost, p.columns);
}

extern "C" __global__ void __launch_bounds__(32) bs_batch_begin(const bs::BatchProblem* problems, double epsilon) {
    bs::BatchState& s = *problems[blockIdx.z].state;
    if (threadIdx.x != 0 || s.phase == bs::finished)
        return;
    s.phase = bs::refresh_columns;
    s.iterations = s.converged = s.newest = s.pairs = s.since_mixing = s.mixed = 0;
    s.radius = bs::first_radius * epsilon;
}

// A turn of the inner solve is these four: f from g, the column sums of f and from them the next g, what to do next.
extern "C" __global__ void __launch_bounds__(32)
    bs_batch_rows(const bs::BatchProblem* problems, double epsilon, double inverse_epsilon) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase != bs::iterate || static_cast<int>(blockIdx.x) >= p.rows)
        return;
    if (threadIdx.x == 0)
        p.start[blockIdx.x] = p.f[blockIdx.x];
    bs::row_potential(p.cost, p.columns, p.columns, p.p, p.g + p.state->current * p.columns, epsilon, inverse_epsilon,
                      {1.0, 0.0, bs::infinity_double()}, p.f, nullptr, nullptr);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_batch_partials(const bs::BatchProblem* problems, double inverse_epsilon) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase >= bs::solved || static_cast<int>(blockIdx.x) * 32 >= p.columns ||
        static_cast<int>(blockIdx.y) * bs::sinkhorn_chunk >= p.rows)
        return;
    bs::column_partial(p.cost, p.columns, p.rows, p.columns, p.f, inverse_epsilon, p.largest, p.sums);
}

extern "C" __global__ void __launch_bounds__(256)
    bs_batch_columns(const bs::BatchProblem* problems, double epsilon, double inverse_epsilon) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase >= bs::solved || static_cast<int>(blockIdx.x) * 256 >= p.columns)
        return;
    const int current = p.state->current;
    bs::column_potential(p.largest, p.sums, bs::ceil_divide(p.rows, bs::sinkhorn_chunk), p.columns, p.q,
                         p.g + current * p.columns, epsilon, inverse_epsilon, {1.0, 0.0, bs::infinity_double()},
                         p.g + (1 - current) * p.columns, p.violations, nullptr, nullptr);
}

extern "C" __global__ void __launch_bounds__(128)
    bs_batch_advance(const bs::BatchProblem* problems, double epsilon, int most_iterations) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    bs::BatchState s = *p.state;
    if (s.phase >= bs::solved)
        return;
    __syncthreads(); // before the state is written
    if (s.phase == bs::iterate) {
        s.newest = (s.newest + 1) % bs::mixing_slots;
        s.pairs = min(s.pairs + 1, bs::mixing_slots);
        const long long slot = static_cast<long long>(s.newest) * p.rows;
        const bs::MixingRecord now =
            bs::record_pair(p.rows, p.columns, p.start, p.f, p.g + s.current * p.columns, p.p, p.q, p.violations,
                            bs::ceil_divide(p.columns, 256), p.images + slot, p.residuals + slot);
        s.iterations++;
        s.error = sqrt(now.violation);
        s.merit = now.merit;
        s.converged = s.error < p.tolerance;
        // The last iterate stays plain: a mixed f has no g yet, and the two together would be no plan.
        if (s.converged || s.iterations == most_iterations)
            s.phase = bs::solved;
        else
            bs::accelerate(p, s, now, epsilon);
    } else {
        s.phase = bs::iterate;
    }
    if (s.phase == bs::iterate)
        s.current = 1 - s.current;
    if (threadIdx.x == 0)
        *p.state = s;
}

extern "C" __global__ void __launch_bounds__(32)
    bs_batch_coupling(const bs::BatchProblem* problems, double inverse_epsilon) {
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase == bs::finished || static_cast<int>(blockIdx.x) >= p.rows)
        return;
    bs::coupling_row(p.cost, p.columns, p.columns, p.f, p.g + p.state->current * p.columns, inverse_epsilon, p.coupling,
                     p.columns, nullptr, 0, p.row_change);
}

extern "C" __global__ void __launch_bounds__(128) bs_batch_change(const bs::BatchProblem* problems) {
    __shared__ double scratch[bs::warp_size];
    const bs::BatchProblem& p = problems[blockIdx.z];
    if (p.state->phase == bs::finished)
        return;
    const double change = bs::sum_over(p.rows, scratch, [&](long long i) { return p.row_change[i]; });
    if (threadIdx.x == 0)
        p.state->change = change;
}

// A problem whose outer iteration has ended: from here on its blocks end at once.
extern "C" __global__ void __launch_bounds__(32) bs_batch_finish(const bs::BatchProblem* problems, int problem) {
    if (threadIdx.x == 0)
        problems[problem].state->phase = bs::finished;
}
