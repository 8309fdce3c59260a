// The two passes of a Sinkhorn iteration on a plan known by factors, with the scores from the tensor cores: every
// factor is split into two tf32 numbers and three products are taken ("3xTF32"), so that scores have the error of
// single precision. Single precision, up to 64 levels: the factors of the 128 lines that a block owns stay in shared
// memory as a whole, tiles of 64 lines of the other side arrive in slabs of 16 levels (cp.async). A warp has 32 x 32
// scores.
#include <bs/factored.cuh>
#include <bs/tensor_tile.cuh>

namespace bs {

using OwnSlab = TensorSlab<BS_FORM_TF32X3, factored_own, factored_threads, false>;
using OtherSlab = TensorSlab<BS_FORM_TF32X3, factored_other, factored_threads, false>;

// Shared memory: the own slabs, two slabs of the other side, two pairs of vectors of the other side.
template <bool columns>
__device__ __forceinline__ void factored_tensor_pass(const float* own, int own_padded, const float* other,
                                                     int other_padded, int rank, const float* own_start,
                                                     const float* other_first_vector, const float* other_factor,
                                                     int tiles_per_part, float* largest, double* sums) {
    BS_DYNAMIC_SHARED(float, memory);
    const int slabs = ceil_divide(rank, kTensorSlab), thread = static_cast<int>(threadIdx.x);
    float* other_slabs = memory + slabs * OwnSlab::floats;
    float* vectors = other_slabs + 2 * OtherSlab::floats;
    const int own_first = static_cast<int>(blockIdx.x) * factored_own;
    const int first_tile = static_cast<int>(blockIdx.y) * tiles_per_part;
    const int end_tile = min(other_padded / factored_other, first_tile + tiles_per_part);
    const auto fetch = [&](int tile, int slab, int turn) {
        OtherSlab::fetch(other_slabs + turn % 2 * OtherSlab::floats, other, other_padded, true, tile * factored_other,
                         other_padded, slab * kTensorSlab, rank);
        if (slab == 0 && thread < 2 * factored_other / 4) {
            constexpr int run = factored_other / 4;
            cp_async_16(vectors + tile % 2 * 2 * factored_other + 4 * thread,
                        (thread < run ? other_first_vector : other_factor) + tile * factored_other + thread % run * 4);
        }
        cp_async_commit();
    };
    for (int slab = 0; slab < slabs; slab++)
        OwnSlab::fetch(memory + slab * OwnSlab::floats, own, own_padded, true, own_first, own_padded,
                       slab * kTensorSlab, rank);

    // A thread's lines are row + 16 i + 8 h, its others column + 8 j + e.
    const int warp = thread / warp_size, g = thread % warp_size / 4, t = thread % 4;
    const int warp_row = warp % 4 * 32, warp_column = warp / 4 * 32;
    const int row = warp_row + g, column = warp_column + 2 * t;
    float most[4];
    double sum[4];
#pragma unroll
    for (int l = 0; l < 4; l++) {
        most[l] = factored_least;
        sum[l] = 0.0;
    }
    if (first_tile < end_tile)
        fetch(first_tile, 0, 0);
    float product[2][4][4];
    for (int tile = first_tile, slab = 0, turn = 0; tile < end_tile; turn++) {
        cp_async_wait<0>();
        __syncthreads(); // the slab is there, and the one before it is used up
        const bool last = slab == slabs - 1;
        const int next_tile = last ? tile + 1 : tile, next_slab = last ? 0 : slab + 1;
        if (next_tile < end_tile)
            fetch(next_tile, next_slab, turn + 1);
        if (slab == 0) {
#pragma unroll
            for (int l = 0; l < 32; l++)
                product[l / 16][l / 4 % 4][l % 4] = 0.0f;
        }
        tensor_slab_product<OwnSlab, OtherSlab>(product, memory + slab * OwnSlab::floats, warp_row,
                                                other_slabs + turn % 2 * OtherSlab::floats, warp_column);
        if (last) {
            const float* first_vector = vectors + tile % 2 * 2 * factored_other;
            float vector[8], factor[8], z[4][8];
#pragma unroll
            for (int c = 0; c < 8; c++) {
                vector[c] = first_vector[column + c / 2 * 8 + c % 2];
                factor[c] = first_vector[factored_other + column + c / 2 * 8 + c % 2];
            }
#pragma unroll
            for (int l = 0; l < 4; l++) {
                const float start = columns ? own_start[own_first + row + l / 2 * 16 + l % 2 * 8] : 0.0f;
#pragma unroll
                for (int c = 0; c < 8; c++)
                    z[l][c] = product[l / 2][c / 2][l % 2 * 2 + c % 2] + (columns ? start : vector[c]);
            }
            factored_add<columns>(z, vector, factor, most, sum);
        }
        tile = next_tile;
        slab = next_slab;
    }

    // The four threads of a line are neighbouring lanes; the two warps that share it meet in shared memory.
    __syncthreads();
    double* sum_of_warp = reinterpret_cast<double*>(memory);
    float* most_of_warp = memory + 4 * factored_own;
#pragma unroll
    for (int l = 0; l < 4; l++) {
#pragma unroll
        for (int step = 2; step > 0; step /= 2) {
            const float other_most = __shfl_xor_sync(full_warp, most[l], step);
            const double other_sum = __shfl_xor_sync(full_warp, sum[l], step);
            const FactoredSum joined = FactoredSum::join({most[l], sum[l]}, {other_most, other_sum});
            most[l] = joined.largest;
            sum[l] = joined.sum;
        }
        if (t == 0) {
            const int at = warp / 4 * factored_own + row + l / 2 * 16 + l % 2 * 8;
            sum_of_warp[at] = sum[l];
            most_of_warp[at] = most[l];
        }
    }
    __syncthreads();
    if (thread < factored_own) {
        const FactoredSum joined =
            FactoredSum::join({most_of_warp[thread], sum_of_warp[thread]},
                              {most_of_warp[factored_own + thread], sum_of_warp[factored_own + thread]});
        const long long at = static_cast<long long>(blockIdx.y) * own_padded + own_first + thread;
        largest[at] = joined.largest;
        sums[at] = joined.sum;
    }
}

} // namespace bs

// As bs_factored_rows.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_rows_tensor(const float* left, long long padded_rows, const float* right, long long padded_columns,
                            int rank, const float* base, const float* factor, int tiles_per_part, float* largest,
                            double* sums) {
    bs::factored_tensor_pass<false>(left, static_cast<int>(padded_rows), right, static_cast<int>(padded_columns), rank,
                                    nullptr, base, factor, tiles_per_part, largest, sums);
}

// As bs_factored_columns.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_columns_tensor(const float* left, long long padded_rows, const float* right, long long padded_columns,
                               int rank, const float* base, const float* shift, const float* row_factor,
                               int tiles_per_part, float* largest, double* sums) {
    bs::factored_tensor_pass<true>(right, static_cast<int>(padded_columns), left, static_cast<int>(padded_rows), rank,
                                   base, shift, row_factor, tiles_per_part, largest, sums);
}
