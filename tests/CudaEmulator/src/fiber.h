// Cooperative switching between the threads of a block: no system call, no signal mask, only the callee-saved
// registers.
#pragma once

#include "../include/bs_emulator_abi.h"

#include <cstddef>
#include <cstdint>

namespace bs_emu {

// Saves the caller's registers on its stack, stores its stack pointer in *save and continues where `resume` was saved.
extern "C" __attribute__((visibility("hidden"))) void bs_emu_switch(void** save, void* resume);

// The stack pointer from which bs_emu_switch first enters `entry` on the given stack; entry must never return.
void* prepare_stack(char* stack_top, void (*entry)());

// Stacks for one worker, kStackSize each and aligned to it, with an unmapped page at the lower end of each.
class StackArena {
  public:
    ~StackArena();
    char* get(unsigned index); // lowest address of the stack
    bool contains(const char* address) const {
        return address >= _base && address < _base + std::size_t{kCapacity} * kStackSize;
    }
    static constexpr unsigned kCapacity = 1024;

  private:
    char* _base = nullptr;
    char* _mapping = nullptr;
    unsigned _guarded = 0;
};

} // namespace bs_emu
