// Distances of a square of pairs of rows, left in shared memory: what pairwise distances and nearest neighbours have in
// common. The value of a pair follows from its two rows alone, in either order: the order of its sum depends on the
// number of coordinates and on nothing else.
#pragma once
#include <bs/tensor_tile.cuh>

// What one coordinate adds to the raw value of a pair.
#define BS_TERM_PRODUCT 0  // x y: the expanded form, |x|^2 + |y|^2 - 2 x.y
#define BS_TERM_SQUARED 1  // (x - y)^2
#define BS_TERM_ABSOLUTE 2 // |x - y|, summed
#define BS_TERM_LARGEST 3  // |x - y|, the largest
#define BS_TERM_MISMATCH 4 // 1 where x != y

// How a raw value becomes a distance.
#define BS_VALUE_RAW 0
#define BS_VALUE_ROOT 1
#define BS_VALUE_HALF 2     // half the squared distance of unit vectors: the cosine distance, at most 2
#define BS_VALUE_FRACTION 3 // divided by the number of coordinates

// Which units sum the products of the expanded form.
#define BS_PRODUCT_ORDINARY 0
#define BS_PRODUCT_TF32X3 1 // tensor cores, single precision only
#define BS_PRODUCT_BF16 2

#ifndef BS_ELEMENT
#define BS_ELEMENT float // or double
#endif
#ifndef BS_TERM
#define BS_TERM BS_TERM_PRODUCT
#endif
#ifndef BS_VALUE
#define BS_VALUE BS_VALUE_ROOT
#endif
#ifndef BS_PRODUCT
#define BS_PRODUCT BS_PRODUCT_ORDINARY
#endif
#ifndef BS_TILE
#define BS_TILE 64 // rows and columns of the square; 128 on the tensor cores only
#endif

