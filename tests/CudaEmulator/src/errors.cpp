#include "state.h"

#include <map>

namespace bs_emu {

namespace {

struct ErrorEntry {
    CUresult code;
    const char *name, *sentence;
};

#define BS_ERROR(code, sentence) {code, #code, sentence}
constexpr ErrorEntry kErrors[] = {
    BS_ERROR(CUDA_SUCCESS, "no error"),
    BS_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    BS_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    BS_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    BS_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    BS_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    BS_ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    BS_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    BS_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
    BS_ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    BS_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    BS_ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    BS_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    BS_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    BS_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    BS_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    BS_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    BS_ERROR(CUDA_ERROR_ASSERT, "device-side assert triggered"),
    BS_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "part or all of the requested memory range is already mapped"),
    BS_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "pointer does not correspond to a registered memory region"),
    BS_ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered"),
    BS_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    BS_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    BS_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    BS_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE, "operation would result in a merge of separate capture sequences"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "dependency created on uncaptured work in another stream"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "operation would make the legacy stream depend on a capturing stream"),
    BS_ERROR(CUDA_ERROR_CAPTURED_EVENT, "operation not permitted on an event last recorded in a capturing stream"),
    BS_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from "
                                                     "another thread"),
    BS_ERROR(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graph update was not performed because it included changes "
                                                   "which violated constraints specific to instantiated graph update"),
    BS_ERROR(CUDA_ERROR_INVALID_CLUSTER_SIZE, "a kernel launch error has occurred due to cluster misconfiguration"),
    BS_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef BS_ERROR

const ErrorEntry* find(CUresult code) {
    for (const auto& entry : kErrors) {
        if (entry.code == code)
            return &entry;
    }
    return nullptr;
}

std::mutex s_report_lock;
std::map<CUresult, const std::string*> s_reports; // texts stay for the life of the process: callers keep pointers

} // namespace

const char* error_name(CUresult code) {
    const auto* entry = find(code);
    return entry ? entry->name : nullptr;
}

const char* error_sentence(CUresult code) {
    const std::lock_guard guard(s_report_lock);
    const auto reported = s_reports.find(code);
    if (reported != s_reports.end())
        return reported->second->c_str();
    const auto* entry = find(code);
    return entry ? entry->sentence : nullptr;
}

void remember_report(CUresult code, const std::string& text) {
    const auto* entry = find(code);
    const std::lock_guard guard(s_report_lock);
    s_reports[code] = new std::string(std::string(entry ? entry->sentence : "error") + ": " + text);
}

} // namespace bs_emu

BS_EXPORT CUresult cuGetErrorName(CUresult error, const char** text) {
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = bs_emu::error_name(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

BS_EXPORT CUresult cuGetErrorString(CUresult error, const char** text) {
    if (!text)
        return CUDA_ERROR_INVALID_VALUE;
    *text = bs_emu::error_sentence(error);
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
