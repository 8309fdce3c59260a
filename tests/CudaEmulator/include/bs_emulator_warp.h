// Barriers, warp intrinsics and what the ptx wrappers are written with.
#pragma once

namespace bs_emu {

BS_EMU_API unsigned lane() {
    return self()->lane;
}
BS_EMU_API unsigned warp() {
    return self()->warp;
}

// Meets the lanes of `mask`, each with its own request; `finish` runs once, when all have come, and may read and write
// every request: requests[lane], null for lanes that are not in the mask or have left the kernel.
BS_EMU_API void warp_collective(unsigned mask, void* request, Finish finish) {
    bs_emu_runtime->collective(Scope::Warp, mask, request, finish);
}
// The same for the 128 threads of four consecutive warps.
BS_EMU_API void warpgroup_collective(void* request, Finish finish) {
    bs_emu_runtime->collective(Scope::Warpgroup, ~0u, request, finish);
}

struct Exchange {
    const void* mine;
    void* all;
    unsigned size;
};

template <int Lanes> BS_EMU_NO_SANITIZE void finish_exchange(void* const* requests) {
    for (int to = 0; to < Lanes; to++) {
        if (!requests[to])
            continue;
        const auto* receiver = static_cast<const Exchange*>(requests[to]);
        for (int from = 0; from < Lanes; from++) {
            if (requests[from])
                __builtin_memcpy(static_cast<char*>(receiver->all) + from * receiver->size,
                                 static_cast<const Exchange*>(requests[from])->mine, receiver->size);
        }
    }
}

// Every lane of the mask deposits `size` bytes and gets all 32 deposits, in lane order.
BS_EMU_API void warp_exchange(unsigned mask, const void* mine, void* all, unsigned size) {
    Exchange request{mine, all, size};
    warp_collective(mask, &request, finish_exchange<32>);
}
BS_EMU_API void block_exchange_warpgroup(const void* mine, void* all128, unsigned size) {
    Exchange request{mine, all128, size};
    warpgroup_collective(&request, finish_exchange<128>);
}

// Lets other threads run: for loops that wait on memory (mbarriers). acquire() says that such a wait has succeeded, so
// that the sanitizer takes what other threads wrote before as ordered.
BS_EMU_API void yield() {
    bs_emu_runtime->yield();
}
BS_EMU_API void acquire() {
    bs_emu_runtime->acquire();
}

// bar.sync and bar.arrive with a barrier's number (1 ... 15) and the number of threads that take part.
BS_EMU_API void named_barrier_sync(unsigned id, unsigned threads) {
    bs_emu_runtime->barrier(id, threads, BarrierKind::Plain, 0);
}
BS_EMU_API void named_barrier_arrive(unsigned id, unsigned threads) {
    bs_emu_runtime->barrier_arrive(id, threads);
}

// Shared memory has 32-bit addresses: static variables first, dynamic memory from the next multiple of 1024 on.
BS_EMU_API bool is_shared(const void* p) {
    const auto* t = self();
    const auto* c = static_cast<const char*>(p);
    return (c >= t->dynamic_shared && c < t->dynamic_shared + t->dynamic_shared_size) ||
           (c >= t->static_shared && c < t->static_shared + t->static_shared_size);
}
BS_EMU_API unsigned shared_offset(const void* p) {
    const auto* t = self();
    const auto* c = static_cast<const char*>(p);
    if (c >= t->static_shared && c < t->static_shared + t->static_shared_size)
        return static_cast<unsigned>(c - t->static_shared);
    return static_cast<unsigned>(c - t->dynamic_shared) + t->dynamic_offset;
}
BS_EMU_API void* shared_pointer(unsigned offset) {
    const auto* t = self();
    return offset < t->dynamic_offset ? t->static_shared + offset : t->dynamic_shared + (offset - t->dynamic_offset);
}

// Clusters: barrier.cluster in its two halves, and another block's shared memory.
BS_EMU_API unsigned cluster_rank() {
    return self()->cluster_rank;
}
BS_EMU_API unsigned cluster_size() {
    return self()->cluster_size;
}
BS_EMU_API unsigned cluster_arrive() {
    return bs_emu_runtime->cluster_arrive();
}
BS_EMU_API void cluster_wait(unsigned ticket) {
    bs_emu_runtime->cluster_wait(ticket);
}
BS_EMU_API void cluster_sync() {
    cluster_wait(cluster_arrive());
}
BS_EMU_API void* cluster_shared_pointer(unsigned rank, const void* own) {
    return bs_emu_runtime->cluster_shared(rank, shared_offset(own));
}

struct Shuffle {
    unsigned long long value, result;
    int source;
};

BS_EMU_NO_SANITIZE inline void finish_shuffle(void* const* requests) {
    for (int lane = 0; lane < 32; lane++) {
        if (!requests[lane])
            continue;
        auto* mine = static_cast<Shuffle*>(requests[lane]);
        const auto* from = static_cast<const Shuffle*>(requests[mine->source]);
        mine->result = from ? from->value : ~0ull; // the value of a lane that does not take part is undefined
    }
}

template <class T> BS_EMU_API T shuffle(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
    Shuffle request{0, 0, source};
    __builtin_memcpy(&request.value, &value, sizeof value);
    warp_collective(mask, &request, finish_shuffle);
    __builtin_memcpy(&value, &request.result, sizeof value);
    return value;
}

struct Vote {
    unsigned long long value;
    unsigned ballot, same, extreme_min, extreme_max, sum, all_and, all_or, all_xor;
    int signed_min, signed_max;
};

BS_EMU_NO_SANITIZE inline void finish_ballot(void* const* requests) {
    unsigned ballot = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (requests[lane] && static_cast<Vote*>(requests[lane])->value)
            ballot |= 1u << lane;
    }
    for (int lane = 0; lane < 32; lane++) {
        if (requests[lane])
            static_cast<Vote*>(requests[lane])->ballot = ballot;
    }
}

