// What CUDA C++ means to plain clang with no toolkit: included by cuda/ptx-gate.sh before every kernel, after clang's
// own
// __clang_cuda_builtin_vars.h. Only compilation is asked of it: functions of NVIDIA's device library are declared and
// called, not defined, so that the PTX shows a kernel's own registers and local memory.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __host__ __attribute__((host))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
// Clang knows it from version 20 on; without it the parameter whose address is taken is copied to local memory.
#if __has_attribute(grid_constant)
#define __grid_constant__ __attribute__((grid_constant))
#else
#define __grid_constant__
#endif
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define BS_GATE __device__ __forceinline__

using size_t = __SIZE_TYPE__;
using ptrdiff_t = __PTRDIFF_TYPE__;

// ---- vector types ---------------------------------------------------------------------------------------------------

#define BS_GATE_VECTOR(scalar, name, alignment2, alignment4)                                                           \
    struct __align__(alignment2) name##2 {                                                                             \
        scalar x, y;                                                                                                   \
    };                                                                                                                 \
    struct name##3 {                                                                                                   \
        scalar x, y, z;                                                                                                \
    };                                                                                                                 \
    struct __align__(alignment4) name##4 {                                                                             \
        scalar x, y, z, w;                                                                                             \
    };                                                                                                                 \
    BS_GATE constexpr name##2 make_##name##2(scalar x, scalar y) {                                                     \
        return {x, y};                                                                                                 \
    }                                                                                                                  \
    BS_GATE constexpr name##3 make_##name##3(scalar x, scalar y, scalar z) {                                           \
        return {x, y, z};                                                                                              \
    }                                                                                                                  \
    BS_GATE constexpr name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) {                                 \
        return {x, y, z, w};                                                                                           \
    }

BS_GATE_VECTOR(signed char, char, 2, 4)
BS_GATE_VECTOR(unsigned char, uchar, 2, 4)
BS_GATE_VECTOR(short, short, 4, 8)
BS_GATE_VECTOR(unsigned short, ushort, 4, 8)
BS_GATE_VECTOR(int, int, 8, 16)
BS_GATE_VECTOR(unsigned, uint, 8, 16)
BS_GATE_VECTOR(long long, longlong, 16, 16)
BS_GATE_VECTOR(unsigned long long, ulonglong, 16, 16)
BS_GATE_VECTOR(float, float, 8, 16)
BS_GATE_VECTOR(double, double, 16, 16)
#undef BS_GATE_VECTOR

struct dim3 {
    unsigned x, y, z;
    __device__ constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// ---- barriers, shuffles, votes --------------------------------------------------------------------------------------

BS_GATE int __syncthreads_count(int predicate) {
    return __nvvm_bar0_popc(predicate);
}
BS_GATE int __syncthreads_and(int predicate) {
    return __nvvm_bar0_and(predicate);
}
BS_GATE int __syncthreads_or(int predicate) {
    return __nvvm_bar0_or(predicate);
}
BS_GATE void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
    __nvvm_bar_warp_sync(mask);
}
BS_GATE void __threadfence() {
    __nvvm_membar_gl();
}
BS_GATE void __threadfence_block() {
    __nvvm_membar_cta();
}
BS_GATE void __threadfence_system() {
    __nvvm_membar_sys();
}

#define BS_GATE_SHUFFLE(name, builtin, clamp)                                                                          \
    BS_GATE int name(unsigned mask, int v, int lane, int width = 32) {                                                 \
        return builtin(mask, v, lane, ((32 - width) << 8) | clamp);                                                    \
    }                                                                                                                  \
    BS_GATE unsigned name(unsigned mask, unsigned v, int lane, int width = 32) {                                       \
        return static_cast<unsigned>(name(mask, static_cast<int>(v), lane, width));                                    \
    }                                                                                                                  \
    BS_GATE float name(unsigned mask, float v, int lane, int width = 32) {                                             \
        return __builtin_bit_cast(float, name(mask, __builtin_bit_cast(int, v), lane, width));                         \
    }                                                                                                                  \
    BS_GATE unsigned long long name(unsigned mask, unsigned long long v, int lane, int width = 32) {                   \
        const unsigned low = name(mask, static_cast<unsigned>(v), lane, width);                                        \
        const unsigned high = name(mask, static_cast<unsigned>(v >> 32), lane, width);                                 \
        return static_cast<unsigned long long>(high) << 32 | low;                                                      \
    }                                                                                                                  \
    BS_GATE long long name(unsigned mask, long long v, int lane, int width = 32) {                                     \
        return static_cast<long long>(name(mask, static_cast<unsigned long long>(v), lane, width));                    \
    }                                                                                                                  \
    BS_GATE double name(unsigned mask, double v, int lane, int width = 32) {                                           \
        return __builtin_bit_cast(double, name(mask, __builtin_bit_cast(unsigned long long, v), lane, width));         \
    }
