// Modules: the shared object that the emulated NVRTC made, loaded from memory; their functions and attributes.
#include "state.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

using bs_emu::Device;
using bs_emu::LoadedModule;

namespace bs_emu {
int device_architecture();
int max_shared_opt_in();
} // namespace bs_emu

namespace {

// The length of an ELF image, which cuModuleLoadData is not told; 0 where it is none.
std::size_t image_size(const char* image) {
    Elf64_Ehdr header;
    if (std::memcmp(image, ELFMAG, SELFMAG) != 0)
        return 0;
    std::memcpy(&header, image, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr))
        return 0;
    std::size_t end = header.e_shoff + std::size_t{header.e_shnum} * header.e_shentsize;
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section;
        std::memcpy(&section, image + header.e_shoff + i * sizeof section, sizeof section);
        if (section.sh_type != SHT_NOBITS)
            end = std::max<std::size_t>(end, section.sh_offset + section.sh_size);
    }
    return end;
}

// A file of its own for each load: the loader recognises files it already has, and modules must not share variables.
std::string write_image(const char* image, std::size_t bytes) {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/biosup-module-XXXXXX";
    const int file = mkstemp(path.data());
    if (file < 0)
        return "";
    bool good = true;
    for (std::size_t done = 0; good && done < bytes;) {
        const auto n = write(file, image + done, bytes - done);
        good = n > 0;
        done += good ? static_cast<std::size_t>(n) : 0;
    }
    close(file);
    if (good)
        return path;
    unlink(path.c_str());
    return "";
}

int find_segments(dl_phdr_info* info, std::size_t, void* data) {
    auto& module = *static_cast<LoadedModule*>(data);
    if (module.path != info->dlpi_name)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const auto& header = info->dlpi_phdr[i];
        auto* begin = reinterpret_cast<char*>(info->dlpi_addr + header.p_vaddr);
        if (header.p_type == PT_TLS) {
            module.tls_module = info->dlpi_tls_modid;
            module.tls_size = header.p_memsz;
        } else if (header.p_type == PT_LOAD) {
            module.image_begin = module.image_begin ? std::min(module.image_begin, begin) : begin;
            module.image_end = std::max(module.image_end, begin + header.p_memsz);
        }
    }
    return 1;
}

CUresult load(const char* image, std::shared_ptr<LoadedModule>& loaded) {
    const auto bytes = image_size(image);
    if (bytes == 0)
        return CUDA_ERROR_INVALID_IMAGE;
    auto module = std::make_shared<LoadedModule>();
    module->path = write_image(image, bytes);
    if (module->path.empty())
        return CUDA_ERROR_UNKNOWN;
    module->handle = dlopen(module->path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module->handle)
        dl_iterate_phdr(find_segments, module.get());
    else
        std::fprintf(stderr, "emulated device: a module cannot be loaded: %s\n", dlerror());
    if (!std::getenv("BIOSUP_EMULATOR_KEEP"))
        unlink(module->path.c_str());
    if (!module->handle)
        return CUDA_ERROR_INVALID_IMAGE;
    auto* info = static_cast<const bs_emu::Module*>(dlsym(module->handle, "bs_emu_module"));
    if (!info || info->abi_version != bs_emu::kAbiVersion)
        return CUDA_ERROR_INVALID_IMAGE;
    const auto wanted = static_cast<int>(info->architecture), own = bs_emu::device_architecture();
    if (wanted / 10 != own / 10 || wanted > own)
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    *info->runtime = bs_emu::runtime_table();
    module->info = info;
    loaded = std::move(module);
    return CUDA_SUCCESS;
}

CUfunction find_function(Device& device, CUfunction handle) {
    for (auto* module : device.modules) {
        for (auto& [name, function] : module->functions) {
            if (function.get() == handle)
                return handle;
        }
    }
    return nullptr;
}

} // namespace

