// The headers that kernels are compiled with, held inside the library so that it needs no folder beside it.
#pragma once

#include <string_view>

namespace bs_emu {

struct PreludeFile {
    const char* name;
    std::string_view text;
};
// Ends with an entry whose name is null.
const PreludeFile* prelude_files();

} // namespace bs_emu
