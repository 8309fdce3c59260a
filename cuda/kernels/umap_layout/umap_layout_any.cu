// One pass of UMAP's layout (McInnes, Healy and Melville 2018): every vertex sums what acts on it where all vertices
// were before the pass, and makes a step of Adam along the sum. What acts on it, and the numbers that are drawn, are
// those of src/Kernels/UmapLayout; there are no atomics, and the order of every sum is fixed by the vertex alone.
//
// Floor, n vertices with e entries of their rows in d dimensions: 8 e bytes of edges and (8 + 24 d) n of rows, places,
// positions and moments. A million vertices, 20 entries each, two dimensions: 216 MB, 0.064 ms at 3.35 TB/s. The
// positions, 4 d n bytes, stay in the L2 cache; edges and moments are streamed past it. What is gathered there is of
// the same order: a sector of 32 bytes for an edge that is due and 8 bytes for each of its random vertices, 360 MB
// where a quarter of the edges is due.
//
// Positions lie in the random order in which groups are drawn, so that a group is 16 neighbours in memory; the rows of
// edges stay in the order of the vertices, and their columns are places. Up to four dimensions four lanes, up to eight
// dimensions eight lanes share the others of a vertex and hold all coordinates: more lanes would wait for one another
// and draw the same numbers more often. Beyond, a warp shares the coordinates and takes the others in turn.
#include <bs/device.cuh>
#include <bs/philox.cuh>
#include <bs/ptx_special.cuh>
#include <bs/reduce.cuh>

// ptx-gate: BS_DIMENSIONS=2
// ptx-gate: BS_DIMENSIONS=3
// ptx-gate: BS_DIMENSIONS=5
// ptx-gate: BS_DIMENSIONS=10
// ptx-gate: BS_DIMENSIONS=100
#ifndef BS_DIMENSIONS
#define BS_DIMENSIONS 2
#endif

