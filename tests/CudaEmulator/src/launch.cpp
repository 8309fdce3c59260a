#include "block.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace bs_emu {

namespace {

// Threads that help the caller with the blocks of a launch.
class Pool {
  public:
    explicit Pool(unsigned helpers) {
        for (unsigned i = 0; i < helpers; i++)
            std::thread([this] { help(); }).detach();
    }

    void run(Launch& launch, void (*work)(Launch&), unsigned helpers) {
        {
            const std::lock_guard guard(_lock);
            _launch = &launch;
            _work = work;
            _wanted = helpers;
        }
        _wake.notify_all();
        work(launch);
        std::unique_lock guard(_lock);
        _wanted = 0;
        _launch = nullptr;
        _done.wait(guard, [this] { return _busy == 0; });
    }

  private:
    void help() {
        std::unique_lock guard(_lock);
        for (;;) {
            _wake.wait(guard, [this] { return _launch && _wanted > 0; });
            _wanted--;
            _busy++;
            auto* launch = _launch;
            auto* work = _work;
            guard.unlock();
            work(*launch);
            guard.lock();
            if (--_busy == 0)
                _done.notify_all();
        }
    }

    std::mutex _lock;
    std::condition_variable _wake, _done;
    Launch* _launch = nullptr;
    void (*_work)(Launch&) = nullptr;
    unsigned _wanted = 0, _busy = 0;
};

Index3 block_of(const Launch& launch, unsigned long long cluster, unsigned rank) {
    const auto& size = launch.cluster;
    const unsigned long long nx = launch.grid.x / size.x, ny = launch.grid.y / size.y;
    const Index3 inner{rank % size.x, rank / size.x % size.y, rank / (size.x * size.y)};
    return {static_cast<unsigned>(cluster % nx) * size.x + inner.x,
            static_cast<unsigned>(cluster / nx % ny) * size.y + inner.y,
            static_cast<unsigned>(cluster / (nx * ny)) * size.z + inner.z};
}

void run_blocks(Launch& launch) {
    auto& runner = BlockRunner::current();
    const auto count = launch.clusters();
    for (;;) {
        const auto index = launch.next_cluster.fetch_add(1);
        if (index >= count || launch.failed)
            return;
        runner.run(launch, block_of(launch, index, 0), 0, nullptr);
    }
}

// The blocks of a cluster run at the same time, each on a thread of its own.
void run_clusters(Launch& launch) {
    const unsigned blocks = launch.cluster_blocks();
    for (unsigned long long index = 0; index < launch.clusters() && !launch.failed; index++) {
        ClusterState state(blocks);
        state.live_threads = blocks * launch.threads();
        std::vector<std::thread> threads;
        for (unsigned rank = 0; rank < blocks; rank++)
            threads.emplace_back(
                [&, rank] { BlockRunner::current().run(launch, block_of(launch, index, rank), rank, &state); });
        for (auto& thread : threads)
            thread.join();
    }
}

Fiber* own() {
    return BlockRunner::fiber();
}

unsigned do_barrier(unsigned id, unsigned count, BarrierKind kind, unsigned predicate) {
    return own()->runner->barrier(id, count, kind, predicate, __builtin_return_address(0));
}
void do_barrier_arrive(unsigned id, unsigned count) {
    own()->runner->barrier_arrive(id, count);
}
void do_collective(Scope scope, unsigned mask, void* request, Finish finish) {
    own()->runner->collective(scope, mask, request, finish, __builtin_return_address(0));
}
unsigned do_active_mask() {
    return own()->runner->active_mask(own());
}
void do_yield() {
    own()->runner->yield();
}
void do_acquire() {
    auto& sanitizer = own()->runner->sanitizer();
    if (sanitizer.active())
        sanitizer.acquire_block(own()->linear);
}
unsigned do_cluster_arrive() {
    return own()->runner->cluster_arrive();
}
void do_cluster_wait(unsigned ticket) {
    own()->runner->cluster_wait(ticket);
}
char* do_cluster_shared(unsigned rank, unsigned offset) {
    return own()->runner->cluster_shared(rank, offset);
}
void do_fail(int code, const char* what) {
    own()->runner->fail(static_cast<CUresult>(code), what);
}
int do_print(const char* format, __builtin_va_list arguments) {
    return std::vprintf(format, arguments);
}
void do_check(const void* address, size bytes, Access access) {
    auto* thread = own();
    auto& sanitizer = thread->runner->sanitizer();
    if (sanitizer.active())
        sanitizer.check(thread, static_cast<const char*>(address), bytes, access);
}
void do_misaligned(const void* address, size alignment, const char* type, const char* file, unsigned line) {
    auto* runner = own()->runner;
    char text[600];
    std::snprintf(text, sizeof text, "misaligned access at %p (%s:%u): %s wants a multiple of %zu, in %s", address,
                  file, line, type, alignment, runner->sanitizer().describe(static_cast<const char*>(address)).c_str());
    runner->fail(CUDA_ERROR_MISALIGNED_ADDRESS, text);
}
unsigned long long do_clock() {
    return static_cast<unsigned long long>(std::chrono::steady_clock::now().time_since_epoch().count());
}
void** do_block_state() {
    return own()->runner->async_state();
}

} // namespace

const Runtime* runtime_table() {
    static const Runtime table{do_barrier, do_barrier_arrive, do_collective,   do_active_mask,    do_yield,
                               do_acquire, do_cluster_arrive, do_cluster_wait, do_cluster_shared, do_fail,
                               do_print,   do_check,          do_misaligned,   do_clock,          do_block_state};
    return &table;
}

LoadedModule::~LoadedModule() {
    if (handle)
        dlclose(handle);
}

void Launch::fail(CUresult code, std::string text) {
    const std::lock_guard guard(failure_lock);
    if (failed.exchange(true))
        return;
    failure = code;
    failure_text = std::move(text);
}

unsigned worker_count() {
    static const unsigned count = [] {
        const char* wanted = std::getenv("BIOSUP_EMULATOR_THREADS");
        cpu_set_t processors;
        const int available = sched_getaffinity(0, sizeof processors, &processors) == 0 ? CPU_COUNT(&processors) : 1;
        const long n = wanted ? std::atol(wanted) : available;
        return static_cast<unsigned>(std::clamp(n, 1l, 16l));
    }();
    return count;
}

void run_launch(Launch& launch) {
    static auto* pool = new Pool(worker_count() - 1); // lives as long as the process
    if (launch.cluster_blocks() > 1) {
        run_clusters(launch);
        return;
    }
    const auto helpers = std::min<unsigned long long>(worker_count() - 1, launch.clusters() - 1);
    if (helpers == 0)
        run_blocks(launch);
    else
        pool->run(launch, run_blocks, static_cast<unsigned>(helpers));
}

} // namespace bs_emu
