// Instructions that CUDA C++ has no name for. Each wrapper is inline PTX for the GPU and, under BS_EMULATE, C++ with
// the meaning that the PTX ISA gives it. Compute capability 8.0 and newer.
//
// Notation: in a warp, g = lane / 4 ("groupID") and t = lane % 4 ("threadID in group").
#pragma once
#include <bs/types.cuh>

namespace bs {

// ---- conversions in one instruction
// --------------------------------------------------------------------------------------

// To nearest, ties away from zero.
__device__ __forceinline__ tf32 round_tf32(float x) {
#if defined(BS_EMULATE)
    const unsigned bits = __float_as_uint(x);
    return tf32{(bits & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FFFFFFFu : (bits + 0x1000u) & ~0x1FFFu};
#else
    tf32 result;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result.bits) : "f"(x));
    return result;
#endif
}

// As split, for finite x: of an infinity or NaN only the high part means anything.
__device__ __forceinline__ split_tf32 split_finite(float x) {
    const tf32 high = round_tf32(x);
    return split_tf32{high, tf32{__float_as_uint(x - to_float(high)) + 0x1000u}}; // the tensor core cuts off the rest
}

// To nearest, ties to even.
__device__ __forceinline__ bf16x2 round_bf16x2(float first, float second) {
#if defined(BS_EMULATE)
    return to_bf16x2(first, second);
#else
    bf16x2 result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result.bits) : "f"(second), "f"(first));
    return result;
#endif
}

// ---- cp.async: global to shared memory past the registers
// -------------------------------------------------------------

#if !defined(BS_EMULATE)
__device__ __forceinline__ unsigned shared_address(const void* p) {
    unsigned address;
    asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(p));
    return address;
}
#endif

// Copies 16 bytes, both addresses multiples of 16; of the source only the first `valid` bytes are read, the rest is
// zero.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, int valid = 16) {
#if defined(BS_EMULATE)
    bs_emu::cp_async(shared, global, 16, static_cast<unsigned>(valid));
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(valid)
                 : "memory");
#endif
}

// Copies 4 bytes, or writes zeros where `take` is false.
__device__ __forceinline__ void cp_async_4(void* shared, const void* global, bool take = true) {
#if defined(BS_EMULATE)
    bs_emu::cp_async(shared, global, 4, take ? 4 : 0);
#else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(take ? 4 : 0)
                 : "memory");
#endif
}

// Ends a group of this thread's copies; cp_async_wait<n> waits until at most the n newest groups are under way. Other
// threads see the data after a __syncthreads() that follows the wait.
__device__ __forceinline__ void cp_async_commit() {
#if defined(BS_EMULATE)
    bs_emu::cp_async_commit();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int pending> __device__ __forceinline__ void cp_async_wait() {
#if defined(BS_EMULATE)
    bs_emu::cp_async_wait(pending);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

// ---- named barriers: __syncthreads for some warps of a block
// -----------------------------------------------------------

// number 1 ... 15, threads a multiple of 32.
__device__ __forceinline__ void named_barrier_sync(int number, int threads) {
#if defined(BS_EMULATE)
    bs_emu::named_barrier_sync(static_cast<unsigned>(number), static_cast<unsigned>(threads));
#else
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
#endif
}

// ---- ldmatrix: 8x8 matrices of 16-bit elements from shared memory
// ------------------------------------------------------

// Lanes 8i ... 8i+7 name the eight 16-byte rows of matrix i. Every lane gets, of each matrix, elements (g, 2t) and
// (g, 2t + 1) in one register; transposed: elements (2t, g) and (2t + 1, g).
template <bool transposed = false> __device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* row) {
#if defined(BS_EMULATE)
    const void* rows[32];
    bs_emu::warp_exchange(full_warp, &row, rows, sizeof row);
    const unsigned g = bs_emu::lane() / 4, t = bs_emu::lane() % 4;
    for (int i = 0; i < 4; i++) {
        unsigned pair[2];
        for (unsigned e = 0; e < 2; e++) {
            const unsigned line = transposed ? 2 * t + e : g, column = transposed ? g : 2 * t + e;
            pair[e] = static_cast<const unsigned short*>(rows[8 * i + line])[column];
        }
        r[i] = pair[0] | pair[1] << 16;
    }
    __syncwarp();
#else
    if (transposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(shared_address(row))
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(shared_address(row))
                     : "memory");
    }
#endif
}

