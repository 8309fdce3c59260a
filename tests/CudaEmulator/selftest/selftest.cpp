// Runs the self-tests; the last line is "N passed, N failed, 0 skipped". `selftest FOLDER [--measure]`
#include "selftest.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace {
std::string s_folder;

CUmodule load(const std::string& file) {
    const auto compiled = compile(source_text(file), file, {"--gpu-architecture=sm_90a", "-std=c++17"});
    check(compiled.result == 0, file + " compiles: " + compiled.log);
    CUmodule module = nullptr;
    GOOD(cuModuleLoadData(&module, compiled.cubin.data()));
    return module;
}

CUfunction find(CUmodule module, const std::string& name) {
    CUfunction function = nullptr;
    expect(cuModuleGetFunction(&function, module, name.c_str()), CUDA_SUCCESS, "kernel " + name);
    return function;
}
} // namespace

void check(bool good, const std::string& what) {
    if (!good)
        throw std::runtime_error(what);
}

void expect(CUresult got, CUresult wanted, const std::string& what) {
    if (got == wanted)
        return;
    const char* sentence = nullptr;
    cuGetErrorString(got, &sentence);
    throw std::runtime_error(what + ": got " + std::to_string(got) + " (" + (sentence ? sentence : "?") +
                             "), expected " + std::to_string(wanted));
}

std::string source_text(const std::string& file) {
    std::ifstream stream(s_folder + "/" + file);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

Compiled compile(const std::string& text, const std::string& name, const std::vector<std::string>& options,
                 const std::vector<std::pair<std::string, std::string>>& headers) {
    std::vector<const char*> raw, texts, names;
    for (const auto& option : options)
        raw.push_back(option.c_str());
    for (const auto& [header, content] : headers) {
        names.push_back(header.c_str());
        texts.push_back(content.c_str());
    }
    nvrtcProgram program = nullptr;
    nvrtcCreateProgram(&program, text.c_str(), name.c_str(), static_cast<int>(names.size()), texts.data(),
                       names.data());
    Compiled compiled{nvrtcCompileProgram(program, static_cast<int>(raw.size()), raw.data()), "", ""};
    std::size_t size = 0;
    nvrtcGetProgramLogSize(program, &size);
    compiled.log.resize(size);
    nvrtcGetProgramLog(program, compiled.log.data());
    nvrtcGetCUBINSize(program, &size);
    compiled.cubin.resize(size);
    nvrtcGetCUBIN(program, compiled.cubin.data());
    nvrtcDestroyProgram(&program);
    return compiled;
}

CUfunction kernel(const std::string& name) {
    static const CUmodule module = load("kernels.cu");
    return find(module, name);
}

CUfunction bug(const std::string& name) {
    static const CUmodule module = [] {
        setenv("BIOSUP_EMULATOR_SANITIZE", "1", 1);
        auto* loaded = load("bugs.cu");
        unsetenv("BIOSUP_EMULATOR_SANITIZE");
        return loaded;
    }();
    return find(module, name);
}

int main(int count, char** arguments) {
    s_folder = count > 1 ? arguments[1] : ".";
    CUcontext context = nullptr;
    if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
        cuCtxSetCurrent(context) != CUDA_SUCCESS)
        return 1;
    if (count > 2 && std::strcmp(arguments[2], "--measure") == 0) {
        measure();
        return 0;
    }
    auto tests = device_tests();
    for (const auto& more : {driver_tests(), sanitizer_tests()})
        tests.insert(tests.end(), more.begin(), more.end());
    int passed = 0, failed = 0;
    const char* only = std::getenv("SELFTEST_ONLY");
    for (const auto& test : tests) {
        if (only && !std::strstr(test.name, only))
            continue;
        try {
            test.run();
            passed++;
        } catch (const std::exception& e) {
            failed++;
            std::printf("FAILED %s: %s\n", test.name, e.what());
        }
    }
    std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
