// Initialisation, the device and its primary context.
#include "state.h"

#include <cstdlib>
#include <cstring>

using bs_emu::Device;

namespace bs_emu {

// The capability the device claims: 90 unless BIOSUP_EMULATOR_ARCH says otherwise (80, 86, 89, 90).
int device_architecture() {
    static const int architecture = [] {
        const char* wanted = std::getenv("BIOSUP_EMULATOR_ARCH");
        return wanted ? std::atoi(wanted) : 90;
    }();
    return architecture;
}

int max_shared_opt_in() {
    return device_architecture() >= 90 ? 227 * 1024 : device_architecture() == 80 ? 163 * 1024 : 99 * 1024;
}

namespace {
int attribute(int id) {
    switch (id) {
    case 1: // MAX_THREADS_PER_BLOCK
    case 2: // MAX_BLOCK_DIM_X
    case 3: // MAX_BLOCK_DIM_Y
        return 1024;
    case 4: // MAX_BLOCK_DIM_Z
        return 64;
    case 5: // MAX_GRID_DIM_X
        return 0x7FFFFFFF;
    case 6: // MAX_GRID_DIM_Y
    case 7: // MAX_GRID_DIM_Z
        return 65535;
    case 8: // MAX_SHARED_MEMORY_PER_BLOCK
        return 48 * 1024;
    case 9: // TOTAL_CONSTANT_MEMORY
        return 64 * 1024;
    case 10: // WARP_SIZE
        return 32;
    case 11: // MAX_PITCH
        return 0x7FFFFFFF;
    case 12: // MAX_REGISTERS_PER_BLOCK
    case 82: // MAX_REGISTERS_PER_MULTIPROCESSOR
        return 65536;
    case 13: // CLOCK_RATE, kHz
    case 36: // MEMORY_CLOCK_RATE, kHz
        return 1000000;
    case 14: // TEXTURE_ALIGNMENT
        return 512;
    case 16: // MULTIPROCESSOR_COUNT
        return 4;
    case 37: // GLOBAL_MEMORY_BUS_WIDTH, bits
        return 64;
    case 38: // L2_CACHE_SIZE
        return 4 << 20;
    case 39: // MAX_THREADS_PER_MULTIPROCESSOR
        return 2048;
    case 40: // ASYNC_ENGINE_COUNT
        return 2;
    case 75: // COMPUTE_CAPABILITY_MAJOR
        return device_architecture() / 10;
    case 76: // COMPUTE_CAPABILITY_MINOR
        return device_architecture() % 10;
    case 81: // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        return max_shared_opt_in() + 1024;
    case 97: // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        return max_shared_opt_in();
    case 106: // MAX_BLOCKS_PER_MULTIPROCESSOR
        return 32;
    case 111: // RESERVED_SHARED_MEMORY_PER_BLOCK
        return 1024;
    case 15:  // GPU_OVERLAP
    case 19:  // CAN_MAP_HOST_MEMORY
    case 31:  // CONCURRENT_KERNELS
    case 33:  // PCI_BUS_ID
    case 41:  // UNIFIED_ADDRESSING
    case 78:  // STREAM_PRIORITIES_SUPPORTED
    case 115: // MEMORY_POOLS_SUPPORTED
        return 1;
    case 120: // CLUSTER_LAUNCH
    case 127: // TENSOR_MAP_ACCESS_SUPPORTED
        return device_architecture() >= 90;
    default:
        return 0;
    }
}
} // namespace

} // namespace bs_emu

BS_EXPORT CUresult cuInit(unsigned flags) {
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    device.initialised = true;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDriverGetVersion(int* version) {
    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    *version = 12080;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceGetCount(int* count) {
    if (!Device::get().initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    if (!Device::get().initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (ordinal != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = 0;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    if (!name || length <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    std::strncpy(name, "BioSup emulated device", static_cast<std::size_t>(length));
    name[length - 1] = 0;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    if (!uuid)
        return CUDA_ERROR_INVALID_VALUE;
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    std::memcpy(uuid->bytes, "BioSup-emulated", 16);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = Device::get().capacity;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDeviceGetAttribute(int* value, int id, CUdevice device) {
    if (!value || id <= 0 || id > 200)
        return CUDA_ERROR_INVALID_VALUE;
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    *value = bs_emu::attribute(id);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice ordinal) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (!device.initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    if (ordinal != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    if (device.context.references++ == 0)
        device.sticky = CUDA_SUCCESS;
    *context = &device.context;
    return CUDA_SUCCESS;
}

// The last release ends the context: what a kernel's fault had poisoned is whole again after the next retain.
BS_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
    auto& device = Device::get();
    std::unique_lock guard(device.lock);
    if (ordinal != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    if (device.context.references == 0)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (--device.context.references == 0)
        device.wait_all(guard);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
    auto& device = Device::get();
    if (!device.initialised)
        return CUDA_ERROR_NOT_INITIALIZED;
    if (context && context != &device.context)
        return CUDA_ERROR_INVALID_CONTEXT;
    bs_emu::t_context = context;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    *context = bs_emu::t_context;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuCtxSynchronize() {
    BS_NEED_CONTEXT();
    if (device.capturing_here()) {
        device.invalidate_captures_here();
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    device.wait_all(guard);
    return device.sticky;
}
