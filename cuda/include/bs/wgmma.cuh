// Products of a warpgroup (four warps, the first a multiple of four) on the tensor cores, both operands in shared
// memory. Compute capability 9.0a.
#pragma once
#include <bs/tma.cuh>

namespace bs {

// An operand: rows of 128 bytes of depth (32 tf32, 64 bf16) in the swizzle of 128 bytes, 64 rows for the left and N for
// the right, the first at a multiple of 1024 bytes; a step of the depth is 32 bytes on (WgmmaOperand::step).
struct WgmmaOperand {
    unsigned long long bits;

    static __device__ __forceinline__ WgmmaOperand at(const void* rows) {
#if defined(BS_EMULATE)
        const unsigned address = bs_emu::shared_offset(rows);
#else
        const unsigned address = shared_address(rows);
#endif
        // Address and, between groups of eight rows, 1024 bytes, both in units of 16; swizzle mode 1: 128 bytes.
        return WgmmaOperand{(address & 0x3FFFFu) >> 4 | 1ull << 16 | 64ull << 32 | 1ull << 62};
    }
    __device__ __forceinline__ WgmmaOperand step(int count) const {
        return WgmmaOperand{bits + static_cast<unsigned long long>(2 * count)};
    }
};

// Before the first product of a group, and after registers of sums were touched.
__device__ __forceinline__ void wgmma_fence() {
#if !defined(BS_EMULATE)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
// Ends a group of products.
__device__ __forceinline__ void wgmma_commit() {
#if defined(BS_EMULATE)
    bs_emu::wgmma_commit();
#else
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

#if defined(BS_EMULATE)
// Rows of 32 bytes of depth as a descriptor names them.
template <int K> BS_EMU_NO_SANITIZE inline void emulated_rows(unsigned long long bits, int rows, float (*to)[K]) {
    constexpr int bytes = 32 / K;
    const unsigned start = static_cast<unsigned>(bits & 0x3FFF) << 4, group = static_cast<unsigned>(bits >> 32 & 0x3FFF)
                                                                              << 4;
    if (bits >> 62 != 1 || start % 1024 >= 128)
        bs_emu_runtime->fail(716, "wgmma: the descriptor is not of rows in the swizzle of 128 bytes");
    for (int r = 0; r < rows; r++) {
        for (int k = 0; k < K; k++) {
            const unsigned plain = start + r / 8 * group + r % 8 * 128 + k * bytes;
            const void* p = bs_emu::shared_pointer(plain ^ (plain >> 7 & 7) << 4);
            if (k % (16 / bytes) == 0)
                bs_emu_runtime->check(p, 16, bs_emu::Access::Read);
            to[r][k] = K == 8 ? __uint_as_float(*static_cast<const unsigned*>(p) & ~0x1FFFu)
                              : __uint_as_float(static_cast<unsigned>(*static_cast<const unsigned short*>(p)) << 16);
        }
    }
}

// Sums [64, N] of a warpgroup, once all 128 threads have come.
template <int N, int K> BS_EMU_NO_SANITIZE inline void emulated_wgmma_product(void* const* threads) {
    const auto* first = static_cast<const bs_emu::WgmmaProduct*>(threads[0]);
    float x[64][K], y[N][K];
    emulated_rows(first->a, 64, x);
    emulated_rows(first->b, N, y);
    for (int thread = 0; thread < 128; thread++) {
        const auto* own = static_cast<const bs_emu::WgmmaProduct*>(threads[thread]);
        for (int i = 0; i < N / 2; i++) {
            const int row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8,
                      column = i / 4 * 8 + thread % 4 * 2 + i % 2;
            double products[K];
            for (int k = 0; k < K; k++)
                products[k] = static_cast<double>(x[row][k]) * static_cast<double>(y[column][k]);
            float sum = own->add ? own->d[i] : 0.0f;
            for (int k = 0; k < K; k += K / 2)
                sum = emulated_dot(sum, products + k, K / 2);
            own->d[i] = sum;
        }
    }
}
template <int N, int K> inline void emulated_wgmma(float* d, WgmmaOperand a, WgmmaOperand b, bool add) {
    bs_emu::wgmma_start({d, a.bits, b.bits, add, N / 2, emulated_wgmma_product<N, K>});
}
#endif

// The sums of a lane as operands of the instruction, 32 or 64 of them: asm takes no arrays.
#define BS_WGMMA_NAMES_32                                                                                              \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "   \
    "%24, %25, %26, %27, %28, %29, %30, %31"
#define BS_WGMMA_SUMS_32                                                                                               \
    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),        \
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),         \
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),        \
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define BS_WGMMA_NAMES_64                                                                                              \
    BS_WGMMA_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, "   \
                      "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define BS_WGMMA_SUMS_64                                                                                               \
    BS_WGMMA_SUMS_32, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]),       \
        "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]),        \
        "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]),        \
        "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),        \
        "+f"(d[63])

