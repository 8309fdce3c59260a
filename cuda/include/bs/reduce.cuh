// Sums, maxima and log-sum-exps over the threads of a warp or block. The order of every addition is fixed by the shape
// of the block alone, so that the same input gives the same bytes; there are no floating-point atomics.
#pragma once
#include <bs/device.cuh>

namespace bs {

// How two partial results are joined, and what a thread without data brings.
struct Sum {
    template <class T> static __device__ __forceinline__ T identity() { return T(0); }
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return a + b; }
};

// The larger one; NaN wins, where fmax would drop it.
struct Maximum {
    template <class T> static __device__ __forceinline__ T identity() { return static_cast<T>(-infinity()); }
    template <class T> static __device__ __forceinline__ T join(T a, T b) { return a > b || a != a ? a : b; }
};

// All 32 lanes take part and all get the result: the butterfly joins the same pairs in every lane, and addition
// commutes.
template <class Join, class T> __device__ __forceinline__ T warp_reduce(T v) {
#pragma unroll
    for (int step = warp_size / 2; step > 0; step /= 2)
        v = Join::join(v, __shfl_xor_sync(full_warp, v, step));
    return v;
}
template <class T> __device__ __forceinline__ T warp_sum(T v) {
    return warp_reduce<Sum>(v);
}
template <class T> __device__ __forceinline__ T warp_maximum(T v) {
    return warp_reduce<Maximum>(v);
}

// All threads of the block take part (a multiple of 32, at most 1024) and all get the result. `scratch` is 32 elements
// of shared memory; it may be used again at once.
template <class Join, class T> __device__ __forceinline__ T block_reduce(T v, T* scratch) {
    const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / warp_size;
    v = warp_reduce<Join>(v);
    if (warps == 1)
        return v;
    if (lane_rank() == 0)
        scratch[warp_rank()] = v;
    __syncthreads();
    v = warp_reduce<Join>(lane_rank() < warps ? scratch[lane_rank()] : Join::template identity<T>());
    __syncthreads();
    return v;
}
template <class T> __device__ __forceinline__ T block_sum(T v, T* scratch) {
    return block_reduce<Sum>(v, scratch);
}
template <class T> __device__ __forceinline__ T block_maximum(T v, T* scratch) {
    return block_reduce<Maximum>(v, scratch);
}

__device__ __forceinline__ float exponential(float x) {
    return expf(x);
}
__device__ __forceinline__ double exponential(double x) {
    return exp(x);
}

// The maximum m of what was seen so far and the sum of exp(x - m), kept in one pass over the data (Milakov and
// Gimelshein 2018); the log-sum-exp is m + log(sum). Exponentials of elements are taken in the elements' type. The
// factors of a new maximum, of which there are few, are taken in double precision, so that their errors do not add up.
template <class T> struct LogSum {
    T maximum;
    double sum;

    static __device__ __forceinline__ LogSum empty() { return LogSum{static_cast<T>(-infinity()), 0.0}; }

    __device__ __forceinline__ void add(T x) {
        const T infinite = static_cast<T>(infinity());
        if (x == -infinite)
            return;
        if (x > maximum) {
            sum = sum == 0.0 ? 1.0 : sum * exp(static_cast<double>(maximum) - static_cast<double>(x)) + 1.0;
            maximum = x;
        } else if (x == infinite) {
            sum += 1.0;
        } else {
            sum += static_cast<double>(exponential(x - maximum)); // a NaN enters here and stays
        }
    }

    static __device__ __forceinline__ LogSum join(LogSum a, LogSum b) {
        if (a.maximum == b.maximum)
            return LogSum{a.maximum, a.sum + b.sum};
        const LogSum high = a.maximum > b.maximum ? a : b;
        const LogSum low = a.maximum > b.maximum ? b : a;
        if (low.sum == 0.0)
            return high;
        const double factor = exp(static_cast<double>(low.maximum) - static_cast<double>(high.maximum));
        return LogSum{high.maximum, high.sum + low.sum * factor};
    }

    __device__ __forceinline__ T log_sum_exp() const {
        if (sum != sum)
            return static_cast<T>(sum);
        if (sum == 0.0 || maximum == static_cast<T>(infinity()))
            return maximum;
        return static_cast<T>(static_cast<double>(maximum) + log(sum));
    }
};

template <class T> __device__ __forceinline__ LogSum<T> warp_log_sum(LogSum<T> v) {
#pragma unroll
    for (int step = warp_size / 2; step > 0; step /= 2) {
        const LogSum<T> other{__shfl_xor_sync(full_warp, v.maximum, step), __shfl_xor_sync(full_warp, v.sum, step)};
        v = LogSum<T>::join(v, other);
    }
    return v;
}

// As block_reduce; `scratch` is 32 elements of shared memory.
template <class T> __device__ __forceinline__ LogSum<T> block_log_sum(LogSum<T> v, LogSum<T>* scratch) {
    const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / warp_size;
    v = warp_log_sum(v);
    if (warps == 1)
        return v;
    if (lane_rank() == 0)
        scratch[warp_rank()] = v;
    __syncthreads();
    v = warp_log_sum(lane_rank() < warps ? scratch[lane_rank()] : LogSum<T>::empty());
    __syncthreads();
    return v;
}

} // namespace bs
