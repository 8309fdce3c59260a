// Streams and events.
#include "state.h"

#include <algorithm>

using bs_emu::Device;
using bs_emu::NodeKind;

namespace {

constexpr int kGreatestPriority = -5;

bool busy_capturing(CUstream stream) {
    if (!stream->capture)
        return false;
    stream->capture->invalid = true;
    return true;
}

} // namespace

BS_EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
    BS_NEED_CONTEXT();
    if (!stream || flags > 1)
        return CUDA_ERROR_INVALID_VALUE;
    auto* made = new CUstream_st;
    made->blocking = flags == 0;
    made->priority = std::clamp(priority, kGreatestPriority, 0);
    device.streams.insert(made);
    *stream = device.find_stream(made);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
    auto& device = Device::get();
    std::unique_lock guard(device.lock);
    const auto found = device.streams.find(handle);
    if (found == device.streams.end())
        return CUDA_ERROR_INVALID_HANDLE;
    auto* stream = *found;
    if (stream->capture) {
        stream->capture->invalid = true;
        stream->capture->members.erase(stream);
    }
    device.wait(guard, stream->last);
    device.streams.erase(stream);
    delete stream;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuStreamSynchronize(CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (busy_capturing(stream))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream == &device.legacy)
        device.wait_all(guard);
    else
        device.wait(guard, stream->last);
    return device.sticky;
}

BS_EXPORT CUresult cuStreamQuery(CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (busy_capturing(stream))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (!stream->last || stream->last->done)
        return CUDA_SUCCESS;
    device.nudge();
    return CUDA_ERROR_NOT_READY;
}

BS_EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned flags) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream || device.events.find(event) == device.events.end())
        return CUDA_ERROR_INVALID_HANDLE;
    if (flags > 1)
        return CUDA_ERROR_INVALID_VALUE;
    if (event->capture) {
        if (stream == &device.legacy)
            return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        if (stream->capture && stream->capture != event->capture)
            return CUDA_ERROR_STREAM_CAPTURE_MERGE;
        stream->capture = event->capture;
        stream->capture->members.insert(stream);
        for (const auto node : event->capture_nodes) {
            if (std::find(stream->capture_tail.begin(), stream->capture_tail.end(), node) == stream->capture_tail.end())
                stream->capture_tail.push_back(node);
        }
        return CUDA_SUCCESS;
    }
    if (stream->capture) {
        stream->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (!event->recorded || event->recorded->done)
        return CUDA_SUCCESS;
    return device.enqueue(stream, NodeKind::Empty, nullptr, {event->recorded});
}

BS_EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) {
    BS_NEED_CONTEXT();
    if (!event || flags > 7)
        return CUDA_ERROR_INVALID_VALUE;
    auto* made = new CUevent_st;
    made->timed = (flags & 2) == 0;
    device.events.insert(made);
    *event = made;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (device.events.erase(event) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    delete event;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuEventRecord(CUevent event, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream || device.events.find(event) == device.events.end())
        return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) {
        event->capture = stream->capture;
        event->capture_nodes = stream->capture_tail;
        event->recorded = nullptr;
        return CUDA_SUCCESS;
    }
    event->capture = nullptr;
    event->capture_nodes.clear();
    return device.enqueue(stream, NodeKind::Empty, nullptr, {}, &event->recorded);
}

BS_EXPORT CUresult cuEventSynchronize(CUevent event) {
    BS_NEED_CONTEXT();
    if (device.events.find(event) == device.events.end())
        return CUDA_ERROR_INVALID_HANDLE;
    if (event->capture) {
        event->capture->invalid = true;
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    device.wait(guard, event->recorded);
    return device.sticky;
}

BS_EXPORT CUresult cuEventQuery(CUevent event) {
    BS_NEED_CONTEXT();
    if (device.events.find(event) == device.events.end())
        return CUDA_ERROR_INVALID_HANDLE;
    if (event->capture) {
        event->capture->invalid = true;
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    if (!event->recorded || event->recorded->done)
        return CUDA_SUCCESS;
    device.nudge();
    return CUDA_ERROR_NOT_READY;
}

BS_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
    BS_NEED_CONTEXT();
    if (!milliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    if (device.events.find(begin) == device.events.end() || device.events.find(end) == device.events.end() ||
        !begin->timed || !end->timed || !begin->recorded || !end->recorded)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!begin->recorded->done || !end->recorded->done) {
        device.nudge();
        return CUDA_ERROR_NOT_READY;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(end->recorded->when - begin->recorded->when).count();
    return CUDA_SUCCESS;
}
