// What the sanitizer remembers of a buffer in global memory: which words were ever written, and which blocks of the
// present launch wrote and read each word. Words are four bytes; smaller accesses are not remembered.
#pragma once

#include "../include/bs_emulator_abi.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace bs_emu {

class GlobalShadow {
  public:
    explicit GlobalShadow(size bytes) : _words(bytes / 4) {}
    static bool wanted(); // whether kernels are compiled for the sanitizer

    // Bytes from the buffer's begin on that a copy or a fill writes.
    void write_from_outside(size offset, size bytes);
    // A word that a kernel writes or reads.
    void write(size word) {
        if (!_all_written)
            written()[word].store(1, std::memory_order_relaxed);
    }
    bool was_written(size word) { return _all_written || written()[word].load(std::memory_order_relaxed) != 0; }

    // Notes an access by a block (counted from 1) and gives the block of the same launch that conflicts with it, or 0:
    // one that wrote the word, or, for a write, one that read it.
    unsigned note(size word, unsigned launch, unsigned block, bool writes);

    size words() const { return _words; }
    static constexpr unsigned kMostBlocks = 0xFFFFE;

  private:
    static constexpr unsigned kSeveral = 0xFFFFF; // readers
    // Most buffers are filled as a whole and never need the first table; only kernels need the second.
    template <class T> T* made(std::unique_ptr<T[]>& place) {
        const std::lock_guard guard(_making);
        if (!place)
            place = std::make_unique<T[]>(_words + 1);
        return place.get();
    }
    std::atomic<unsigned char>* written() { return made(_written); }

    size _words;
    std::atomic<bool> _all_written{false};
    std::mutex _making;
    std::unique_ptr<std::atomic<unsigned char>[]> _written;
    std::unique_ptr<std::atomic<std::uint64_t>[]> _accesses; // launch 24 bits, writer 20, reader 20
};

} // namespace bs_emu
