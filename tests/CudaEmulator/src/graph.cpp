// Stream capture and graphs: a graph's nodes run in the order in which they were captured.
#include "state.h"

#include <algorithm>

using bs_emu::Capture;
using bs_emu::Device;
using bs_emu::Node;
using bs_emu::NodeKind;

namespace {

// Work of another stream that the origin never waited for.
bool has_unjoined_work(const Capture& capture) {
    std::vector<bool> followed(capture.nodes.size(), false);
    for (const auto& node : capture.nodes) {
        for (const auto before : node.after)
            followed[before] = true;
    }
    const auto& tail = capture.origin->capture_tail;
    for (unsigned i = 0; i < capture.nodes.size(); i++) {
        if (!followed[i] && std::find(tail.begin(), tail.end(), i) == tail.end())
            return true;
    }
    return false;
}

CUresult replay(const std::vector<Node>& nodes) {
    for (const auto& node : nodes) {
        const auto result = node.work ? node.work() : CUDA_SUCCESS;
        if (result != CUDA_SUCCESS)
            return result;
    }
    return CUDA_SUCCESS;
}

} // namespace

BS_EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, int mode) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (mode < 0 || mode > 2)
        return CUDA_ERROR_INVALID_VALUE;
    if (stream == &device.legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->members.insert(stream);
    stream->capture_tail.clear();
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!graph)
        return CUDA_ERROR_INVALID_VALUE;
    *graph = nullptr;
    const auto capture = stream->capture;
    if (!capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->origin != stream)
        return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode == 1 && capture->thread != std::this_thread::get_id())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    const auto result = capture->invalid              ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                        : has_unjoined_work(*capture) ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                                      : CUDA_SUCCESS;
    for (auto* member : capture->members) {
        member->capture = nullptr;
        member->capture_tail.clear();
    }
    for (auto* event : device.events) {
        if (event->capture == capture)
            event->capture = nullptr;
    }
    if (result != CUDA_SUCCESS)
        return result;
    auto* made = new CUgraph_st{std::move(capture->nodes)};
    device.graphs.insert(made);
    *graph = made;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuStreamIsCapturing(CUstream handle, int* status) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!status)
        return CUDA_ERROR_INVALID_VALUE;
    *status = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
    BS_NEED_CONTEXT();
    if (!exec || flags > 15)
        return CUDA_ERROR_INVALID_VALUE;
    if (device.graphs.find(graph) == device.graphs.end())
        return CUDA_ERROR_INVALID_HANDLE;
    auto* made = new CUgraphExec_st{std::make_shared<const std::vector<Node>>(graph->nodes)};
    device.graph_execs.insert(made);
    *exec = made;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuGraphUpload(CUgraphExec exec, CUstream handle) {
    BS_NEED_CONTEXT();
    if (!device.find_stream(handle) || device.graph_execs.find(exec) == device.graph_execs.end())
        return CUDA_ERROR_INVALID_HANDLE;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream || device.graph_execs.find(exec) == device.graph_execs.end())
        return CUDA_ERROR_INVALID_HANDLE;
    return device.enqueue(stream, NodeKind::Empty, [nodes = exec->nodes] { return replay(*nodes); });
}

BS_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
    BS_NEED_CONTEXT();
    if (!info)
        return CUDA_ERROR_INVALID_VALUE;
    if (device.graphs.find(graph) == device.graphs.end() || device.graph_execs.find(exec) == device.graph_execs.end())
        return CUDA_ERROR_INVALID_HANDLE;
    const auto& old = *exec->nodes;
    info->errorNode = info->errorFromNode = nullptr;
    info->result = 0;
    if (old.size() != graph->nodes.size())
        info->result = 2; // the topology changed
    for (std::size_t i = 0; i < old.size() && info->result == 0; i++) {
        if (old[i].kind != graph->nodes[i].kind)
            info->result = 3; // a node's type changed
        else if (old[i].after != graph->nodes[i].after)
            info->result = 2;
    }
    if (info->result != 0)
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    exec->nodes = std::make_shared<const std::vector<Node>>(graph->nodes);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (device.graph_execs.erase(exec) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    delete exec;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (device.graphs.erase(graph) == 0)
        return CUDA_ERROR_INVALID_HANDLE;
    delete graph;
    return CUDA_SUCCESS;
}
