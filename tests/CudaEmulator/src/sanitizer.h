// Checks of a running kernel's memory accesses: bounds, alignment, uninitialised shared memory and races between
// barriers.
#pragma once

#include "launch.h"

#include <vector>

namespace bs_emu {

class BlockRunner;

class Sanitizer {
  public:
    void begin_block(Launch& launch, BlockRunner& runner, char* static_begin, unsigned static_size, char* dynamic_begin,
                     unsigned dynamic_size, unsigned threads);
    void end_block();
    bool active() const { return _active; }

    // An access of `bytes` bytes by the calling thread; ends the block with a sentence when it is wrong.
    void check(const Thread* thread, const char* address, size bytes, Access access);

    // What was written before is seen by the thread from now on.
    void acquire_block(unsigned thread) { _acquired[thread] = ++_time; }
    void acquire_all(); // a barrier of the whole block
    void acquire_warp(unsigned thread) { _warp_acquired[thread] = _time; }
    void tick() { ++_time; }

    std::string describe(const char* address) const;

  private:
    struct Cell { // one byte of shared memory
        unsigned write_time, read_time, other_read_time;
        unsigned short writer, reader, other_reader;
        bool initialised, atomic;
    };
    void check_global(const Thread* thread, const AddressRange& range, const char* address, size bytes, Access access);
    void check_shared(const Thread* thread, unsigned offset, const char* address, size bytes, Access access);
    bool ordered(unsigned time, unsigned by, const Thread* thread) const;
    const AddressRange* find(const char* address) const;
    [[noreturn]] void race(const Thread* thread, const char* address, const char* verb, const char* other_verb,
                           unsigned other) const;

    std::string _uninitialised; // a read that was either too early (a race) or of what nobody writes
    bool _active = false;
    bool _synchronises =
        false; // this block has used atomics on global memory: others may have told it that they are done
    Launch* _launch = nullptr;
    BlockRunner* _runner = nullptr;
    char *_static_begin = nullptr, *_dynamic_begin = nullptr;
    unsigned _static_size = 0, _dynamic_size = 0;
    unsigned _time = 0;
    const AddressRange* _last = nullptr;
    std::vector<Cell> _cells;
    std::vector<unsigned> _acquired, _warp_acquired;
};

} // namespace bs_emu
