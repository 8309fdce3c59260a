// y[i, :] = x[indices[i], :], or y[:, j] = x[:, indices[j]]; elements of 4 or 8 bytes are moved as integers. An index
// outside the `count` rows or columns of x gives all bits set: NaN, or -1.
//
// Floor: the bytes of y, written once and read once. A block has a tile of 4 x 4 elements per thread; a warp writes
// whole lines, and reads them where rows are gathered.
#include <bs/device.cuh>

namespace bs {

constexpr int gathered_per_thread = 4; // in each direction

template <bool by_row, class Bits>
__device__ __forceinline__ void gather(const Bits* x, long long stride_x, int count, const int* indices, Bits* y,
                                       long long stride_y, int rows, int columns) {
    const int width = static_cast<int>(blockDim.x), height = static_cast<int>(blockDim.y);
    const long long top = static_cast<long long>(blockIdx.x) * height * gathered_per_thread + threadIdx.y;
    const long long left = static_cast<long long>(blockIdx.y) * width * gathered_per_thread + threadIdx.x;
    for (int a = 0; a < gathered_per_thread; a++) {
        const long long i = top + a * height;
        for (int b = 0; b < gathered_per_thread; b++) {
            const long long j = left + b * width;
            if (i >= rows || j >= columns)
                continue;
            const int index = indices[by_row ? i : j];
            const bool inside = index >= 0 && index < count;
            y[i * stride_y + j] = inside ? x[by_row ? index * stride_x + j : i * stride_x + index] : ~Bits(0);
        }
    }
}

} // namespace bs

#define BS_GATHER(name, by_row, bits, width)                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
        bs_gather_##name##_##width(const bits* x, long long stride_x, int count, const int* indices, bits* y,          \
                                   long long stride_y, int rows, int columns) {                                        \
        bs::gather<by_row>(x, stride_x, count, indices, y, stride_y, rows, columns);                                   \
    }

BS_GATHER(rows, true, unsigned, b32)
BS_GATHER(rows, true, unsigned long long, b64)
BS_GATHER(columns, false, unsigned, b32)
BS_GATHER(columns, false, unsigned long long, b64)
