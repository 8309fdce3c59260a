// Finds the kernels of a preprocessed program and writes the table through which the driver calls them.
#pragma once

#include <string>
#include <vector>

namespace bs_emu {

struct KernelDeclaration {
    std::string name, parameter_names, bounds;
};

std::vector<KernelDeclaration> find_kernels(const std::string& preprocessed);

std::string kernel_table(const std::vector<KernelDeclaration>& kernels, const std::string& program,
                         unsigned architecture, unsigned max_registers, bool sanitized);

} // namespace bs_emu
