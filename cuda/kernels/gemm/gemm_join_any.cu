// C = alpha (P0 + P1 + ...) + beta C: the products of the parts of a depth, added up in their order. Row-major.
// ptx-gate: BS_ELEMENT=double
#include <bs/device.cuh>

#ifndef BS_ELEMENT
#define BS_ELEMENT float // or double
#endif

// products [parts, m, n]; a thread has an element.
extern "C" __global__ void __launch_bounds__(256)
    bs_gemm_join(int parts, int m, int n, BS_ELEMENT alpha, const BS_ELEMENT* products, BS_ELEMENT beta, BS_ELEMENT* c,
                 long long stride_c) {
    const long long count = static_cast<long long>(m) * n, i = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
    if (i >= count)
        return;
    BS_ELEMENT sum = products[i];
    for (int part = 1; part < parts; part++)
        sum += products[part * count + i];
    BS_ELEMENT* to = c + i / n * stride_c + i % n;
    *to = beta == BS_ELEMENT(0) ? alpha * sum : fma(beta, *to, alpha * sum);
}
