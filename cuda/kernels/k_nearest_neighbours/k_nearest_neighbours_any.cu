// The k nearest rows of every row, exactly. A block keeps the sorted lists of its queries in shared memory and passes
// over its range of the points tile by tile: distances never leave the multiprocessor. Pairs are ordered by distance,
// then by index, so no result depends on the order in which tiles are met.
// ptx-gate: BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_TERM=0 BS_VALUE=2 BS_K=64
// ptx-gate: BS_TERM=2 BS_VALUE=0 BS_K=16
// ptx-gate: BS_TERM=2 BS_VALUE=0 BS_K=32
// ptx-gate: BS_TERM=2 BS_VALUE=0 BS_K=64
// ptx-gate: BS_TERM=3 BS_VALUE=0 BS_K=16
// ptx-gate: BS_TERM=3 BS_VALUE=0 BS_K=32
// ptx-gate: BS_TERM=3 BS_VALUE=0 BS_K=64
// ptx-gate: BS_TERM=4 BS_VALUE=3 BS_K=16
// ptx-gate: BS_TERM=4 BS_VALUE=3 BS_K=32
// ptx-gate: BS_TERM=4 BS_VALUE=3 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=2 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=2 BS_VALUE=0 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=2 BS_VALUE=0 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=2 BS_VALUE=0 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=3 BS_VALUE=0 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=3 BS_VALUE=0 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=3 BS_VALUE=0 BS_K=64
// ptx-gate: BS_ELEMENT=double BS_TERM=4 BS_VALUE=3 BS_K=16
// ptx-gate: BS_ELEMENT=double BS_TERM=4 BS_VALUE=3 BS_K=32
// ptx-gate: BS_ELEMENT=double BS_TERM=4 BS_VALUE=3 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=2 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=1 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=0 BS_K=64
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=16
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=32
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=2 BS_K=64
#include <bs/pair_tile.cuh>

#ifndef BS_K
#define BS_K 16 // places of a list: 16, 32 or 64
#endif

namespace bs {

__device__ __forceinline__ bool precedes(Element distance, int index, Element other, int other_index) {
    return distance < other || (distance == other && index < other_index);
}

// Puts a pair into a sorted list of count places, which drops its last. The whole warp calls it with the same pair;
// lane l looks after places l and l + 32.
__device__ __forceinline__ void list_insert(Element* distances, int* indices, int count, Element distance, int index) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    Element kept[BS_K > 32 ? 2 : 1];
    int kept_index[BS_K > 32 ? 2 : 1];
    int place = 0;
#pragma unroll
    for (int half = 0; half * 32 < BS_K; half++) {
        const int at = half * 32 + lane;
        const bool used = at < count;
        kept[half] = used ? distances[at] : Element(0);
        kept_index[half] = used ? indices[at] : 0;
        place += __popc(__ballot_sync(0xffffffffu, used && precedes(kept[half], kept_index[half], distance, index)));
    }
    if (place >= count)
        return;
    __syncwarp();
#pragma unroll
    for (int half = 0; half * 32 < BS_K; half++) {
        const int at = half * 32 + lane;
        if (at >= place && at + 1 < count) {
            distances[at + 1] = kept[half];
            indices[at + 1] = kept_index[half];
        }
    }
    if (lane == 0) {
        distances[place] = distance;
        indices[place] = index;
    }
    __syncwarp();
}

// One pair per lane: those that a lane may take, that lie behind the pair `after` unless it is null, and that precede
// the last of the list enter it.
__device__ __forceinline__ void list_offer(Element* list, int* list_index, int count, bool wanted, Element distance,
                                           int index, const Element* after, const int* after_index) {
    wanted = wanted && precedes(distance, index, list[count - 1], list_index[count - 1]) &&
             (after == nullptr || precedes(*after, *after_index, distance, index));
    unsigned hits = __ballot_sync(full_warp, wanted);
    while (hits != 0) {
        const int source = __ffs(static_cast<int>(hits)) - 1;
        hits &= hits - 1;
        list_insert(list, list_index, count, __shfl_sync(full_warp, distance, source),
                    __shfl_sync(full_warp, index, source));
    }
}

} // namespace bs

