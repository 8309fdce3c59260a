// Atomic operations and the read-only loads. Blocks run on several processors, so that these are real atomics.
#pragma once

namespace bs_emu {

#if defined(BS_EMULATE_SANITIZE)
BS_EMU_API void atomic_access(const void* p, size bytes) {
    bs_emu_runtime->check(p, bytes, Access::Atomic);
}
#else
BS_EMU_API void atomic_access(const void*, size) {}
#endif

// Applies `change` to *p until no other thread came in between; gives what was there before.
template <class T, class F> BS_EMU_API T atomic_change(T* p, F change) {
    atomic_access(p, sizeof(T));
    T before;
    __atomic_load(p, &before, __ATOMIC_RELAXED);
    for (;;) {
        T after = change(before);
        if (__atomic_compare_exchange(p, &before, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return before;
    }
}

} // namespace bs_emu

#define BS_EMU_ATOMIC(type)                                                                                            \
    BS_EMU_API type atomicAdd(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return static_cast<type>(old + v); });                         \
    }                                                                                                                  \
    BS_EMU_API type atomicExch(type* p, type v) {                                                                      \
        return bs_emu::atomic_change(p, [v](type) { return v; });                                                      \
    }
#define BS_EMU_ATOMIC_INTEGER(type)                                                                                    \
    BS_EMU_ATOMIC(type)                                                                                                \
    BS_EMU_API type atomicSub(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return static_cast<type>(old - v); });                         \
    }                                                                                                                  \
    BS_EMU_API type atomicMax(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return old > v ? old : v; });                                  \
    }                                                                                                                  \
    BS_EMU_API type atomicMin(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return old < v ? old : v; });                                  \
    }                                                                                                                  \
    BS_EMU_API type atomicOr(type* p, type v) {                                                                        \
        return bs_emu::atomic_change(p, [v](type old) { return old | v; });                                            \
    }                                                                                                                  \
    BS_EMU_API type atomicAnd(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return old & v; });                                            \
    }                                                                                                                  \
    BS_EMU_API type atomicXor(type* p, type v) {                                                                       \
        return bs_emu::atomic_change(p, [v](type old) { return old ^ v; });                                            \
    }                                                                                                                  \
    BS_EMU_API type atomicCAS(type* p, type compare, type v) {                                                         \
        return bs_emu::atomic_change(p, [compare, v](type old) { return old == compare ? v : old; });                  \
    }

BS_EMU_ATOMIC_INTEGER(int)
BS_EMU_ATOMIC_INTEGER(unsigned)
BS_EMU_ATOMIC_INTEGER(unsigned long long)
BS_EMU_ATOMIC(float)
BS_EMU_ATOMIC(double)
BS_EMU_API long long atomicMax(long long* p, long long v) {
    return bs_emu::atomic_change(p, [v](long long old) { return old > v ? old : v; });
}
BS_EMU_API long long atomicMin(long long* p, long long v) {
    return bs_emu::atomic_change(p, [v](long long old) { return old < v ? old : v; });
}
BS_EMU_API unsigned short atomicCAS(unsigned short* p, unsigned short compare, unsigned short v) {
    return bs_emu::atomic_change(p, [compare, v](unsigned short old) { return old == compare ? v : old; });
}
BS_EMU_API unsigned atomicInc(unsigned* p, unsigned limit) {
    return bs_emu::atomic_change(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}
BS_EMU_API unsigned atomicDec(unsigned* p, unsigned limit) {
    return bs_emu::atomic_change(p, [limit](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}
#undef BS_EMU_ATOMIC
#undef BS_EMU_ATOMIC_INTEGER

// Loads and stores with cache hints are plain ones here (instrumented ones in the sanitizer).
template <class T> inline T __ldg(const T* p) {
    return *p;
}
template <class T> inline T __ldcg(const T* p) {
    return *p;
}
template <class T> inline T __ldca(const T* p) {
    return *p;
}
template <class T> inline T __ldcs(const T* p) {
    return *p;
}
template <class T> inline T __ldcv(const T* p) {
    return *const_cast<const volatile T*>(p);
}
template <class T> inline void __stcg(T* p, T v) {
    *p = v;
}
template <class T> inline void __stcs(T* p, T v) {
    *p = v;
}
template <class T> inline void __stwt(T* p, T v) {
    *p = v;
}
