#include "compiler.h"

#include "../include/bs_emulator_abi.h"
#include "kernel_scan.h"
#include "prelude.h"
#include "process.h"
#include "shared_usage.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace bs_emu {

namespace {

// Clang by the name that BIOSUP_EMULATOR_CLANG gives or the newest on PATH, and what it says of its version.
struct Compiler {
    std::string command, version;
};

const Compiler& compiler() {
    static const Compiler found = [] {
        std::vector<std::string> candidates{"clang-19", "clang-20", "clang-21", "clang-18", "clang-17",
                                            "clang-16", "clang-15", "clang-14", "clang"};
        if (const char* wanted = std::getenv("BIOSUP_EMULATOR_CLANG"))
            candidates = {wanted};
        for (const auto& candidate : candidates) {
            std::string output;
            if (run_process({candidate, "--version"}, "/", output) == 0)
                return Compiler{candidate, output};
        }
        return Compiler{};
    }();
    return found;
}

bool has_fma() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
    return true;
#endif
}

// Two independent 64-bit FNV-1a sums over the same bytes.
struct Digest {
    std::uint64_t a = 0xcbf29ce484222325, b = 0x84222325cbf29ce4;
    void add(std::string_view bytes) {
        for (const char c : bytes) {
            a = (a ^ static_cast<unsigned char>(c)) * 0x100000001b3;
            b = (b ^ static_cast<unsigned char>(c)) * 0x100000001b3 + (b >> 47);
        }
        a = (a ^ bytes.size()) * 0x100000001b3;
        b = (b ^ bytes.size()) * 0x100000001b3;
    }
    std::string text() const {
        char digits[40];
        std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(a),
                      static_cast<unsigned long long>(b));
        return digits;
    }
};

std::string cache_folder() {
    if (const char* folder = std::getenv("BIOSUP_EMULATOR_CACHE"))
        return folder;
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    if (cache && *cache)
        return std::string(cache) + "/biosup-emulator";
    return home && *home ? std::string(home) + "/.cache/biosup-emulator" : "";
}

std::vector<std::string> preprocessor_options(const Options& options) {
    const auto architecture = std::to_string(options.architecture);
    std::vector<std::string> result{"-x",
                                    "c++",
                                    "-nostdinc",
                                    "-DBS_EMULATE=1",
                                    "-D__CUDACC_RTC__=1",
                                    "-D__CUDACC__=1",
                                    "-D__CUDACC_VER_MAJOR__=12",
                                    "-D__CUDACC_VER_MINOR__=8",
                                    "-D__CUDA_ARCH__=" + architecture + "0",
                                    "-I.",
                                    "-Ibs_prelude",
                                    "-include",
                                    "bs_emulator.h"};
    if (options.arch_specific)
        result.push_back("-D__CUDA_ARCH_FEAT_SM" + architecture + "_ALL=1");
    if (sanitizing())
        result.push_back("-DBS_EMULATE_SANITIZE=1");
    return result;
}

std::vector<std::string> code_options(const Options& options) {
    const char* level = std::getenv("BIOSUP_EMULATOR_OPTIMIZE");
    std::vector<std::string> result{std::string("-O") + (level ? level : "1"),
                                    "-fPIC",
                                    "-fvisibility=hidden",
                                    "-ffunction-sections",
                                    "-fdata-sections",
                                    "-fno-exceptions",
                                    "-fno-rtti",
                                    "-fno-math-errno",
                                    "-fno-strict-aliasing",
                                    "-fno-stack-protector",
                                    "-fno-threadsafe-statics",
                                    "-fwrapv",
                                    options.fused ? "-ffp-contract=fast-honor-pragmas" : "-ffp-contract=off",
                                    "-Wno-unknown-attributes",
                                    "-Wno-unused-command-line-argument"};
#if defined(__x86_64__)
    if (has_fma())
        result.push_back("-march=x86-64-v3");
#endif
    if (!options.warnings)
        result.push_back("-w");
    if (sanitizing()) {
        for (const char* option :
             {"-fsanitize=thread,alignment", "-fno-sanitize-recover=", "-mllvm", "-tsan-instrument-atomics=0", "-mllvm",
              "-tsan-instrument-func-entry-exit=0", "-mllvm", "-tsan-instrument-read-before-write=1"})
            result.push_back(option);
    }
    return result;
}

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
    to.insert(to.end(), more.begin(), more.end());
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

// Headers given by name only may not leave the folder.
bool inside(const std::string& name) {
    const std::filesystem::path path(name);
    for (const auto& part : path) {
        if (part == "..")
            return false;
    }
    return !path.empty() && path.is_relative();
}

