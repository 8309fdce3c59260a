// Arithmetic: CUDA's mathematical functions, conversions and integer intrinsics.
#pragma once

// The C library's functions, and CUDA's overloads of them for float.
extern "C" {
double sqrt(double) noexcept;
float sqrtf(float) noexcept;
double exp(double) noexcept;
float expf(float) noexcept;
double exp2(double) noexcept;
float exp2f(float) noexcept;
double expm1(double) noexcept;
float expm1f(float) noexcept;
double log(double) noexcept;
float logf(float) noexcept;
double log2(double) noexcept;
float log2f(float) noexcept;
double log10(double) noexcept;
float log10f(float) noexcept;
double log1p(double) noexcept;
float log1pf(float) noexcept;
double sin(double) noexcept;
float sinf(float) noexcept;
double cos(double) noexcept;
float cosf(float) noexcept;
double tan(double) noexcept;
float tanf(float) noexcept;
double asin(double) noexcept;
float asinf(float) noexcept;
double acos(double) noexcept;
float acosf(float) noexcept;
double atan(double) noexcept;
float atanf(float) noexcept;
double sinh(double) noexcept;
float sinhf(float) noexcept;
double cosh(double) noexcept;
float coshf(float) noexcept;
double tanh(double) noexcept;
float tanhf(float) noexcept;
double asinh(double) noexcept;
float asinhf(float) noexcept;
double acosh(double) noexcept;
float acoshf(float) noexcept;
double atanh(double) noexcept;
float atanhf(float) noexcept;
double erf(double) noexcept;
float erff(float) noexcept;
double erfc(double) noexcept;
float erfcf(float) noexcept;
double tgamma(double) noexcept;
float tgammaf(float) noexcept;
double lgamma(double) noexcept;
float lgammaf(float) noexcept;
double floor(double) noexcept;
float floorf(float) noexcept;
double ceil(double) noexcept;
float ceilf(float) noexcept;
double trunc(double) noexcept;
float truncf(float) noexcept;
double round(double) noexcept;
float roundf(float) noexcept;
double rint(double) noexcept;
float rintf(float) noexcept;
double nearbyint(double) noexcept;
float nearbyintf(float) noexcept;
double cbrt(double) noexcept;
float cbrtf(float) noexcept;
double fabs(double) noexcept;
float fabsf(float) noexcept;
double pow(double, double) noexcept;
float powf(float, float) noexcept;
double fmod(double, double) noexcept;
float fmodf(float, float) noexcept;
double atan2(double, double) noexcept;
float atan2f(float, float) noexcept;
double hypot(double, double) noexcept;
float hypotf(float, float) noexcept;
double fmin(double, double) noexcept;
float fminf(float, float) noexcept;
double fmax(double, double) noexcept;
float fmaxf(float, float) noexcept;
double copysign(double, double) noexcept;
float copysignf(float, float) noexcept;
double remainder(double, double) noexcept;
float remainderf(float, float) noexcept;
double fdim(double, double) noexcept;
float fdimf(float, float) noexcept;
double nextafter(double, double) noexcept;
float nextafterf(float, float) noexcept;
double fma(double, double, double) noexcept;
float fmaf(float, float, float) noexcept;
double ldexp(double, int) noexcept;
float ldexpf(float, int) noexcept;
double frexp(double, int*) noexcept;
float frexpf(float, int*) noexcept;
double modf(double, double*) noexcept;
float modff(float, float*) noexcept;
long lrint(double) noexcept;
long lrintf(float) noexcept;
long long llrint(double) noexcept;
long long llrintf(float) noexcept;
int abs(int) noexcept;
long long llabs(long long) noexcept;
}

