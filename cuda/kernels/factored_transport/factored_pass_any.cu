// One side of a Sinkhorn iteration on the plan T_ij = exp(u_i + v_j + a_i . b_j), of which only factors and potentials
// are stored: log-sum-exps over all pairs. A block owns lines of one side, whose factors lie in shared memory, while
// tiles of the other side arrive (cp.async) and are used up. A thread keeps the running largest exponent and sum of its
// own 8 (4) lines over the columns it sees; lanes are joined once at the end.
// The other side may be split over blocks: each leaves a partial result, joined in their order elsewhere.
// ptx-gate: BS_ELEMENT=double
#include <bs/factored.cuh>

namespace bs {

enum class FactoredPass { rows, columns, best };

// Shared memory: own slabs (two where there are more levels than a slab has), two slabs of the other side, two pairs of
// vectors of the other side.
template <FactoredPass pass>
__device__ __forceinline__ void factored_pass(const Element* own, long long own_padded, const Element* other,
                                              long long other_padded, int rank, const Element* own_start,
                                              const Element* other_first_vector, const Element* other_factor,
                                              int tiles_per_part, Element* largest, double* sums) {
    BS_DYNAMIC_SHARED(Element, memory);
    const int levels_of_slab = min(rank, factored_depth), slabs = ceil_divide(rank, factored_depth);
    Element* own_slabs = memory;
    Element* other_slabs = own_slabs + (slabs > 1 ? 2 : 1) * levels_of_slab * factored_own;
    Element* vectors = other_slabs + 2 * levels_of_slab * factored_other;
    const int own_first = static_cast<int>(blockIdx.x) * factored_own;
    const int first_tile = static_cast<int>(blockIdx.y) * tiles_per_part;
    const int end_tile = min(static_cast<int>(other_padded / factored_other), first_tile + tiles_per_part);

    // Slab `slab` of tile `tile`, the turn-th of all.
    const auto fetch = [&](int tile, int slab, int turn) {
        const int level = slab * factored_depth, levels = min(factored_depth, rank - level);
        if (slabs > 1 || turn == 0)
            factored_fetch<factored_own>(own_slabs + (slabs > 1 ? turn % 2 * levels_of_slab * factored_own : 0), own,
                                         own_padded, own_first, level, levels);
        factored_fetch<factored_other>(other_slabs + turn % 2 * levels_of_slab * factored_other, other, other_padded,
                                       tile * factored_other, level, levels);
        if (slab == 0) {
            constexpr int piece = 16 / static_cast<int>(sizeof(Element)), run = factored_other / piece;
            const int e = static_cast<int>(threadIdx.x);
            if (e < 2 * run)
                cp_async_16(vectors + tile % 2 * 2 * factored_other + e * piece,
                            (e < run ? other_first_vector : other_factor) + tile * factored_other + e % run * piece);
        }
        cp_async_commit();
    };

    Element z[factored_lines][4], most[factored_lines];
    double sum[factored_lines];
#pragma unroll
    for (int r = 0; r < factored_lines; r++) {
        most[r] = factored_least;
        sum[r] = 0.0; // for the best, the column
    }
    if (first_tile < end_tile)
        fetch(first_tile, 0, 0);
    for (int tile = first_tile, slab = 0, turn = 0; tile < end_tile; turn++) {
        cp_async_wait<0>();
        __syncthreads(); // the slab is there, and the one before it is used up
        const bool last = slab == slabs - 1;
        const int next_tile = last ? tile + 1 : tile, next_slab = last ? 0 : slab + 1;
        if (next_tile < end_tile)
            fetch(next_tile, next_slab, turn + 1);
        const Element* first_vector = vectors + tile % 2 * 2 * factored_other + factored_along();
        if (slab == 0) {
#pragma unroll
            for (int r = 0; r < factored_lines; r++) {
                const Element start = pass == FactoredPass::columns ? own_start[own_first + factored_line(r)] : 0;
#pragma unroll
                for (int c = 0; c < 4; c++)
                    z[r][c] = pass == FactoredPass::columns ? start : first_vector[c];
            }
        }
        factored_multiply(z, own_slabs + (slabs > 1 ? turn % 2 * levels_of_slab * factored_own : 0),
                          other_slabs + turn % 2 * levels_of_slab * factored_other,
                          min(factored_depth, rank - slab * factored_depth));
        if (last) {
            const Element* factor = first_vector + factored_other;
            if constexpr (pass == FactoredPass::best) {
#pragma unroll
                for (int r = 0; r < factored_lines; r++) {
#pragma unroll
                    for (int c = 0; c < 4; c++) {
                        if (z[r][c] > most[r]) {
                            most[r] = z[r][c];
                            sum[r] = static_cast<double>(tile * factored_other + factored_along() + c);
                        }
                    }
                }
            } else {
                Element addends[4], factors[4];
                load_four(addends, first_vector);
                load_four(factors, factor);
                factored_add<pass == FactoredPass::columns>(z, addends, factors, most, sum);
            }
        }
        tile = next_tile;
        slab = next_slab;
    }

    // The sixteen threads of a line are neighbouring lanes.
#pragma unroll
    for (int r = 0; r < factored_lines; r++) {
#pragma unroll
        for (int step = 8; step > 0; step /= 2) {
            const Element other_most = __shfl_xor_sync(full_warp, most[r], step);
            const double other_sum = __shfl_xor_sync(full_warp, sum[r], step);
            if constexpr (pass == FactoredPass::best) {
                const bool better = other_most > most[r] || (other_most == most[r] && other_sum < sum[r]);
                sum[r] = better ? other_sum : sum[r];
                most[r] = better ? other_most : most[r];
            } else {
                const FactoredSum joined = FactoredSum::join({most[r], sum[r]}, {other_most, other_sum});
                most[r] = joined.largest;
                sum[r] = joined.sum;
            }
        }
        if (factored_along() == 0) {
            const long long at = blockIdx.y * own_padded + own_first + factored_line(r);
            largest[at] = most[r];
            sums[at] = sum[r];
        }
    }
}

} // namespace bs

