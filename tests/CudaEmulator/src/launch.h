// One kernel launch as the block runners see it, and what they report back.
#pragma once

#include "../include/bs_emulator_abi.h"
#include "cuda_abi.h"
#include "global_shadow.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace bs_emu {

struct LoadedModule {
    void* handle = nullptr;
    std::string path;
    const Module* info = nullptr;
    size tls_module = 0, tls_size = 0;
    char *image_begin = nullptr, *image_end = nullptr;
    ~LoadedModule();
};

struct Function {
    std::shared_ptr<LoadedModule> module;
    const Kernel* kernel = nullptr;
    int max_dynamic_shared = 48 * 1024;
    int preferred_carveout = -1;
    int non_portable_cluster = 0;
};

struct AddressRange {
    char *begin, *end;
    unsigned number; // of the allocation, counted from 1
    const char* made_by;
    GlobalShadow* shadow; // of device memory under the sanitizer, else null
};

struct Launch {
    std::shared_ptr<LoadedModule> module;
    const Kernel* kernel = nullptr;
    Index3 grid{}, block{}, cluster{1, 1, 1};
    unsigned dynamic_shared = 0;
    std::vector<char> parameters; // the arguments, one after the other, each aligned
    std::vector<void*> arguments;
    bool sanitize = false;
    unsigned number = 0;                   // of the launch
    std::vector<AddressRange> allocations; // sorted, only filled when sanitizing

    std::atomic<unsigned long long> next_cluster{0};
    std::atomic<bool> failed{false};
    std::mutex failure_lock;
    CUresult failure = CUDA_SUCCESS;
    std::string failure_text;

    unsigned threads() const { return block.x * block.y * block.z; }
    unsigned cluster_blocks() const { return cluster.x * cluster.y * cluster.z; }
    unsigned long long clusters() const {
        return static_cast<unsigned long long>(grid.x / cluster.x) * (grid.y / cluster.y) * (grid.z / cluster.z);
    }
    // Remembers the first failure; every worker stops at its next block.
    void fail(CUresult code, std::string text);
};

// Runs all blocks of the launch and returns when the last has ended.
void run_launch(Launch& launch);

unsigned worker_count();
const Runtime* runtime_table();

} // namespace bs_emu
