// Copies of boxes of a matrix by the copy engine. Compute capability 9.0.
#pragma once
#include <bs/mbarrier.cuh>

namespace bs {

// What cuTensorMapEncodeTiled wrote (C#: BioSup.Runtime.TensorMap); a kernel's parameter `const __grid_constant__
// bs::TensorMap`.
#if defined(BS_EMULATE)
struct TensorMap {
    unsigned long long words[16];
};
#else
struct __align__(64) TensorMap {
    unsigned long long words[16];
};
#endif

// One thread starts the copy of the box at (column, row) to shared memory, rows after each other in the map's swizzle;
// to is a multiple of 128 bytes, of 1024 with the swizzle of 128 bytes. Elements beyond the matrix are zero and count
// as bytes of the box. The data is there for threads that wait on the barrier, whose phase expects the bytes.
__device__ __forceinline__ void tma_load_2d(void* to, const TensorMap* map, int column, int row, Mbarrier* barrier) {
#if defined(BS_EMULATE)
    bs_emu::bulk_copy(to, map->words, column, row, barrier);
#else
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
        "[%2];" ::"r"(shared_address(to)),
        "l"(map), "r"(shared_address(barrier)), "r"(column), "r"(row)
        : "memory");
#endif
}

// Where byte b of row r of a box with rows of 128 bytes lies, in the swizzle of 128 bytes: 16-byte pieces change places
// with the row's number modulo 8.
__device__ __forceinline__ constexpr int swizzle_128(int row, int byte) {
    return row * 128 + (byte ^ (row % 8 * 16));
}

} // namespace bs
