// A whole Sinkhorn iteration with one reading of the cost. A block keeps BS_ROWS rows of the cost in shared memory,
// takes their log-sum-exps, and from the exponentials that it has at hand adds the rows of the plan to its column sums
// at once; the next rows travel meanwhile. After its row update a row of the plan sums to its mass, so no entry
// overflows; a column whose entries all but underflow is summed again in the log domain.
// ptx-gate: BS_ROWS=2
// ptx-gate: BS_ROWS=4
// ptx-gate: BS_ELEMENT=double BS_ROWS=1
// ptx-gate: BS_ELEMENT=double BS_ROWS=2
// ptx-gate: BS_ELEMENT=double BS_ROWS=4
#include <bs/ptx.cuh>
#include <bs/sinkhorn.cuh>

#ifndef BS_ROWS
#define BS_ROWS 1 // rows of a panel: 1, 2 or 4
#endif

namespace bs {

constexpr int panel_columns = 32; // columns of a thread

// Below this a column sum has lost digits to entries that underflowed: a row's exponentials reach down to 1e-38
// (1e-308) of its largest.
__device__ __forceinline__ double least_column_sum() {
    return sizeof(Element) == 4 ? 1e-25 : 1e-280;
}

// Exponents are stored in the cost's precision relative to the potentials and the mass of the iteration before, so that
// those that matter are small. Where the largest of a row is not, they are taken again relative to it.
constexpr double largest_exponent = 4.0;

__device__ __forceinline__ void fetch_panel(Element* panel, const Element* cost, long long stride, int columns, int row,
                                            int end) {
    for (int r = 0; r < BS_ROWS && row + r < end; r++)
        for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
            for (int word = 0; word < static_cast<int>(sizeof(Element)) / 4; word++)
                cp_async_4(reinterpret_cast<unsigned*>(panel + r * columns + j) + word,
                           reinterpret_cast<const unsigned*>(cost + (row + r) * stride + j) + word);
}

} // namespace bs

// f[i] on entry is the potential of the iteration before, on return the new one; column_sums [blocks, columns] of the
// plan of the new f and g, over the rows of each block. Dynamic shared memory: two panels. At most 32 columns a thread.
extern "C" __global__ void __launch_bounds__(512)
    bs_sinkhorn_panel(const bs::Element* cost, long long stride, int rows, int columns, int rows_per_block,
                      const double* a, const double* g, double epsilon, double inverse_epsilon, double* f,
                      double* column_sums) {
    BS_DYNAMIC_SHARED(bs::Element, panels);
    __shared__ bs::Element largest_of_warp[BS_ROWS][bs::warp_size];
    __shared__ double sum_of_warp[BS_ROWS][bs::warp_size];
    __shared__ double shifts[BS_ROWS];
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    const int warp = thread / bs::warp_size, lane = thread % bs::warp_size, warps = threads / bs::warp_size;
    const int first = static_cast<int>(blockIdx.x) * rows_per_block, end = min(rows, first + rows_per_block);
    double plan[bs::panel_columns];
#pragma unroll
    for (int k = 0; k < bs::panel_columns; k++)
        plan[k] = 0.0;

    bs::fetch_panel(panels, cost, stride, columns, first, end);
    bs::cp_async_commit();
    for (int row = first, turn = 0; row < end; row += BS_ROWS, turn ^= 1) {
        bs::fetch_panel(panels + (turn ^ 1) * BS_ROWS * columns, cost, stride, columns, row + BS_ROWS, end);
        bs::cp_async_commit();
        if (thread < BS_ROWS && row + thread < end)
            shifts[thread] = f[row + thread] * inverse_epsilon - log(a[row + thread]);
        bs::cp_async_wait<1>();
        __syncthreads();
        bs::Element* panel = panels + turn * BS_ROWS * columns;

        // The exponents, in place of the cost.
        double shift[BS_ROWS];
        bs::Element largest[BS_ROWS];
#pragma unroll
        for (int r = 0; r < BS_ROWS; r++) {
            shift[r] = row + r < end ? shifts[r] : 0.0;
            largest[r] = static_cast<bs::Element>(-bs::infinity());
        }
        for (int j = thread; j < columns; j += threads) {
            const double potential = g[j];
#pragma unroll
            for (int r = 0; r < BS_ROWS; r++) {
                if (row + r >= end)
                    break;
                const double c = static_cast<double>(panel[r * columns + j]);
                const auto x = static_cast<bs::Element>(fma(potential - c, inverse_epsilon, shift[r]));
                panel[r * columns + j] = x;
                largest[r] = x > largest[r] ? x : largest[r];
            }
        }
#pragma unroll
        for (int r = 0; r < BS_ROWS; r++) {
            largest[r] = bs::warp_maximum(largest[r]);
            if (lane == 0)
                largest_of_warp[r][warp] = largest[r];
        }
        __syncthreads();

        double sum[BS_ROWS];
#pragma unroll
        for (int r = 0; r < BS_ROWS; r++) {
            for (int w = 0; w < warps; w++)
                largest[r] = largest_of_warp[r][w] > largest[r] ? largest_of_warp[r][w] : largest[r];
            sum[r] = 0.0;
        }
        for (int j = thread; j < columns; j += threads) {
#pragma unroll
            for (int r = 0; r < BS_ROWS; r++) {
                if (row + r >= end)
                    break;
                bs::Element x = panel[r * columns + j] - largest[r];
                if (fabs(static_cast<double>(largest[r])) > bs::largest_exponent) {
                    const double c = static_cast<double>(cost[(row + r) * stride + j]);
                    x = static_cast<bs::Element>(
                        fma(g[j] - c, inverse_epsilon, shift[r] - static_cast<double>(largest[r])));
                }
                const bs::Element e = bs::exponential(x);
                panel[r * columns + j] = e;
                sum[r] += static_cast<double>(e);
            }
        }
#pragma unroll
        for (int r = 0; r < BS_ROWS; r++) {
            sum[r] = bs::warp_sum(sum[r]);
            if (lane == 0)
                sum_of_warp[r][warp] = sum[r];
        }
        __syncthreads();

        // The plan's entries: each thread reads back its own exponentials.
        double factor[BS_ROWS];
#pragma unroll
        for (int r = 0; r < BS_ROWS; r++) {
            factor[r] = 0.0;
            if (row + r >= end)
                continue;
            double total = 0.0;
            for (int w = 0; w < warps; w++)
                total += sum_of_warp[r][w];
            factor[r] = a[row + r] / total;
            if (thread == 0)
                f[row + r] -= epsilon * (log(total) + static_cast<double>(largest[r]));
        }
#pragma unroll
        for (int k = 0; k < bs::panel_columns; k++) {
            const int j = thread + k * threads;
            if (j >= columns)
                break;
#pragma unroll
            for (int r = 0; r < BS_ROWS; r++)
                if (row + r < end)
                    plan[k] = fma(static_cast<double>(panel[r * columns + j]), factor[r], plan[k]);
        }
        __syncthreads(); // before the panel is filled again
    }
    bs::cp_async_wait<0>();
#pragma unroll
    for (int k = 0; k < bs::panel_columns; k++) {
        const int j = thread + k * threads;
        if (j < columns)
            column_sums[static_cast<long long>(blockIdx.x) * columns + j] = plan[k];
    }
}

