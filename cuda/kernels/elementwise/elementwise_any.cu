// y = term(x), element by element, of a matrix [rows, columns] with strides in elements, single or double precision on
// either side. Arithmetic is in double precision and every step is rounded as IEEE says, so that the results are
// bit for bit the host's (ln(1 + x) within a unit in the last place).
//
// Floor: the bytes of x and y. A block has a tile of 4 x 4 elements per thread; a warp reads whole lines.
#include <bs/device.cuh>

namespace bs {

// `shift` and `divisor` belong to the column, `value` to the row or to the whole matrix, `target` is the old element of
// y.
struct CopyElement {
    static constexpr bool reads_target = false;
    static __device__ __forceinline__ double of(double x, double, double, double, double) { return x; }
};
struct StandardiseElement {
    static constexpr bool reads_target = false;
    static __device__ __forceinline__ double of(double x, double shift, double divisor, double, double) {
        return divisor == 0.0 ? 0.0 : (x - shift) / divisor;
    }
};
struct DivideElement {
    static constexpr bool reads_target = false;
    static __device__ __forceinline__ double of(double x, double, double, double value, double) {
        return value == 0.0 ? 0.0 : x / value;
    }
};
struct SquareElement {
    static constexpr bool reads_target = false;
    static __device__ __forceinline__ double of(double x, double, double, double, double) { return x * x; }
};
struct AddScaledElement {
    static constexpr bool reads_target = true;
    static __device__ __forceinline__ double of(double x, double, double, double value, double target) {
        return fma(value, x, target);
    }
};
struct LogOnePlusElement {
    static constexpr bool reads_target = false;
    static __device__ __forceinline__ double of(double x, double, double, double, double) {
        return x > 0.0 || x != x ? log1p(x) : 0.0;
    }
};

constexpr int elements_per_thread = 4; // in each direction

template <class Element, class In, class Out>
__device__ __forceinline__ void map_elements(const In* x, long long stride_x, Out* y, long long stride_y, int rows,
                                             int columns, const double* shifts, const double* divisors,
                                             const double* row_values, double value) {
    const int width = static_cast<int>(blockDim.x), height = static_cast<int>(blockDim.y);
    const long long top = static_cast<long long>(blockIdx.x) * height * elements_per_thread + threadIdx.y;
    const long long left = static_cast<long long>(blockIdx.y) * width * elements_per_thread + threadIdx.x;
    for (int a = 0; a < elements_per_thread; a++) {
        const long long i = top + a * height;
        if (i >= rows)
            return;
        const double own = row_values ? row_values[i] : value;
        for (int b = 0; b < elements_per_thread; b++) {
            const long long j = left + b * width;
            if (j >= columns)
                break;
            Out* to = y + i * stride_y + j;
            const double target = Element::reads_target ? static_cast<double>(*to) : 0.0;
            const double result = Element::of(static_cast<double>(x[i * stride_x + j]), shifts ? shifts[j] : 0.0,
                                              divisors ? divisors[j] : 1.0, own, target);
            *to = static_cast<Out>(result);
        }
    }
}

template <class T> __device__ __forceinline__ void fill(T* y, long long stride, int rows, int columns, double value) {
    const int width = static_cast<int>(blockDim.x), height = static_cast<int>(blockDim.y);
    const long long top = static_cast<long long>(blockIdx.x) * height * elements_per_thread + threadIdx.y;
    const long long left = static_cast<long long>(blockIdx.y) * width * elements_per_thread + threadIdx.x;
    for (int a = 0; a < elements_per_thread; a++)
        for (int b = 0; b < elements_per_thread; b++)
            if (top + a * height < rows && left + b * width < columns)
                y[(top + a * height) * stride + left + b * width] = static_cast<T>(value);
}

} // namespace bs

#define BS_ELEMENTWISE(name, element, in, in_name, out, out_name)                                                      \
    extern "C" __global__ void __launch_bounds__(256) bs_elementwise_##name##_##in_name##_##out_name(                  \
        const in* x, long long stride_x, out* y, long long stride_y, int rows, int columns, const double* shifts,      \
        const double* divisors, const double* row_values, double value) {                                              \
        bs::map_elements<bs::element>(x, stride_x, y, stride_y, rows, columns, shifts, divisors, row_values, value);   \
    }
#define BS_ELEMENTWISE_SAME(name, element)                                                                             \
    BS_ELEMENTWISE(name, element, float, f32, float, f32)                                                              \
    BS_ELEMENTWISE(name, element, double, f64, double, f64)
#define BS_ELEMENTWISE_MIXED(name, element)                                                                            \
    BS_ELEMENTWISE_SAME(name, element)                                                                                 \
    BS_ELEMENTWISE(name, element, float, f32, double, f64)                                                             \
    BS_ELEMENTWISE(name, element, double, f64, float, f32)

BS_ELEMENTWISE_MIXED(copy, CopyElement)
BS_ELEMENTWISE_MIXED(standardise, StandardiseElement)
BS_ELEMENTWISE_SAME(divide, DivideElement)
BS_ELEMENTWISE_SAME(square, SquareElement)
BS_ELEMENTWISE_SAME(add_scaled, AddScaledElement)
BS_ELEMENTWISE_SAME(log_one_plus, LogOnePlusElement)

extern "C" __global__ void __launch_bounds__(256)
    bs_elementwise_fill_f32(float* y, long long stride, int rows, int columns, double value) {
    bs::fill(y, stride, rows, columns, value);
}
extern "C" __global__ void __launch_bounds__(256)
    bs_elementwise_fill_f64(double* y, long long stride, int rows, int columns, double value) {
    bs::fill(y, stride, rows, columns, value);
}
