// Softmax of rows, and the log-sum-exp of rows or columns, of a matrix [rows, columns] with `stride` elements from row
// to row. The maximum is taken out first; exponentials are taken in the matrix's type and summed in double.
#include <bs/device.cuh>
#include <bs/reduce.cuh>

namespace bs {

// One block per row, threads along it.
template <class T> __device__ __forceinline__ LogSum<T> log_sum_of_row(const T* row, int columns, LogSum<T>* scratch) {
    LogSum<T> all = LogSum<T>::empty();
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        all.add(row[j]);
    return block_log_sum(all, scratch);
}

// x and y may be the same matrix: an element is written by the thread that read it, after all have read the whole row.
template <class T>
__device__ __forceinline__ void softmax_row(const T* x, long long stride_x, T* y, long long stride_y, int columns) {
    __shared__ LogSum<T> scratch[warp_size];
    const T* from = x + static_cast<long long>(blockIdx.x) * stride_x;
    T* to = y + static_cast<long long>(blockIdx.x) * stride_y;
    const LogSum<T> all = log_sum_of_row(from, columns, scratch);
    // An infinite maximum makes every element NaN, as on the host.
    const T total = static_cast<T>(all.sum) + (all.maximum - all.maximum);
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x))
        to[j] = exponential(from[j] - all.maximum) / total;
}

// blockDim.x neighbouring columns per block, blockDim.y threads per column, as in the column reductions; one LogSum of
// shared memory per thread.
template <class T>
__device__ __forceinline__ void log_sum_columns(const T* x, long long stride, int rows, int columns, T* results) {
    BS_DYNAMIC_SHARED(LogSum<T>, partial);
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const int width = static_cast<int>(blockDim.x),
              place = static_cast<int>(threadIdx.y) * width + static_cast<int>(threadIdx.x);
    LogSum<T> all = LogSum<T>::empty();
    if (column < columns) {
        for (int i = static_cast<int>(threadIdx.y); i < rows; i += static_cast<int>(blockDim.y))
            all.add(x[i * stride + column]);
    }
    partial[place] = all;
    for (int half = static_cast<int>(blockDim.y) / 2; half > 0; half /= 2) {
        __syncthreads();
        if (static_cast<int>(threadIdx.y) < half)
            partial[place] = LogSum<T>::join(partial[place], partial[place + half * width]);
    }
    if (threadIdx.y == 0 && column < columns)
        results[column] = partial[place].log_sum_exp();
}

} // namespace bs

#define BS_SOFTMAX(element, dtype)                                                                                     \
    extern "C" __global__ void __launch_bounds__(512)                                                                  \
        bs_softmax_rows_##dtype(const element* x, long long stride_x, element* y, long long stride_y, int columns) {   \
        bs::softmax_row(x, stride_x, y, stride_y, columns);                                                            \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512)                                                                  \
        bs_softmax_log_sum_rows_##dtype(const element* x, long long stride, int columns, element* results) {           \
        __shared__ bs::LogSum<element> scratch[bs::warp_size];                                                         \
        const element* row = x + static_cast<long long>(blockIdx.x) * stride;                                          \
        const bs::LogSum<element> all = bs::log_sum_of_row(row, columns, scratch);                                     \
        if (threadIdx.x == 0)                                                                                          \
            results[blockIdx.x] = all.log_sum_exp();                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(512) bs_softmax_log_sum_columns_##dtype(                              \
        const element* x, long long stride, int rows, int columns, element* results) {                                 \
        bs::log_sum_columns(x, stride, rows, columns, results);                                                        \
    }

BS_SOFTMAX(float, f32)
BS_SOFTMAX(double, f64)