BS_GATE_SHUFFLE(__shfl_sync, __nvvm_shfl_sync_idx_i32, 0x1F)
BS_GATE_SHUFFLE(__shfl_up_sync, __nvvm_shfl_sync_up_i32, 0)
BS_GATE_SHUFFLE(__shfl_down_sync, __nvvm_shfl_sync_down_i32, 0x1F)
BS_GATE_SHUFFLE(__shfl_xor_sync, __nvvm_shfl_sync_bfly_i32, 0x1F)
#undef BS_GATE_SHUFFLE

BS_GATE unsigned __ballot_sync(unsigned mask, int predicate) {
    return __nvvm_vote_ballot_sync(mask, predicate);
}
BS_GATE int __any_sync(unsigned mask, int predicate) {
    return __nvvm_vote_any_sync(mask, predicate);
}
BS_GATE int __all_sync(unsigned mask, int predicate) {
    return __nvvm_vote_all_sync(mask, predicate);
}
BS_GATE unsigned __activemask() {
    return __nvvm_activemask();
}
BS_GATE unsigned __match_any_sync(unsigned mask, unsigned v) {
    return __nvvm_match_any_sync_i32(mask, v);
}

#define BS_GATE_REDUCE(name, type, builtin)                                                                            \
    BS_GATE type name(unsigned mask, type v) {                                                                         \
        return static_cast<type>(builtin(mask, v));                                                                    \
    }
BS_GATE_REDUCE(__reduce_add_sync, int, __nvvm_redux_sync_add)
BS_GATE_REDUCE(__reduce_add_sync, unsigned, __nvvm_redux_sync_add)
BS_GATE_REDUCE(__reduce_min_sync, int, __nvvm_redux_sync_min)
BS_GATE_REDUCE(__reduce_min_sync, unsigned, __nvvm_redux_sync_umin)
BS_GATE_REDUCE(__reduce_max_sync, int, __nvvm_redux_sync_max)
BS_GATE_REDUCE(__reduce_max_sync, unsigned, __nvvm_redux_sync_umax)
BS_GATE_REDUCE(__reduce_or_sync, unsigned, __nvvm_redux_sync_or)
BS_GATE_REDUCE(__reduce_and_sync, unsigned, __nvvm_redux_sync_and)
#undef BS_GATE_REDUCE

// ---- arithmetic -----------------------------------------------------------------------------------------------------

#define BS_GATE_UNARY(name, type, expression)                                                                          \
    BS_GATE type name(type x) {                                                                                        \
        return expression;                                                                                             \
    }
