// Device memory, the stream-ordered pool, pinned host memory, copies and fills.
#include "state.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

using bs_emu::Device;
using bs_emu::NodeKind;

namespace {

char* pointer(CUdeviceptr address) {
    return reinterpret_cast<char*>(address);
}

// True where a capture of this thread forbids calls that may synchronise.
bool refused_by_capture(Device& device) {
    if (!device.capturing_here())
        return false;
    device.invalidate_captures_here();
    return true;
}

bool on_device(Device& device, CUdeviceptr address, std::size_t bytes) {
    return device.allocation_of(pointer(address), bytes) || device.is_pinned(pointer(address), bytes);
}

} // namespace

BS_EXPORT CUresult cuMemGetInfo_v2(std::size_t* available, std::size_t* total) {
    BS_NEED_CONTEXT();
    if (available)
        *available = device.capacity - device.used;
    if (total)
        *total = device.capacity;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
    BS_NEED_CONTEXT();
    if (!address || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (refused_by_capture(device))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    auto* memory = device.allocate(bytes, "cuMemAlloc", false);
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *address = reinterpret_cast<CUdeviceptr>(memory);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
    BS_NEED_CONTEXT();
    if (address == 0)
        return CUDA_SUCCESS;
    if (refused_by_capture(device))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    const auto found = device.allocations.find(pointer(address));
    if (found == device.allocations.end() || found->second.freeing)
        return CUDA_ERROR_INVALID_VALUE;
    found->second.freeing = true;
    device.wait_all(guard); // as the driver does
    device.release(pointer(address));
    return device.sticky;
}

BS_EXPORT CUresult cuMemAllocAsync(CUdeviceptr* address, std::size_t bytes, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!address || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture) {
        stream->capture->invalid = true;
        return CUDA_ERROR_NOT_SUPPORTED; // allocation nodes are not emulated
    }
    auto* memory = device.allocate(bytes, "cuMemAllocAsync", true);
    if (!memory) { // what streams still hold may be given back by then
        device.wait_all(guard);
        memory = device.allocate(bytes, "cuMemAllocAsync", true);
    }
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *address = reinterpret_cast<CUdeviceptr>(memory);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) {
        stream->capture->invalid = true;
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    const auto found = device.allocations.find(pointer(address));
    if (found == device.allocations.end() || found->second.freeing)
        return CUDA_ERROR_INVALID_VALUE;
    found->second.freeing = true;
    return device.enqueue(stream, NodeKind::Empty, [address] {
        auto& owner = Device::get();
        const std::lock_guard inner(owner.lock);
        owner.release(pointer(address));
        return CUDA_SUCCESS;
    });
}

