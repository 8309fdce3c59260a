// How much static shared memory each kernel uses, found in the compiled object and written into the linked module.
#pragma once

#include <map>
#include <string>

namespace bs_emu {

// Bytes of __shared__ variables that each function of the object reaches, by itself or through what it calls.
std::map<std::string, unsigned> shared_bytes(const std::string& object);

// Sets Kernel::shared_bytes in the table of a linked module; false where the table is not found.
bool write_shared_bytes(std::string& module, const std::map<std::string, unsigned>& bytes,
                        const std::string* kernel_names, unsigned kernel_count);

} // namespace bs_emu