BS_GATE_UNARY(sqrtf, float, __builtin_sqrtf(x))
BS_GATE_UNARY(sqrt, float, __builtin_sqrtf(x))
BS_GATE_UNARY(sqrt, double, __builtin_sqrt(x))
BS_GATE_UNARY(__fsqrt_rn, float, __nvvm_sqrt_rn_f(x))
BS_GATE_UNARY(rsqrtf, float, __nvvm_rsqrt_approx_f(x))
BS_GATE_UNARY(exp2f, float, __nvvm_ex2_approx_f(x))
BS_GATE_UNARY(__expf, float, __nvvm_ex2_approx_f(x * 1.4426950408889634f))
BS_GATE_UNARY(expf, float, __nvvm_ex2_approx_f(x * 1.4426950408889634f)) // a few instructions there too, and no call
BS_GATE_UNARY(__log2f, float, __nvvm_lg2_approx_f(x))
BS_GATE_UNARY(__logf, float, __nvvm_lg2_approx_f(x) * 0.6931471805599453f)
BS_GATE_UNARY(__frcp_rn, float, __nvvm_rcp_rn_f(x))
BS_GATE_UNARY(fabsf, float, __builtin_fabsf(x))
BS_GATE_UNARY(fabs, float, __builtin_fabsf(x))
BS_GATE_UNARY(fabs, double, __builtin_fabs(x))
BS_GATE_UNARY(floorf, float, __builtin_floorf(x))
BS_GATE_UNARY(floor, double, __builtin_floor(x))
BS_GATE_UNARY(ceilf, float, __builtin_ceilf(x))
BS_GATE_UNARY(truncf, float, __builtin_truncf(x))
BS_GATE_UNARY(rintf, float, __builtin_rintf(x))
BS_GATE_UNARY(rint, double, __builtin_rint(x))
BS_GATE_UNARY(abs, int, __builtin_abs(x))
#undef BS_GATE_UNARY

extern "C" {
__device__ float logf(float);
__device__ float log2f(float);
__device__ float log1pf(float);
__device__ float expm1f(float);
__device__ float tanhf(float);
__device__ float powf(float, float);
__device__ double exp(double);
__device__ double exp2(double);
__device__ double log(double);
__device__ double log2(double);
__device__ double log1p(double);
__device__ double expm1(double);
__device__ double pow(double, double);
}

