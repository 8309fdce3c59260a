// Conversions between types, and integer intrinsics.
#pragma once

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