// d (+)= A B^T, A [64, 8], B [N, 8] in tf32, of which the low 13 bits of a float are not read. Asynchronous: d and the
// operands are left alone until wgmma_wait. d[4 j + 2 h + e] is (16 w + g + 8 h, 8 j + 2 t + e) for warp w of the
// group.
template <int N>
__device__ __forceinline__ void wgmma_tf32(float (&d)[N / 2], WgmmaOperand a, WgmmaOperand b, bool add);
// The same for A [64, 16], B [N, 16] in bf16.
template <int N>
__device__ __forceinline__ void wgmma_bf16(float (&d)[N / 2], WgmmaOperand a, WgmmaOperand b, bool add);

template <> __device__ __forceinline__ void wgmma_tf32<64>(float (&d)[32], WgmmaOperand a, WgmmaOperand b, bool add) {
#if defined(BS_EMULATE)
    emulated_wgmma<64, 8>(d, a, b, add);
#else
    asm volatile(
        "{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k8.f32.tf32.tf32 {" BS_WGMMA_NAMES_32
        "}, %32, %33, p, 1, 1; }"
        : BS_WGMMA_SUMS_32
        : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
#endif
}

template <> __device__ __forceinline__ void wgmma_tf32<128>(float (&d)[64], WgmmaOperand a, WgmmaOperand b, bool add) {
#if defined(BS_EMULATE)
    emulated_wgmma<128, 8>(d, a, b, add);
#else
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k8.f32.tf32.tf32 "
                 "{" BS_WGMMA_NAMES_64 "}, %64, %65, p, 1, 1; }"
                 : BS_WGMMA_SUMS_64
                 : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
#endif
}

template <> __device__ __forceinline__ void wgmma_bf16<64>(float (&d)[32], WgmmaOperand a, WgmmaOperand b, bool add) {
#if defined(BS_EMULATE)
    emulated_wgmma<64, 16>(d, a, b, add);
#else
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
                 "{" BS_WGMMA_NAMES_32 "}, %32, %33, p, 1, 1, 0, 0; }"
                 : BS_WGMMA_SUMS_32
                 : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
#endif
}

template <> __device__ __forceinline__ void wgmma_bf16<128>(float (&d)[64], WgmmaOperand a, WgmmaOperand b, bool add) {
#if defined(BS_EMULATE)
    emulated_wgmma<128, 16>(d, a, b, add);
#else
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{" BS_WGMMA_NAMES_64 "}, %64, %65, p, 1, 1, 0, 0; }"
                 : BS_WGMMA_SUMS_64
                 : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));
#endif
}

// Waits until at most `pending` groups are under way; the sums d are of a group that is over.
template <int pending, int count> __device__ __forceinline__ void wgmma_wait(float (&d)[count]) {
#if defined(BS_EMULATE)
    bs_emu::wgmma_wait(pending);
    (void)d;
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
    // Nothing that reads the sums may move before the wait.
#pragma unroll
    for (int i = 0; i < count; i++)
        asm volatile("" : "+f"(d[i])::"memory");
#endif
}

} // namespace bs