// ---- mma.sync: D = A B + D on the tensor cores, A row-major, B column-major, single-precision sums
// ---------------------

#if defined(BS_EMULATE)
// Sum plus count products as the tensor cores of compute capability 8.0 form it (Fasi, Higham, Mikaitis and Pranesh
// 2021): addends are cut off one bit below the last place of the largest of them, the result is cut off, not rounded.
// Newer ones cut off later or less often: a bound that holds here holds there.
inline float emulated_dot(float sum, const double* products, int count) {
    double largest = fabs(static_cast<double>(sum)), plain = sum;
    for (int k = 0; k < count; k++) {
        largest = fmax(largest, fabs(products[k]));
        plain += products[k];
    }
    if (!isfinite(plain) || largest == 0.0)
        return static_cast<float>(plain);
    const long long exponent = (__double_as_longlong(largest) >> 52) - 24;
    const double unit = __longlong_as_double(exponent << 52), inverse = __longlong_as_double((2046 - exponent) << 52);
    long long units = static_cast<long long>(sum * inverse);
    for (int k = 0; k < count; k++)
        units += static_cast<long long>(products[k] * inverse);
    const double exact = static_cast<double>(units) * unit;
    const float rounded = static_cast<float>(exact);
    const bool away = isfinite(rounded) && fabs(static_cast<double>(rounded)) > fabs(exact);
    return away ? __uint_as_float(__float_as_uint(rounded) - 1) : rounded;
}

// Elements of A [16, K] and B [K, 8] from the lanes' registers, each register holding K / 8 consecutive elements:
// A: register r at row g + 8 (r % 2), columns of t in half r / 2; B: register r at rows of t in half r, column g.
template <int K, class Decode>
__device__ inline void emulated_mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Decode decode) {
    struct Fragment {
        unsigned a[4], b[2];
    };
    Fragment mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, all[32];
    bs_emu::warp_exchange(full_warp, &mine, all, sizeof mine);
    constexpr int per_register = K / 8, half = 4 * per_register;
    const int g = static_cast<int>(bs_emu::lane() / 4), t = static_cast<int>(bs_emu::lane() % 4);
    for (int i = 0; i < 4; i++) {
        const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
        double products[K];
        for (int k = 0; k < K; k++) {
            const int owner = k % half / per_register, element = k % per_register;
            const unsigned x = all[4 * (row % 8) + owner].a[row / 8 + 2 * (k / half)];
            const unsigned y = all[4 * column + owner].b[k / half];
            products[k] = static_cast<double>(decode(x, element)) * static_cast<double>(decode(y, element));
        }
        for (int k = 0; k < K; k += half)
            d[i] = emulated_dot(d[i], products + k, half);
    }
}
#endif

// A: a[0] (g, t), a[1] (g + 8, t), a[2] (g, t + 4), a[3] (g + 8, t + 4). B: b[0] (t, g), b[1] (t + 4, g).
// D: d[0] (g, 2t), d[1] (g, 2t + 1), d[2] (g + 8, 2t), d[3] (g + 8, 2t + 1).
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const tf32 (&a)[4], const tf32 (&b)[2]) {
#if defined(BS_EMULATE)
    const unsigned x[4] = {a[0].bits, a[1].bits, a[2].bits, a[3].bits}, y[2] = {b[0].bits, b[1].bits};
    emulated_mma<8>(d, x, y, [](unsigned bits, int) { return __uint_as_float(bits & ~0x1FFFu); });
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0].bits), "r"(a[1].bits), "r"(a[2].bits), "r"(a[3].bits), "r"(b[0].bits), "r"(b[1].bits));
#endif
}

// A: a[0] (g, 2t..), a[1] (g + 8, 2t..), a[2] (g, 2t + 8..), a[3] (g + 8, 2t + 8..), two elements each.
// B: b[0] (2t.., g), b[1] (2t + 8.., g). D as above.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(BS_EMULATE)
    emulated_mma<16>(d, a, b, [](unsigned bits, int e) {
        return e ? __uint_as_float(bits & 0xFFFF0000u) : __uint_as_float(bits << 16);
    });
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

} // namespace bs