// Joins the blocks' column sums in a fixed order: the next g, and per block the squared violation of the column
// marginal by the present one. 32 columns a block, a lane each; its eight warps share the parts.
extern "C" __global__ void __launch_bounds__(256)
    bs_sinkhorn_panel_columns(const double* column_sums, int parts, const bs::Element* cost, long long stride, int rows,
                              int columns, const double* b, const double* f, const double* g, double epsilon,
                              double inverse_epsilon, double* next_g, double* violation) {
    __shared__ double sums[bs::sinkhorn_warps][bs::warp_size];
    __shared__ bs::PotentialSum of_warp[bs::sinkhorn_warps];
    __shared__ double exact[bs::warp_size];
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int first = static_cast<int>(blockIdx.x) * 32, j = first + lane;
    double sum = 0.0;
    if (j < columns)
        for (int part = warp; part < parts; part += bs::sinkhorn_warps)
            sum += column_sums[static_cast<long long>(part) * columns + j];
    sums[warp][lane] = sum;
    __syncthreads();
    sum = 0.0;
#pragma unroll
    for (int w = 0; w < bs::sinkhorn_warps; w++)
        sum += sums[w][lane];

    // Every warp has the same 32 sums, so all agree on the columns to sum again.
    unsigned lost = __ballot_sync(bs::full_warp, j < columns && !(sum >= bs::least_column_sum()));
    for (; lost != 0; lost &= lost - 1) {
        const int column = __ffs(static_cast<int>(lost)) - 1;
        bs::PotentialSum s = bs::empty_potential_sum();
        for (int i = static_cast<int>(threadIdx.x); i < rows; i += 4 * 256) {
            double x[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int at = i + e * 256;
                x[e] = at < rows ? f[at] - static_cast<double>(cost[at * stride + first + column])
                                 : -bs::infinity_double();
            }
            bs::add_four(s, x, inverse_epsilon);
        }
        s = bs::warp_join(s, inverse_epsilon);
        if (lane == 0)
            of_warp[warp] = s;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 1; w < bs::sinkhorn_warps; w++)
                s = bs::join(s, of_warp[w], inverse_epsilon);
            exact[column] = log(s.sum) + (s.largest + g[first + column]) * inverse_epsilon;
        }
        __syncthreads();
        if (lane == column)
            sum = -1.0; // its logarithm is exact[column]
    }
    if (warp != 0)
        return;
    double square = 0.0;
    if (j < columns) {
        const double logarithm = sum < 0.0 ? exact[lane] : log(sum);
        const double difference = exp(logarithm) - b[j];
        square = difference * difference;
        next_g[j] = g[j] + epsilon * (log(b[j]) - logarithm);
    }
    square = bs::warp_sum(square);
    if (lane == 0)
        violation[blockIdx.x] = square;
}
