// Number formats of the tensor cores as bit patterns, with the conversions from and to float.
#pragma once
#include <bs/device.cuh>

namespace bs {

// 1 sign, 8 exponent and 7 mantissa bits: the upper half of a float.
struct bf16 {
    unsigned short bits;
};
// Two of them in one register, the first in the lower half, as mma.sync and ldmatrix take them.
struct __align__(4) bf16x2 {
    unsigned bits;
};
// A float of which the tensor core reads 1 sign, 8 exponent and 10 mantissa bits.
struct tf32 {
    unsigned bits;
};

// The upper `32 - dropped` bits of a float, rounded to nearest, ties to even; a NaN stays one (and turns quiet).
template <int dropped> __device__ __forceinline__ unsigned round_mantissa(float x) {
    const unsigned bits = __float_as_uint(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (bits | 0x00400000u) & ~((1u << dropped) - 1);
    const unsigned odd = (bits >> dropped) & 1u;
    return (bits + ((1u << (dropped - 1)) - 1) + odd) & ~((1u << dropped) - 1);
}

__device__ __forceinline__ bf16 to_bf16(float x) {
    return bf16{static_cast<unsigned short>(round_mantissa<16>(x) >> 16)};
}
__device__ __forceinline__ float to_float(bf16 x) {
    return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
__device__ __forceinline__ bf16x2 to_bf16x2(float first, float second) {
    return bf16x2{(round_mantissa<16>(first) >> 16) | round_mantissa<16>(second)};
}
__device__ __forceinline__ float first_of(bf16x2 x) {
    return __uint_as_float(x.bits << 16);
}
__device__ __forceinline__ float second_of(bf16x2 x) {
    return __uint_as_float(x.bits & 0xFFFF0000u);
}

// Ties to even, where the instruction cvt.rna.tf32 rounds them away from zero.
__device__ __forceinline__ tf32 to_tf32(float x) {
    return tf32{round_mantissa<13>(x)};
}
__device__ __forceinline__ float to_float(tf32 x) {
    return __uint_as_float(x.bits);
}

// x = high + low with 2 * 11 significant bits: what three products of tensor cores need to come near single precision
// ("3xTF32"). The part of an infinity or NaN that is not its own value is zero.
struct split_tf32 {
    tf32 high, low;
};
__device__ __forceinline__ split_tf32 split(float x) {
    const tf32 high = to_tf32(x);
    const float rest = x - to_float(high);
    return split_tf32{high, isfinite(x) ? to_tf32(rest) : tf32{0}};
}

} // namespace bs