namespace bs {

using Element = BS_ELEMENT; // of the rows and of the distances

constexpr bool kPairTensor = BS_PRODUCT != BS_PRODUCT_ORDINARY;
constexpr int kPairTile = BS_TILE;
constexpr int kPairThreads = kPairTensor ? 2 * kPairTile : 256;
constexpr int kStagePitch = kPairTile + 1; // elements between rows of distances: columns are read without conflicts
constexpr int kPairChunk = 64; // coordinates summed on their own, so that rounding grows with the number of chunks
static_assert(kPairTensor ? kPairTile % 64 == 0 : kPairTile == 64, "how threads share the square");

// Ordinary units: slabs of coordinates, transposed.
constexpr int kPairSlab = 16;
constexpr int kPairPitch = kPairTile + 4; // keeps loads of four aligned and spreads the transposed stores
constexpr int kPairFetch = kPairTile * kPairSlab / kPairThreads;

// Tensor cores: slabs as they lie in memory.
constexpr int kPairStages = 3;
using PairSlab =
    TensorSlab<BS_PRODUCT == BS_PRODUCT_BF16 ? BS_FORM_BF16 : BS_FORM_TF32X3, kPairTile, kPairThreads, true>;

constexpr bool kPairUnit = BS_VALUE == BS_VALUE_HALF;
constexpr bool kPairExpanded = BS_TERM == BS_TERM_PRODUCT;

// An expanded value not above this fraction of |x|^2 + |y|^2 has lost digits and is computed from differences instead.
constexpr Element kPairCancellation = Element(1) / 16;

// The rows, and their squared norms in the expanded form. For unit rows a norm is 1, and 0 for a row without a
// direction.
struct PairProblem {
    const Element* x;
    const Element* y;
    const Element* x_norms;
    const Element* y_norms;
    long long x_stride;
    long long y_stride;
    int x_rows;
    int y_rows;
    int depth;
    int self; // y are the rows of x: a row is at distance 0 from itself
};

// The coordinates at hand, and after the last of them the distances.
struct PairShared {
    struct Slabs {
        __align__(16) Element x[kPairSlab][kPairPitch];
        __align__(16) Element y[kPairSlab][kPairPitch];
    };
    union {
        Slabs slabs;
        __align__(16) float stages[kPairTensor ? kPairStages * 2 * PairSlab::floats : 1];
        Element distances[kPairTile * kStagePitch];
    };
};

__device__ __forceinline__ Element pair_add(Element sum, Element x, Element y) {
#if BS_TERM == BS_TERM_PRODUCT
    return fma(x, y, sum);
#elif BS_TERM == BS_TERM_SQUARED
    const Element difference = x - y;
    return fma(difference, difference, sum);
#elif BS_TERM == BS_TERM_ABSOLUTE
    return sum + fabs(x - y);
#elif BS_TERM == BS_TERM_LARGEST
    return fmax(sum, fabs(x - y));
#else
    return sum + Element(x != y ? 1 : 0);
#endif
}

__device__ __forceinline__ Element pair_join(Element total, Element chunk) {
    return BS_TERM == BS_TERM_LARGEST ? fmax(total, chunk) : total + chunk;
}

__device__ __forceinline__ Element pair_value(Element raw, [[maybe_unused]] int depth) {
#if BS_VALUE == BS_VALUE_ROOT
    return sqrt(raw);
#elif BS_VALUE == BS_VALUE_HALF
    return fmin(Element(0.5) * raw, Element(2));
#elif BS_VALUE == BS_VALUE_FRACTION
    return raw / static_cast<Element>(depth > 0 ? depth : 1);
#else
    return raw;
#endif
}

// The squared distance of one pair from its differences, summed in the order of the direct form's tile.
__device__ __forceinline__ Element pair_squared_distance(const Element* x, const Element* y, int depth) {
    Element total = Element(0);
    for (int start = 0; start < depth; start += kPairChunk) {
        const int end = min(depth, start + kPairChunk);
        Element chunk = Element(0);
        for (int k = start; k < end; k++) {
            const Element difference = x[k] - y[k];
            chunk = fma(difference, difference, chunk);
        }
        total += chunk;
    }
    return total;
}

// This thread's part of a slab: 16 coordinates of 64 rows; zero past the last row or coordinate, which adds nothing to
// any term.
__device__ __forceinline__ void pair_fetch(Element (&values)[kPairFetch], const Element* rows, long long stride,
                                           int first, int count, int depth, int start) {
#pragma unroll
    for (int e = 0; e < kPairFetch; e++) {
        const int element = e * kPairThreads + static_cast<int>(threadIdx.x);
        const int row = first + element / kPairSlab, k = start + element % kPairSlab;
        values[e] = row < count && k < depth ? rows[row * stride + k] : Element(0);
    }
}

__device__ __forceinline__ void pair_put(Element (*slab)[kPairPitch], const Element (&values)[kPairFetch]) {
#pragma unroll
    for (int e = 0; e < kPairFetch; e++) {
        const int element = e * kPairThreads + static_cast<int>(threadIdx.x);
        slab[element % kPairSlab][element / kPairSlab] = values[e];
    }
}

// The raw values that a thread has: rows x columns of them, and where they lie in the square.
#if BS_PRODUCT == BS_PRODUCT_ORDINARY
struct PairSums {
    static constexpr int rows = 4, columns = 4;
    Element total[rows][columns] = {};

    static __device__ __forceinline__ int row(int r) { return static_cast<int>(threadIdx.x) / 16 * 4 + r; }
    static __device__ __forceinline__ int column(int c) { return static_cast<int>(threadIdx.x) % 16 * 4 + c; }
    __device__ __forceinline__ Element& at(int r, int c) { return total[r][c]; }
};
#else
struct PairSums {
    static constexpr int down = kPairTile / 2, across = 32, rows = down / 8, columns = across / 4;
    float total[down / 16][across / 8][4] = {}; // as mma.sync leaves them

