// Reductions over the rows or columns of a matrix [rows, columns] with `stride` elements from row to row, single or
// double precision, accumulated in double. The order of additions depends on the shape and the launch alone.
#include <bs/device.cuh>
#include <bs/reduce.cuh>

namespace bs {

// What one element adds; `shift` is the mean of the row or column for centred squares and not used by the others.
struct PlainTerm : Sum {
    static __device__ __forceinline__ double of(double x, double) { return x; }
};
struct AbsoluteTerm : Sum {
    static __device__ __forceinline__ double of(double x, double) { return fabs(x); }
};
struct SquareTerm : Sum {
    static __device__ __forceinline__ double of(double x, double) { return x * x; }
};
struct CentredSquareTerm : Sum {
    static __device__ __forceinline__ double of(double x, double shift) { return (x - shift) * (x - shift); }
};
struct MaximumTerm : Maximum {
    static __device__ __forceinline__ double of(double x, double) { return x; }
};
struct AbsoluteMaximumTerm : Maximum {
    // The identity of absolute values: the largest of none is 0.
    template <class T> static __device__ __forceinline__ T identity() { return T(0); }
    static __device__ __forceinline__ double of(double x, double) { return fabs(x); }
};

// One block per row, threads along it.
template <class Term, class T>
__device__ __forceinline__ void reduce_row(const T* x, long long stride, int columns, const double* shifts,
                                           double* results) {
    __shared__ double scratch[warp_size];
    const T* row = x + static_cast<long long>(blockIdx.x) * stride;
    const double shift = shifts ? shifts[blockIdx.x] : 0.0;
    double sum = Term::template identity<double>();
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        sum = Term::join(sum, Term::of(static_cast<double>(row[j]), shift));
    sum = block_reduce<Term>(sum, scratch);
    if (threadIdx.x == 0)
        results[blockIdx.x] = sum;
}

// Scalar products of the rows of two matrices, in the same order as the sums.
template <class T>
__device__ __forceinline__ void dot_row(const T* x, long long stride_x, const T* y, long long stride_y, int columns,
                                        double* results) {
    __shared__ double scratch[warp_size];
    const T* a = x + static_cast<long long>(blockIdx.x) * stride_x;
    const T* b = y + static_cast<long long>(blockIdx.x) * stride_y;
    double sum = 0.0;
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        sum = fma(static_cast<double>(a[j]), static_cast<double>(b[j]), sum);
    sum = block_reduce<Sum>(sum, scratch);
    if (threadIdx.x == 0)
        results[blockIdx.x] = sum;
}

// blockDim.x neighbouring columns per block; blockDim.y threads share a column, each takes every blockDim.y-th row.
// Their partial results are joined pairwise in shared memory, of which there is one double per thread.
template <class Term, class T>
__device__ __forceinline__ void reduce_columns(const T* x, long long stride, int rows, int columns,
                                               const double* shifts, double* results) {
    BS_DYNAMIC_SHARED(double, partial);
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int width = static_cast<int>(blockDim.x),
              place = static_cast<int>(threadIdx.y) * width + static_cast<int>(threadIdx.x);
    double sum = Term::template identity<double>();
    if (column < columns) {
        const double shift = shifts ? shifts[column] : 0.0;
        for (int i = static_cast<int>(threadIdx.y); i < rows; i += static_cast<int>(blockDim.y))
            sum = Term::join(sum, Term::of(static_cast<double>(x[i * stride + column]), shift));
    }
    partial[place] = sum;
    for (int half = static_cast<int>(blockDim.y) / 2; half > 0; half /= 2) {
        __syncthreads();
        if (static_cast<int>(threadIdx.y) < half)
            partial[place] = Term::join(partial[place], partial[place + half * width]);
    }
    if (threadIdx.y == 0 && column < columns)
        results[column] = partial[place];
}

} // namespace bs

#define BS_REDUCTION(name, term, element, dtype)                                                                       \
    extern "C" __global__ void __launch_bounds__(512) bs_reductions_row_##name##_##dtype(                              \
        const element* x, long long stride, int columns, const double* shifts, double* results) {                      \
        bs::reduce_row<bs::term>(x, stride, columns, shifts, results);                                                 \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) bs_reductions_column_##name##_##dtype(                           \
        const element* x, long long stride, int rows, int columns, const double* shifts, double* results) {            \
        bs::reduce_columns<bs::term>(x, stride, rows, columns, shifts, results);                                       \
    }
#define BS_REDUCTIONS(element, dtype)                                                                                  \
    BS_REDUCTION(sum, PlainTerm, element, dtype)                                                                       \
    BS_REDUCTION(absolute, AbsoluteTerm, element, dtype)                                                               \
    BS_REDUCTION(square, SquareTerm, element, dtype)                                                                   \
    BS_REDUCTION(centred, CentredSquareTerm, element, dtype)                                                           \
    BS_REDUCTION(maximum, MaximumTerm, element, dtype)                                                                 \
    BS_REDUCTION(absolute_maximum, AbsoluteMaximumTerm, element, dtype)                                                \
    extern "C" __global__ void __launch_bounds__(512) bs_reductions_row_dot_##dtype(                                   \
        const element* x, long long stride_x, const element* y, long long stride_y, int columns, double* results) {    \
        bs::dot_row(x, stride_x, y, stride_y, columns, results);                                                       \
    }

BS_REDUCTIONS(float, f32)
BS_REDUCTIONS(double, f64)

// values[i] / divisor, NaN for a divisor that is not positive.
extern "C" __global__ void __launch_bounds__(256)
    bs_reductions_divide_f64(double* values, long long count, double divisor) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count)
        values[i] = divisor > 0.0 ? values[i] / divisor : __longlong_as_double(0x7FF8000000000000ll);
}

extern "C" __global__ void __launch_bounds__(256) bs_reductions_root_f64(double* values, long long count) {
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count)
        values[i] = sqrt(values[i]);
}
