// Copies the upper triangle of a square matrix to the lower one. A block turns one tile of 32 x 32 through shared
// memory, so that both sides are read and written in whole lines; tiles above the diagonal have nothing to do.
#include <bs/device.cuh>

extern "C" __global__ void __launch_bounds__(256) bs_gram_mirror_f64(double* gram, long long stride, int size) {
    __shared__ double tile[32][33];
    if (blockIdx.x > blockIdx.y)
        return;
    const int above = static_cast<int>(blockIdx.x) * 32, beside = static_cast<int>(blockIdx.y) * 32;
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
    for (int i = y; i < 32; i += 8)
        if (above + i < size && beside + x < size)
            tile[i][x] = gram[(above + i) * stride + beside + x];
    __syncthreads();
    for (int i = y; i < 32; i += 8)
        if (beside + i < size && above + x < beside + i)
            gram[(beside + i) * stride + above + x] = tile[x][i];
}
