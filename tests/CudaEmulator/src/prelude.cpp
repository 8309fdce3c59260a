#include "prelude.h"

#define BS_EMBED(symbol, file)                                                                                         \
    __asm__(".section .rodata\n" #symbol "_begin:\n.incbin \"" BS_INCLUDE_DIR "/" file "\"\n" #symbol                  \
            "_end:\n.byte 0\n.previous\n");                                                                            \
    extern "C" const char symbol##_begin[] __attribute__((visibility("hidden")));                                      \
    extern "C" const char symbol##_end[] __attribute__((visibility("hidden")));

BS_EMBED(bs_prelude_main, "bs_emulator.h")
BS_EMBED(bs_prelude_abi, "bs_emulator_abi.h")
BS_EMBED(bs_prelude_math, "bs_emulator_math.h")
BS_EMBED(bs_prelude_bits, "bs_emulator_bits.h")
BS_EMBED(bs_prelude_warp, "bs_emulator_warp.h")
BS_EMBED(bs_prelude_atomic, "bs_emulator_atomic.h")
BS_EMBED(bs_prelude_kernel, "bs_emulator_kernel.h")
BS_EMBED(bs_prelude_async, "bs_emulator_async.h")

namespace bs_emu {

const PreludeFile* prelude_files() {
    static const PreludeFile files[] = {
        {"bs_emulator.h", {bs_prelude_main_begin, bs_prelude_main_end}},
        {"bs_emulator_abi.h", {bs_prelude_abi_begin, bs_prelude_abi_end}},
        {"bs_emulator_math.h", {bs_prelude_math_begin, bs_prelude_math_end}},
        {"bs_emulator_bits.h", {bs_prelude_bits_begin, bs_prelude_bits_end}},
        {"bs_emulator_warp.h", {bs_prelude_warp_begin, bs_prelude_warp_end}},
        {"bs_emulator_atomic.h", {bs_prelude_atomic_begin, bs_prelude_atomic_end}},
        {"bs_emulator_kernel.h", {bs_prelude_kernel_begin, bs_prelude_kernel_end}},
        {"bs_emulator_async.h", {bs_prelude_async_begin, bs_prelude_async_end}},
        {nullptr, {}},
    };
    return files;
}

} // namespace bs_emu
