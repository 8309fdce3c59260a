// What a compiled kernel module and the emulated driver agree on. Included by both; no other header is needed.
#pragma once

namespace bs_emu {

using size = __SIZE_TYPE__;
using word = __UINTPTR_TYPE__;

struct Index3 {
    unsigned x, y, z;
};

// Every thread of a block runs on a stack of this size, aligned to it; its Thread record sits near the stack's upper
// end, where the stack pointer alone tells, without thread-local storage. Stacks begin at 64 different offsets: equal
// ones would put what every thread uses most into the same few sets of the processor's caches. The record and the
// stack's first kilobyte share a page.
constexpr unsigned kStackBits = 18;
constexpr size kStackSize = size{1} << kStackBits;
constexpr size kThreadRecordSize = 512;
constexpr unsigned kAbiVersion = 3;
constexpr unsigned kMaxParameters = 128;

struct Thread {
    Index3 thread, block, block_dim, grid_dim;
    unsigned linear, lane, warp, thread_count;
    unsigned cluster_rank, cluster_size;
    Index3 cluster_dim;
    char* static_shared; // this block's copies of the __shared__ variables
    unsigned static_shared_size, dynamic_shared_size;
    char* dynamic_shared; // aligned to 1024 bytes
    unsigned dynamic_offset;
};

inline Thread* thread_on_stack(word sp) {
    const word stack = sp >> kStackBits;
    return reinterpret_cast<Thread*>((sp | (kStackSize - 1)) + 1 - kThreadRecordSize - (stack & 7) * 320 -
                                     (stack >> 3 & 7) * 4096);
}

inline Thread* self() {
    word sp;
#if defined(__x86_64__)
    __asm__("mov %%rsp, %0" : "=r"(sp));
#else
    __asm__("mov %0, sp" : "=r"(sp));
#endif
    return thread_on_stack(sp);
}

enum class Scope : unsigned { Warp, Warpgroup };
enum class BarrierKind : unsigned { Plain, Or, And, Count };
enum class Access : unsigned { Read = 0, Write = 1, Atomic = 2 };

// Run once, by the lane that arrives last: requests[lane] is what each taking-part lane handed in, null elsewhere.
using Finish = void (*)(void* const* requests);

// What the driver does for a running kernel.
struct Runtime {
    unsigned (*barrier)(unsigned id, unsigned count, BarrierKind kind, unsigned predicate);
    void (*barrier_arrive)(unsigned id, unsigned count);
    void (*collective)(Scope scope, unsigned mask, void* request, Finish finish);
    unsigned (*active_mask)();
    void (*yield)();
    void (*acquire)();
    unsigned (*cluster_arrive)();
    void (*cluster_wait)(unsigned ticket);
    char* (*cluster_shared)(unsigned rank, unsigned offset);
    void (*fail)(int code, const char* what);
    int (*print)(const char* format, __builtin_va_list arguments);
    void (*check)(const void* address, size bytes, Access access);
    void (*misaligned)(const void* address, size alignment, const char* type, const char* file, unsigned line);
    unsigned long long (*clock)();
    void** (*block_state)(); // null when the block begins; what it points to begins with a function that ends it
};

struct Parameter {
    unsigned size, alignment;
};

struct Kernel {
    const char* name;
    const char* parameter_names; // separated by commas
    void (*invoke)(void** arguments);
    unsigned parameter_count;
    const Parameter* parameters;
    unsigned max_threads, min_blocks; // from __launch_bounds__, 0 where not given
    unsigned shared_bytes;            // static shared memory, written after compilation
};

struct Module {
    unsigned abi_version;
    unsigned architecture; // 80, 90, ...
    unsigned max_registers;
    unsigned sanitized;
    const char* program;
    Kernel* kernels;
    unsigned kernel_count;
    const Runtime** runtime;
};

// The emulator's tensor map: what cuTensorMapEncodeTiled writes into the 128 opaque bytes.
struct TensorMap {
    unsigned magic;
    unsigned char data_type, rank, interleave, swizzle, l2_promotion, oob_fill, element_size, reserved;
    unsigned char element_strides[5];
    unsigned char padding[7];
    char* address;
    unsigned long long dims[5];
    unsigned long long strides[4]; // bytes, of dimensions 1 ... rank-1
    unsigned short box[5];
    unsigned char tail[6];
};
constexpr unsigned kTensorMapMagic = 0xB510'7E45;
static_assert(sizeof(TensorMap) <= 128);

} // namespace bs_emu