BS_EMU_API float sqrt(float x) {
    return sqrtf(x);
}
BS_EMU_API float exp(float x) {
    return expf(x);
}
BS_EMU_API float exp2(float x) {
    return exp2f(x);
}
BS_EMU_API float expm1(float x) {
    return expm1f(x);
}
BS_EMU_API float log(float x) {
    return logf(x);
}
BS_EMU_API float log2(float x) {
    return log2f(x);
}
BS_EMU_API float log10(float x) {
    return log10f(x);
}
BS_EMU_API float log1p(float x) {
    return log1pf(x);
}
BS_EMU_API float sin(float x) {
    return sinf(x);
}
BS_EMU_API float cos(float x) {
    return cosf(x);
}
BS_EMU_API float tan(float x) {
    return tanf(x);
}
BS_EMU_API float asin(float x) {
    return asinf(x);
}
BS_EMU_API float acos(float x) {
    return acosf(x);
}
BS_EMU_API float atan(float x) {
    return atanf(x);
}
BS_EMU_API float sinh(float x) {
    return sinhf(x);
}
BS_EMU_API float cosh(float x) {
    return coshf(x);
}
BS_EMU_API float tanh(float x) {
    return tanhf(x);
}
BS_EMU_API float asinh(float x) {
    return asinhf(x);
}
BS_EMU_API float acosh(float x) {
    return acoshf(x);
}
BS_EMU_API float atanh(float x) {
    return atanhf(x);
}
BS_EMU_API float erf(float x) {
    return erff(x);
}
BS_EMU_API float erfc(float x) {
    return erfcf(x);
}
BS_EMU_API float tgamma(float x) {
    return tgammaf(x);
}
BS_EMU_API float lgamma(float x) {
    return lgammaf(x);
}
BS_EMU_API float floor(float x) {
    return floorf(x);
}
BS_EMU_API float ceil(float x) {
    return ceilf(x);
}
BS_EMU_API float trunc(float x) {
    return truncf(x);
}
BS_EMU_API float round(float x) {
    return roundf(x);
}
BS_EMU_API float rint(float x) {
    return rintf(x);
}
BS_EMU_API float nearbyint(float x) {
    return nearbyintf(x);
}
BS_EMU_API float cbrt(float x) {
    return cbrtf(x);
}
BS_EMU_API float fabs(float x) {
    return __builtin_fabsf(x);
}
BS_EMU_API float pow(float x, float y) {
    return powf(x, y);
}
BS_EMU_API float fmod(float x, float y) {
    return fmodf(x, y);
}
BS_EMU_API float atan2(float x, float y) {
    return atan2f(x, y);
}
BS_EMU_API float hypot(float x, float y) {
    return hypotf(x, y);
}
BS_EMU_API float fmin(float x, float y) {
    return fminf(x, y);
}
BS_EMU_API float fmax(float x, float y) {
    return fmaxf(x, y);
}
BS_EMU_API float copysign(float x, float y) {
    return copysignf(x, y);
}
BS_EMU_API float remainder(float x, float y) {
    return remainderf(x, y);
}
BS_EMU_API float fdim(float x, float y) {
    return fdimf(x, y);
}
BS_EMU_API float nextafter(float x, float y) {
    return nextafterf(x, y);
}
BS_EMU_API float fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
BS_EMU_API float ldexp(float x, int e) {
    return ldexpf(x, e);
}
BS_EMU_API float abs(float x) {
    return __builtin_fabsf(x);
}
BS_EMU_API double abs(double x) {
    return __builtin_fabs(x);
}
BS_EMU_API long long abs(long long x) {
    return x < 0 ? -x : x;
}

#define BS_EMU_MIN_MAX(type)                                                                                           \
    constexpr type min(type a, type b) {                                                                               \
        return a < b ? a : b;                                                                                          \
    }                                                                                                                  \
    constexpr type max(type a, type b) {                                                                               \
        return a > b ? a : b;                                                                                          \
    }
BS_EMU_MIN_MAX(int)
BS_EMU_MIN_MAX(unsigned)
BS_EMU_MIN_MAX(long)
BS_EMU_MIN_MAX(unsigned long)
BS_EMU_MIN_MAX(long long)
BS_EMU_MIN_MAX(unsigned long long)
#undef BS_EMU_MIN_MAX
constexpr unsigned min(int a, unsigned b) {
    return min(static_cast<unsigned>(a), b);
}
constexpr unsigned min(unsigned a, int b) {
    return min(a, static_cast<unsigned>(b));
}
constexpr unsigned max(int a, unsigned b) {
    return max(static_cast<unsigned>(a), b);
}
constexpr unsigned max(unsigned a, int b) {
    return max(a, static_cast<unsigned>(b));
}
BS_EMU_API float min(float a, float b) {
    return __builtin_fminf(a, b);
}
BS_EMU_API float max(float a, float b) {
    return __builtin_fmaxf(a, b);
}
BS_EMU_API double min(double a, double b) {
    return __builtin_fmin(a, b);
}
BS_EMU_API double max(double a, double b) {
    return __builtin_fmax(a, b);
}

#undef isnan
#undef isinf
#undef isfinite
#undef signbit
template <class T> BS_EMU_API bool isnan(T x) {
    return __builtin_isnan(x);
}
template <class T> BS_EMU_API bool isinf(T x) {
    return __builtin_isinf(x);
}
template <class T> BS_EMU_API bool isfinite(T x) {
    return __builtin_isfinite(x);
}
template <class T> BS_EMU_API bool signbit(T x) {
    return __builtin_signbit(x);
}

