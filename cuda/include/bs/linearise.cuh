// The linear cost of the next transport problem from a tensor product: a row a block.
#pragma once
#include <bs/device.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // of costs, couplings and products, or double
#endif

namespace bs {

using Element = BS_ELEMENT;

// cost = scale (row_term_i + column_term_j - product_ij) + weight between_ij - epsilon log proximal_ij; between and
// proximal may be null. Masses below the smallest normal number count as that.
__device__ __forceinline__ void linearise_row(const Element* product, long long product_stride, const double* row_term,
                                              const double* column_term, double scale, int columns,
                                              const Element* between, long long between_stride, double weight,
                                              const Element* proximal, long long proximal_stride, double epsilon,
                                              Element* cost, long long cost_stride) {
    const double smallest = sizeof(Element) == 8 ? 2.2250738585072014e-308 : 1.17549435e-38;
    const long long i = blockIdx.x;
    const double row = row_term[i];
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += static_cast<int>(blockDim.x)) {
        double x = scale * (row + column_term[j] - static_cast<double>(product[i * product_stride + j]));
        if (between != nullptr)
            x += weight * static_cast<double>(between[i * between_stride + j]);
        if (proximal != nullptr)
            x -= epsilon * log(fmax(static_cast<double>(proximal[i * proximal_stride + j]), smallest));
        cost[i * cost_stride + j] = static_cast<Element>(x);
    }
}

} // namespace bs
