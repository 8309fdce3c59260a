// deviations[i, p]: standard deviation of values[j, p] over the k neighbours j of row i; products[i, p]: values[i, p]
// times the sum over them. A row number outside the matrix makes the row's results NaN.
//
// Floor: n p (k + 3) doubles where a neighbour's values come from memory; they come from the L2 cache for up to some
// million values. A thread has one row and one column and walks the list twice, once for the mean, once for the
// squares; the columns of a row are the lanes of a warp, which reads a neighbour's values in whole lines.
#include <bs/device.cuh>

extern "C" __global__ void __launch_bounds__(256)
    bs_neighbour_moments_f64(const int* neighbours, long long neighbour_stride, int k, const double* values,
                             long long value_stride, int rows, int columns, double* deviations,
                             long long deviation_stride, double* products, long long product_stride) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y;
    const long long p = static_cast<long long>(blockIdx.y) * blockDim.x + threadIdx.x;
    if (i >= rows || p >= columns)
        return;
    const int* own = neighbours + i * neighbour_stride;
    const double nothing = __longlong_as_double(0x7FF8000000000000ll);
    double sum = 0.0;
    for (int a = 0; a < k; a++) {
        const int j = own[a];
        sum += j >= 0 && j < rows ? values[j * value_stride + p] : nothing;
    }
    const double mean = sum / k;
    double squares = 0.0;
    for (int a = 0; a < k; a++) {
        const int j = own[a];
        const double off = (j >= 0 && j < rows ? values[j * value_stride + p] : nothing) - mean;
        squares = fma(off, off, squares);
    }
    deviations[i * deviation_stride + p] = sqrt(squares / k);
    products[i * product_stride + p] = values[i * value_stride + p] * sum;
}