// Block (x, y) has queries tile * x ... and the y-th part of the points. Its lists go to row (y * queries + query) of
// the result: with one part that is the answer, else bs_k_nearest_neighbours_merge makes it. after_distances, unless
// null, holds the last pair of an earlier pass for every query: only pairs behind it are taken.
extern "C" __global__ void __launch_bounds__(bs::kPairThreads)
    bs_k_nearest_neighbours(bs::PairProblem p, int tiles_per_part, int count, const bs::Element* after_distances,
                            long long after_stride, const int* after_indices, long long after_index_stride,
                            bs::Element* distances, long long stride, int* indices, long long index_stride) {
    BS_DYNAMIC_SHARED(bs::PairShared, memory);
    bs::PairShared& shared = *memory;
    bs::Element* best = reinterpret_cast<bs::Element*>(memory + 1);
    int* best_index = reinterpret_cast<int*>(best + bs::kPairTile * BS_K);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32,
              rows_per_warp = bs::kPairTile / (bs::kPairThreads / 32);
    const int row0 = static_cast<int>(blockIdx.x) * bs::kPairTile, first_row = warp * rows_per_warp;
    // A warp alone reads and writes the lists of its rows.
    for (int e = lane; e < rows_per_warp * BS_K; e += 32) {
        best[first_row * BS_K + e] = static_cast<bs::Element>(bs::infinity());
        best_index[first_row * BS_K + e] = 0x7fffffff;
    }
    __syncwarp();
    const int tiles = (p.y_rows + bs::kPairTile - 1) / bs::kPairTile;
    const int begin = static_cast<int>(blockIdx.y) * tiles_per_part, end = min(tiles, begin + tiles_per_part);
    for (int tile = begin; tile < end; tile++) {
        const int column0 = tile * bs::kPairTile;
        bs::pair_tile(p, row0, column0, shared);
        for (int r = first_row; r < first_row + rows_per_warp && row0 + r < p.x_rows; r++) {
            const long long i = row0 + r;
            bs::Element* list = best + r * BS_K;
            int* list_index = best_index + r * BS_K;
            for (int c = lane; c < bs::kPairTile; c += 32) {
                const int j = column0 + c;
                const bs::Element distance = shared.distances[r * bs::kStagePitch + c];
                bs::list_offer(list, list_index, count, j < p.y_rows && !(p.self && i == j), distance, j,
                               after_distances == nullptr ? nullptr : after_distances + i * after_stride,
                               after_indices == nullptr ? nullptr : after_indices + i * after_index_stride);
            }
        }
    }
    __syncwarp();
    for (int r = first_row; r < first_row + rows_per_warp && row0 + r < p.x_rows; r++) {
        const long long target = static_cast<long long>(blockIdx.y) * p.x_rows + row0 + r;
        for (int e = lane; e < count; e += 32) {
            distances[target * stride + e] = best[r * BS_K + e];
            indices[target * index_stride + e] = best_index[r * BS_K + e];
        }
    }
}

// One warp per query: the first count pairs of all parts' lists, [parts * queries, count], into the answer.
extern "C" __global__ void __launch_bounds__(256)
    bs_k_nearest_neighbours_merge(int queries, int parts, int count, const bs::Element* part_distances,
                                  const int* part_indices, bs::Element* distances, long long stride, int* indices,
                                  long long index_stride) {
    __shared__ bs::Element best[8 * BS_K];
    __shared__ int best_index[8 * BS_K];
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const long long i = static_cast<long long>(blockIdx.x) * 8 + warp;
    if (i >= queries)
        return;
    bs::Element* list = best + warp * BS_K;
    int* list_index = best_index + warp * BS_K;
    for (int e = lane; e < count; e += 32) {
        list[e] = part_distances[i * count + e];
        list_index[e] = part_indices[i * count + e];
    }
    __syncwarp();
    for (int part = 1; part < parts; part++) {
        const long long source = (static_cast<long long>(part) * queries + i) * count;
        for (int e = 0; e < count; e++) {
            const bs::Element distance = part_distances[source + e];
            const int index = part_indices[source + e];
            // The lists are sorted: behind the first pair that does not enter, none does.
            if (!bs::precedes(distance, index, list[count - 1], list_index[count - 1]))
                break;
            bs::list_insert(list, list_index, count, distance, index);
        }
    }
    __syncwarp();
    for (int e = lane; e < count; e += 32) {
        distances[i * stride + e] = list[e];
        indices[i * index_stride + e] = list_index[e];
    }
}

namespace bs {

// Distances [rows, columns] of queries from first_query on to points from first_point on.
struct SelectedBlock {
    int rows, columns, first_query, first_point;
    int self;  // queries are the points: none is its own neighbour
    int fresh; // the first block of these queries
};

} // namespace bs

// The split form: distances [rows, columns] of queries from first_query on to points from first_point on are in memory,
// and a warp takes a query's row into its list, which begins empty where fresh is set and else goes on from the one in
// the result.
extern "C" __global__ void __launch_bounds__(256)
    bs_k_nearest_neighbours_select(const bs::Element* pairs, long long pair_stride, bs::SelectedBlock block, int count,
                                   const bs::Element* after_distances, long long after_stride, const int* after_indices,
                                   long long after_index_stride, bs::Element* distances, long long stride, int* indices,
                                   long long index_stride) {
    __shared__ bs::Element best[8 * BS_K];
    __shared__ int best_index[8 * BS_K];
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const long long row = static_cast<long long>(blockIdx.x) * 8 + warp;
    if (row >= block.rows)
        return;
    const long long i = block.first_query + row;
    bs::Element* list = best + warp * BS_K;
    int* list_index = best_index + warp * BS_K;
    for (int e = lane; e < count; e += 32) {
        list[e] = block.fresh ? static_cast<bs::Element>(bs::infinity()) : distances[i * stride + e];
        list_index[e] = block.fresh ? 0x7fffffff : indices[i * index_stride + e];
    }
    __syncwarp();
    const bs::Element* from = pairs + row * pair_stride;
    for (int start = 0; start < block.columns; start += 32) {
        const int c = start + lane, j = block.first_point + c;
        const bs::Element distance = c < block.columns ? from[c] : bs::Element(0);
        bs::list_offer(list, list_index, count, c < block.columns && !(block.self && i == j), distance, j,
                       after_distances == nullptr ? nullptr : after_distances + i * after_stride,
                       after_indices == nullptr ? nullptr : after_indices + i * after_index_stride);
    }
    for (int e = lane; e < count; e += 32) {
        distances[i * stride + e] = list[e];
        indices[i * index_stride + e] = list_index[e];
    }
}
