// Runs the blocks of one worker, one after the other; the threads of a block are fibers that meet at barriers.
#pragma once

#include "fiber.h"
#include "launch.h"
#include "sanitizer.h"

#include <cstdarg>

namespace bs_emu {

// What blocks of a cluster share. Each block of a cluster runs on an operating-system thread of its own.
struct ClusterState {
    std::mutex lock; // of arrivals and departures
    std::atomic<unsigned> arrived{0}, generation{0}, live_threads{0};
    std::atomic<unsigned> blocks_at_end{0};
    std::vector<std::atomic<class BlockRunner*>> blocks;
    explicit ClusterState(unsigned count) : blocks(count) {}
};

enum class Wait : unsigned char { None, Barrier, Collective, Yield };

struct Fiber : Thread {
    void* sp;
    Fiber* next;
    class BlockRunner* runner;
    void* request;
    Finish finish;
    unsigned long long block_number; // of the block whose constants the record holds
    unsigned mask, result, barrier, yields;
    const void* site; // where in the kernel it waits
    Wait wait;
    Scope scope;
    bool running; // a thread is under way on this fiber
};
static_assert(sizeof(Fiber) <= kThreadRecordSize);

class BlockRunner {
  public:
    BlockRunner();
    ~BlockRunner();
    static BlockRunner& current(); // of this operating-system thread

    void run(Launch& launch, Index3 block, unsigned cluster_rank, ClusterState* cluster);

    // Called by the threads of the block, through the runtime table.
    unsigned barrier(unsigned id, unsigned count, BarrierKind kind, unsigned predicate, const void* site);
    void barrier_arrive(unsigned id, unsigned count);
    void collective(Scope scope, unsigned mask, void* request, Finish finish, const void* site);
    unsigned active_mask(Fiber* fiber) const;
    void yield();
    unsigned cluster_arrive();
    void cluster_wait(unsigned ticket);
    char* cluster_shared(unsigned rank, unsigned offset);
    char* shared_at(unsigned offset);
    [[noreturn]] void fail(CUresult code, const std::string& what);         // ends the block
    [[noreturn]] void end_with(CUresult code, const std::string& sentence); // the same without saying where

    bool is_private(const char* address) const; // on a thread's stack, or in another block of the cluster
    Sanitizer& sanitizer() { return _sanitizer; }
    void** async_state() { return &_async; }
    std::string where(const Thread* thread) const;
    static Fiber* fiber() { return static_cast<Fiber*>(self()); }

  private:
    struct Barrier {
        unsigned arrived = 0, expected = 0, ones = 0, participants = 0;
        Fiber* waiting = nullptr;
        const void* site = nullptr;
        bool sites_differ = false;
    };
    struct Group { // lanes that wait for the others of their mask
        unsigned mask, arrived;
        Finish finish;
        const void* site;
    };
    struct WarpState {
        unsigned alive = 0;
        unsigned group_count = 0;
        Group groups[32];
        Fiber* lanes[32];
    };
    struct WarpgroupState {
        unsigned arrived = 0;
        Finish finish = nullptr;
        Fiber* lanes[128];
    };

    static void fiber_entry();
    void run_threads(Fiber* fiber);
    void start_thread(Fiber* fiber);
    void set_block(Fiber* fiber) const;
    void end_thread(Fiber* fiber);
    void prepare_shared(Launch& launch);
    Fiber* new_fiber();
    void make_ready(Fiber* fiber);
    Fiber* next_runnable();
    void suspend(Fiber* fiber);
    void switch_from(Fiber* fiber, Fiber* to);
    void release_barrier(unsigned id);
    bool barrier_complete(const Barrier& barrier) const;
    bool finish_group(WarpState& warp, unsigned index, Fiber* last);
    bool finish_warpgroup(unsigned index, Fiber* last);
    void check_after_exit(Fiber* fiber);
    std::string describe_deadlock() const;
    void abandon();

    Launch* _launch = nullptr;
    ClusterState* _cluster = nullptr;
    Index3 _block{};
    unsigned _rank = 0;
    unsigned _threads = 0, _next_thread = 0, _alive = 0;
    unsigned _meetings = 0; // barriers and groups that some threads have come to and others not
    Index3 _next_index{};   // of the next thread
    unsigned long long _block_number = 0;
    Fiber *_ready_head = nullptr, *_ready_tail = nullptr, *_free = nullptr;
    void* _scheduler_sp = nullptr;
    std::vector<Fiber*> _fibers;
    std::vector<Fiber*> _by_thread; // the fiber of each thread that is under way
    Barrier _barriers[16];
    WarpState _warps[32];
    WarpgroupState _warpgroups[8];
    StackArena _stacks;
    char *_dynamic = nullptr, *_static = nullptr;
    unsigned _static_size = 0, _dynamic_offset = 0;
    unsigned long long _progress = 0;
    Sanitizer _sanitizer;
    void* _async = nullptr; // the module's record of asynchronous work in this block
    bool _broken = false;
    bool _start_next = false; // the next fiber begins a new thread although others may go on
};

} // namespace bs_emu