// For every row the sum over columns of factor_j e^(base_j + a_i . b_j): [parts][padded rows], relative to the largest.
extern "C" __global__ void __launch_bounds__(256, 2)
    bs_factored_rows(const bs::Element* left, long long padded_rows, const bs::Element* right, long long padded_columns,
                     int rank, const bs::Element* base, const bs::Element* factor, int tiles_per_part,
                     bs::Element* largest, double* sums) {
    bs::factored_pass<bs::FactoredPass::rows>(left, padded_rows, right, padded_columns, rank, nullptr, base, factor,
                                              tiles_per_part, largest, sums);
}

// For every column the sum over rows of row_factor_i e^(base_j + a_i . b_j + shift_i): [parts][padded columns].
extern "C" __global__ void __launch_bounds__(256, 2)
    bs_factored_columns(const bs::Element* left, long long padded_rows, const bs::Element* right,
                        long long padded_columns, int rank, const bs::Element* base, const bs::Element* shift,
                        const bs::Element* row_factor, int tiles_per_part, bs::Element* largest, double* sums) {
    bs::factored_pass<bs::FactoredPass::columns>(right, padded_columns, left, padded_rows, rank, base, shift,
                                                 row_factor, tiles_per_part, largest, sums);
}

// For every row its largest score and, as a number, the first column that has it: [parts][padded rows].
extern "C" __global__ void __launch_bounds__(256, 2)
    bs_factored_best(const bs::Element* left, long long padded_rows, const bs::Element* right, long long padded_columns,
                     int rank, const bs::Element* base, int tiles_per_part, bs::Element* largest, double* columns) {
    bs::factored_pass<bs::FactoredPass::best>(left, padded_rows, right, padded_columns, rank, nullptr, base, base,
                                              tiles_per_part, largest, columns);
}
