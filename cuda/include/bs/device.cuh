// The first header of every kernel. A kernel is compiled in three ways, always from this same text:
//   by NVRTC for the GPU, where CUDA C++ is built in and nothing needs to be defined;
//   as C++ for the processor (BS_EMULATE), after the emulator's prelude tests/CudaEmulator/include/bs_emulator.h;
//   by plain clang to PTX without a toolkit (BS_CLANG), after the prelude cuda/ptx-gate.h.
// No header of the toolkit or of the C library is ever included: a node has the driver and NVRTC, and nothing else.
#pragma once

// Shared memory whose size the launch names: `BS_DYNAMIC_SHARED(float, tile);` at the top of a kernel makes `tile` a
// float*. One per kernel; aligned for 16-byte accesses (and for TMA's 1024 bytes where static shared memory is unused).
#if !defined(BS_DYNAMIC_SHARED)
#define BS_DYNAMIC_SHARED(type, name)                                                                                  \
    extern __shared__ __align__(1024) unsigned char bs_dynamic_shared[];                                               \
    type* name = reinterpret_cast<type*>(bs_dynamic_shared)
#endif

namespace bs {

constexpr int warp_size = 32;
constexpr unsigned full_warp = 0xFFFFFFFFu;

__device__ __forceinline__ float infinity() {
    return __uint_as_float(0x7F800000u);
}
__device__ __forceinline__ double infinity_double() {
    return __longlong_as_double(0x7FF0000000000000ll);
}

// The thread's place in its block, of whatever shape.
__device__ __forceinline__ int thread_rank() {
    return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}
__device__ __forceinline__ int lane_rank() {
    return thread_rank() & (warp_size - 1);
}
__device__ __forceinline__ int warp_rank() {
    return thread_rank() / warp_size;
}

// Four elements whose address is a multiple of 16.
__device__ __forceinline__ void load_four(float* to, const float* from) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
__device__ __forceinline__ void load_four(double* to, const double* from) {
    const double2 v = *reinterpret_cast<const double2*>(from), w = *reinterpret_cast<const double2*>(from + 2);
    to[0] = v.x, to[1] = v.y, to[2] = w.x, to[3] = w.y;
}

template <class T> __device__ __forceinline__ constexpr T ceil_divide(T a, T b) {
    return (a + b - 1) / b;
}

} // namespace bs
