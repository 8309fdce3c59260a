// What CUDA C++ means in the emulator. Included before every kernel source; nothing but the compiler is needed.
#pragma once

#include "bs_emulator_abi.h"

#define __global__ __attribute__((annotate("bs_global"), visibility("default")))
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...) __attribute__((annotate("bs_launch_bounds", __VA_ARGS__)))
#define __maxnreg__(count) __attribute__((annotate("bs_maxnreg", count)))
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define alignas(n) __attribute__((aligned(n)))
// A block runs on one operating-system thread from its begin to its end: that thread's variables are the block's.
#define __shared__ static thread_local
#define BS_DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(bs_emu::self()->dynamic_shared)
#if __has_attribute(disable_sanitizer_instrumentation)
#define BS_EMU_NO_SANITIZE __attribute__((disable_sanitizer_instrumentation, no_sanitize("undefined", "thread")))
#else
#define BS_EMU_NO_SANITIZE __attribute__((no_sanitize("undefined", "thread")))
#endif
#define BS_EMU_API inline BS_EMU_NO_SANITIZE

using size_t = __SIZE_TYPE__;
using ptrdiff_t = __PTRDIFF_TYPE__;

extern "C" __attribute__((visibility("hidden"))) const bs_emu::Runtime* bs_emu_runtime;

// ---- vector types -------------------------------------------------------------------------------------------------

using uint3 = bs_emu::Index3;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// Under the sanitizer a copy is made member by member, which is where clang looks at a pointer's alignment.
#if defined(BS_EMULATE_SANITIZE)
#define BS_EMU_MEMBERS2(scalar, name)                                                                                  \
    scalar x, y;                                                                                                       \
    name() = default;                                                                                                  \
    constexpr name(scalar x_, scalar y_ = 0) : x(x_), y(y_) {}                                                         \
    constexpr name(const name& o) : x(o.x), y(o.y) {}                                                                  \
    constexpr name& operator=(const name& o) {                                                                         \
        x = o.x, y = o.y;                                                                                              \
        return *this;                                                                                                  \
    }
#define BS_EMU_MEMBERS4(scalar, name)                                                                                  \
    scalar x, y, z, w;                                                                                                 \
    name() = default;                                                                                                  \
    constexpr name(scalar x_, scalar y_ = 0, scalar z_ = 0, scalar w_ = 0) : x(x_), y(y_), z(z_), w(w_) {}             \
    constexpr name(const name& o) : x(o.x), y(o.y), z(o.z), w(o.w) {}                                                  \
    constexpr name& operator=(const name& o) {                                                                         \
        x = o.x, y = o.y, z = o.z, w = o.w;                                                                            \
        return *this;                                                                                                  \
    }
#else
#define BS_EMU_MEMBERS2(scalar, name) scalar x, y;
#define BS_EMU_MEMBERS4(scalar, name) scalar x, y, z, w;
#endif

#define BS_EMU_VECTOR(scalar, name, alignment2, alignment4)                                                            \
    struct name##1 {                                                                                                   \
        scalar x;                                                                                                      \
    };                                                                                                                 \
    struct __align__(alignment2) name##2 {BS_EMU_MEMBERS2(scalar, name##2)};                                           \
    struct __align__(alignment4) name##4 {BS_EMU_MEMBERS4(scalar, name##4)};                                           \
    constexpr name##1 make_##name##1(scalar x) {                                                                       \
        return {x};                                                                                                    \
    }                                                                                                                  \
    constexpr name##2 make_##name##2(scalar x, scalar y) {                                                             \
        return {x, y};                                                                                                 \
    }                                                                                                                  \
    constexpr name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) {                                         \
        return {x, y, z, w};                                                                                           \
    }

#define BS_EMU_VECTOR3(scalar, name)                                                                                   \
    struct name##3 {                                                                                                   \
        scalar x, y, z;                                                                                                \
    };                                                                                                                 \
    constexpr name##3 make_##name##3(scalar x, scalar y, scalar z) {                                                   \
        return {x, y, z};                                                                                              \
    }

BS_EMU_VECTOR(signed char, char, 2, 4)
BS_EMU_VECTOR(unsigned char, uchar, 2, 4)
BS_EMU_VECTOR(short, short, 4, 8)
BS_EMU_VECTOR(unsigned short, ushort, 4, 8)
BS_EMU_VECTOR(int, int, 8, 16)
BS_EMU_VECTOR(unsigned, uint, 8, 16)
BS_EMU_VECTOR(long long, longlong, 16, 16)
BS_EMU_VECTOR(unsigned long long, ulonglong, 16, 16)
BS_EMU_VECTOR(float, float, 8, 16)
BS_EMU_VECTOR(double, double, 16, 16)
BS_EMU_VECTOR3(int, int)
BS_EMU_VECTOR3(float, float)
BS_EMU_VECTOR3(double, double)
constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) {
    return {x, y, z};
}
#undef BS_EMU_VECTOR
#undef BS_EMU_MEMBERS2
#undef BS_EMU_MEMBERS4
#undef BS_EMU_VECTOR3

// ---- where a thread is ----------------------------------------------------------------------------------------------

#define threadIdx (bs_emu::self()->thread)
#define blockIdx (bs_emu::self()->block)
#define blockDim (bs_emu::self()->block_dim)
#define gridDim (bs_emu::self()->grid_dim)
#define warpSize 32

#include "bs_emulator_atomic.h"
#include "bs_emulator_bits.h"
#include "bs_emulator_kernel.h"
#include "bs_emulator_math.h"
#include "bs_emulator_warp.h"
// After the warps.
#include "bs_emulator_async.h"
