#include "global_shadow.h"

#include <cstdlib>
#include <cstring>

namespace bs_emu {

bool GlobalShadow::wanted() {
    const char* value = std::getenv("BIOSUP_EMULATOR_SANITIZE");
    return value && *value && std::strcmp(value, "0") != 0;
}

void GlobalShadow::write_from_outside(size offset, size bytes) {
    if (_all_written)
        return;
    const size first = (offset + 3) / 4, end = (offset + bytes) / 4;
    if (first == 0 && end >= _words) {
        _all_written = true;
        return;
    }
    for (size word = first; word < end; word++)
        write(word);
}

unsigned GlobalShadow::note(size word, unsigned launch, unsigned block, bool writes) {
    auto& cell = made(_accesses)[word];
    const auto old = cell.load(std::memory_order_relaxed);
    unsigned writer = 0, reader = 0;
    if (old >> 40 == (launch & 0xFFFFFF)) {
        writer = static_cast<unsigned>(old >> 20 & 0xFFFFF);
        reader = static_cast<unsigned>(old & 0xFFFFF);
    }
    unsigned conflict = writer != 0 && writer != block ? writer : 0;
    if (writes) {
        if (conflict == 0 && reader != 0 && reader != block)
            conflict = reader == kSeveral ? kMostBlocks + 1 : reader;
        writer = block;
    } else {
        reader = reader == 0 || reader == block ? block : kSeveral;
    }
    cell.store(static_cast<std::uint64_t>(launch & 0xFFFFFF) << 40 | static_cast<std::uint64_t>(writer) << 20 | reader,
               std::memory_order_relaxed);
    return conflict;
}

} // namespace bs_emu