BS_EMU_NO_SANITIZE inline void finish_match(void* const* requests) {
    for (int lane = 0; lane < 32; lane++) {
        if (!requests[lane])
            continue;
        auto* mine = static_cast<Vote*>(requests[lane]);
        mine->same = 0;
        for (int other = 0; other < 32; other++) {
            if (requests[other] && static_cast<Vote*>(requests[other])->value == mine->value)
                mine->same |= 1u << other;
        }
    }
}

BS_EMU_NO_SANITIZE inline void finish_reduce(void* const* requests) {
    Vote r{0, 0, 0, ~0u, 0, 0, ~0u, 0, 0, 0x7FFFFFFF, -0x7FFFFFFF - 1};
    for (int lane = 0; lane < 32; lane++) {
        if (!requests[lane])
            continue;
        const auto value = static_cast<unsigned>(static_cast<Vote*>(requests[lane])->value);
        const auto number = static_cast<int>(value);
        r.sum += value;
        r.all_and &= value;
        r.all_or |= value;
        r.all_xor ^= value;
        r.extreme_min = value < r.extreme_min ? value : r.extreme_min;
        r.extreme_max = value > r.extreme_max ? value : r.extreme_max;
        r.signed_min = number < r.signed_min ? number : r.signed_min;
        r.signed_max = number > r.signed_max ? number : r.signed_max;
    }
    for (int lane = 0; lane < 32; lane++) {
        if (requests[lane])
            *static_cast<Vote*>(requests[lane]) = r;
    }
}

BS_EMU_API Vote vote(unsigned mask, unsigned long long value, Finish finish) {
    Vote request{};
    request.value = value;
    warp_collective(mask, &request, finish);
    return request;
}

// Lanes of a segment of `width`, and the last or first lane a shuffle may reach.
BS_EMU_API int segment_begin(int width) {
    return static_cast<int>(lane()) & ~(width - 1);
}

} // namespace bs_emu

