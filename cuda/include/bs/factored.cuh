// Tiles of the scores z_ij = c_ij + a_i . b_j of a plan that is known by factors, in registers. Factors lie in memory
// as [rank][padded]: one level after the other, padded with zeros to a multiple of 128. A score is the chain of fused
// multiply-adds in ascending k from its start c_ij, whichever side a block owns, so that passes over rows and over
// columns see the same bits.
#pragma once
#include <bs/device.cuh>
#include <bs/ptx.cuh>
#include <bs/ptx_special.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // type of scores and exponentials, or double
#endif

namespace bs {

using Element = BS_ELEMENT;

constexpr bool factored_single = sizeof(Element) == 4;
constexpr int factored_threads = 256;
constexpr int factored_quads = factored_single ? 2 : 1; // groups of four lines that a thread owns
constexpr int factored_lines = 4 * factored_quads;
constexpr int factored_own = 64 * factored_quads;         // lines that a block owns
constexpr int factored_other = 64;                        // lines of the other side that pass at a time, four a thread
constexpr int factored_depth = factored_single ? 32 : 16; // levels of a slab

// Of scores that stand for no column, and of the sum of nothing: finite, so that differences are numbers.
constexpr Element factored_nothing = factored_single ? static_cast<Element>(-1e30f) : static_cast<Element>(-1e300);
constexpr Element factored_least = factored_single ? static_cast<Element>(-3e38f) : static_cast<Element>(-1e308);

// Of differences of scores: exact where they matter, so that the product with 1 / log 2 is all that is rounded.
__device__ __forceinline__ float factored_exp(float x) {
    return exp2_approx(x * 1.44269504f);
}
__device__ __forceinline__ double factored_exp(double x) {
    return exp(x);
}

// A sum of exponentials relative to the largest exponent in it.
struct FactoredSum {
    Element largest;
    double sum;

    static __device__ __forceinline__ FactoredSum empty() { return {factored_least, 0.0}; }

    static __device__ __forceinline__ FactoredSum join(FactoredSum a, FactoredSum b) {
        const Element most = a.largest > b.largest ? a.largest : b.largest;
        return {most, a.sum * exp(static_cast<double>(a.largest) - static_cast<double>(most)) +
                          b.sum * exp(static_cast<double>(b.largest) - static_cast<double>(most))};
    }
};

// Adds the exponentials of a tile to the running sums of a thread's lines, four of them in the plan's type at a time.
// columns: the scores are those of columns, and an exponential is relative to the largest score of its row (addend).
template <bool columns, int lines, int others>
__device__ __forceinline__ void factored_add(Element (&z)[lines][others], const Element (&addend)[others],
                                             const Element (&factor)[others], Element (&most)[lines],
                                             double (&sum)[lines]) {
#pragma unroll
    for (int r = 0; r < lines; r++) {
        if constexpr (columns) {
#pragma unroll
            for (int c = 0; c < others; c++)
                z[r][c] += addend[c];
        }
        Element top = z[r][0];
#pragma unroll
        for (int c = 1; c < others; c++)
            top = z[r][c] > top ? z[r][c] : top;
        if (top > most[r]) { // seldom: so the factor is taken in double precision
            sum[r] *= exp(static_cast<double>(most[r]) - static_cast<double>(top));
            most[r] = top;
        }
#pragma unroll
        for (int c = 0; c < others; c += 4) {
            Element part = 0;
#pragma unroll
            for (int e = c; e < c + 4; e++)
                part = fma(factored_exp(z[r][e] - most[r]), factor[e], part);
            sum[r] += static_cast<double>(part);
        }
    }
}

// Where a thread's lines are: own lines 4 across() + 64 q ..., others 4 along() ...
__device__ __forceinline__ int factored_across() {
    return 4 * (static_cast<int>(threadIdx.x) / 16);
}
__device__ __forceinline__ int factored_along() {
    return 4 * (static_cast<int>(threadIdx.x) % 16);
}

// Starts the copy of `levels` levels from first_level on, `width` lines each from `first` on.
template <int width>
__device__ __forceinline__ void factored_fetch(Element* slab, const Element* packed, long long padded, int first,
                                               int first_level, int levels) {
    constexpr int piece = 16 / static_cast<int>(sizeof(Element)), run = width / piece;
    for (int e = static_cast<int>(threadIdx.x); e < levels * run; e += factored_threads) {
        const int level = e / run, at = e % run * piece;
        cp_async_16(slab + level * width + at, packed + (first_level + level) * padded + first + at);
    }
}

// z += the products of one slab.
__device__ __forceinline__ void factored_multiply(Element (&z)[factored_lines][4], const Element* own,
                                                  const Element* other, int levels) {
    own += factored_across();
    other += factored_along();
#pragma unroll 4
    for (int k = 0; k < levels; k++) {
        Element a[factored_lines], b[4];
#pragma unroll
        for (int q = 0; q < factored_quads; q++)
            load_four(a + 4 * q, own + k * factored_own + 64 * q);
        load_four(b, other + k * factored_other);
#pragma unroll
        for (int r = 0; r < factored_lines; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++)
                z[r][c] = fma(a[r], b[c], z[r][c]);
        }
    }
}

// Own line of a thread.
__device__ __forceinline__ int factored_line(int r) {
    return factored_across() + r / 4 * 64 + r % 4;
}

// One tile of scores in a simple way, for passes that are few: `slabs` is room for factored_depth levels of both sides.
// All threads take part; the slabs may be used again after the next barrier.
__device__ __forceinline__ void factored_tile(Element (&z)[factored_lines][4], Element* slabs, const Element* own,
                                              long long own_padded, int own_first, const Element* other,
                                              long long other_padded, int other_first, int rank, const Element* start) {
    Element* other_slab = slabs + factored_depth * factored_own;
#pragma unroll
    for (int c = 0; c < 4; c++) {
        const Element from = start[other_first + factored_along() + c];
#pragma unroll
        for (int r = 0; r < factored_lines; r++)
            z[r][c] = from;
    }
    for (int level = 0; level < rank; level += factored_depth) {
        const int levels = min(factored_depth, rank - level);
        __syncthreads();
        factored_fetch<factored_own>(slabs, own, own_padded, own_first, level, levels);
        factored_fetch<factored_other>(other_slab, other, other_padded, other_first, level, levels);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads();
        factored_multiply(z, slabs, other_slab, levels);
    }
}

// The slabs of factored_tile in elements.
constexpr int factored_tile_elements = factored_depth * (factored_own + factored_other);

} // namespace bs