BS_EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice ordinal) {
    if (!pool)
        return CUDA_ERROR_INVALID_VALUE;
    if (ordinal != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    *pool = reinterpret_cast<CUmemoryPool>(&Device::get().pool_used);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (pool != reinterpret_cast<CUmemoryPool>(&device.pool_used) || !value)
        return CUDA_ERROR_INVALID_VALUE;
    const auto number = attribute > 3 ? *static_cast<cuuint64_t*>(value) : 0;
    switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        device.pool_reuse[attribute - 1] = *static_cast<int*>(value);
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        device.pool_threshold = number;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: // both may only be reset
        if (number != 0)
            return CUDA_ERROR_INVALID_VALUE;
        device.pool_reserved_high = device.pool_reserved;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        if (number != 0)
            return CUDA_ERROR_INVALID_VALUE;
        device.pool_used_high = device.pool_used;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

BS_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void* value) {
    auto& device = Device::get();
    const std::lock_guard guard(device.lock);
    if (pool != reinterpret_cast<CUmemoryPool>(&device.pool_used) || !value)
        return CUDA_ERROR_INVALID_VALUE;
    auto* number = static_cast<cuuint64_t*>(value);
    switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        *static_cast<int*>(value) = device.pool_reuse[attribute - 1];
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        *number = device.pool_threshold;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        *number = device.pool_reserved;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        *number = device.pool_reserved_high;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        *number = device.pool_used;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        *number = device.pool_used_high;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

BS_EXPORT CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
    BS_NEED_CONTEXT();
    if (!address || bytes == 0 || flags > 7)
        return CUDA_ERROR_INVALID_VALUE;
    if (refused_by_capture(device))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    auto* memory = static_cast<char*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    device.pinned[memory] = bytes;
    *address = memory;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemFreeHost(void* address) {
    BS_NEED_CONTEXT();
    if (!address)
        return CUDA_SUCCESS;
    if (device.pinned.find(static_cast<char*>(address)) == device.pinned.end())
        return CUDA_ERROR_INVALID_VALUE;
    device.wait_all(guard);
    device.pinned.erase(static_cast<char*>(address));
    std::free(address);
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemHostRegister_v2(void* address, std::size_t bytes, unsigned flags) {
    BS_NEED_CONTEXT();
    if (!address || bytes == 0 || flags > 15)
        return CUDA_ERROR_INVALID_VALUE;
    auto* begin = static_cast<char*>(address);
    for (const auto& [other, length] : device.pinned) {
        if (begin < other + length && other < begin + bytes)
            return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    }
    device.pinned[begin] = bytes;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuMemHostUnregister(void* address) {
    BS_NEED_CONTEXT();
    const auto found = device.pinned.find(static_cast<char*>(address));
    if (found == device.pinned.end())
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    device.wait_all(guard);
    device.pinned.erase(found);
    return CUDA_SUCCESS;
}

// Pageable sources are taken before the call returns, as the driver stages them; pinned ones are read when the copy
// runs.
BS_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0)
        return CUDA_SUCCESS;
    if (!from || !on_device(device, to, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    device.mark_written(pointer(to), bytes);
    const auto* source = static_cast<const char*>(from);
    if (!stream->capture && !on_device(device, reinterpret_cast<CUdeviceptr>(from), bytes)) {
        auto staged = std::make_shared<std::vector<char>>(source, source + bytes);
        return device.enqueue(stream, NodeKind::Copy, [to, staged] {
            std::memcpy(pointer(to), staged->data(), staged->size());
            return CUDA_SUCCESS;
        });
    }
    return device.enqueue(stream, NodeKind::Copy, [to, source, bytes] {
        std::memcpy(pointer(to), source, bytes);
        return CUDA_SUCCESS;
    });
}

// Into pageable memory the call returns when the bytes are there; into pinned memory at once.
BS_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0)
        return CUDA_SUCCESS;
    if (!to || !on_device(device, from, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    const bool pageable = !on_device(device, reinterpret_cast<CUdeviceptr>(to), bytes);
    const bool captured = stream->capture != nullptr;
    bs_emu::OperationPtr operation;
    const auto result = device.enqueue(
        stream, NodeKind::Copy,
        [to, from, bytes] {
            std::memcpy(to, pointer(from), bytes);
            return CUDA_SUCCESS;
        },
        {}, &operation);
    if (result != CUDA_SUCCESS || captured || !pageable)
        return result;
    device.wait(guard, operation);
    return device.sticky;
}

BS_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (bytes == 0)
        return CUDA_SUCCESS;
    if (!on_device(device, to, bytes) || !on_device(device, from, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    device.mark_written(pointer(to), bytes);
    return device.enqueue(stream, NodeKind::Copy, [to, from, bytes] {
        std::memmove(pointer(to), pointer(from), bytes);
        return CUDA_SUCCESS;
    });
}

BS_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (count == 0)
        return CUDA_SUCCESS;
    if (!on_device(device, to, count))
        return CUDA_ERROR_INVALID_VALUE;
    device.mark_written(pointer(to), count);
    return device.enqueue(stream, NodeKind::Fill, [to, value, count] {
        std::memset(pointer(to), value, count);
        return CUDA_SUCCESS;
    });
}

BS_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, std::size_t count, CUstream handle) {
    BS_NEED_CONTEXT();
    auto* stream = device.find_stream(handle);
    if (!stream)
        return CUDA_ERROR_INVALID_HANDLE;
    if (count == 0)
        return CUDA_SUCCESS;
    if (to % 4 != 0 || count > SIZE_MAX / 4 || !on_device(device, to, count * 4))
        return CUDA_ERROR_INVALID_VALUE;
    device.mark_written(pointer(to), count * 4);
    return device.enqueue(stream, NodeKind::Fill, [to, value, count] {
        std::fill_n(reinterpret_cast<unsigned*>(to), count, value);
        return CUDA_SUCCESS;
    });
}
