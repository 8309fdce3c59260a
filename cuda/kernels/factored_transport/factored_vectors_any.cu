// Vectors of a plan known by factors: factors into their packed form, column potentials as a base and a factor, partial
// sums into potentials, and what the host decides by after an iteration. O((n + m) rank) work each.
// ptx-gate: BS_ELEMENT=double
#include <bs/factored.cuh>
#include <bs/reduce.cuh>

namespace bs {

constexpr double factored_drift = 20.0; // a base stays while its potential is no further away

__device__ __forceinline__ FactoredSum join_parts(const Element* largest, const double* sums, int parts,
                                                  long long padded, int line) {
    FactoredSum s{largest[line], sums[line]};
    for (int part = 1; part < parts; part++)
        s = FactoredSum::join(s, {largest[part * padded + line], sums[part * padded + line]});
    return s;
}

template <class Term> __device__ __forceinline__ double factored_sum_over(long long n, double* scratch, Term term) {
    double sum = 0.0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        sum += term(i);
    return block_sum(sum, scratch);
}

} // namespace bs

// source [count, rank] into packed [rank][padded], zeros behind the last line. One thread per line and level.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_pack(const bs::Element* source, int count, int rank, long long padded, bs::Element* packed) {
    const long long i = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
    const int level = static_cast<int>(blockIdx.y);
    if (i < padded)
        packed[level * padded + i] = i < count ? source[i * rank + level] : static_cast<bs::Element>(0);
}

// v as base, rounded, and factor e^(v - base). In single precision the base stays where it is while the potential is
// near it and `fresh` is 0: then the rounding of scores does not change from one iteration to the next.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_base(const double* v, int count, long long padded, int fresh, bs::Element* base, bs::Element* factor) {
    const long long j = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
    if (j >= padded)
        return;
    if (j >= count) {
        base[j] = bs::factored_nothing;
        factor[j] = 0;
        return;
    }
    bs::Element now = base[j];
    if (!bs::factored_single || fresh != 0 || !(fabs(v[j] - static_cast<double>(now)) <= bs::factored_drift)) {
        now = static_cast<bs::Element>(v[j]);
        base[j] = now;
    }
    factor[j] = static_cast<bs::Element>(exp(v[j] - static_cast<double>(now)));
}

// u_i = log(mass_i) - log-sum-exp, and the same as a shift and a factor: T_ij = factor_i e^(z_ij + shift_i), with every
// exponential at most 1.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_row_potentials(const bs::Element* largest, const double* sums, int parts, const double* mass, int count,
                               long long padded, double* u, bs::Element* shift, bs::Element* factor) {
    const int i = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
    if (i >= padded)
        return;
    if (i >= count) {
        shift[i] = bs::factored_nothing;
        factor[i] = 0;
        return;
    }
    const bs::FactoredSum s = bs::join_parts(largest, sums, parts, padded, i);
    u[i] = log(mass[i] / s.sum) - static_cast<double>(s.largest);
    shift[i] = -s.largest;
    factor[i] = static_cast<bs::Element>(mass[i] / s.sum);
}

// Column sums of the plan, the next column potentials v + log(mass / sums), and per block the squared violation of the
// masses and the largest potential.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_column_potentials(const bs::Element* largest, const double* sums, int parts, const double* mass,
                                  const double* v, const bs::Element* factor, int count, long long padded,
                                  double* column_sums, double* next, double* violations, double* magnitudes) {
    __shared__ double scratch[bs::warp_size];
    const int j = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
    double square = 0.0, magnitude = 0.0;
    if (j < count) {
        const bs::FactoredSum s = bs::join_parts(largest, sums, parts, padded, j);
        const double logarithm = log(s.sum) + static_cast<double>(s.largest) + log(static_cast<double>(factor[j]));
        const double sum = exp(logarithm), difference = sum - mass[j];
        column_sums[j] = sum;
        next[j] = v[j] + (log(mass[j]) - logarithm);
        square = difference * difference;
        magnitude = fabs(v[j]);
    }
    square = bs::block_sum(square, scratch);
    magnitude = bs::block_maximum(magnitude, scratch);
    if (threadIdx.x == 0) {
        violations[blockIdx.x] = square;
        magnitudes[blockIdx.x] = magnitude;
    }
}

// u_i as a shift, rounded, and a factor e^(u - shift) in double precision: T_ij = scale_i e^(z_ij + shift).
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_row_shifts(const double* u, int count, long long padded, bs::Element* shift, double* scale) {
    const int i = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
    if (i >= padded)
        return;
    shift[i] = i < count ? static_cast<bs::Element>(u[i]) : bs::factored_nothing;
    scale[i] = i < count ? exp(u[i] - static_cast<double>(shift[i])) : 0.0;
}

// The first column with the largest score of every row.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_best_columns(const bs::Element* largest, const double* columns, int parts, int count, long long padded,
                             int* best) {
    const int i = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
    if (i >= count)
        return;
    int winner = 0; // later parts have later columns
    for (int part = 1; part < parts; part++)
        if (largest[part * padded + i] > largest[winner * padded + i])
            winner = part;
    best[i] = static_cast<int>(columns[winner * padded + i]);
}

// After an iteration, by one block: keeps the pair (v, next) where there are slots for it, and says how it went. state:
// [0] squared violation of the column masses, [1] dual objective, [2] squared change of v, [5] the largest |v|.
extern "C" __global__ void __launch_bounds__(1024)
    bs_factored_record(int rows, int columns, const double* u, const double* v, const double* next, const double* a,
                       const double* b, const double* violations, const double* magnitudes, int blocks,
                       double* image_slot, double* residual_slot, double* state) {
    __shared__ double scratch[bs::warp_size];
    const double violation = bs::factored_sum_over(blocks, scratch, [=](long long i) { return violations[i]; });
    double magnitude = 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < blocks; i += static_cast<int>(blockDim.x))
        magnitude = bs::Maximum::join(magnitude, magnitudes[i]);
    magnitude = bs::block_maximum(magnitude, scratch);
    const double squares = bs::factored_sum_over(columns, scratch, [=](long long j) {
        const double residual = next[j] - v[j];
        if (image_slot != nullptr) {
            image_slot[j] = next[j];
            residual_slot[j] = residual;
        }
        return residual * residual;
    });
    const double from_rows = bs::factored_sum_over(rows, scratch, [=](long long i) { return a[i] * u[i]; });
    const double from_columns = bs::factored_sum_over(columns, scratch, [=](long long j) { return b[j] * next[j]; });
    if (threadIdx.x == 0) {
        state[0] = violation;
        state[1] = from_rows + from_columns;
        state[2] = squares;
        state[5] = magnitude;
    }
}
