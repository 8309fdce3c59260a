#include "fiber.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#if defined(__x86_64__)
// The return goes through a jump: a `ret` would always miss in the processor's return-address predictor here.
__asm__(R"(
    .text
    .p2align 4
    .hidden bs_emu_switch
    .globl bs_emu_switch
    .type bs_emu_switch, @function
bs_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmpq *%rcx
    .size bs_emu_switch, .-bs_emu_switch
)");
#elif defined(__aarch64__)
__asm__(R"(
    .text
    .p2align 4
    .hidden bs_emu_switch
    .globl bs_emu_switch
    .type bs_emu_switch, %function
bs_emu_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    br x30
    .size bs_emu_switch, .-bs_emu_switch
)");
#else
#error "bs_emu_switch is written for x86-64 and aarch64"
#endif

namespace bs_emu {

void* prepare_stack(char* stack_top, void (*entry)()) {
    auto top = reinterpret_cast<std::uintptr_t>(stack_top) & ~std::uintptr_t{63};
#if defined(__x86_64__)
    // As after a call: the entry finds the stack pointer 8 below a multiple of 16.
    auto* sp = reinterpret_cast<void**>(top - 64);
    std::memset(sp, 0, 64);
    sp[6] = reinterpret_cast<void*>(entry);
#else
    auto* sp = reinterpret_cast<void**>(top - 192);
    std::memset(sp, 0, 192);
    sp[1] = reinterpret_cast<void*>(entry);
#endif
    return sp;
}

StackArena::~StackArena() {
    if (_mapping)
        munmap(_mapping, (kCapacity + 1) * kStackSize);
}

char* StackArena::get(unsigned index) {
    if (!_mapping) {
        void* mapping = mmap(nullptr, (kCapacity + 1) * kStackSize, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping == MAP_FAILED) {
            std::perror("emulated device: no address space for the threads of a block");
            std::abort();
        }
        _mapping = static_cast<char*>(mapping);
        _base = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(_mapping) + kStackSize - 1) &
                                        ~(std::uintptr_t{kStackSize} - 1));
    }
    char* stack = _base + index * kStackSize;
    for (; _guarded <= index; _guarded++)
        mprotect(_base + _guarded * kStackSize, 4096, PROT_NONE);
    return stack;
}

} // namespace bs_emu