BS_EMU_API float rsqrtf(float x) {
    return 1.0f / __builtin_sqrtf(x);
}
BS_EMU_API double rsqrt(double x) {
    return 1.0 / __builtin_sqrt(x);
}
BS_EMU_API float rsqrt(float x) {
    return rsqrtf(x);
}
BS_EMU_API float exp10f(float x) {
    return static_cast<float>(pow(10.0, static_cast<double>(x)));
}
BS_EMU_API double exp10(double x) {
    return pow(10.0, x);
}
BS_EMU_API float normcdff(float x) {
    return 0.5f * erfcf(-x * 0.70710678118654752f);
}
BS_EMU_API double normcdf(double x) {
    return 0.5 * erfc(-x * 0.70710678118654752440);
}
BS_EMU_API void sincosf(float x, float* s, float* c) {
    *s = sinf(x), *c = cosf(x);
}
BS_EMU_API void sincos(double x, double* s, double* c) {
    *s = sin(x), *c = cos(x);
}
BS_EMU_API float rcbrtf(float x) {
    return 1.0f / cbrtf(x);
}

// The fast intrinsics are exact here; their error on hardware is part of a kernel's stated tolerance.
BS_EMU_API float __expf(float x) {
    return expf(x);
}
BS_EMU_API float __exp10f(float x) {
    return exp10f(x);
}
BS_EMU_API float __logf(float x) {
    return logf(x);
}
BS_EMU_API float __log2f(float x) {
    return log2f(x);
}
BS_EMU_API float __log10f(float x) {
    return log10f(x);
}
BS_EMU_API float __powf(float x, float y) {
    return powf(x, y);
}
BS_EMU_API float __sinf(float x) {
    return sinf(x);
}
BS_EMU_API float __cosf(float x) {
    return cosf(x);
}
BS_EMU_API float __tanf(float x) {
    return tanf(x);
}
BS_EMU_API float __fdividef(float x, float y) {
    return x / y;
}
BS_EMU_API float fdividef(float x, float y) {
    return x / y;
}
BS_EMU_API float __saturatef(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

// Single rounding to nearest, never contracted into a fused operation.
#define BS_EMU_ROUNDED(type, prefix)                                                                                   \
    BS_EMU_API type __##prefix##add_rn(type x, type y) {                                                               \
        _Pragma("clang fp contract(off)") return x + y;                                                                \
    }                                                                                                                  \
    BS_EMU_API type __##prefix##sub_rn(type x, type y) {                                                               \
        _Pragma("clang fp contract(off)") return x - y;                                                                \
    }                                                                                                                  \
    BS_EMU_API type __##prefix##mul_rn(type x, type y) {                                                               \
        _Pragma("clang fp contract(off)") return x * y;                                                                \
    }                                                                                                                  \
    BS_EMU_API type __##prefix##div_rn(type x, type y) {                                                               \
        _Pragma("clang fp contract(off)") return x / y;                                                                \
    }
BS_EMU_ROUNDED(float, f)
BS_EMU_ROUNDED(double, d)
#undef BS_EMU_ROUNDED
BS_EMU_API float __fmaf_rn(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
BS_EMU_API double __fma_rn(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}
BS_EMU_API float __frcp_rn(float x) {
    return 1.0f / x;
}
BS_EMU_API double __drcp_rn(double x) {
    return 1.0 / x;
}
BS_EMU_API float __fsqrt_rn(float x) {
    return __builtin_sqrtf(x);
}
BS_EMU_API double __dsqrt_rn(double x) {
    return __builtin_sqrt(x);
}
BS_EMU_API float __frsqrt_rn(float x) {
    return static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(x)));
}

template <class To, class From> BS_EMU_API To bs_emu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "a value keeps its bits");
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
BS_EMU_API unsigned __float_as_uint(float x) {
    return bs_emu_bits<unsigned>(x);
}
BS_EMU_API int __float_as_int(float x) {
    return bs_emu_bits<int>(x);
}
BS_EMU_API float __uint_as_float(unsigned x) {
    return bs_emu_bits<float>(x);
}
BS_EMU_API float __int_as_float(int x) {
    return bs_emu_bits<float>(x);
}
BS_EMU_API long long __double_as_longlong(double x) {
    return bs_emu_bits<long long>(x);
}
BS_EMU_API double __longlong_as_double(long long x) {
    return bs_emu_bits<double>(x);
}
BS_EMU_API int __double2hiint(double x) {
    return static_cast<int>(bs_emu_bits<unsigned long long>(x) >> 32);
}
BS_EMU_API int __double2loint(double x) {
    return static_cast<int>(bs_emu_bits<unsigned long long>(x));
}
BS_EMU_API double __hiloint2double(int hi, int lo) {
    return bs_emu_bits<double>(static_cast<unsigned long long>(static_cast<unsigned>(hi)) << 32 |
                               static_cast<unsigned>(lo));
}

