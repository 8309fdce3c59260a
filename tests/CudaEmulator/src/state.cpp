#include "state.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bs_emu {

thread_local CUcontext t_context;

namespace {
// "8G", "512M", "123456"
size parse_bytes(const char* text, size otherwise) {
    if (!text)
        return otherwise;
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    const double unit = *end == 'G' || *end == 'g' ? 1e0 * (1 << 30) : *end == 'M' || *end == 'm' ? 1 << 20 : 1;
    return value > 0 ? static_cast<size>(value * unit) : otherwise;
}
constexpr size kPoisonLimit = size{256} << 20;
} // namespace

Device& Device::get() {
    static auto* device = new Device; // threads of the process may call until its very end
    return *device;
}

Device::Device() {
    capacity = parse_bytes(std::getenv("BIOSUP_EMULATOR_MEMORY"), size{8} << 30);
    const char* order = std::getenv("BIOSUP_EMULATOR_STREAMS");
    _lazy = order && std::strcmp(order, "lazy") == 0;
    legacy.blocking = per_thread.blocking = true;
    per_thread.id = ++_stream_count;
}

CUstream Device::find_stream(CUstream handle) {
    const auto value = reinterpret_cast<std::uintptr_t>(handle);
    if (value <= 1)
        return &legacy;
    if (value == 2)
        return &per_thread;
    const auto found = streams.find(handle);
    if (found == streams.end())
        return nullptr;
    if ((*found)->id == 0)
        (*found)->id = ++_stream_count;
    return *found;
}

CUresult Device::enqueue(CUstream stream, NodeKind kind, Work work, std::vector<OperationPtr> after,
                         OperationPtr* made) {
    if (stream->capture) {
        auto& capture = *stream->capture;
        if (capture.invalid)
            return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        capture.nodes.push_back({kind, std::move(work), stream->capture_tail});
        stream->capture_tail = {static_cast<unsigned>(capture.nodes.size() - 1)};
        return CUDA_SUCCESS;
    }
    if (stream == &legacy) {
        for (auto* other : streams) {
            if (other->blocking && other->last)
                after.push_back(other->last);
        }
    } else if (stream->blocking && legacy.last) {
        after.push_back(legacy.last);
    }
    auto operation = std::make_shared<Operation>();
    operation->work = std::move(work);
    operation->after = std::move(after);
    stream->queue.push_back(operation);
    stream->last = operation;
    if (made)
        *made = operation;
    if (!_started) {
        _started = true;
        std::thread([this] { dispatch(); }).detach();
    }
    _work.notify_one();
    return CUDA_SUCCESS;
}

// Streams take turns; where laziness is asked for, the newest stream goes first, to bring missing waits to light.
OperationPtr Device::next_operation(CUstream* from) {
    if (_lazy && _waiters == 0 && _nudges == 0)
        return nullptr;
    std::vector<CUstream> order(streams.begin(), streams.end());
    order.push_back(&legacy);
    order.push_back(&per_thread);
    std::sort(order.begin(), order.end(), [this](CUstream a, CUstream b) {
        if (_lazy)
            return a->id > b->id;
        if (a->priority != b->priority)
            return a->priority < b->priority;
        const bool a_later = a->id > _last_served, b_later = b->id > _last_served;
        return a_later != b_later ? a_later : a->id < b->id;
    });
    for (auto* stream : order) {
        if (stream->queue.empty())
            continue;
        const auto& front = stream->queue.front();
        if (std::all_of(front->after.begin(), front->after.end(), [](const auto& o) { return o->done; })) {
            *from = stream;
            _last_served = stream->id;
            return front;
        }
    }
    return nullptr;
}

void Device::dispatch() {
    std::unique_lock guard(lock);
    for (;;) {
        CUstream stream = nullptr;
        auto operation = next_operation(&stream);
        if (!operation) {
            _work.wait(guard);
            continue;
        }
        if (_nudges > 0)
            _nudges--;
        auto result = sticky;
        if (sticky == CUDA_SUCCESS && operation->work) {
            guard.unlock();
            result = operation->work();
            guard.lock();
        }
        if (result != CUDA_SUCCESS && sticky == CUDA_SUCCESS)
            sticky = result;
        operation->work = nullptr;
        operation->after.clear();
        operation->when = std::chrono::steady_clock::now();
        operation->done = true;
        stream->queue.pop_front();
        _done.notify_all();
    }
}

void Device::wait(std::unique_lock<std::mutex>& guard, const OperationPtr& operation) {
    if (!operation || operation->done)
        return;
    const auto kept = operation;
    _waiters++;
    _work.notify_one();
    _done.wait(guard, [&] { return kept->done; });
    _waiters--;
}

