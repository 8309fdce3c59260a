// Compiles a CUDA C++ program with clang into the shared object that stands for a cubin.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bs_emu {

struct Source {
    std::string name, text;
    std::vector<std::pair<std::string, std::string>> headers; // name, text
};

struct Options {
    std::vector<std::string> clang; // what clang is told besides the emulator's own options
    unsigned architecture = 75;     // NVRTC's default
    unsigned max_registers = 0;
    bool cubin = false, fused = true, warnings = true, arch_specific = false;
    std::string wrong; // the sentence for an option that NVRTC would not take
};

Options parse_options(int count, const char* const* options);
bool sanitizing();

// False when the program has errors; `log` holds clang's messages either way.
bool compile(const Source& source, const Options& options, std::string& cubin, std::string& log);

} // namespace bs_emu
