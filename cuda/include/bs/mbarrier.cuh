// Barriers in shared memory that count arriving threads and the bytes of asynchronous copies. Compute capability 9.0. A
// barrier passes from phase to phase; a wait names the parity of the phase that must be over: 0 for the first.
#pragma once
#include <bs/ptx.cuh>

namespace bs {

using Mbarrier = unsigned long long; // in shared memory

// One thread makes the barrier for so many arrivals a phase; mbarrier_fence_init and __syncthreads follow.
__device__ __forceinline__ void mbarrier_init(Mbarrier* barrier, unsigned arrivals) {
#if defined(BS_EMULATE)
    bs_emu::mbarrier_init(barrier, arrivals);
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}
__device__ __forceinline__ void mbarrier_fence_init() {
#if !defined(BS_EMULATE)
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

__device__ __forceinline__ void mbarrier_arrive(Mbarrier* barrier) {
#if defined(BS_EMULATE)
    bs_emu::mbarrier_arrive(barrier, 0);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}
// Arrives and lets the phase wait for so many bytes more.
__device__ __forceinline__ void mbarrier_arrive_expect(Mbarrier* barrier, unsigned bytes) {
#if defined(BS_EMULATE)
    bs_emu::mbarrier_arrive(barrier, bytes);
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
#endif
}

// True where the phase of this parity is over; waits for a while itself.
__device__ __forceinline__ bool mbarrier_try_wait(Mbarrier* barrier, unsigned parity) {
#if defined(BS_EMULATE)
    return bs_emu::mbarrier_try_wait(barrier, parity);
#else
    unsigned over;
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(over)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    return over != 0;
#endif
}
__device__ __forceinline__ void mbarrier_wait(Mbarrier* barrier, unsigned parity) {
    while (!mbarrier_try_wait(barrier, parity)) {
#if defined(BS_EMULATE)
        bs_emu::yield();
#endif
    }
}

// What this thread wrote to shared memory is seen by the copy engine and by wgmma afterwards.
__device__ __forceinline__ void fence_proxy_async() {
#if !defined(BS_EMULATE)
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

} // namespace bs
