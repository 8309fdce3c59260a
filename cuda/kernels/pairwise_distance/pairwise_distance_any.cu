// Distances between all rows of two matrices, one block per square of pairs, written through shared memory in whole
// lines.
// ptx-gate: BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_TERM=0 BS_VALUE=2
// ptx-gate: BS_TERM=1 BS_VALUE=1
// ptx-gate: BS_TERM=1 BS_VALUE=0
// ptx-gate: BS_TERM=1 BS_VALUE=2
// ptx-gate: BS_TERM=2 BS_VALUE=0
// ptx-gate: BS_TERM=3 BS_VALUE=0
// ptx-gate: BS_TERM=4 BS_VALUE=3
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_ELEMENT=double BS_TERM=0 BS_VALUE=2
// ptx-gate: BS_ELEMENT=double BS_TERM=1 BS_VALUE=1
// ptx-gate: BS_ELEMENT=double BS_TERM=1 BS_VALUE=0
// ptx-gate: BS_ELEMENT=double BS_TERM=1 BS_VALUE=2
// ptx-gate: BS_ELEMENT=double BS_TERM=2 BS_VALUE=0
// ptx-gate: BS_ELEMENT=double BS_TERM=3 BS_VALUE=0
// ptx-gate: BS_ELEMENT=double BS_TERM=4 BS_VALUE=3
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_PRODUCT=1 BS_TILE=64 BS_TERM=0 BS_VALUE=2
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_PRODUCT=1 BS_TILE=128 BS_TERM=0 BS_VALUE=2
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_PRODUCT=2 BS_TILE=64 BS_TERM=0 BS_VALUE=2
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=1
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=0
// ptx-gate: BS_PRODUCT=2 BS_TILE=128 BS_TERM=0 BS_VALUE=2
#include <bs/pair_tile.cuh>

// distances[i, j] of the square blockIdx.x, counted row by row, and mirror[j, i] unless it is null. In the self form
// only squares on and above the diagonal are computed; mirror is then distances, and the diagonal needs no mirror.
extern "C" __global__ void __launch_bounds__(bs::kPairThreads)
    bs_pairwise_distance(bs::PairProblem p, bs::Element* distances, long long stride, bs::Element* mirror,
                         long long mirror_stride) {
    BS_DYNAMIC_SHARED(bs::PairShared, memory);
    bs::PairShared& shared = *memory;
    const int across = bs::ceil_divide(p.y_rows, bs::kPairTile);
    const int tile_row = static_cast<int>(blockIdx.x) / across, tile_column = static_cast<int>(blockIdx.x) % across;
    if (p.self && tile_column < tile_row)
        return;
    const int row0 = tile_row * bs::kPairTile, column0 = tile_column * bs::kPairTile;
    bs::pair_tile(p, row0, column0, shared);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    for (int r = warp; r < bs::kPairTile && row0 + r < p.x_rows; r += bs::kPairThreads / 32) {
        bs::Element* target = distances + (row0 + r) * stride + column0;
        for (int c = lane; c < bs::kPairTile && column0 + c < p.y_rows; c += 32)
            target[c] = shared.distances[r * bs::kStagePitch + c];
    }
    if (mirror == nullptr || (p.self && tile_row == tile_column))
        return;
    for (int c = warp; c < bs::kPairTile && column0 + c < p.y_rows; c += bs::kPairThreads / 32) {
        bs::Element* target = mirror + (column0 + c) * mirror_stride + row0;
        for (int r = lane; r < bs::kPairTile && row0 + r < p.x_rows; r += 32)
            target[r] = shared.distances[r * bs::kStagePitch + c];
    }
}
