// What a Gromov-Wasserstein problem needs beside matrix products: the separable parts of its loss, the linear cost from
// a tensor product, sums over pairs. Elements are in the type of the costs, sums and terms in double precision, one
// block to a row; the order of every sum follows from the shape.
// ptx-gate: BS_ELEMENT=double
#include <bs/linearise.cuh>
#include <bs/reduce.cuh>

namespace bs {

constexpr int gromov_tile = 32;
constexpr int square_loss = 0;

// f1 (first) or f2 of the loss; 1e-15 inside the logarithms is POT's guard for zero costs.
__device__ __forceinline__ double separable(int loss, bool first, double x) {
    if (loss == square_loss)
        return x * x;
    return first ? x * log(x + 1e-15) - x : x;
}

// h1 or h2.
__device__ __forceinline__ double coupled(int loss, bool first, double x) {
    if (first)
        return x;
    return loss == square_loss ? 2.0 * x : log(x + 1e-15);
}

} // namespace bs

// Sets *found where two mirrored elements differ by more than the tolerance. A block has a tile on or below the
// diagonal and its mirror image; 32 x 8 threads.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_asymmetry(const bs::Element* cost, long long stride, int n, bs::Element tolerance, int* found) {
    __shared__ bs::Element mirror[bs::gromov_tile][bs::gromov_tile + 1];
    if (blockIdx.x > blockIdx.y)
        return;
    const int row = static_cast<int>(blockIdx.y) * bs::gromov_tile,
              column = static_cast<int>(blockIdx.x) * bs::gromov_tile;
    const int x = static_cast<int>(threadIdx.x);
    for (int y = static_cast<int>(threadIdx.y); y < bs::gromov_tile; y += static_cast<int>(blockDim.y))
        if (column + y < n && row + x < n)
            mirror[y][x] = cost[static_cast<long long>(column + y) * stride + row + x];
    __syncthreads();
    int differ = 0;
    for (int y = static_cast<int>(threadIdx.y); y < bs::gromov_tile; y += static_cast<int>(blockDim.y))
        if (row + y < n && column + x < n) {
            const bs::Element difference = cost[static_cast<long long>(row + y) * stride + column + x] - mirror[x][y];
            differ |= difference > tolerance || -difference > tolerance;
        }
    if (__syncthreads_or(differ) && x == 0 && threadIdx.y == 0)
        atomicOr(found, 1);
}

// term_i = sum_k f(c_ik) mass_k, and the transformed cost.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_terms(const bs::Element* cost, long long stride, int n, const double* mass, int loss, int first,
                    double* term, bs::Element* transformed, long long transformed_stride) {
    __shared__ double scratch[bs::warp_size];
    const long long i = blockIdx.x;
    double sum = 0.0;
    for (int k = static_cast<int>(threadIdx.x); k < n; k += static_cast<int>(blockDim.x)) {
        const double x = static_cast<double>(cost[i * stride + k]);
        sum = fma(bs::separable(loss, first != 0, x), mass[k], sum);
        transformed[i * transformed_stride + k] = static_cast<bs::Element>(bs::coupled(loss, first != 0, x));
    }
    sum = bs::block_sum(sum, scratch);
    if (threadIdx.x == 0)
        term[i] = sum;
}

// term_j = (term_j + sum_k f(c_kj) mass_k) / 2: for a cost that is not symmetric. 32 columns a block, a lane each.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_terms_transposed(const bs::Element* cost, long long stride, int n, const double* mass, int loss,
                               int first, double* term) {
    __shared__ double sums[8][bs::warp_size];
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int j = static_cast<int>(blockIdx.x) * 32 + lane;
    double sum = 0.0;
    if (j < n)
        for (int k = warp; k < n; k += 8)
            sum = fma(bs::separable(loss, first != 0, static_cast<double>(cost[k * stride + j])), mass[k], sum);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || j >= n)
        return;
    for (int w = 1; w < 8; w++)
        sum += sums[w][lane];
    term[j] = 0.5 * (term[j] + sum);
}

