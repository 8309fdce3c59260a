// Where threads of a block meet: barriers, and the collectives of warps and warpgroups.
#include "block.h"

#include <bit>
#include <cstring>

namespace bs_emu {

bool BlockRunner::barrier_complete(const Barrier& barrier) const {
    return barrier.expected == 0 ? barrier.arrived == _alive : barrier.arrived >= barrier.expected;
}

void BlockRunner::release_barrier(unsigned id) {
    auto& barrier = _barriers[id];
    const bool whole = barrier.expected == 0;
    if (_sanitizer.active() && whole) {
        if (_alive < _threads)
            fail(CUDA_ERROR_LAUNCH_FAILED, "divergent barrier: " + std::to_string(_threads - _alive) +
                                               " threads left the kernel while the others wait at __syncthreads");
        if (barrier.sites_differ)
            fail(CUDA_ERROR_LAUNCH_FAILED, "divergent barrier: threads of the block wait at different __syncthreads");
    }
    _progress++;
    if (_sanitizer.active() && whole)
        _sanitizer.acquire_all();
    // The list is in reverse order of arrival; threads go on in the order in which they came.
    Fiber *list = barrier.waiting, *ordered = nullptr;
    while (list) {
        auto* next = list->next;
        list->next = ordered;
        ordered = list;
        list = next;
    }
    const unsigned ones = barrier.ones, participants = barrier.participants;
    barrier = Barrier{};
    _meetings--;
    while (ordered) {
        auto* next = ordered->next;
        switch (static_cast<BarrierKind>(ordered->result)) {
        case BarrierKind::Or:
            ordered->result = ones > 0;
            break;
        case BarrierKind::And:
            ordered->result = ones == participants;
            break;
        default:
            ordered->result = ones;
            break;
        }
        if (_sanitizer.active() && !whole)
            _sanitizer.acquire_block(ordered->linear);
        if (ordered->wait == Wait::Barrier)
            make_ready(ordered);
        ordered = next;
    }
}

unsigned BlockRunner::barrier(unsigned id, unsigned count, BarrierKind kind, unsigned predicate, const void* site) {
    auto* own = fiber();
    auto& barrier = _barriers[id & 15];
    if (barrier.arrived == 0) {
        barrier.site = site;
        _meetings++;
    } else if (barrier.site != site) {
        barrier.sites_differ = true;
    }
    barrier.expected = count;
    barrier.arrived++;
    barrier.participants++;
    barrier.ones += predicate != 0;
    own->result = static_cast<unsigned>(kind);
    own->barrier = id;
    own->site = site;
    own->next = barrier.waiting;
    barrier.waiting = own;
    if (barrier_complete(barrier)) {
        release_barrier(id & 15); // `own` does not wait: it is passed over there and goes on
    } else {
        own->wait = Wait::Barrier;
        suspend(own);
    }
    return own->result;
}

void BlockRunner::barrier_arrive(unsigned id, unsigned count) {
    auto& barrier = _barriers[id & 15];
    _meetings += barrier.arrived == 0;
    barrier.expected = count;
    barrier.arrived++;
    if (_sanitizer.active())
        _sanitizer.tick();
    if (barrier_complete(barrier))
        release_barrier(id & 15);
}

// True when all lanes of the group's mask that are still there have come; `last` is the lane that goes on by itself.
bool BlockRunner::finish_group(WarpState& warp, unsigned index, Fiber* last) {
    auto& group = warp.groups[index];
    if ((group.mask & warp.alive & ~group.arrived) != 0)
        return false;
    void* requests[32];
    Fiber* lanes[32];
    const unsigned arrived = group.arrived;
    for (unsigned lane = 0; lane < 32; lane++) {
        lanes[lane] = arrived >> lane & 1 ? warp.lanes[lane] : nullptr;
        requests[lane] = lanes[lane] ? lanes[lane]->request : nullptr;
    }
    const auto finish = group.finish;
    group = warp.groups[--warp.group_count];
    _meetings--;
    if (finish)
        finish(requests);
    _progress++;
    if (_sanitizer.active())
        _sanitizer.tick();
    for (auto* lane : lanes) {
        if (!lane)
            continue;
        if (_sanitizer.active())
            _sanitizer.acquire_warp(lane->linear);
        if (lane != last)
            make_ready(lane);
    }
    return true;
}

bool BlockRunner::finish_warpgroup(unsigned index, Fiber* last) {
    auto& group = _warpgroups[index];
    unsigned expected = 0;
    for (unsigned w = index * 4; w < index * 4 + 4 && w * 32 < _threads; w++)
        expected += static_cast<unsigned>(std::popcount(_warps[w].alive));
    if (group.arrived != expected)
        return false;
    void* requests[128];
    for (unsigned i = 0; i < 128; i++)
        requests[i] = group.lanes[i] ? group.lanes[i]->request : nullptr;
    const auto finish = group.finish;
    group.arrived = 0;
    _meetings--;
    if (finish)
        finish(requests);
    _progress++;
    if (_sanitizer.active())
        _sanitizer.tick();
    for (auto* lane : group.lanes) {
        if (!lane)
            continue;
        if (_sanitizer.active())
            _sanitizer.acquire_block(lane->linear);
        if (lane != last)
            make_ready(lane);
    }
    return true;
}

void BlockRunner::collective(Scope scope, unsigned mask, void* request, Finish finish, const void* site) {
    auto* own = fiber();
    own->request = request;
    own->finish = finish;
    own->mask = mask;
    own->site = site;
    own->scope = scope;
    if (scope == Scope::Warpgroup) {
        const unsigned index = own->warp / 4;
        auto& group = _warpgroups[index];
        if (group.arrived == 0) {
            std::memset(group.lanes, 0, sizeof group.lanes);
            _meetings++;
        } else if (group.finish != finish) {
            fail(CUDA_ERROR_LAUNCH_FAILED, "the threads of a warpgroup meet in different operations");
        }
        group.finish = finish;
        group.lanes[own->linear & 127] = own;
        group.arrived++;
        if (!finish_warpgroup(index, own)) {
            own->wait = Wait::Collective;
            suspend(own);
        }
        return;
    }
    auto& warp = _warps[own->warp];
    const unsigned bit = 1u << own->lane;
    if (!(mask & bit))
        fail(CUDA_ERROR_LAUNCH_FAILED, "calls a warp intrinsic with a mask that does not name its own lane");
    warp.lanes[own->lane] = own;
    unsigned index = 0;
    while (index < warp.group_count && (warp.groups[index].mask != mask || warp.groups[index].finish != finish))
        index++;
    if (index == warp.group_count) {
        warp.groups[warp.group_count++] = {mask, 0, finish, site};
        _meetings++;
    }
    warp.groups[index].arrived |= bit;
    if (!finish_group(warp, index, own)) {
        own->wait = Wait::Collective;
        suspend(own);
    }
}

} // namespace bs_emu
