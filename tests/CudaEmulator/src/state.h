// The emulated device: memory, streams, events, graphs. Every entry point works on this one object under its lock.
#pragma once

#include "cuda_abi.h"
#include "launch.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace bs_emu {

using Work = std::function<CUresult()>;

struct Operation {
    Work work;
    std::vector<std::shared_ptr<Operation>> after;
    bool done = false;
    std::chrono::steady_clock::time_point when{};
};
using OperationPtr = std::shared_ptr<Operation>;

enum class NodeKind { Kernel, Copy, Fill, Empty };

struct Node {
    NodeKind kind;
    Work work;
    std::vector<unsigned> after;
};

struct Capture {
    std::vector<Node> nodes;
    CUstream origin = nullptr;
    int mode = 0;
    std::thread::id thread;
    bool invalid = false;
    std::set<CUstream> members;
};

struct Allocation {
    size bytes;
    unsigned number;
    const char* made_by;
    bool pooled, freeing;
    std::unique_ptr<GlobalShadow> shadow; // for the sanitizer, else null
};

} // namespace bs_emu

struct CUctx_st {
    int references = 0;
};

struct CUstream_st {
    unsigned long long id = 0;
    int priority = 0;
    bool blocking = false; // ordered with the legacy default stream
    std::deque<bs_emu::OperationPtr> queue;
    bs_emu::OperationPtr last;
    std::shared_ptr<bs_emu::Capture> capture;
    std::vector<unsigned> capture_tail;
};

struct CUevent_st {
    bool timed = true;
    bs_emu::OperationPtr recorded;
    std::shared_ptr<bs_emu::Capture> capture;
    std::vector<unsigned> capture_nodes;
};

struct CUgraph_st {
    std::vector<bs_emu::Node> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<bs_emu::Node>> nodes;
};

struct CUfunc_st : bs_emu::Function {};

struct CUmod_st {
    std::shared_ptr<bs_emu::LoadedModule> module;
    std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

namespace bs_emu {

class Device {
  public:
    static Device& get();

    std::mutex lock;
    CUctx_st context;
    CUresult sticky = CUDA_SUCCESS; // a fault of a kernel stays with the context until it is released
    bool initialised = false;

    std::map<char*, Allocation> allocations;
    std::map<char*, size> pinned;
    unsigned allocation_count = 0;
    size capacity = 0, used = 0;
    cuuint64_t pool_used = 0, pool_used_high = 0, pool_reserved = 0, pool_reserved_high = 0, pool_threshold = 0;
    int pool_reuse[3] = {1, 1, 1};

    std::set<CUstream> streams;
    std::set<CUevent> events;
    std::set<CUgraph> graphs;
    std::set<CUgraphExec> graph_execs;
    std::set<CUmodule> modules;
    CUstream_st legacy, per_thread;

    Device();
    // Null where the handle is none of ours.
    CUstream find_stream(CUstream handle);
    // In order behind what the stream already holds; into the graph where the stream is being captured.
    CUresult enqueue(CUstream stream, NodeKind kind, Work work, std::vector<OperationPtr> after = {},
                     OperationPtr* made = nullptr);
    void wait(std::unique_lock<std::mutex>& guard, const OperationPtr& operation);
    void wait_all(std::unique_lock<std::mutex>& guard);
    void nudge(); // someone asks whether work is done: let some be done
    bool capturing_here() const;
    void invalidate_captures_here();

    char* allocate(size bytes, const char* made_by, bool pooled);
    void release(char* address);
    const Allocation* allocation_of(const char* address, size bytes) const;
    bool is_pinned(const char* address, size bytes) const;
    std::vector<AddressRange> live_ranges() const;
    void mark_written(char* address, size bytes); // by a copy or a fill
    void report(CUresult code, const std::string& text);

  private:
    void dispatch();
    OperationPtr next_operation(CUstream* from);

    std::condition_variable _work, _done;
    bool _started = false, _lazy = false;
    unsigned _waiters = 0, _nudges = 0;
    unsigned long long _stream_count = 0, _last_served = 0;
};

extern thread_local CUcontext t_context;

// The sentence for a code: CUDA's, followed by what the emulator found where there is a report.
const char* error_sentence(CUresult code);
const char* error_name(CUresult code);
void remember_report(CUresult code, const std::string& text);

// Reasons not to go on that hold for every call that needs a context.
#define BS_NEED_CONTEXT()                                                                                              \
    auto& device = bs_emu::Device::get();                                                                              \
    std::unique_lock guard(device.lock);                                                                               \
    if (!device.initialised)                                                                                           \
        return CUDA_ERROR_NOT_INITIALIZED;                                                                             \
    if (!bs_emu::t_context || device.context.references == 0)                                                          \
        return CUDA_ERROR_INVALID_CONTEXT;                                                                             \
    if (device.sticky != CUDA_SUCCESS)                                                                                 \
        return device.sticky;                                                                                          \
    (void)0

} // namespace bs_emu
