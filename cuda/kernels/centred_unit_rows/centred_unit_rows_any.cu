// Tokens minus their mean, scaled to unit length. Floor: 8 bytes an element, 4 more where the mean is that of the
// tokens at hand.
#include <bs/reduce.cuh>

namespace bs {

constexpr int centring_side = 32, centring_warps = 8;

}

// Column sums over chunks of 1024 rows, partials [chunks, width]. Blocks of eight warps, a lane to a column; grid:
// columns / 32 x chunks.
extern "C" __global__ void __launch_bounds__(256)
    bs_centred_unit_rows_partials_f32(const float* x, long long stride, int rows, int width, double* partials) {
    using namespace bs;
    constexpr int own = 1024 / centring_warps;
    __shared__ double sums[centring_warps][centring_side];
    const int lane = lane_rank(), warp = warp_rank(), i = static_cast<int>(blockIdx.x) * centring_side + lane;
    const int first = (static_cast<int>(blockIdx.y) * centring_warps + warp) * own;
    double sum = 0;
    for (int t = first; i < width && t < first + own && t < rows; t++)
        sum += x[t * stride + i];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || i >= width)
        return;
    sum = 0;
    for (int w = 0; w < centring_warps; w++)
        sum += sums[w][lane];
    partials[static_cast<long long>(blockIdx.y) * width + i] = sum;
}

// sums (+)= the partials in order; mean = sums / rows where it is asked for.
extern "C" __global__ void __launch_bounds__(256)
    bs_centred_unit_rows_join(const double* partials, int chunks, int width, int add, double* sums, double rows,
                              float* mean) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= width)
        return;
    double sum = add ? sums[i] : 0.0;
    for (int c = 0; c < chunks; c++)
        sum += partials[static_cast<long long>(c) * width + i];
    sums[i] = sum;
    if (mean)
        mean[i] = static_cast<float>(sum / rows);
}

// y[row] = (x[row] - mean) / max(|x[row] - mean|, 1e-12); y may be x. A block to a row.
extern "C" __global__ void __launch_bounds__(128)
    bs_centred_unit_rows_apply_f32(const float* x, long long x_stride, int width, const float* mean, float* y,
                                   long long y_stride) {
    using namespace bs;
    __shared__ double scratch[warp_size];
    const float* from = x + static_cast<long long>(blockIdx.x) * x_stride;
    float* to = y + static_cast<long long>(blockIdx.x) * y_stride;
    double squares = 0;
    for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x)) {
        const float e = from[i] - mean[i];
        to[i] = e;
        squares = fma(static_cast<double>(e), static_cast<double>(e), squares);
    }
    const double length = sqrt(block_sum(squares, scratch));
    const float scale = static_cast<float>(1.0 / (length > 1e-12 ? length : 1e-12));
    // Every thread meets again the elements that it wrote.
    for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x))
        to[i] *= scale;
}