    static __device__ __forceinline__ int first_row() { return warp_rank() % 2 * down; }
    static __device__ __forceinline__ int first_column() { return warp_rank() / 2 * across; }
    static __device__ __forceinline__ int row(int r) { return first_row() + 8 * r + lane_rank() / 4; }
    static __device__ __forceinline__ int column(int c) {
        return first_column() + c / 2 * 8 + lane_rank() % 4 * 2 + c % 2;
    }
    __device__ __forceinline__ float& at(int r, int c) { return total[r / 2][c / 2][r % 2 * 2 + c % 2]; }
};
#endif

// Pairs of a thread that are computed one by one. Where a thread of the block has more, all of the square are computed
// from differences together, with the same bits: rows of one cluster, or far from zero, cancel with most others.
constexpr int kPairFewCancelled = 4;

// The thread's wanted pairs from differences, with the rows in shared memory; pairs are numbered row by row.
__device__ __forceinline__ void pair_sum_differences(PairSums& sums, unsigned long long wanted, const PairProblem& p,
                                                     int row0, int column0, PairShared& shared) {
    constexpr int columns = PairSums::columns, step = 4; // rows of the thread at a time, so that the sums fit registers
#pragma unroll
    for (int first = 0; first < PairSums::rows; first += step) {
        Element total[step][columns] = {}, chunk[step][columns] = {};
        for (int start = 0; start < p.depth;) {
            Element next_x[kPairFetch], next_y[kPairFetch];
            pair_fetch(next_x, p.x, p.x_stride, row0, p.x_rows, p.depth, start);
            pair_fetch(next_y, p.y, p.y_stride, column0, p.y_rows, p.depth, start);
            __syncthreads();
            pair_put(shared.slabs.x, next_x);
            pair_put(shared.slabs.y, next_y);
            __syncthreads();
#pragma unroll 2
            for (int k = 0; k < kPairSlab; k++) {
                Element x[step], y[columns];
#pragma unroll
                for (int r = 0; r < step; r++)
                    x[r] = shared.slabs.x[k][PairSums::row(first + r)];
#pragma unroll
                for (int c = 0; c < columns; c++)
                    y[c] = shared.slabs.y[k][PairSums::column(c)];
#pragma unroll
                for (int r = 0; r < step; r++) {
#pragma unroll
                    for (int c = 0; c < columns; c++) {
                        const Element difference = x[r] - y[c];
                        chunk[r][c] = fma(difference, difference, chunk[r][c]);
                    }
                }
            }
            start += kPairSlab;
            if (start % kPairChunk != 0 && start < p.depth)
                continue;
#pragma unroll
            for (int r = 0; r < step; r++) {
#pragma unroll
                for (int c = 0; c < columns; c++) {
                    total[r][c] += chunk[r][c];
                    chunk[r][c] = Element(0);
                }
            }
        }
#pragma unroll
        for (int r = 0; r < step; r++) {
#pragma unroll
            for (int c = 0; c < columns; c++) {
                if (wanted >> (columns * (first + r) + c) & 1)
                    sums.at(first + r, c) = total[r][c];
            }
        }
    }
    __syncthreads();
}

// Raw values to distances, in shared memory. Pairs that cancelled are mostly few: they are collected in a mask and
// computed one by one.
__device__ __forceinline__ void pair_finish(const PairProblem& p, int row0, int column0, PairSums& sums,
                                            PairShared& shared) {
    constexpr int rows = PairSums::rows, columns = PairSums::columns;
    Element x_norm[rows] = {}, y_norm[columns] = {};
    if (kPairExpanded || kPairUnit) {
#pragma unroll
        for (int r = 0; r < rows; r++) {
            if (row0 + PairSums::row(r) < p.x_rows)
                x_norm[r] = p.x_norms[row0 + PairSums::row(r)];
        }
#pragma unroll
        for (int c = 0; c < columns; c++) {
            if (column0 + PairSums::column(c) < p.y_rows)
                y_norm[c] = p.y_norms[column0 + PairSums::column(c)];
        }
    }
    unsigned long long cancelled = 0;
    if (kPairExpanded) {
#pragma unroll
        for (int r = 0; r < rows; r++) {
#pragma unroll
            for (int c = 0; c < columns; c++) {
                const int i = row0 + PairSums::row(r), j = column0 + PairSums::column(c);
                const Element norms = x_norm[r] + y_norm[c];
                Element& raw = sums.at(r, c);
                raw = fma(Element(-2), raw, norms);
                // One of two rows without a direction, and a row itself, have their distances already.
                const bool open = !(kPairUnit && (x_norm[r] == Element(0) || y_norm[c] == Element(0))) &&
                                  !(p.self && i == j) && i < p.x_rows && j < p.y_rows;
                if (!(raw > kPairCancellation * norms) && open)
                    cancelled |= 1ull << (columns * r + c);
            }
        }
        if (__syncthreads_or(__popcll(cancelled) > kPairFewCancelled)) {
            pair_sum_differences(sums, cancelled, p, row0, column0, shared);
            cancelled = 0;
        }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) {
#pragma unroll
        for (int c = 0; c < columns; c++) {
            const int i = row0 + PairSums::row(r), j = column0 + PairSums::column(c);
            Element distance = pair_value(sums.at(r, c), p.depth);
            if (kPairUnit && (x_norm[r] == Element(0) || y_norm[c] == Element(0)))
                distance = Element(1);
            if (p.self && i == j)
                distance = Element(0);
            shared.distances[PairSums::row(r) * kStagePitch + PairSums::column(c)] = distance;
        }
    }
    while (cancelled != 0) {
        const int bit = __ffsll(static_cast<long long>(cancelled)) - 1;
        const int r = PairSums::row(bit / columns), c = PairSums::column(bit % columns);
        cancelled &= cancelled - 1;
        const long long i = row0 + r, j = column0 + c;
        shared.distances[r * kStagePitch + c] =
            pair_value(pair_squared_distance(p.x + i * p.x_stride, p.y + j * p.y_stride, p.depth), p.depth);
    }
}

#if BS_PRODUCT == BS_PRODUCT_ORDINARY
// What the terms of all coordinates add up to.
__device__ __forceinline__ void pair_sum(PairSums& sums, const PairProblem& p, int row0, int column0,
                                         PairShared& shared) {
    Element chunk[4][4] = {};
    Element next_x[kPairFetch], next_y[kPairFetch];
    pair_fetch(next_x, p.x, p.x_stride, row0, p.x_rows, p.depth, 0);
    pair_fetch(next_y, p.y, p.y_stride, column0, p.y_rows, p.depth, 0);
    int start = 0;
    do {
        __syncthreads();
        pair_put(shared.slabs.x, next_x);
        pair_put(shared.slabs.y, next_y);
        __syncthreads();
        start += kPairSlab;
        if (start < p.depth) {
            pair_fetch(next_x, p.x, p.x_stride, row0, p.x_rows, p.depth, start);
            pair_fetch(next_y, p.y, p.y_stride, column0, p.y_rows, p.depth, start);
        }
#pragma unroll
        for (int k = 0; k < kPairSlab; k++) {
            Element x[4], y[4];
            load_four(x, &shared.slabs.x[k][PairSums::row(0)]);
            load_four(y, &shared.slabs.y[k][PairSums::column(0)]);
#pragma unroll
            for (int r = 0; r < 4; r++) {
#pragma unroll
                for (int c = 0; c < 4; c++)
                    chunk[r][c] = pair_add(chunk[r][c], x[r], y[c]);
            }
        }
        if (start % kPairChunk != 0 && start < p.depth)
            continue;
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++) {
                sums.total[r][c] = pair_join(sums.total[r][c], chunk[r][c]);
                chunk[r][c] = Element(0);
            }
        }
    } while (start < p.depth);
}
#else
__device__ __forceinline__ void pair_sum(PairSums& sums, const PairProblem& p, int row0, int column0,
                                         PairShared& shared) {
    const bool x_wide = reinterpret_cast<unsigned long long>(p.x) % 16 == 0 && p.x_stride % 4 == 0,
               y_wide = reinterpret_cast<unsigned long long>(p.y) % 16 == 0 && p.y_stride % 4 == 0;
    const int slabs = ceil_divide(p.depth, kTensorSlab);
    auto fetch = [&](int slab) {
        if (slab < slabs) {
            float* to = shared.stages + slab % kPairStages * (2 * PairSlab::floats);
            PairSlab::fetch(to, p.x, p.x_stride, x_wide, row0, p.x_rows, slab * kTensorSlab, p.depth);
            PairSlab::fetch(to + PairSlab::floats, p.y, p.y_stride, y_wide, column0, p.y_rows, slab * kTensorSlab,
                            p.depth);
        }
        cp_async_commit();
    };
    __syncthreads();
    for (int slab = 0; slab < kPairStages - 1; slab++)
        fetch(slab);
    for (int slab = 0; slab < slabs; slab++) {
        cp_async_wait<kPairStages - 2>();
        __syncthreads();
        fetch(slab + kPairStages - 1);
        const float* from = shared.stages + slab % kPairStages * (2 * PairSlab::floats);
        tensor_slab_product<PairSlab, PairSlab>(sums.total, from, PairSums::first_row(), from + PairSlab::floats,
                                                PairSums::first_column());
    }
    cp_async_wait<0>();
}
#endif

// Distances of the rows from row0 to those from column0 on, in shared.distances[row * kStagePitch + column]; the whole
// block calls it. What earlier calls left there may be read up to the next call. Entries outside the matrices hold
// anything.
__device__ __forceinline__ void pair_tile(const PairProblem& p, int row0, int column0, PairShared& shared) {
    PairSums sums;
    pair_sum(sums, p, row0, column0, shared);
    __syncthreads(); // the distances take the place of the coordinates
    pair_finish(p, row0, column0, sums, shared);
    __syncthreads();
}

} // namespace bs
