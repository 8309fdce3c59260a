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
