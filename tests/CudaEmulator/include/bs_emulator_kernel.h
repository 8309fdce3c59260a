// Traps, printing, the table by which the driver finds a module's kernels, and the sanitizer's hooks.
#pragma once

extern "C" {
const bs_emu::Runtime* bs_emu_runtime;
}

BS_EMU_API int printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
int printf(const char* format, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    const int written = bs_emu_runtime->print(format, arguments);
    __builtin_va_end(arguments);
    return written;
}

BS_EMU_API long long clock64() {
    return static_cast<long long>(bs_emu_runtime->clock());
}
BS_EMU_API unsigned clock() {
    return static_cast<unsigned>(bs_emu_runtime->clock());
}
BS_EMU_API unsigned long long globaltimer() {
    return bs_emu_runtime->clock();
}

// CUDA_ERROR_ILLEGAL_INSTRUCTION and CUDA_ERROR_ASSERT are what the hardware answers with.
[[noreturn]] BS_EMU_API void __trap() {
    bs_emu_runtime->fail(715, "__trap() was called");
    __builtin_unreachable();
}
BS_EMU_API void __brkpt() {}

#define BS_EMU_TEXT_OF(x) #x
#define BS_EMU_TEXT(x) BS_EMU_TEXT_OF(x)
#if defined(NDEBUG)
#define assert(condition) ((void)0)
#else
#define assert(condition)                                                                                              \
    ((condition) ? (void)0                                                                                             \
                 : bs_emu_runtime->fail(710, __FILE__ ":" BS_EMU_TEXT(__LINE__) ": assertion failed: " #condition))
#endif

namespace bs_emu {

template <unsigned... I> struct Indices {};
template <unsigned N, unsigned... I> struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <unsigned... I> struct MakeIndices<0, I...> {
    using Type = Indices<I...>;
};

// Calls F with arguments[i] read as its i-th parameter.
template <auto F> struct Entry;
template <class... P, void (*F)(P...)> struct Entry<F> {
    static constexpr unsigned count = sizeof...(P);
    static constexpr Parameter parameters[sizeof...(P) + 1] = {
        {static_cast<unsigned>(sizeof(P)), static_cast<unsigned>(alignof(P))}..., {0, 1}};
    template <unsigned... I> BS_EMU_NO_SANITIZE static void call(void** arguments, Indices<I...>) {
        F(*static_cast<P*>(arguments[I])...);
    }
    BS_EMU_NO_SANITIZE static void invoke(void** arguments) {
        call(arguments, typename MakeIndices<sizeof...(P)>::Type{});
    }
};

struct Bounds {
    unsigned threads, blocks;
    constexpr Bounds(unsigned t = 0, unsigned b = 0, unsigned = 0) : threads(t), blocks(b) {}
};

} // namespace bs_emu

#define BS_EMU_KERNEL(function, names, ...)                                                                            \
    {#function,                                                                                                        \
     names,                                                                                                            \
     bs_emu::Entry<&function>::invoke,                                                                                 \
     bs_emu::Entry<&function>::count,                                                                                  \
     bs_emu::Entry<&function>::parameters,                                                                             \
     bs_emu::Bounds(__VA_ARGS__).threads,                                                                              \
     bs_emu::Bounds(__VA_ARGS__).blocks,                                                                               \
     0}

#if defined(BS_EMULATE_SANITIZE)
extern "C" {
#define BS_EMU_HOOK(name, bytes, kind)                                                                                 \
    BS_EMU_NO_SANITIZE void name(void* p) {                                                                            \
        bs_emu_runtime->check(p, bytes, bs_emu::Access::kind);                                                         \
    }
BS_EMU_HOOK(__tsan_read1, 1, Read)
BS_EMU_HOOK(__tsan_read2, 2, Read)
BS_EMU_HOOK(__tsan_read4, 4, Read)
BS_EMU_HOOK(__tsan_read8, 8, Read)
BS_EMU_HOOK(__tsan_read16, 16, Read)
BS_EMU_HOOK(__tsan_write1, 1, Write)
BS_EMU_HOOK(__tsan_write2, 2, Write)
BS_EMU_HOOK(__tsan_write4, 4, Write)
BS_EMU_HOOK(__tsan_write8, 8, Write)
BS_EMU_HOOK(__tsan_write16, 16, Write)
BS_EMU_HOOK(__tsan_unaligned_read2, 2, Read)
BS_EMU_HOOK(__tsan_unaligned_read4, 4, Read)
BS_EMU_HOOK(__tsan_unaligned_read8, 8, Read)
BS_EMU_HOOK(__tsan_unaligned_read16, 16, Read)
BS_EMU_HOOK(__tsan_unaligned_write2, 2, Write)
BS_EMU_HOOK(__tsan_unaligned_write4, 4, Write)
BS_EMU_HOOK(__tsan_unaligned_write8, 8, Write)
BS_EMU_HOOK(__tsan_unaligned_write16, 16, Write)
#undef BS_EMU_HOOK
BS_EMU_NO_SANITIZE void __tsan_init() {}
BS_EMU_NO_SANITIZE void __tsan_func_entry(void*) {}
BS_EMU_NO_SANITIZE void __tsan_func_exit() {}
BS_EMU_NO_SANITIZE void __tsan_vptr_update(void**, void*) {}
BS_EMU_NO_SANITIZE void __tsan_vptr_read(void**) {}
void* memcpy(void*, const void*, size_t);
void* memmove(void*, const void*, size_t);
void* memset(void*, int, size_t);
BS_EMU_NO_SANITIZE void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
    bs_emu_runtime->check(from, bytes, bs_emu::Access::Read);
    bs_emu_runtime->check(to, bytes, bs_emu::Access::Write);
    return memcpy(to, from, bytes);
}
BS_EMU_NO_SANITIZE void* __tsan_memmove(void* to, const void* from, size_t bytes) {
    bs_emu_runtime->check(from, bytes, bs_emu::Access::Read);
    bs_emu_runtime->check(to, bytes, bs_emu::Access::Write);
    return memmove(to, from, bytes);
}
BS_EMU_NO_SANITIZE void* __tsan_memset(void* to, int value, size_t bytes) {
    bs_emu_runtime->check(to, bytes, bs_emu::Access::Write);
    return memset(to, value, bytes);
}

// Clang's description of an access through a pointer that is not aligned for its type.
struct BsEmuTypeMismatch {
    const char* file;
    unsigned line, column;
    const struct {
        unsigned short kind, info;
        char name[1];
    }* type;
    unsigned char log_alignment, check_kind;
};
BS_EMU_NO_SANITIZE void __ubsan_handle_type_mismatch_v1(BsEmuTypeMismatch* data, void* p) {
    bs_emu_runtime->misaligned(p, size_t{1} << data->log_alignment, data->type->name, data->file, data->line);
}
BS_EMU_NO_SANITIZE void __ubsan_handle_alignment_assumption(void*, void*, void*, void*) {}
}
#endif