// Conversions saturate and take NaN to 0, as the hardware's do.
template <class To, class From> BS_EMU_API To bs_emu_saturate(From x, To low, To high) {
    return __builtin_isnan(x)             ? To{0}
           : x <= static_cast<From>(low)  ? low
           : x >= static_cast<From>(high) ? high
                                          : static_cast<To>(x);
}
#define BS_EMU_TO_INTEGER(from, name, type, low, high)                                                                 \
    BS_EMU_API type __##from##2##name##_rz(from x) {                                                                   \
        return bs_emu_saturate<type>(__builtin_trunc(x), low, high);                                                   \
    }                                                                                                                  \
    BS_EMU_API type __##from##2##name##_rn(from x) {                                                                   \
        return bs_emu_saturate<type>(__builtin_rint(x), low, high);                                                    \
    }                                                                                                                  \
    BS_EMU_API type __##from##2##name##_rd(from x) {                                                                   \
        return bs_emu_saturate<type>(__builtin_floor(x), low, high);                                                   \
    }                                                                                                                  \
    BS_EMU_API type __##from##2##name##_ru(from x) {                                                                   \
        return bs_emu_saturate<type>(__builtin_ceil(x), low, high);                                                    \
    }
BS_EMU_TO_INTEGER(float, int, int, -2147483647 - 1, 2147483647)
BS_EMU_TO_INTEGER(float, uint, unsigned, 0u, ~0u)
BS_EMU_TO_INTEGER(float, ll, long long, -9223372036854775807ll - 1, 9223372036854775807ll)
BS_EMU_TO_INTEGER(float, ull, unsigned long long, 0ull, ~0ull)
BS_EMU_TO_INTEGER(double, int, int, -2147483647 - 1, 2147483647)
BS_EMU_TO_INTEGER(double, uint, unsigned, 0u, ~0u)
BS_EMU_TO_INTEGER(double, ll, long long, -9223372036854775807ll - 1, 9223372036854775807ll)
BS_EMU_TO_INTEGER(double, ull, unsigned long long, 0ull, ~0ull)
#undef BS_EMU_TO_INTEGER
BS_EMU_API float __int2float_rn(int x) {
    return static_cast<float>(x);
}
BS_EMU_API float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
BS_EMU_API float __ll2float_rn(long long x) {
    return static_cast<float>(x);
}
BS_EMU_API float __ull2float_rn(unsigned long long x) {
    return static_cast<float>(x);
}
BS_EMU_API double __int2double_rn(int x) {
    return x;
}
BS_EMU_API double __uint2double_rn(unsigned x) {
    return x;
}
BS_EMU_API double __ll2double_rn(long long x) {
    return static_cast<double>(x);
}
BS_EMU_API double __ull2double_rn(unsigned long long x) {
    return static_cast<double>(x);
}
BS_EMU_API float __double2float_rn(double x) {
    return static_cast<float>(x);
}

BS_EMU_API int __popc(unsigned x) {
    return __builtin_popcount(x);
}
BS_EMU_API int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
BS_EMU_API int __ffs(int x) {
    return __builtin_ffs(x);
}
BS_EMU_API int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
BS_EMU_API int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
BS_EMU_API int __clzll(long long x) {
    return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
BS_EMU_API unsigned __brev(unsigned x) {
    return __builtin_bitreverse32(x);
}
BS_EMU_API unsigned long long __brevll(unsigned long long x) {
    return __builtin_bitreverse64(x);
}
BS_EMU_API int __mulhi(int a, int b) {
    return static_cast<int>(static_cast<long long>(a) * b >> 32);
}
BS_EMU_API unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
BS_EMU_API unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
BS_EMU_API unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned shift) {
    return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) << (shift & 31) >> 32);
}
BS_EMU_API unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift) {
    return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) >> (shift & 31));
}
BS_EMU_API unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const unsigned long long bytes = static_cast<unsigned long long>(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++)
        result |= static_cast<unsigned>(bytes >> (selector >> 4 * i & 7) * 8 & 0xFF) << 8 * i;
    return result;
}