BS_GATE float __fdividef(float a, float b) {
    return __nvvm_div_approx_f(a, b);
}
BS_GATE float fmaf(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
BS_GATE float fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
BS_GATE double fma(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}
BS_GATE float __fmaf_rn(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
BS_GATE double __fma_rn(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}

// Rounded operations that are never contracted into a fused multiply-add.
#define BS_GATE_ROUNDED(name, type, builtin)                                                                           \
    BS_GATE type name(type a, type b) {                                                                                \
        return builtin;                                                                                                \
    }
BS_GATE_ROUNDED(__fadd_rn, float, __nvvm_add_rn_f(a, b))
BS_GATE_ROUNDED(__fsub_rn, float, __nvvm_add_rn_f(a, -b))
BS_GATE_ROUNDED(__fmul_rn, float, __nvvm_mul_rn_f(a, b))
BS_GATE_ROUNDED(__fdiv_rn, float, __nvvm_div_rn_f(a, b))
BS_GATE_ROUNDED(__dadd_rn, double, __nvvm_add_rn_d(a, b))
BS_GATE_ROUNDED(__dsub_rn, double, __nvvm_add_rn_d(a, -b))
BS_GATE_ROUNDED(__dmul_rn, double, __nvvm_mul_rn_d(a, b))
BS_GATE_ROUNDED(__ddiv_rn, double, __nvvm_div_rn_d(a, b))
BS_GATE_ROUNDED(fmaxf, float, __builtin_fmaxf(a, b))
BS_GATE_ROUNDED(fminf, float, __builtin_fminf(a, b))
BS_GATE_ROUNDED(fmax, float, __builtin_fmaxf(a, b))
BS_GATE_ROUNDED(fmin, float, __builtin_fminf(a, b))
BS_GATE_ROUNDED(fmax, double, __builtin_fmax(a, b))
BS_GATE_ROUNDED(fmin, double, __builtin_fmin(a, b))
BS_GATE_ROUNDED(max, float, __builtin_fmaxf(a, b))
BS_GATE_ROUNDED(min, float, __builtin_fminf(a, b))
BS_GATE_ROUNDED(max, double, __builtin_fmax(a, b))
BS_GATE_ROUNDED(min, double, __builtin_fmin(a, b))
#undef BS_GATE_ROUNDED

#define BS_GATE_ORDER(type)                                                                                            \
    BS_GATE type max(type a, type b) {                                                                                 \
        return a > b ? a : b;                                                                                          \
    }                                                                                                                  \
    BS_GATE type min(type a, type b) {                                                                                 \
        return a < b ? a : b;                                                                                          \
    }
BS_GATE_ORDER(int)
BS_GATE_ORDER(unsigned)
BS_GATE_ORDER(long long)
BS_GATE_ORDER(unsigned long long)
#undef BS_GATE_ORDER

#define BS_GATE_BITS(name, to, from)                                                                                   \
    BS_GATE to name(from x) {                                                                                          \
        return __builtin_bit_cast(to, x);                                                                              \
    }
BS_GATE_BITS(__float_as_uint, unsigned, float)
BS_GATE_BITS(__float_as_int, int, float)
BS_GATE_BITS(__uint_as_float, float, unsigned)
BS_GATE_BITS(__int_as_float, float, int)
BS_GATE_BITS(__double_as_longlong, long long, double)
BS_GATE_BITS(__longlong_as_double, double, long long)
#undef BS_GATE_BITS

BS_GATE bool isnan(float x) {
    return x != x;
}
BS_GATE bool isnan(double x) {
    return x != x;
}
BS_GATE bool isinf(float x) {
    return __builtin_isinf(x);
}
BS_GATE bool isinf(double x) {
    return __builtin_isinf(x);
}
BS_GATE bool isfinite(float x) {
    return __builtin_isfinite(x);
}
BS_GATE bool isfinite(double x) {
    return __builtin_isfinite(x);
}
BS_GATE float __double2float_rn(double x) {
    return static_cast<float>(x);
}
BS_GATE int __popc(unsigned x) {
    return __builtin_popcount(x);
}
BS_GATE int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
BS_GATE int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
BS_GATE int __ffs(int x) {
    return __builtin_ffs(x);
}
BS_GATE int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
BS_GATE unsigned __brev(unsigned x) {
    return __builtin_bitreverse32(x);
}
BS_GATE unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

template <class T> BS_GATE T __ldg(const T* p) {
    return *p;
}
template <class T> BS_GATE T __ldcg(const T* p) {
    return *p;
}
template <class T> BS_GATE T __ldcs(const T* p) {
    return *p;
}
template <class T> BS_GATE void __stcg(T* p, T v) {
    *p = v;
}
template <class T> BS_GATE void __stcs(T* p, T v) {
    *p = v;
}

// Integers only: a floating-point sum by atomics depends on the order of arrival.
#define BS_GATE_ATOMIC(type)                                                                                           \
    BS_GATE type atomicAdd(type* p, type v) {                                                                          \
        return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);                                                             \
    }                                                                                                                  \
    BS_GATE type atomicMax(type* p, type v) {                                                                          \
        return __atomic_fetch_max(p, v, __ATOMIC_RELAXED);                                                             \
    }                                                                                                                  \
    BS_GATE type atomicMin(type* p, type v) {                                                                          \
        return __atomic_fetch_min(p, v, __ATOMIC_RELAXED);                                                             \
    }                                                                                                                  \
    BS_GATE type atomicOr(type* p, type v) {                                                                           \
        return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);                                                              \
    }                                                                                                                  \
    BS_GATE type atomicAnd(type* p, type v) {                                                                          \
        return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);                                                             \
    }                                                                                                                  \
    BS_GATE type atomicExch(type* p, type v) {                                                                         \
        return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                                                            \
    }                                                                                                                  \
    BS_GATE type atomicCAS(type* p, type compare, type v) {                                                            \
        __atomic_compare_exchange_n(p, &compare, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                        \
        return compare;                                                                                                \
    }
BS_GATE_ATOMIC(int)
BS_GATE_ATOMIC(unsigned)
BS_GATE_ATOMIC(unsigned long long)
#undef BS_GATE_ATOMIC

BS_GATE void __nanosleep(unsigned nanoseconds) {
    asm volatile("nanosleep.u32 %0;" ::"r"(nanoseconds));
}
BS_GATE void __trap() {
    __builtin_trap();
}
BS_GATE long long clock64() {
    return __nvvm_read_ptx_sreg_clock64();
}
#define assert(condition) ((condition) ? (void)0 : __trap())
