// NVRTC's entry points.
#include "compiler.h"
#include "cuda_abi.h"

#include <cstring>
#include <mutex>
#include <set>

enum nvrtcResult : int {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_OUT_OF_MEMORY = 1,
    NVRTC_ERROR_PROGRAM_CREATION_FAILURE = 2,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
    NVRTC_ERROR_BUILTIN_OPERATION_FAILURE = 7,
    NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION = 8,
    NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION = 9,
    NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID = 10,
    NVRTC_ERROR_INTERNAL_ERROR = 11,
};

struct _nvrtcProgram {
    bs_emu::Source source;
    std::string log, cubin, ptx;
};
using nvrtcProgram = _nvrtcProgram*;

namespace {

constexpr int kArchitectures[] = {80, 86, 89, 90};

std::mutex s_lock;
std::set<nvrtcProgram> s_programs;

bool known(nvrtcProgram program) {
    const std::lock_guard guard(s_lock);
    return s_programs.find(program) != s_programs.end();
}

nvrtcResult give_size(nvrtcProgram program, std::size_t* size, std::size_t value) {
    if (!known(program))
        return NVRTC_ERROR_INVALID_PROGRAM;
    if (!size)
        return NVRTC_ERROR_INVALID_INPUT;
    *size = value;
    return NVRTC_SUCCESS;
}

nvrtcResult give_bytes(nvrtcProgram program, char* to, const std::string _nvrtcProgram::* member, bool terminated) {
    if (!known(program))
        return NVRTC_ERROR_INVALID_PROGRAM;
    if (!to)
        return NVRTC_ERROR_INVALID_INPUT;
    const auto& text = program->*member;
    std::memcpy(to, text.data(), text.size() + (terminated ? 1 : 0));
    return NVRTC_SUCCESS;
}

} // namespace

// Programs compiled for the sanitizer are not the others: caches that ask for the version keep them apart.
BS_EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) {
    if (!major || !minor)
        return NVRTC_ERROR_INVALID_INPUT;
    *major = 12;
    *minor = bs_emu::sanitizing() ? 9 : 8;
    return NVRTC_SUCCESS;
}

BS_EXPORT const char* nvrtcGetErrorString(nvrtcResult result) {
    constexpr const char* names[] = {"NVRTC_SUCCESS",
                                     "NVRTC_ERROR_OUT_OF_MEMORY",
                                     "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
                                     "NVRTC_ERROR_INVALID_INPUT",
                                     "NVRTC_ERROR_INVALID_PROGRAM",
                                     "NVRTC_ERROR_INVALID_OPTION",
                                     "NVRTC_ERROR_COMPILATION",
                                     "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
                                     "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
                                     "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
                                     "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
                                     "NVRTC_ERROR_INTERNAL_ERROR"};
    return result >= 0 && result <= NVRTC_ERROR_INTERNAL_ERROR ? names[result] : "NVRTC_ERROR unknown";
}

BS_EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    if (!count)
        return NVRTC_ERROR_INVALID_INPUT;
    *count = static_cast<int>(std::size(kArchitectures));
    return NVRTC_SUCCESS;
}

BS_EXPORT nvrtcResult nvrtcGetSupportedArchs(int* architectures) {
    if (!architectures)
        return NVRTC_ERROR_INVALID_INPUT;
    std::copy(std::begin(kArchitectures), std::end(kArchitectures), architectures);
    return NVRTC_SUCCESS;
}

BS_EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char* name, int count,
                                         const char* const* headers, const char* const* include_names) {
    if (!program || !source || count < 0 || (count > 0 && (!headers || !include_names)))
        return NVRTC_ERROR_INVALID_INPUT;
    auto* made = new _nvrtcProgram;
    made->source.name = name && *name ? name : "default_program";
    made->source.text = source;
    for (int i = 0; i < count; i++)
        made->source.headers.emplace_back(include_names[i], headers[i]);
    const std::lock_guard guard(s_lock);
    s_programs.insert(made);
    *program = made;
    return NVRTC_SUCCESS;
}

BS_EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    if (!program)
        return NVRTC_ERROR_INVALID_INPUT;
    const std::lock_guard guard(s_lock);
    if (s_programs.erase(*program) == 0)
        return NVRTC_ERROR_INVALID_PROGRAM;
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

BS_EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
    if (!known(program))
        return NVRTC_ERROR_INVALID_PROGRAM;
    if (count < 0 || (count > 0 && !options))
        return NVRTC_ERROR_INVALID_INPUT;
    const auto parsed = bs_emu::parse_options(count, options);
    if (!parsed.wrong.empty()) {
        program->log = "nvrtc: error: " + parsed.wrong + "\n";
        return NVRTC_ERROR_INVALID_OPTION;
    }
    program->cubin.clear();
    program->ptx = "// The emulated NVRTC (build " BS_BUILD
                   ") makes no PTX; compile for a real architecture (sm_90) and load the cubin.\n";
    std::string made;
    if (!bs_emu::compile(program->source, parsed, made, program->log))
        return NVRTC_ERROR_COMPILATION;
    if (parsed.cubin)
        program->cubin = std::move(made);
    return NVRTC_SUCCESS;
}

BS_EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, std::size_t* size) {
    return give_size(program, size, known(program) ? program->log.size() + 1 : 0);
}
BS_EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
    return give_bytes(program, log, &_nvrtcProgram::log, true);
}
BS_EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, std::size_t* size) {
    return give_size(program, size, known(program) ? program->cubin.size() : 0);
}
BS_EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
    return give_bytes(program, cubin, &_nvrtcProgram::cubin, false);
}
BS_EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, std::size_t* size) {
    return give_size(program, size, known(program) ? program->ptx.size() + 1 : 0);
}
BS_EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* ptx) {
    return give_bytes(program, ptx, &_nvrtcProgram::ptx, true);
}
