// The k largest elements of every row, largest first, equal values in the order of their column; NaN is larger than
// every number, -0 equals +0.
//
// Floor: one read of the matrix and k results a row. A warp owns a row and reads 32 columns at a time. An element that
// does not follow the worst of the k best so far in order is dismissed by one vote; on n random elements about k (1 +
// log(n / k)) are not. The others enter the sorted list, kept in shared memory as keys that order like the elements,
// one by one: the warp counts the entries before the new one and moves the rest up by one. Columns arrive in order, so
// an equal element further right never displaces. A k too long for one list is found in passes, each behind the last
// element of the one before.
#include <bs/device.cuh>

namespace bs {

constexpr int top_k_warps = 4;

// Integers in the order of the elements.
__device__ __forceinline__ unsigned long long ordered_key(float x) {
    if (x != x)
        return 0xFFFFFFFFull;
    const unsigned bits = __float_as_uint(x + 0.0f);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ unsigned long long ordered_key(double x) {
    if (x != x)
        return ~0ull;
    const auto bits = static_cast<unsigned long long>(__double_as_longlong(x + 0.0));
    return (bits >> 63) != 0 ? ~bits : bits | 0x8000000000000000ull;
}

__device__ __forceinline__ unsigned long long broadcast(unsigned long long x, int from) {
    const unsigned low = __shfl_sync(full_warp, static_cast<unsigned>(x), from);
    return static_cast<unsigned long long>(__shfl_sync(full_warp, static_cast<unsigned>(x >> 32), from)) << 32 | low;
}

// Whole warp: puts an element behind all entries that are not below it. Returns how many entries there are then.
__device__ __forceinline__ int insert(unsigned long long* keys, int* columns, int held, int k, unsigned long long key,
                                      int column) {
    const int lane = lane_rank();
    int place = 0;
    for (int start = 0; start < held; start += warp_size)
        place += __popc(__ballot_sync(full_warp, start + lane < held && keys[start + lane] >= key));
    if (place >= k)
        return held;
    // Entries place ... end - 1 move up by one, the last ones first.
    const int end = held < k ? held : k - 1;
    for (int top = end; top > place; top -= warp_size) {
        const int to = top - lane;
        const bool moves = to > place;
        const unsigned long long moved = moves ? keys[to - 1] : 0;
        const int moved_column = moves ? columns[to - 1] : 0;
        __syncwarp();
        if (moves) {
            keys[to] = moved;
            columns[to] = moved_column;
        }
        __syncwarp();
    }
    if (lane == 0) {
        keys[place] = key;
        columns[place] = column;
    }
    __syncwarp();
    return held < k ? held + 1 : held;
}

// x: [rows, columns]; indices, values: [rows, found + k or more], of which the first `found` columns are there. Writes
// the k that follow. Blocks of 4 warps, a warp to a row; 4 * 12 k bytes of shared memory.
template <class T>
__device__ __forceinline__ void top_k_rows(const T* x, long long stride, int rows, int columns, int* indices,
                                           long long index_stride, T* values, long long value_stride, int found,
                                           int k) {
    BS_DYNAMIC_SHARED(unsigned long long, shared);
    const int warp = warp_rank(), lane = lane_rank(), row = static_cast<int>(blockIdx.x) * top_k_warps + warp;
    if (row >= rows)
        return;
    unsigned long long* keys = shared + warp * k;
    int* best = reinterpret_cast<int*>(shared + top_k_warps * k) + warp * k;
    const T* from = x + row * stride;
    int* to = indices + row * index_stride;
    const int last = found > 0 ? to[found - 1] : -1;
    const unsigned long long bound = found > 0 ? ordered_key(from[last]) : 0;
    int held = 0;
    for (int start = 0; start < columns; start += warp_size) {
        const int column = start + lane;
        const unsigned long long key = column < columns ? ordered_key(from[column]) : 0;
        const unsigned long long worst = held == k ? keys[k - 1] : 0;
        const bool left = column < columns && (last < 0 || key < bound || (key == bound && column > last));
        unsigned wanted = __ballot_sync(full_warp, left && (held < k || key > worst));
        for (; wanted != 0; wanted &= wanted - 1) {
            const int source = __ffs(static_cast<int>(wanted)) - 1;
            held = insert(keys, best, held, k, broadcast(key, source), start + source);
        }
    }
    for (int i = lane; i < k; i += warp_size) {
        to[found + i] = best[i];
        values[row * value_stride + found + i] = from[best[i]];
    }
}

} // namespace bs

extern "C" __global__ void __launch_bounds__(128)
    bs_top_k_rows_f32(const float* x, long long stride, int rows, int columns, int* indices, long long index_stride,
                      float* values, long long value_stride, int found, int k) {
    bs::top_k_rows(x, stride, rows, columns, indices, index_stride, values, value_stride, found, k);
}

extern "C" __global__ void __launch_bounds__(128)
    bs_top_k_rows_f64(const double* x, long long stride, int rows, int columns, int* indices, long long index_stride,
                      double* values, long long value_stride, int found, int k) {
    bs::top_k_rows(x, stride, rows, columns, indices, index_stride, values, value_stride, found, k);
}
