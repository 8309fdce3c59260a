// What is asked of a plan known by factors once its potentials are there: products with features, the change from
// another plan, blocks of entries. The plan is formed tile by tile and not stored.
// ptx-gate: BS_ELEMENT=double
#include <bs/factored.cuh>

namespace bs {

constexpr int factored_features = 32; // features of a block
constexpr int factored_groups = factored_threads / (factored_own / 4);
constexpr int factored_features_of_thread = factored_features / factored_groups;
constexpr int factored_pitch = factored_own + 4; // of the entries in shared memory

// One of the two plans that a change is taken of.
struct FactoredSide {
    const Element *left, *right, *base, *factor, *shift;
    const double* scale;
    long long rank;
};

} // namespace bs

// result [rows, width] = T V for features [width][padded columns]: 32 features of one block of rows. Sums over 64
// columns are in the plan's type, their sums in double.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_apply(const bs::Element* left, long long padded_rows, const bs::Element* right,
                      long long padded_columns, int rank, const bs::Element* base, const bs::Element* factor,
                      const bs::Element* shift, const double* scale, const bs::Element* features, int width, int rows,
                      double* result) {
    BS_DYNAMIC_SHARED(bs::Element, memory);
    bs::Element* entries = memory + bs::factored_tile_elements;
    bs::Element* feature_slab = entries + bs::factored_other * bs::factored_pitch;
    const int thread = static_cast<int>(threadIdx.x), own_first = static_cast<int>(blockIdx.x) * bs::factored_own;
    const int first_feature = static_cast<int>(blockIdx.y) * bs::factored_features;
    const int count = min(bs::factored_features, width - first_feature);
    const int quad = thread % (bs::factored_own / 4) * 4, group = thread / (bs::factored_own / 4);
    double total[4][bs::factored_features_of_thread] = {};
    for (int tile = 0; tile < padded_columns; tile += bs::factored_other) {
        bs::Element z[bs::factored_lines][4];
        bs::factored_tile(z, memory, left, padded_rows, own_first, right, padded_columns, tile, rank, base);
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const bs::Element f = factor[tile + bs::factored_along() + c];
#pragma unroll
            for (int r = 0; r < bs::factored_lines; r++) {
                const bs::Element x = z[r][c] + shift[own_first + bs::factored_line(r)];
                entries[(bs::factored_along() + c) * bs::factored_pitch + bs::factored_line(r)] =
                    bs::factored_exp(x) * f;
            }
        }
        bs::factored_fetch<bs::factored_other>(feature_slab, features, padded_columns, tile, first_feature, count);
        bs::cp_async_commit();
        bs::cp_async_wait<0>();
        __syncthreads();
        bs::Element part[4][bs::factored_features_of_thread] = {};
#pragma unroll 4
        for (int j = 0; j < bs::factored_other; j++) {
            bs::Element e[4];
            bs::load_four(e, entries + j * bs::factored_pitch + quad);
#pragma unroll
            for (int k = 0; k < bs::factored_features_of_thread; k++) {
                const int feature = min(group * bs::factored_features_of_thread + k, count - 1);
                const bs::Element f = feature_slab[feature * bs::factored_other + j];
#pragma unroll
                for (int r = 0; r < 4; r++)
                    part[r][k] = fma(e[r], f, part[r][k]);
            }
        }
        __syncthreads();
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int k = 0; k < bs::factored_features_of_thread; k++)
                total[r][k] += static_cast<double>(part[r][k]);
        }
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int row = own_first + quad + r;
#pragma unroll
        for (int k = 0; k < bs::factored_features_of_thread; k++) {
            const int feature = group * bs::factored_features_of_thread + k;
            if (row < rows && feature < count)
                result[static_cast<long long>(row) * width + first_feature + feature] = scale[row] * total[r][k];
        }
    }
}

// Squared differences of two plans of the same shape, summed by row.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_change(const bs::FactoredSide first, const bs::FactoredSide second, long long padded_rows,
                       long long padded_columns, int rows, double* row_sums) {
    BS_DYNAMIC_SHARED(bs::Element, memory);
    const int own_first = static_cast<int>(blockIdx.x) * bs::factored_own;
    double squares[bs::factored_lines] = {};
    for (int tile = 0; tile < padded_columns; tile += bs::factored_other) {
        bs::Element z[bs::factored_lines][4], y[bs::factored_lines][4];
        bs::factored_tile(z, memory, first.left, padded_rows, own_first, first.right, padded_columns, tile,
                          static_cast<int>(first.rank), first.base);
        bs::factored_tile(y, memory, second.left, padded_rows, own_first, second.right, padded_columns, tile,
                          static_cast<int>(second.rank), second.base);
#pragma unroll
        for (int r = 0; r < bs::factored_lines; r++) {
            const int row = own_first + bs::factored_line(r);
            const bs::Element shift_one = first.shift[row], shift_two = second.shift[row];
            const double one = first.scale[row], two = second.scale[row];
#pragma unroll
            for (int c = 0; c < 4; c++) {
                const int j = tile + bs::factored_along() + c;
                const bs::Element p = bs::factored_exp(z[r][c] + shift_one) * first.factor[j];
                const bs::Element q = bs::factored_exp(y[r][c] + shift_two) * second.factor[j];
                const double difference = one * static_cast<double>(p) - two * static_cast<double>(q);
                squares[r] = fma(difference, difference, squares[r]);
            }
        }
    }
#pragma unroll
    for (int r = 0; r < bs::factored_lines; r++) {
#pragma unroll
        for (int step = 8; step > 0; step /= 2)
            squares[r] += __shfl_xor_sync(bs::full_warp, squares[r], step);
        const int row = own_first + bs::factored_line(r);
        if (bs::factored_along() == 0 && row < rows)
            row_sums[row] = squares[r];
    }
}

// Entries of rows from first_row on and columns from first_column on: result [rows, columns], a thread a column.
extern "C" __global__ void __launch_bounds__(256)
    bs_factored_entries(const bs::Element* left, long long padded_rows, const bs::Element* right,
                        long long padded_columns, int rank, const bs::Element* base, const bs::Element* factor,
                        const bs::Element* shift, const double* scale, int first_row, int first_column, int columns,
                        double* result) {
    const int column = static_cast<int>(blockIdx.x) * 256 + static_cast<int>(threadIdx.x);
    const int offset = static_cast<int>(blockIdx.y), i = first_row + offset, j = first_column + column;
    if (column >= columns)
        return;
    bs::Element z = base[j];
    for (int k = 0; k < rank; k++)
        z = fma(left[k * padded_rows + i], right[k * padded_columns + j], z);
    const bs::Element e = bs::factored_exp(z + shift[i]) * factor[j];
    result[static_cast<long long>(offset) * columns + column] = scale[i] * static_cast<double>(e);
}