BS_EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    BS_NEED_CONTEXT();
    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_unique<CUmod_st>();
    const auto result = load(static_cast<const char*>(image), made->module);
    if (result != CUDA_SUCCESS)
        return result;
    device.modules.insert(made.get());
    *module = made.release();
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuModuleUnload(CUmodule module) {
    auto& device = Device::get();
    std::unique_lock guard(device.lock);
    if (device.modules.find(module) == device.modules.end())
        return CUDA_ERROR_INVALID_HANDLE;
    device.wait_all(guard);
    device.modules.erase(module);
    delete module;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    BS_NEED_CONTEXT();
    if (!function || !name)
        return CUDA_ERROR_INVALID_VALUE;
    if (device.modules.find(module) == device.modules.end())
        return CUDA_ERROR_INVALID_HANDLE;
    auto& known = module->functions[name];
    if (!known) {
        const auto* info = module->module->info;
        for (unsigned i = 0; i < info->kernel_count; i++) {
            if (std::strcmp(info->kernels[i].name, name) == 0) {
                known = std::make_unique<CUfunc_st>();
                known->module = module->module;
                known->kernel = &info->kernels[i];
            }
        }
    }
    if (!known) {
        module->functions.erase(name);
        return CUDA_ERROR_NOT_FOUND;
    }
    *function = known.get();
    return CUDA_SUCCESS;
}

namespace bs_emu {

// As declared: __launch_bounds__ promises blocks per multiprocessor, -maxrregcount a ceiling; without either, 64.
int registers_of(const Function& function) {
    const auto* kernel = function.kernel;
    unsigned registers = 64;
    if (kernel->max_threads > 0) {
        const unsigned threads = (kernel->max_threads + 31) / 32 * 32 * std::max(kernel->min_blocks, 1u);
        registers = std::min(255u, 65536 / threads / 8 * 8);
    }
    if (function.module->info->max_registers > 0)
        registers = std::min(registers, function.module->info->max_registers);
    return static_cast<int>(registers);
}

int max_threads_of(const Function& function) {
    const int by_registers = 65536 / (registers_of(function) * 32) * 32;
    const int declared = function.kernel->max_threads > 0 ? static_cast<int>(function.kernel->max_threads) : 1024;
    return std::min({1024, declared, by_registers});
}

} // namespace bs_emu

BS_EXPORT CUresult cuFuncGetParamInfo(CUfunction handle, std::size_t index, std::size_t* offset, std::size_t* bytes) {
    BS_NEED_CONTEXT();
    const auto* function = find_function(device, handle);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!offset || index >= function->kernel->parameter_count)
        return CUDA_ERROR_INVALID_VALUE;
    std::size_t at = 0;
    for (std::size_t i = 0; i <= index; i++) {
        const auto& parameter = function->kernel->parameters[i];
        at = (at + parameter.alignment - 1) / parameter.alignment * parameter.alignment;
        *offset = at;
        at += parameter.size;
    }
    if (bytes)
        *bytes = function->kernel->parameters[index].size;
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
    BS_NEED_CONTEXT();
    const auto* function = find_function(device, handle);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!value || attribute < 0 || attribute >= CU_FUNC_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    const auto architecture = static_cast<int>(function->module->info->architecture);
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = bs_emu::max_threads_of(*function);
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = static_cast<int>(function->kernel->shared_bytes);
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value = bs_emu::registers_of(*function);
        break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value = architecture;
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = function->max_dynamic_shared;
        break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *value = function->preferred_carveout;
        break;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        *value = function->non_portable_cluster;
        break;
    default:
        *value = 0;
        break;
    }
    return CUDA_SUCCESS;
}

BS_EXPORT CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    BS_NEED_CONTEXT();
    auto* function = find_function(device, handle);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || value + static_cast<int>(function->kernel->shared_bytes) > bs_emu::max_shared_opt_in())
            return CUDA_ERROR_INVALID_VALUE;
        function->max_dynamic_shared = value;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        if (value < -1 || value > 100)
            return CUDA_ERROR_INVALID_VALUE;
        function->preferred_carveout = value;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
        function->non_portable_cluster = value != 0;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

BS_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle, int block_size,
                                                               std::size_t dynamic_bytes) {
    BS_NEED_CONTEXT();
    const auto* function = find_function(device, handle);
    if (!function)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!blocks || block_size <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    *blocks = 0;
    const auto shared = function->kernel->shared_bytes + dynamic_bytes;
    if (block_size > bs_emu::max_threads_of(*function) ||
        dynamic_bytes > static_cast<std::size_t>(function->max_dynamic_shared))
        return CUDA_SUCCESS;
    const int rounded = (block_size + 31) / 32 * 32;
    const int by_shared = (bs_emu::max_shared_opt_in() + 1024) / static_cast<int>(shared + 1024);
    *blocks = std::min({32, 2048 / rounded, 65536 / (bs_emu::registers_of(*function) * rounded), by_shared});
    return CUDA_SUCCESS;
}
