#include "block.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <sys/mman.h>

extern "C" void* __tls_get_addr(std::size_t* index);

namespace bs_emu {

namespace {
constexpr unsigned kDynamicCapacity = 256 * 1024;
constexpr auto kHangLimit = std::chrono::seconds(60);

std::string triple(const Index3& i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}
} // namespace

BlockRunner::BlockRunner() : _by_thread(1024, nullptr) {
    _dynamic = static_cast<char*>(
        mmap(nullptr, kDynamicCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

BlockRunner::~BlockRunner() {
    munmap(_dynamic, kDynamicCapacity);
}

BlockRunner& BlockRunner::current() {
    static thread_local BlockRunner runner;
    return runner;
}

Fiber* BlockRunner::new_fiber() {
    auto* stack = _stacks.get(static_cast<unsigned>(_fibers.size()));
    auto* fiber = static_cast<Fiber*>(thread_on_stack(reinterpret_cast<word>(stack)));
    std::memset(static_cast<void*>(fiber), 0, sizeof(Fiber));
    fiber->runner = this;
    fiber->sp = prepare_stack(reinterpret_cast<char*>(fiber), fiber_entry);
    _fibers.push_back(fiber);
    return fiber;
}

void BlockRunner::prepare_shared(Launch& launch) {
    const auto& module = *launch.module;
    _static_size = static_cast<unsigned>(module.tls_size);
    _static = nullptr;
    if (_static_size > 0) {
        std::size_t index[2] = {module.tls_module, 0};
        _static = static_cast<char*>(__tls_get_addr(index));
        // Real shared memory starts with what the block before left there; all ones are NaN and -1.
        std::memset(_static, 0xFF, _static_size);
    }
    std::memset(_dynamic, 0xFF, launch.dynamic_shared);
    _dynamic_offset = (_static_size + 1023) / 1024 * 1024;
}

void BlockRunner::run(Launch& launch, Index3 block, unsigned cluster_rank, ClusterState* cluster) {
    _launch = &launch;
    _block = block;
    _rank = cluster_rank;
    _cluster = cluster;
    _threads = _alive = launch.threads();
    _next_thread = _meetings = 0;
    _next_index = {};
    _block_number++;
    _start_next = false;
    _ready_head = _ready_tail = nullptr;
    _progress++;
    for (auto& barrier : _barriers)
        barrier = Barrier{};
    for (unsigned w = 0; w < (_threads + 31) / 32; w++) {
        const unsigned lanes = std::min(32u, _threads - w * 32);
        _warps[w].alive = lanes == 32 ? ~0u : (1u << lanes) - 1;
        _warps[w].group_count = 0;
    }
    for (auto& group : _warpgroups)
        group.arrived = 0;
    prepare_shared(launch);
    if (launch.sanitize)
        _sanitizer.begin_block(launch, *this, _static, _static_size, _dynamic, launch.dynamic_shared, _threads);
    if (cluster) {
        cluster->blocks[cluster_rank].store(this);
        for (auto& other : cluster->blocks)
            while (!other.load() && !launch.failed)
                sched_yield();
    }
    bs_emu_switch(&_scheduler_sp, next_runnable()->sp);
    _sanitizer.end_block();
    if (_async) {
        (*static_cast<void (**)(void*)>(_async))(_async);
        _async = nullptr;
    }
    if (_broken)
        abandon();
    if (cluster) {
        cluster->blocks_at_end++;
        while (cluster->blocks_at_end < cluster->blocks.size())
            sched_yield();
    }
}

// The threads of a block that failed are never resumed: their stacks start afresh.
void BlockRunner::abandon() {
    _broken = false;
    _free = nullptr;
    for (auto* fiber : _fibers) {
        fiber->sp = prepare_stack(reinterpret_cast<char*>(fiber), fiber_entry);
        fiber->running = false;
        fiber->next = _free;
        _free = fiber;
    }
}

void BlockRunner::fiber_entry() {
    auto* own = fiber();
    for (;;)
        own->runner->run_threads(own);
}

// Threads that never wait run one after the other on the same fiber, without any switch.
void BlockRunner::run_threads(Fiber* fiber) {
    while (_next_thread < _threads && (!_ready_head || _start_next)) {
        _start_next = false;
        start_thread(fiber);
        _launch->kernel->invoke(_launch->arguments.data());
        end_thread(fiber);
    }
    fiber->next = _free;
    _free = fiber;
    auto* next = next_runnable();
    if (next == fiber)
        return;
    if (!next && _alive > 0)
        fail(CUDA_ERROR_LAUNCH_FAILED, describe_deadlock());
    if (next)
        switch_from(fiber, next);
    else
        bs_emu_switch(&fiber->sp, _scheduler_sp);
}

void BlockRunner::start_thread(Fiber* fiber) {
    const unsigned linear = _next_thread++;
    if (fiber->block_number != _block_number)
        set_block(fiber);
    fiber->thread = _next_index;
    fiber->linear = linear;
    fiber->lane = linear & 31;
    fiber->warp = linear >> 5;
    fiber->running = true;
    fiber->wait = Wait::None;
    _by_thread[linear] = fiber;
    const auto& size = _launch->block;
    if (++_next_index.x == size.x) {
        _next_index.x = 0;
        if (++_next_index.y == size.y) {
            _next_index.y = 0;
            _next_index.z++;
        }
    }
}

// What all threads of the block share.
void BlockRunner::set_block(Fiber* fiber) const {
    fiber->block_number = _block_number;
    fiber->block = _block;
    fiber->block_dim = _launch->block;
    fiber->grid_dim = _launch->grid;
    fiber->thread_count = _threads;
    fiber->cluster_rank = _rank;
    fiber->cluster_size = _launch->cluster_blocks();
    fiber->cluster_dim = _launch->cluster;
    fiber->static_shared = _static;
    fiber->static_shared_size = _static_size;
    fiber->dynamic_shared = _dynamic;
    fiber->dynamic_shared_size = _launch->dynamic_shared;
    fiber->dynamic_offset = _dynamic_offset;
}

void BlockRunner::end_thread(Fiber* fiber) {
    fiber->running = false;
    _by_thread[fiber->linear] = nullptr;
    _progress++;
    _alive--;
    _warps[fiber->warp].alive &= ~(1u << fiber->lane);
    if (_meetings > 0 || _cluster)
        check_after_exit(fiber);
}

// Those that wait for a thread that has left must not wait for ever.
void BlockRunner::check_after_exit(Fiber* fiber) {
    auto& warp = _warps[fiber->warp];
    for (unsigned i = 0; i < warp.group_count;) {
        if (!finish_group(warp, i, nullptr))
            i++;
    }
    if (_warpgroups[fiber->warp / 4].arrived > 0)
        finish_warpgroup(fiber->warp / 4, nullptr);
    for (unsigned id = 0; id < 16; id++) {
        if (_barriers[id].arrived > 0 && barrier_complete(_barriers[id]))
            release_barrier(id);
    }
    if (_cluster) {
        const std::lock_guard guard(_cluster->lock);
        const unsigned live = --_cluster->live_threads;
        if (live > 0 && _cluster->arrived == live) {
            _cluster->arrived = 0;
            _cluster->generation++;
        }
    }
}

void BlockRunner::make_ready(Fiber* fiber) {
    fiber->next = nullptr;
    fiber->wait = Wait::None;
    if (_ready_tail)
        _ready_tail->next = fiber;
    else
        _ready_head = fiber;
    _ready_tail = fiber;
}

// A thread that may go on, or else a fiber that will start the next thread; null when there is neither.
Fiber* BlockRunner::next_runnable() {
    if (auto* fiber = _ready_head) {
        _ready_head = fiber->next;
        if (!_ready_head)
            _ready_tail = nullptr;
        return fiber;
    }
    if (_next_thread >= _threads)
        return nullptr;
    if (auto* fiber = _free) {
        _free = fiber->next;
        return fiber;
    }
    return new_fiber();
}

void BlockRunner::switch_from(Fiber* fiber, Fiber* to) {
    bs_emu_switch(&fiber->sp, to->sp);
}

void BlockRunner::suspend(Fiber* fiber) {
    auto* next = next_runnable();
    if (!next)
        fail(CUDA_ERROR_LAUNCH_FAILED, describe_deadlock());
    switch_from(fiber, next);
}

// Lanes run apart from each other here, so that the only lane surely active is the one that asks.
unsigned BlockRunner::active_mask(Fiber* fiber) const {
    return 1u << fiber->lane;
}

void BlockRunner::yield() {
    auto* own = fiber();
    static thread_local unsigned long long seen_progress;
    static thread_local std::chrono::steady_clock::time_point since;
    if (++own->yields % 4096 == 0) {
        const auto now = std::chrono::steady_clock::now();
        if (seen_progress != _progress || since.time_since_epoch().count() == 0) {
            seen_progress = _progress;
            since = now;
        } else if (now - since > kHangLimit) {
            fail(CUDA_ERROR_LAUNCH_TIMEOUT, "waits in a loop and nothing happens any more");
        }
        if (_launch->failed)
            fail(CUDA_ERROR_LAUNCH_FAILED, "stopped because another block failed");
    }
    if (_cluster && !_ready_head && _next_thread >= _threads) {
        sched_yield();
        return;
    }
    Fiber* next = nullptr;
    if (_next_thread < _threads) { // a thread that has not begun may be the one that is waited for
        auto* head = _ready_head;
        auto* tail = _ready_tail;
        _ready_head = _ready_tail = nullptr;
        next = next_runnable();
        _ready_head = head;
        _ready_tail = tail;
        _start_next = true;
    } else {
        next = next_runnable();
    }
    if (!next)
        return;
    make_ready(own);
    own->wait = Wait::Yield;
    switch_from(own, next);
    own->wait = Wait::None;
}

unsigned BlockRunner::cluster_arrive() {
    if (!_cluster)
        return 0;
    const std::lock_guard guard(_cluster->lock);
    const unsigned ticket = _cluster->generation;
    if (++_cluster->arrived == _cluster->live_threads) {
        _cluster->arrived = 0;
        _cluster->generation++;
    }
    return ticket;
}

void BlockRunner::cluster_wait(unsigned ticket) {
    if (!_cluster) { // a cluster of one block
        barrier(0, 0, BarrierKind::Plain, 0, nullptr);
        return;
    }
    while (_cluster->generation == ticket)
        yield();
    if (_sanitizer.active())
        _sanitizer.acquire_block(fiber()->linear);
}

char* BlockRunner::shared_at(unsigned offset) {
    return offset < _dynamic_offset ? _static + offset : _dynamic + (offset - _dynamic_offset);
}

char* BlockRunner::cluster_shared(unsigned rank, unsigned offset) {
    if (!_cluster)
        return shared_at(offset);
    if (rank >= _cluster->blocks.size())
        fail(CUDA_ERROR_ILLEGAL_ADDRESS, "asks for the shared memory of block " + std::to_string(rank) +
                                             " of a cluster of " + std::to_string(_cluster->blocks.size()));
    return _cluster->blocks[rank].load()->shared_at(offset);
}

bool BlockRunner::is_private(const char* address) const {
    if (_stacks.contains(address))
        return true;
    if (_cluster) {
        for (const auto& other : _cluster->blocks) {
            const auto* runner = other.load();
            if ((address >= runner->_dynamic && address < runner->_dynamic + _launch->dynamic_shared) ||
                (address >= runner->_static && address < runner->_static + runner->_static_size))
                return true;
        }
    }
    return false;
}

std::string BlockRunner::where(const Thread* thread) const {
    return "kernel " + std::string(_launch->kernel->name) + ", block " + triple(thread->block) + ", thread " +
           triple(thread->thread);
}

void BlockRunner::fail(CUresult code, const std::string& what) {
    end_with(code, where(fiber()) + ": " + what);
}

void BlockRunner::end_with(CUresult code, const std::string& sentence) {
    _launch->fail(code, sentence);
    _broken = true;
    auto* own = fiber();
    bs_emu_switch(&own->sp, _scheduler_sp);
    std::abort(); // an abandoned thread is never resumed
}

std::string BlockRunner::describe_deadlock() const {
    unsigned at_barrier = 0, at_collective = 0;
    const Fiber *barrier = nullptr, *collective = nullptr;
    for (unsigned t = 0; t < _threads; t++) {
        const auto* fiber = _by_thread[t];
        if (!fiber)
            continue;
        if (fiber->wait == Wait::Barrier) {
            at_barrier++;
            barrier = barrier ? barrier : fiber;
        } else if (fiber->wait == Wait::Collective) {
            at_collective++;
            collective = collective ? collective : fiber;
        }
    }
    char text[400];
    if (collective && barrier)
        std::snprintf(text, sizeof text,
                      "divergent barrier: %u threads (first %s) wait at a barrier of the block while %u threads "
                      "(first %s) wait in a warp operation with mask 0x%08x",
                      at_barrier, triple(barrier->thread).c_str(), at_collective, triple(collective->thread).c_str(),
                      collective->mask);
    else if (collective)
        std::snprintf(text, sizeof text,
                      "divergent warp operation: %u threads (first %s) wait in it with mask 0x%08x for lanes that "
                      "never come",
                      at_collective, triple(collective->thread).c_str(), collective->mask);
    else
        std::snprintf(text, sizeof text,
                      "divergent barrier: %u of %u threads wait at barrier %u for threads that never come", at_barrier,
                      _alive, barrier ? barrier->barrier : 0);
    return text;
}

} // namespace bs_emu
