// Element-wise passes over a matrix and what is known of a matrix from one reading. One block to a row.
// ptx-gate: BS_ELEMENT=double
#include <bs/device.cuh>
#include <bs/reduce.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // of the matrix, or double
#endif

namespace bs {

using Element = BS_ELEMENT;

__device__ __forceinline__ bool is_finite(double x) {
    return fabs(x) < infinity_double();
}

} // namespace bs

// Per row, over its finite elements: sum, largest, smallest (-inf and inf where there is none); and how many are not
// finite. summary is [4, rows].
extern "C" __global__ void __launch_bounds__(256)
    bs_matrix_summary(const bs::Element* x, long long stride, int rows, int columns, double* summary) {
    __shared__ double scratch[bs::warp_size];
    const long long i = blockIdx.x;
    double sum = 0.0, largest = -bs::infinity_double(), negative = -bs::infinity_double(), strange = 0.0;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x)) {
        const double value = static_cast<double>(x[i * stride + j]);
        if (bs::is_finite(value)) {
            sum += value;
            largest = fmax(largest, value);
            negative = fmax(negative, -value);
        } else {
            strange += 1.0;
        }
    }
    sum = bs::block_sum(sum, scratch);
    largest = bs::block_maximum(largest, scratch);
    negative = bs::block_maximum(negative, scratch);
    strange = bs::block_sum(strange, scratch);
    if (threadIdx.x != 0)
        return;
    summary[i] = sum;
    summary[rows + i] = largest;
    summary[2ll * rows + i] = -negative;
    summary[3ll * rows + i] = strange;
}

extern "C" __global__ void __launch_bounds__(256)
    bs_matrix_replace_infinite(bs::Element* x, long long stride, int columns, double value) {
    const long long i = blockIdx.x;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        if (!bs::is_finite(static_cast<double>(x[i * stride + j])))
            x[i * stride + j] = static_cast<bs::Element>(value);
}

// x_ij = p_i q_j.
extern "C" __global__ void __launch_bounds__(256)
    bs_matrix_outer(const double* p, const double* q, bs::Element* x, long long stride, int columns) {
    const long long i = blockIdx.x;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        x[i * stride + j] = static_cast<bs::Element>(p[i] * q[j]);
}
