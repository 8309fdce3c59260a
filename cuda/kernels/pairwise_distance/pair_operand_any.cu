// Makes rows ready for the tiles of bs/pair_tile.cuh: squared norms, and for cosine and correlation unit rows. A warp
// has a row; sums are in double precision.
// ptx-gate: BS_ELEMENT=double
#include <bs/device.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // or double
#endif

// norms[i] = |row i|^2, or with unit rows 1, and 0 where the row (centred: less its mean) has no direction. unit may be
// null.
extern "C" __global__ void __launch_bounds__(256)
    bs_pair_operand(const BS_ELEMENT* source, long long stride, int rows, int depth, int centred, BS_ELEMENT* unit,
                    long long unit_stride, BS_ELEMENT* norms) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const long long i = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (i >= rows)
        return;
    const BS_ELEMENT* row = source + i * stride;
    double mean = 0.0;
    if (centred && depth > 0) {
        // From the first element on, so that a constant row has exactly its constant as mean.
        const double first = row[0];
        double sum = 0.0;
        for (int k = lane; k < depth; k += 32)
            sum += row[k] - first;
        for (int step = 16; step > 0; step /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, step);
        mean = first + sum / depth;
    }
    double squares = 0.0;
    for (int k = lane; k < depth; k += 32) {
        const double value = row[k] - mean;
        squares = fma(value, value, squares);
    }
    for (int step = 16; step > 0; step /= 2)
        squares += __shfl_xor_sync(0xffffffffu, squares, step);
    if (unit == nullptr) {
        if (lane == 0)
            norms[i] = static_cast<BS_ELEMENT>(squares);
        return;
    }
    const double scale = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
    for (int k = lane; k < depth; k += 32)
        unit[i * unit_stride + k] = static_cast<BS_ELEMENT>((row[k] - mean) * scale);
    if (lane == 0)
        norms[i] = squares > 0.0 ? BS_ELEMENT(1) : BS_ELEMENT(0);
}
