#include "sanitizer.h"

#include "block.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace bs_emu {

void Sanitizer::begin_block(Launch& launch, BlockRunner& runner, char* static_begin, unsigned static_size,
                            char* dynamic_begin, unsigned dynamic_size, unsigned threads) {
    _active = true;
    _launch = &launch;
    _runner = &runner;
    _static_begin = static_begin;
    _static_size = static_size;
    _dynamic_begin = dynamic_begin;
    _dynamic_size = dynamic_size;
    _time = 1;
    _last = nullptr;
    _uninitialised.clear();
    _synchronises = false;
    _cells.assign(static_size + dynamic_size, Cell{});
    _acquired.assign(threads, 1);
    _warp_acquired.assign(threads, 1);
}

void Sanitizer::end_block() {
    if (_active && !_uninitialised.empty())
        _launch->fail(CUDA_ERROR_LAUNCH_FAILED, _uninitialised);
    _active = false;
}

void Sanitizer::acquire_all() {
    if (!_uninitialised.empty())
        _runner->end_with(CUDA_ERROR_LAUNCH_FAILED, _uninitialised);
    ++_time;
    std::fill(_acquired.begin(), _acquired.end(), _time);
}

const AddressRange* Sanitizer::find(const char* address) const {
    const auto& ranges = _launch->allocations;
    auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                  [](const char* a, const AddressRange& range) { return a < range.begin; });
    return after == ranges.begin() ? nullptr : &*(after - 1);
}

// Which buffer an address belongs to, or lies next to, in words; parameters that point into it are named.
std::string Sanitizer::describe(const char* address) const {
    char text[400];
    if (address >= _dynamic_begin && address < _dynamic_begin + _dynamic_size) {
        std::snprintf(text, sizeof text, "dynamic shared memory at offset %td of %u bytes", address - _dynamic_begin,
                      _dynamic_size);
        return text;
    }
    if (_static_size > 0 && address >= _static_begin && address < _static_begin + _static_size) {
        std::snprintf(text, sizeof text, "static shared memory at offset %td of %u bytes", address - _static_begin,
                      _static_size);
        return text;
    }
    if (address >= _dynamic_begin + _dynamic_size && address < _dynamic_begin + 256 * 1024) {
        std::snprintf(text, sizeof text, "%td bytes past the end of dynamic shared memory of %u bytes",
                      address - (_dynamic_begin + _dynamic_size), _dynamic_size);
        return text;
    }
    const auto* range = find(address);
    const auto& ranges = _launch->allocations;
    const auto* above = range ? range + 1 : ranges.data();
    if (above == ranges.data() + ranges.size())
        above = nullptr;
    std::string place;
    if (range && address < range->end) {
        place = "at offset " + std::to_string(address - range->begin) + " of";
    } else if (above && (!range || above->begin - address < address - range->end)) {
        range = above;
        place = std::to_string(range->begin - address) + " bytes before the begin of";
    } else if (range) {
        place = std::to_string(address - range->end) + " bytes past the end of";
    } else {
        return "no buffer of the device";
    }
    std::snprintf(text, sizeof text, "%s the buffer %p of %td bytes (allocation %u, %s", place.c_str(),
                  static_cast<void*>(range->begin), range->end - range->begin, range->number, range->made_by);
    std::string result = text;
    std::string names = _launch->kernel->parameter_names;
    std::size_t begin = 0;
    for (unsigned p = 0; p < _launch->kernel->parameter_count; p++) {
        const auto comma = std::min(names.find(',', begin), names.size());
        char* value = nullptr;
        if (_launch->kernel->parameters[p].size == sizeof value)
            std::memcpy(&value, _launch->arguments[p], sizeof value);
        if (value >= range->begin && value < range->end)
            result += ", parameter '" + names.substr(begin, comma - begin) + "'";
        begin = comma + 1;
    }
    return result + ")";
}

void Sanitizer::check(const Thread* thread, const char* address, size bytes, Access access) {
    if (bytes == 0)
        return;
    if (address >= _dynamic_begin && address + bytes <= _dynamic_begin + _dynamic_size) {
        check_shared(thread, static_cast<unsigned>(_static_size + (address - _dynamic_begin)), address, bytes, access);
        return;
    }
    if (_static_size > 0 && address >= _static_begin && address + bytes <= _static_begin + _static_size) {
        check_shared(thread, static_cast<unsigned>(address - _static_begin), address, bytes, access);
        return;
    }
    if (!_last || address < _last->begin || address >= _last->end)
        _last = find(address);
    if (_last && address >= _last->begin && address + bytes <= _last->end) {
        const auto alignment = bytes <= 16 && (bytes & (bytes - 1)) == 0 && access == Access::Atomic ? bytes : 1;
        if (reinterpret_cast<word>(address) % alignment != 0) {
            char text[500];
            std::snprintf(text, sizeof text, "misaligned atomic operation of %zu bytes at %p, %s", bytes,
                          static_cast<const void*>(address), describe(address).c_str());
            _runner->fail(CUDA_ERROR_MISALIGNED_ADDRESS, text);
        }
        if (_last->shadow)
            check_global(thread, *_last, address, bytes, access);
        return;
    }
    if (_runner->is_private(address) ||
        (address >= _launch->module->image_begin && address < _launch->module->image_end))
        return;
    char text[700];
    std::snprintf(text, sizeof text, "out-of-bounds %s of %zu bytes at %p, %s",
                  access == Access::Read    ? "read"
                  : access == Access::Write ? "write"
                                            : "atomic operation",
                  bytes, static_cast<const void*>(address), describe(address).c_str());
    _runner->fail(CUDA_ERROR_ILLEGAL_ADDRESS, text);
}

