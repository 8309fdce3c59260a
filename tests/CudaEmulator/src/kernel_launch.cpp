// Launches: the limits of the device first, then the blocks.
#include "state.h"

#include <algorithm>
#include <cstring>

using bs_emu::Device;
using bs_emu::Index3;
using bs_emu::Launch;
using bs_emu::NodeKind;

namespace bs_emu {
int max_threads_of(const Function& function);
int max_shared_opt_in();
int device_architecture();
} // namespace bs_emu

namespace {

// What is needed to make a Launch again each time a graph is replayed.
struct Plan {
    std::shared_ptr<bs_emu::LoadedModule> module;
    const bs_emu::Kernel* kernel;
    Index3 grid, block, cluster;
    unsigned dynamic_shared;
    std::vector<char> parameters;
    std::vector<std::size_t> offsets;
};

CUresult run(const Plan& plan) {
    Launch launch;
    launch.module = plan.module;
    launch.kernel = plan.kernel;
    launch.grid = plan.grid;
    launch.block = plan.block;
    launch.cluster = plan.cluster;
    launch.dynamic_shared = plan.dynamic_shared;
    launch.parameters = plan.parameters;
    for (const auto offset : plan.offsets)
        launch.arguments.push_back(launch.parameters.data() + offset);
    launch.sanitize = plan.module->info->sanitized != 0;
    if (launch.sanitize) {
        auto& device = Device::get();
        const std::lock_guard guard(device.lock);
        launch.allocations = device.live_ranges();
        static unsigned launches = 0;
        launch.number = ++launches;
    }
    bs_emu::run_launch(launch);
    if (launch.failed)
        Device::get().report(launch.failure, launch.failure_text);
    return launch.failure;
}

CUresult check_shape(const bs_emu::Function& function, const Index3& grid, const Index3& block, const Index3& cluster,
                     unsigned dynamic_shared) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535)
        return CUDA_ERROR_INVALID_VALUE;
    const auto threads = static_cast<unsigned long long>(block.x) * block.y * block.z;
    if (block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    if (dynamic_shared > static_cast<unsigned>(function.max_dynamic_shared))
        return CUDA_ERROR_INVALID_VALUE;
    const auto shared = dynamic_shared + function.kernel->shared_bytes;
    const bool opted_in = function.max_dynamic_shared > 48 * 1024;
    if (shared > static_cast<unsigned>(opted_in ? bs_emu::max_shared_opt_in() : 48 * 1024))
        return CUDA_ERROR_INVALID_VALUE;
    if (threads > static_cast<unsigned>(bs_emu::max_threads_of(function)))
        return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    const auto blocks = static_cast<unsigned long long>(cluster.x) * cluster.y * cluster.z;
    if (blocks == 0 || (blocks > 1 && bs_emu::device_architecture() < 90))
        return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    if (grid.x % cluster.x != 0 || grid.y % cluster.y != 0 || grid.z % cluster.z != 0 ||
        blocks > (function.non_portable_cluster ? 16u : 8u))
        return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    return CUDA_SUCCESS;
}

bool is_known(Device& device, CUfunction handle) {
    return std::any_of(device.modules.begin(), device.modules.end(), [handle](CUmodule module) {
        return std::any_of(module->functions.begin(), module->functions.end(),
                           [handle](const auto& entry) { return entry.second.get() == handle; });
    });
}

// Copies the arguments, from one pointer each or from one packed buffer (the `extra` form).
CUresult take_arguments(Plan& plan, void** parameters, void** extra) {
    const auto* kernel = plan.kernel;
    const char* packed = nullptr;
    std::size_t packed_bytes = 0;
    for (auto** entry = extra; entry && *entry; entry += 2) {
        const auto key = reinterpret_cast<std::uintptr_t>(*entry);
        if (key == 1)
            packed = static_cast<const char*>(entry[1]);
        else if (key == 2)
            packed_bytes = *static_cast<std::size_t*>(entry[1]);
        else
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (kernel->parameter_count > 0 && !packed && !parameters)
        return CUDA_ERROR_INVALID_VALUE;
    if (packed && parameters)
        return CUDA_ERROR_INVALID_VALUE;
    std::size_t offset = 0;
    for (unsigned i = 0; i < kernel->parameter_count; i++) {
        const auto alignment = kernel->parameters[i].alignment;
        offset = (offset + alignment - 1) / alignment * alignment;
        plan.offsets.push_back(offset);
        offset += kernel->parameters[i].size;
    }
    if (packed && packed_bytes < offset)
        return CUDA_ERROR_INVALID_VALUE;
    plan.parameters.resize(offset);
    for (unsigned i = 0; i < kernel->parameter_count; i++) {
        const void* from = packed ? packed + plan.offsets[i] : parameters[i];
        if (!from)
            return CUDA_ERROR_INVALID_VALUE;
        std::memcpy(plan.parameters.data() + plan.offsets[i], from, kernel->parameters[i].size);
    }
    return CUDA_SUCCESS;
}

CUresult launch(CUfunction function, Index3 grid, Index3 block, Index3 cluster, unsigned dynamic_shared,
                CUstream handle, void** parameters, void** extra) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream || !is_known(device, function))
        return CUDA_ERROR_INVALID_HANDLE;
    const auto result = check_shape(*function, grid, block, cluster, dynamic_shared);
    if (result != CUDA_SUCCESS)
        return result;
    auto plan =
        std::make_shared<Plan>(Plan{function->module, function->kernel, grid, block, cluster, dynamic_shared, {}, {}});
    const auto taken = take_arguments(*plan, parameters, extra);
    if (taken != CUDA_SUCCESS)
        return taken;
    return device.enqueue(stream, NodeKind::Kernel, [plan] { return run(*plan); });
}

} // namespace

BS_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                                  unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream,
                                  void** parameters, void** extra) {
    return launch(function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, {1, 1, 1}, sharedBytes, stream, parameters,
                  extra);
}

BS_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                                    void** extra) {
    if (!config || (config->numAttrs > 0 && !config->attrs))
        return CUDA_ERROR_INVALID_VALUE;
    Index3 cluster{1, 1, 1};
    for (unsigned i = 0; i < config->numAttrs; i++) {
        const auto& attribute = config->attrs[i];
        if (attribute.id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
            cluster = {attribute.value.cluster_dim.x, attribute.value.cluster_dim.y, attribute.value.cluster_dim.z};
        else if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE && attribute.value.cooperative)
            return CUDA_ERROR_NOT_SUPPORTED; // blocks run one after the other: grid-wide barriers would never end
    }
    return launch(function, {config->gridDimX, config->gridDimY, config->gridDimZ},
                  {config->blockDimX, config->blockDimY, config->blockDimZ}, cluster, config->sharedMemBytes,
                  config->hStream, parameters, extra);
}