BS_EMU_API void __syncthreads() {
    bs_emu_runtime->barrier(0, 0, bs_emu::BarrierKind::Plain, 0);
}
BS_EMU_API int __syncthreads_or(int predicate) {
    return static_cast<int>(bs_emu_runtime->barrier(0, 0, bs_emu::BarrierKind::Or, predicate != 0));
}
BS_EMU_API int __syncthreads_and(int predicate) {
    return static_cast<int>(bs_emu_runtime->barrier(0, 0, bs_emu::BarrierKind::And, predicate != 0));
}
BS_EMU_API int __syncthreads_count(int predicate) {
    return static_cast<int>(bs_emu_runtime->barrier(0, 0, bs_emu::BarrierKind::Count, predicate != 0));
}
BS_EMU_API void __syncwarp(unsigned mask = ~0u) {
    bs_emu::Vote request{};
    bs_emu::warp_collective(mask, &request, nullptr);
}

template <class T> BS_EMU_API T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    return bs_emu::shuffle(mask, value, bs_emu::segment_begin(width) + (source & (width - 1)));
}
template <class T> BS_EMU_API T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int own = static_cast<int>(bs_emu::lane()), from = own - static_cast<int>(delta);
    return bs_emu::shuffle(mask, value, from < bs_emu::segment_begin(width) ? own : from);
}
template <class T> BS_EMU_API T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int own = static_cast<int>(bs_emu::lane()), from = own + static_cast<int>(delta);
    return bs_emu::shuffle(mask, value, from >= bs_emu::segment_begin(width) + width ? own : from);
}
template <class T> BS_EMU_API T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    const int own = static_cast<int>(bs_emu::lane()), from = own ^ lanes;
    return bs_emu::shuffle(mask, value, from >= bs_emu::segment_begin(width) + width || from > 31 ? own : from);
}

BS_EMU_API unsigned __ballot_sync(unsigned mask, int predicate) {
    return bs_emu::vote(mask, predicate != 0, bs_emu::finish_ballot).ballot;
}
BS_EMU_API int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}
BS_EMU_API int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, !predicate) == 0;
}
BS_EMU_API unsigned __activemask() {
    return bs_emu_runtime->active_mask();
}
template <class T> BS_EMU_API unsigned __match_any_sync(unsigned mask, T value) {
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return bs_emu::vote(mask, bits, bs_emu::finish_match).same;
}
template <class T> BS_EMU_API unsigned __match_all_sync(unsigned mask, T value, int* all) {
    const unsigned same = __match_any_sync(mask, value);
    *all = same == mask;
    return same == mask ? mask : 0;
}

BS_EMU_API unsigned __reduce_add_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).sum;
}
BS_EMU_API int __reduce_add_sync(unsigned mask, int value) {
    return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value)));
}
BS_EMU_API unsigned __reduce_min_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).extreme_min;
}
BS_EMU_API int __reduce_min_sync(unsigned mask, int value) {
    return bs_emu::vote(mask, static_cast<unsigned>(value), bs_emu::finish_reduce).signed_min;
}
BS_EMU_API unsigned __reduce_max_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).extreme_max;
}
BS_EMU_API int __reduce_max_sync(unsigned mask, int value) {
    return bs_emu::vote(mask, static_cast<unsigned>(value), bs_emu::finish_reduce).signed_max;
}
BS_EMU_API unsigned __reduce_and_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).all_and;
}
BS_EMU_API unsigned __reduce_or_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).all_or;
}
BS_EMU_API unsigned __reduce_xor_sync(unsigned mask, unsigned value) {
    return bs_emu::vote(mask, value, bs_emu::finish_reduce).all_xor;
}

BS_EMU_API void __nanosleep(unsigned) {
    bs_emu::yield();
}
BS_EMU_API void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
BS_EMU_API void __threadfence_block() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
BS_EMU_API void __threadfence_system() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