bool write_program(const Source& source, const std::string& folder, std::string& log) {
    make_folders(folder + "/bs_prelude");
    for (const auto* file = prelude_files(); file->name; file++)
        write_file(folder + "/bs_prelude/" + file->name, std::string(file->text));
    for (const auto& [name, text] : source.headers) {
        if (!inside(name)) {
            log = "nvrtc: error: the name of an include may not leave its folder: " + name + "\n";
            return false;
        }
        make_folders(std::filesystem::path(folder + "/" + name).parent_path().string());
        write_file(folder + "/" + name, text);
    }
    return write_file(folder + "/bs_program", "#line 1 \"" + source.name + "\"\n" + source.text);
}

std::string key_of(const Source& source, const Options& options) {
    Digest digest;
    digest.add(compiler().version);
    for (const auto* file = prelude_files(); file->name; file++)
        digest.add(file->text);
    for (const auto& option : preprocessor_options(options))
        digest.add(option);
    for (const auto& option : code_options(options))
        digest.add(option);
    for (const auto& option : options.clang)
        digest.add(option);
    digest.add(std::to_string(options.max_registers));
    digest.add(source.name);
    digest.add(source.text);
    for (const auto& [name, text] : source.headers) {
        digest.add(name);
        digest.add(text);
    }
    return digest.text();
}

bool build(const Source& source, const Options& options, std::string& cubin, std::string& log) {
    const TemporaryFolder temporary;
    const auto& folder = temporary.path();
    if (folder.empty() || !write_program(source, folder, log)) {
        if (log.empty())
            log = "nvrtc: error: the temporary folder cannot be written\n";
        return false;
    }
    const auto clang = compiler().command;
    std::vector<std::string> preprocess{clang, "-E", "-o", "program.ii"};
    append(preprocess, preprocessor_options(options));
    preprocess.push_back("-std=c++17");
    append(preprocess, options.clang);
    preprocess.push_back("bs_program");
    if (run_process(preprocess, folder, log) != 0)
        return false;
    std::string text;
    read_file(folder + "/program.ii", text);
    const auto kernels = find_kernels(text);
    text += kernel_table(kernels, source.name, options.architecture, options.max_registers, sanitizing());
    write_file(folder + "/program.ii", text);

    std::vector<std::string> translate{clang, "-c", "-x", "c++-cpp-output", "-std=c++17", "-o", "program.o"};
    for (const auto& option : options.clang) {
        if (option.rfind("-std=", 0) == 0)
            translate.push_back(option);
    }
    append(translate, code_options(options));
    translate.push_back("program.ii");
    if (run_process(translate, folder, log) != 0)
        return false;
    const std::vector<std::string> link{clang,        "-shared", "-nostartfiles", "-Wl,-Bsymbolic", "-Wl,--gc-sections",
                                        "-Wl,-z,now", "-o",      "program.so",    "program.o",      "-lm"};
    if (run_process(link, folder, log) != 0)
        return false;
    std::string object;
    if (!read_file(folder + "/program.o", object) || !read_file(folder + "/program.so", cubin))
        return false;
    std::vector<std::string> names;
    for (const auto& kernel : kernels)
        names.push_back(kernel.name);
    return names.empty() ||
           write_shared_bytes(cubin, shared_bytes(object), names.data(), static_cast<unsigned>(names.size()));
}

} // namespace

bool sanitizing() {
    const char* wanted = std::getenv("BIOSUP_EMULATOR_SANITIZE");
    return wanted && *wanted && *wanted != '0';
}

bool compile(const Source& source, const Options& options, std::string& cubin, std::string& log) {
    log.clear();
    if (compiler().command.empty()) {
        log =
            "nvrtc: error: the emulated NVRTC needs clang 14 or newer on PATH, or its name in BIOSUP_EMULATOR_CLANG\n";
        return false;
    }
    const auto cache = cache_folder();
    const auto path = cache + "/" + key_of(source, options);
    if (!cache.empty() && read_file(path + ".log", log) && read_file(path + ".so", cubin))
        return true;
    log.clear();
    const bool good = build(source, options, cubin, log);
    replace_all(log, "\n./", "\n");
    replace_all(log, " ./", " ");
    if (log.rfind("./", 0) == 0)
        log.erase(0, 2);
    if (good && !cache.empty()) {
        make_folders(cache);
        if (publish_file(path + ".so", cubin))
            publish_file(path + ".log", log);
    }
    return good;
}

} // namespace bs_emu
