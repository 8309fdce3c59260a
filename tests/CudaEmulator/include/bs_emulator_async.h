// Asynchronous work of a block: a thread's own copies (cp.async) and products of warpgroups, which end at waits, and
// copies of boxes, which end at mbarriers. All are done at the last moment, when someone waits for them: what is read
// without a wait is old, or all ones (NaN, -1).
#pragma once

namespace bs_emu {

struct BulkCopy {
    BulkCopy* next;
    TensorMap map;
    int column, row;
    char* to;
    unsigned long long* barrier;
};

struct WgmmaProduct {
    float* d;
    unsigned long long a, b;
    bool add;
    int count;
    Finish product;
    unsigned group;
};

struct OwnCopy {
    const char* from;
    char* to;
    unsigned bytes, valid, group;
};

struct ThreadCopies {
    OwnCopy* copies;
    unsigned count, capacity, group;
};

struct ThreadProducts {
    WgmmaProduct* products;
    unsigned count, capacity, group;
};

struct AsyncState {
    void (*end)(void*); // called when the block is over
    BulkCopy* copies;
    ThreadProducts threads[1024];
    ThreadCopies own[1024];
};

BS_EMU_NO_SANITIZE inline void end_async(void* p) {
    auto* state = static_cast<AsyncState*>(p);
    for (auto* copy = state->copies; copy;) {
        auto* next = copy->next;
        __builtin_free(copy);
        copy = next;
    }
    for (auto& thread : state->threads)
        __builtin_free(thread.products);
    for (auto& thread : state->own)
        __builtin_free(thread.copies);
    __builtin_free(state);
}

BS_EMU_NO_SANITIZE inline AsyncState* async_state() {
    void** slot = bs_emu_runtime->block_state();
    if (!*slot) {
        *slot = __builtin_calloc(1, sizeof(AsyncState));
        static_cast<AsyncState*>(*slot)->end = end_async;
    }
    return static_cast<AsyncState*>(*slot);
}

// ---- a thread's own copies: 4, 8 or 16 bytes, of which those that are not valid become zero
// --------------------------------

BS_EMU_NO_SANITIZE inline void cp_async(void* to, const void* from, unsigned bytes, unsigned valid) {
    if (!is_shared(to) || shared_offset(to) % bytes != 0)
        bs_emu_runtime->fail(716, "cp.async to what is not shared memory at a multiple of the bytes copied");
    if (reinterpret_cast<word>(from) % bytes != 0 || valid > bytes)
        bs_emu_runtime->fail(716, "cp.async from what is not at a multiple of the bytes copied");
    bs_emu_runtime->check(to, bytes, Access::Write);
    __builtin_memset(to, 0xFF, bytes);
    auto& own = async_state()->own[self()->linear];
    if (own.count == own.capacity) {
        own.capacity = own.capacity ? 2 * own.capacity : 64;
        own.copies = static_cast<OwnCopy*>(__builtin_realloc(own.copies, own.capacity * sizeof(OwnCopy)));
    }
    own.copies[own.count++] = {static_cast<const char*>(from), static_cast<char*>(to), bytes, valid, own.group};
}
BS_EMU_NO_SANITIZE inline void cp_async_commit() {
    async_state()->own[self()->linear].group++;
}
BS_EMU_NO_SANITIZE inline void cp_async_wait(unsigned pending) {
    auto& own = async_state()->own[self()->linear];
    unsigned done = 0;
    for (; done < own.count && own.copies[done].group + pending < own.group; done++) {
        const auto& copy = own.copies[done];
        bs_emu_runtime->check(copy.from, copy.valid, Access::Read);
        bs_emu_runtime->check(copy.to, copy.bytes, Access::Write);
        __builtin_memcpy(copy.to, copy.from, copy.valid);
        __builtin_memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
    }
    for (unsigned i = done; i < own.count; i++)
        own.copies[i - done] = own.copies[i];
    own.count -= done;
}

// ---- mbarriers: arrivals that a phase needs and still lacks, bytes that it waits for, parity of the phase
// -------------

struct MbarrierWord {
    unsigned long long needed : 20, missing : 20, parity : 1;
    long long bytes : 23;
};
static_assert(sizeof(MbarrierWord) == 8);

BS_EMU_NO_SANITIZE inline MbarrierWord load_mbarrier(const unsigned long long* barrier) {
    MbarrierWord word;
    if (!is_shared(barrier) || shared_offset(barrier) % 8 != 0)
        bs_emu_runtime->fail(716, "an mbarrier is eight aligned bytes of shared memory");
    __builtin_memcpy(&word, barrier, sizeof word);
    return word;
}
BS_EMU_NO_SANITIZE inline void store_mbarrier(unsigned long long* barrier, MbarrierWord word) {
    if (word.missing == 0 && word.bytes == 0) {
        word.missing = word.needed;
        word.parity ^= 1;
    }
    __builtin_memcpy(barrier, &word, sizeof word);
}

BS_EMU_NO_SANITIZE inline void mbarrier_init(unsigned long long* barrier, unsigned arrivals) {
    load_mbarrier(barrier);
    if (arrivals == 0 || arrivals >= 1u << 20)
        bs_emu_runtime->fail(716, "an mbarrier counts 1 to 2^20 - 1 arrivals");
    MbarrierWord word{};
    word.needed = word.missing = arrivals;
    store_mbarrier(barrier, word);
}
BS_EMU_NO_SANITIZE inline void mbarrier_arrive(unsigned long long* barrier, unsigned bytes) {
    auto word = load_mbarrier(barrier);
    if (word.missing == 0 || word.needed == 0)
        bs_emu_runtime->fail(716, "more threads arrive at an mbarrier than it was made for");
    word.missing--;
    word.bytes += bytes;
    store_mbarrier(barrier, word);
}

// ---- copies of boxes
// -----------------------------------------------------------------------------------------------------

BS_EMU_NO_SANITIZE inline void bulk_copy(void* to, const void* map, int column, int row, unsigned long long* barrier) {
    auto* copy = static_cast<BulkCopy*>(__builtin_calloc(1, sizeof(BulkCopy)));
    __builtin_memcpy(&copy->map, map, sizeof copy->map);
    copy->column = column, copy->row = row, copy->to = static_cast<char*>(to), copy->barrier = barrier;
    if (copy->map.magic != kTensorMapMagic || copy->map.rank != 2)
        bs_emu_runtime->fail(716, "a bulk copy without the tensor map of a matrix");
    const unsigned alignment = copy->map.swizzle == 3 ? 1024 : 128;
    if (!is_shared(to) || shared_offset(to) % alignment != 0)
        bs_emu_runtime->fail(716, "a bulk copy to what is not aligned shared memory");
    auto* state = async_state();
    auto** last = &state->copies;
    while (*last)
        last = &(*last)->next;
    *last = copy;
}

BS_EMU_NO_SANITIZE inline void do_bulk_copy(const BulkCopy& copy) {
    const auto& map = copy.map;
    const unsigned size = map.element_size, inner = map.box[0] * size, mask = (1u << map.swizzle) - 1;
    char zeros[16] = {};
    for (unsigned r = 0; r < map.box[1]; r++) {
        for (unsigned b = 0; b < inner; b += 16) {
            const long long row = copy.row + static_cast<long long>(r);
            const unsigned plain = shared_offset(copy.to) + r * inner + b;
            char* to = static_cast<char*>(shared_pointer(plain ^ (plain >> 7 & mask) << 4));
            char piece[16];
            __builtin_memcpy(piece, zeros, 16);
            for (unsigned e = 0; e < 16; e += size) {
                const long long column = copy.column + static_cast<long long>((b + e) / size);
                if (row < 0 || row >= static_cast<long long>(map.dims[1]) || column < 0 ||
                    column >= static_cast<long long>(map.dims[0]))
                    continue;
                const char* from = map.address + row * static_cast<long long>(map.strides[0]) + column * size;
                bs_emu_runtime->check(from, size, Access::Read);
                __builtin_memcpy(piece + e, from, size);
            }
            bs_emu_runtime->check(to, 16, Access::Write);
            __builtin_memcpy(to, piece, 16);
        }
    }
}

// The copies of a barrier are made after the first look at it, so that a wait that looks once fails.
BS_EMU_NO_SANITIZE inline bool mbarrier_try_wait(unsigned long long* barrier, unsigned parity) {
    if (load_mbarrier(barrier).parity != parity) {
        acquire();
        return true;
    }
    auto* state = async_state();
    for (auto** link = &state->copies; *link;) {
        auto* copy = *link;
        if (copy->barrier != barrier) {
            link = &copy->next;
            continue;
        }
        *link = copy->next;
        acquire(); // the engine is ordered after whoever told the copy to start
        do_bulk_copy(*copy);
        auto word = load_mbarrier(barrier);
        word.bytes -= copy->map.box[0] * copy->map.box[1] * copy->map.element_size;
        store_mbarrier(barrier, word);
        __builtin_free(copy);
    }
    return false;
}

// ---- products of warpgroups
// ----------------------------------------------------------------------------------------------

BS_EMU_NO_SANITIZE inline void wgmma_start(WgmmaProduct product) {
    auto& own = async_state()->threads[self()->linear];
    if (own.count == own.capacity) {
        own.capacity = own.capacity ? 2 * own.capacity : 32;
        own.products = static_cast<WgmmaProduct*>(__builtin_realloc(own.products, own.capacity * sizeof product));
    }
    // What a thread reads before the wait is NaN, or the sums to which the product will add.
    for (int i = 0; i < product.count && !product.add; i++)
        product.d[i] = __builtin_nanf("");
    product.group = own.group;
    own.products[own.count++] = product;
}
BS_EMU_NO_SANITIZE inline void wgmma_commit() {
    async_state()->threads[self()->linear].group++;
}
BS_EMU_NO_SANITIZE inline void wgmma_wait(unsigned pending) {
    auto& own = async_state()->threads[self()->linear];
    unsigned done = 0;
    while (done < own.count && own.products[done].group + pending < own.group) {
        auto product = own.products[done++]; // on the stack, which the sanitizer knows
        warpgroup_collective(&product, product.product);
    }
    for (unsigned i = done; i < own.count; i++)
        own.products[i - done] = own.products[i];
    own.count -= done;
}

} // namespace bs_emu