// term_cost_ik = (f(c_ik) + f(c_ki)) / 2, the cost that the terms of a coupling with other marginals are sums of. A
// block has a tile and reads its mirror image through shared memory; 32 x 8 threads.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_term_cost(const bs::Element* cost, long long stride, int n, int loss, int first, bs::Element* term_cost,
                        long long term_stride) {
    __shared__ bs::Element mirror[bs::gromov_tile][bs::gromov_tile + 1];
    const int row = static_cast<int>(blockIdx.y) * bs::gromov_tile,
              column = static_cast<int>(blockIdx.x) * bs::gromov_tile;
    const int x = static_cast<int>(threadIdx.x);
    for (int y = static_cast<int>(threadIdx.y); y < bs::gromov_tile; y += static_cast<int>(blockDim.y))
        if (column + y < n && row + x < n)
            mirror[y][x] = cost[static_cast<long long>(column + y) * stride + row + x];
    __syncthreads();
    for (int y = static_cast<int>(threadIdx.y); y < bs::gromov_tile; y += static_cast<int>(blockDim.y))
        if (row + y < n && column + x < n) {
            const double forward = bs::separable(
                loss, first != 0, static_cast<double>(cost[static_cast<long long>(row + y) * stride + column + x]));
            const double backward = bs::separable(loss, first != 0, static_cast<double>(mirror[x][y]));
            term_cost[static_cast<long long>(row + y) * term_stride + column + x] =
                static_cast<bs::Element>(0.5 * (forward + backward));
        }
}

extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_linearise(const bs::Element* product, long long product_stride, const double* row_term,
                        const double* column_term, double scale, int columns, const bs::Element* between,
                        long long between_stride, double weight, const bs::Element* proximal, long long proximal_stride,
                        double epsilon, bs::Element* cost, long long cost_stride) {
    bs::linearise_row(product, product_stride, row_term, column_term, scale, columns, between, between_stride, weight,
                      proximal, proximal_stride, epsilon, cost, cost_stride);
}

// target += addend, for products of changes in single precision.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_accumulate(const float* addend, long long addend_stride, double* target, long long target_stride,
                         int columns) {
    const long long i = blockIdx.x;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        target[i * target_stride + j] += static_cast<double>(addend[i * addend_stride + j]);
}

// row_sums_i = sum_j (row_term_i + column_term_j - product_ij) coupling_ij, or without terms (null) sum_j product_ij
// coupling_ij.
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_objective(const bs::Element* product, long long product_stride, const double* row_term,
                        const double* column_term, const bs::Element* coupling, long long coupling_stride, int columns,
                        double* row_sums) {
    __shared__ double scratch[bs::warp_size];
    const long long i = blockIdx.x;
    double sum = 0.0;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x)) {
        const double x = static_cast<double>(product[i * product_stride + j]);
        const double value = row_term == nullptr ? x : row_term[i] + column_term[j] - x;
        sum = fma(value, static_cast<double>(coupling[i * coupling_stride + j]), sum);
    }
    sum = bs::block_sum(sum, scratch);
    if (threadIdx.x == 0)
        row_sums[i] = sum;
}

// means_i = sum_k weight_k c_ik and, unless it is null, squares_i = sum_k weight_k c_ik².
extern "C" __global__ void __launch_bounds__(256)
    bs_gromov_moments(const bs::Element* cost, long long stride, int columns, const double* weights, double* means,
                      double* squares) {
    __shared__ double scratch[bs::warp_size];
    const long long i = blockIdx.x;
    double mean = 0.0, square = 0.0;
    for (int k = static_cast<int>(threadIdx.x); k < columns; k += static_cast<int>(blockDim.x)) {
        const double x = static_cast<double>(cost[i * stride + k]), weighted = weights[k] * x;
        mean += weighted;
        square = fma(weighted, x, square);
    }
    mean = bs::block_sum(mean, scratch);
    square = bs::block_sum(square, scratch);
    if (threadIdx.x != 0)
        return;
    means[i] = mean;
    if (squares != nullptr)
        squares[i] = square;
}

// The sum of count partial results, by one block; sum may be one of them.
extern "C" __global__ void __launch_bounds__(256) bs_gromov_sum(const double* parts, long long count, double* sum) {
    __shared__ double scratch[bs::warp_size];
    double total = 0.0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x)
        total += parts[i];
    total = bs::block_sum(total, scratch);
    if (threadIdx.x == 0)
        *sum = total;
}