namespace bs {

// Laid out as in src/Kernels/UmapLayout/UmapLayout.Cuda.cs.
struct UmapPass {
    const int* start;      // [vertices + 1]
    const int* columns;    // places
    const float* rates;    //
    const int* place;      // [vertices]
    const float* position; // [vertices + umap_group, dimensions] by place, the beginning repeated at the end
    float* moved;
    float* first; // [vertices, dimensions]
    float* second;
    unsigned long long seed;
    int vertices, negatives, epoch;
    float a, b, pull, push; // -4ab: both directions of an edge move a vertex; and 2 gamma b
    float rate, second_scale;
};

constexpr int umap_dimensions = BS_DIMENSIONS;
constexpr int umap_group = 16;
constexpr bool umap_narrow = umap_dimensions <= 8;
constexpr int umap_lanes = umap_dimensions <= 4 ? 4 : umap_narrow ? 8 : warp_size;
constexpr int umap_held = umap_narrow ? umap_dimensions : (umap_dimensions + warp_size - 1) / warp_size;
constexpr float umap_first_decay = 0.5f, umap_second_decay = 0.9f, umap_tiny = 1e-7f;
constexpr float umap_limit = 4.0f, umap_softening = 0.001f;

// Squares of distances up to here count as 0: what follows need not care for numbers below the normal range.
constexpr float umap_same_place = 1e-30f;

using UmapCoordinates = float[umap_held];

// Of the coordinates of a place, those that a lane holds; 0 behind the last.
__device__ __forceinline__ void umap_load(const float* from, UmapCoordinates& to) {
    if constexpr (umap_dimensions == 2) {
        const float2 v = *reinterpret_cast<const float2*>(from);
        to[0] = v.x, to[1] = v.y;
    } else if constexpr (umap_narrow) {
#pragma unroll
        for (int c = 0; c < umap_held; c++)
            to[c] = from[c];
    } else {
#pragma unroll
        for (int c = 0; c < umap_held; c++)
            to[c] = lane_rank() + c * warp_size < umap_dimensions ? from[lane_rank() + c * warp_size] : 0.0f;
    }
}

__device__ __forceinline__ float umap_sum_over_lanes(float v) {
#pragma unroll
    for (int step = umap_lanes / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(full_warp, v, step);
    return v;
}
__device__ __forceinline__ int umap_sum_over_lanes(int v) {
#pragma unroll
    for (int step = umap_lanes / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(full_warp, v, step);
    return v;
}

// Adds the force of what is at another place. In the wide form all lanes of the warp have the same one.
template <bool pulls>
__device__ __forceinline__ void umap_add(const UmapPass& p, const UmapCoordinates& here, long long other,
                                         UmapCoordinates& sums) {
    UmapCoordinates difference;
    umap_load(p.position + other * umap_dimensions, difference);
    float square = 0.0f;
#pragma unroll
    for (int c = 0; c < umap_held; c++) {
        difference[c] = here[c] - difference[c];
        square = fmaf(difference[c], difference[c], square);
    }
    if constexpr (!umap_narrow)
        square = umap_sum_over_lanes(square);
    if (!(square > umap_same_place))
        return;
    const float power = exp2_approx(fminf(fmaxf(p.b * __log2f(square), -126.0f), 126.0f));
    const float curve = fmaf(p.a, power, 1.0f), largest = pulls ? 2.0f * umap_limit : umap_limit;
    const float factor =
        pulls ? p.pull * __fdividef(power, square * curve) : __fdividef(p.push, (umap_softening + square) * curve);
#pragma unroll
    for (int c = 0; c < umap_held; c++)
        sums[c] += fminf(fmaxf(factor * difference[c], -largest), largest);
}

// One coordinate's step of Adam, written to the vertex's place and to the repetition of the beginning.
__device__ __forceinline__ void umap_advance(const UmapPass& p, long long vertex, int place, int coordinate, float here,
                                             float force) {
    const long long at = vertex * umap_dimensions + coordinate;
    const float first = umap_first_decay * __ldcs(p.first + at) + (1.0f - umap_first_decay) * force;
    const float second = umap_second_decay * __ldcs(p.second + at) + (1.0f - umap_second_decay) * force * force;
    p.first[at] = first;
    p.second[at] = second;
    const float there = here + p.rate * first / (sqrtf(second * p.second_scale) + umap_tiny);
    for (long long q = place; q < static_cast<long long>(p.vertices) + umap_group; q += p.vertices)
        p.moved[q * umap_dimensions + coordinate] = there;
}

} // namespace bs

extern "C" __global__ void __launch_bounds__(256) bs_umap_layout_pass(bs::UmapPass p) {
    using namespace bs;
    const long long vertex = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) / umap_lanes;
    const int lane = lane_rank() % umap_lanes;
    // Lanes behind the last vertex take part in the sums over lanes, with nothing to add.
    const bool inside = vertex < p.vertices;
    const int begin = inside ? p.start[vertex] : 0, end = inside ? p.start[vertex + 1] : 0;
    const int place = inside ? p.place[vertex] : 0;
    const int own = umap_narrow ? lane : 0, step = umap_narrow ? umap_lanes : 1;
    UmapCoordinates here, sums = {};
    umap_load(p.position + static_cast<long long>(place) * umap_dimensions, here);

    const float before = static_cast<float>(p.epoch), after = static_cast<float>(p.epoch + 1);
    int due = 0;
    for (int e = begin + own; e < end; e += step) {
        const float rate = __ldcs(p.rates + e);
        if (static_cast<int>(rate * after) == static_cast<int>(rate * before))
            continue;
        due++;
        umap_add<true>(p, here, __ldcs(p.columns + e), sums);
    }
    if constexpr (umap_narrow)
        due = umap_sum_over_lanes(due);

    PhiloxSequence random(p.seed, static_cast<unsigned long long>(p.epoch) + 1,
                          static_cast<unsigned long long>(vertex) << 32);
    for (int left = due * p.negatives; left > 0; left -= umap_group) {
        const long long group = random.below(static_cast<unsigned>(p.vertices));
        const int some = left < umap_group ? left : umap_group;
        for (int s = own; s < some; s += step)
            umap_add<false>(p, here, group + s, sums);
    }

    if constexpr (umap_narrow) {
        // One lane a coordinate goes on.
        float force = 0.0f, from = 0.0f;
#pragma unroll
        for (int c = 0; c < umap_held; c++) {
            const float sum = umap_sum_over_lanes(sums[c]);
            if (lane == c)
                force = sum, from = here[c];
        }
        if (inside && lane < umap_dimensions)
            umap_advance(p, vertex, place, lane, from, force);
    } else if (inside) {
#pragma unroll
        for (int c = 0; c < umap_held; c++)
            if (lane + c * warp_size < umap_dimensions)
                umap_advance(p, vertex, place, lane + c * warp_size, here[c], sums[c]);
    }
}