void Device::wait_all(std::unique_lock<std::mutex>& guard) {
    std::vector<OperationPtr> last{legacy.last, per_thread.last};
    for (auto* stream : streams)
        last.push_back(stream->last);
    for (const auto& operation : last)
        wait(guard, operation);
}

void Device::nudge() {
    _nudges++;
    _work.notify_one();
}

// In thread-local mode, calls of the capturing thread that may synchronise are refused and spoil the capture.
bool Device::capturing_here() const {
    return std::any_of(streams.begin(), streams.end(), [](CUstream stream) {
        return stream->capture && stream->capture->origin == stream &&
               (stream->capture->mode == 0 ||
                (stream->capture->mode == 1 && stream->capture->thread == std::this_thread::get_id()));
    });
}

void Device::invalidate_captures_here() {
    for (auto* stream : streams) {
        if (stream->capture && stream->capture->mode != 2)
            stream->capture->invalid = true;
    }
}

char* Device::allocate(size bytes, const char* made_by, bool pooled) {
    const size rounded = (bytes + 255) / 256 * 256;
    if (bytes == 0 || rounded < bytes || used + rounded > capacity)
        return nullptr;
    // The gap behind the buffer keeps the next one away, so that a step past the end is no step into a neighbour.
    auto* address = static_cast<char*>(std::aligned_alloc(512, (rounded + 512 + 511) / 512 * 512));
    if (!address)
        return nullptr;
    if (bytes <= kPoisonLimit)
        std::memset(address, 0xFF, bytes); // NaN and -1: nothing may rely on fresh memory being zero
    used += rounded;
    allocations[address] = {bytes,   ++allocation_count,
                            made_by, pooled,
                            false,   GlobalShadow::wanted() ? std::make_unique<GlobalShadow>(bytes) : nullptr};
    if (pooled) {
        pool_used += rounded;
        pool_used_high = std::max(pool_used_high, pool_used);
        pool_reserved = std::max(pool_reserved, pool_used);
        pool_reserved_high = std::max(pool_reserved_high, pool_reserved);
    }
    return address;
}

void Device::release(char* address) {
    const auto found = allocations.find(address);
    if (found == allocations.end())
        return;
    const size rounded = (found->second.bytes + 255) / 256 * 256;
    used -= rounded;
    if (found->second.pooled) {
        pool_used -= rounded;
        pool_reserved = std::max<cuuint64_t>(pool_used, std::min<cuuint64_t>(pool_reserved, pool_threshold));
    }
    allocations.erase(found);
    std::free(address);
}

const Allocation* Device::allocation_of(const char* address, size bytes) const {
    auto after = allocations.upper_bound(const_cast<char*>(address));
    if (after == allocations.begin())
        return nullptr;
    const auto& [begin, allocation] = *--after;
    const auto offset = static_cast<size>(address - begin);
    return offset <= allocation.bytes && bytes <= allocation.bytes - offset ? &allocation : nullptr;
}

bool Device::is_pinned(const char* address, size bytes) const {
    auto after = pinned.upper_bound(const_cast<char*>(address));
    if (after == pinned.begin())
        return false;
    const auto& [begin, length] = *--after;
    const auto offset = static_cast<size>(address - begin);
    return offset <= length && bytes <= length - offset;
}

std::vector<AddressRange> Device::live_ranges() const {
    std::vector<AddressRange> ranges;
    for (const auto& [begin, allocation] : allocations)
        ranges.push_back(
            {begin, begin + allocation.bytes, allocation.number, allocation.made_by, allocation.shadow.get()});
    for (const auto& [begin, length] : pinned)
        ranges.push_back({begin, begin + length, 0, "pinned host memory", nullptr});
    std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    return ranges;
}

void Device::mark_written(char* address, size bytes) {
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin())
        return;
    auto& [begin, allocation] = *--after;
    if (allocation.shadow)
        allocation.shadow->write_from_outside(static_cast<size>(address - begin), bytes);
}

// On standard error, in the file named by BIOSUP_EMULATOR_REPORT, and behind cuGetErrorString's sentence for the code.
void Device::report(CUresult code, const std::string& text) {
    remember_report(code, text);
    std::fprintf(stderr, "emulated device: %s: %s\n", error_name(code), text.c_str());
    if (const char* path = std::getenv("BIOSUP_EMULATOR_REPORT")) {
        if (auto* file = std::fopen(path, "a")) {
            std::fprintf(file, "%s: %s\n", error_name(code), text.c_str());
            std::fclose(file);
        }
    }
}

} // namespace bs_emu