// Blocks of a launch are in no order: a word that one wrote no other may touch, unless atomics told it when.
void Sanitizer::check_global(const Thread* thread, const AddressRange& range, const char* address, size bytes,
                             Access access) {
    auto& shadow = *range.shadow;
    const auto offset = static_cast<size>(address - range.begin);
    if (access == Access::Atomic)
        _synchronises = true;
    if (offset % 4 != 0 || bytes % 4 != 0)
        return;
    const auto& grid = thread->grid_dim;
    const auto& block = thread->block;
    const auto number =
        1 + block.x +
        static_cast<unsigned long long>(grid.x) * (block.y + static_cast<unsigned long long>(grid.y) * block.z);
    for (size word = offset / 4; word < (offset + bytes) / 4; word++) {
        if (access != Access::Write && !shadow.was_written(word)) {
            char text[500];
            std::snprintf(text, sizeof text, "uninitialised read of %zu bytes at %p, %s", bytes,
                          static_cast<const void*>(address), describe(address).c_str());
            _runner->fail(CUDA_ERROR_LAUNCH_FAILED, text);
        }
        if (access != Access::Read)
            shadow.write(word);
        if (access == Access::Atomic || number > GlobalShadow::kMostBlocks)
            continue;
        const auto other = shadow.note(word, _launch->number, static_cast<unsigned>(number), access == Access::Write);
        if (other == 0 || _synchronises)
            continue;
        const auto linear = other - 1;
        char text[600];
        if (other > GlobalShadow::kMostBlocks)
            std::snprintf(text, sizeof text,
                          "race on global memory: writes %zu bytes at %p, %s, that other blocks read", bytes,
                          static_cast<const void*>(address), describe(address).c_str());
        else
            std::snprintf(text, sizeof text,
                          "race on global memory: %s %zu bytes at %p, %s, that block (%u,%u,%u) %s in the same launch",
                          access == Access::Read ? "reads" : "writes", bytes, static_cast<const void*>(address),
                          describe(address).c_str(), linear % grid.x, linear / grid.x % grid.y,
                          linear / (grid.x * grid.y), access == Access::Read ? "wrote" : "wrote or read");
        _runner->fail(CUDA_ERROR_LAUNCH_FAILED, text);
    }
}

bool Sanitizer::ordered(unsigned time, unsigned by, const Thread* thread) const {
    return by == thread->linear || time < _acquired[thread->linear] ||
           (by / 32 == thread->warp && time < _warp_acquired[thread->linear]);
}

void Sanitizer::race(const Thread* thread, const char* address, const char* verb, const char* other_verb,
                     unsigned other) const {
    const auto& size = _launch->block;
    char text[500];
    std::snprintf(text, sizeof text,
                  "race on shared memory: %s at %p, %s, that thread (%u,%u,%u) %s with no barrier in between", verb,
                  static_cast<const void*>(address), describe(address).c_str(), other % size.x, other / size.x % size.y,
                  other / (size.x * size.y), other_verb);
    (void)thread;
    _runner->fail(CUDA_ERROR_LAUNCH_FAILED, text);
}

void Sanitizer::check_shared(const Thread* thread, unsigned offset, const char* address, size bytes, Access access) {
    const auto me = static_cast<unsigned short>(thread->linear);
    for (size i = 0; i < bytes; i++) {
        auto& cell = _cells[offset + i];
        const bool atomics = access == Access::Atomic && cell.atomic;
        if (access != Access::Write && !cell.initialised && _uninitialised.empty()) {
            char text[500];
            std::snprintf(text, sizeof text, ": uninitialised read of %zu bytes at %p, %s", bytes,
                          static_cast<const void*>(address), describe(address).c_str());
            _uninitialised = _runner->where(thread) + text;
        }
        if (cell.write_time != 0 && !atomics && !ordered(cell.write_time, cell.writer, thread))
            race(thread, address, access == Access::Read ? "reads" : "writes", "wrote", cell.writer);
        if (access == Access::Read) {
            if (cell.reader != me || cell.read_time == 0) {
                cell.other_reader = cell.reader;
                cell.other_read_time = cell.read_time;
                cell.reader = me;
            }
            cell.read_time = _time;
            continue;
        }
        if (cell.read_time != 0 && !ordered(cell.read_time, cell.reader, thread))
            race(thread, address, "writes", "read", cell.reader);
        if (cell.other_read_time != 0 && !ordered(cell.other_read_time, cell.other_reader, thread))
            race(thread, address, "writes", "read", cell.other_reader);
        cell.writer = me;
        cell.write_time = _time;
        cell.initialised = true;
        cell.atomic = access == Access::Atomic;
    }
}

} // namespace bs_emu
