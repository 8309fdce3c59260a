// The end of a product on the tensor cores: sums become elements of C.
#pragma once
#include <bs/device.cuh>

namespace bs {

// One element as the ordinary units compute it: what infinities, NaN and numbers next to the largest one need, whose
// parts or products are not finite where the element is.
__device__ __forceinline__ float plain_product(const float* a, long long step_a, const float* b, long long step_b,
                                               int count) {
    float sum = 0.0f;
    for (int p = 0; p < count; p++)
        sum = fmaf(a[p * step_a], b[p * step_b], sum);
    return sum;
}

// C [m, n], and the operands from the first level of the block's part on: op(A)(i, p) = a[i * line_a + p * step_a],
// op(B)(p, j) = b[j * line_b + p * step_b].
struct GemmTarget {
    int m, n, levels;
    float alpha, beta;
    float* c;
    long long stride_c;
    const float* a;
    const float* b;
    long long line_a, step_a, line_b, step_b;

    // With more than one block in z, block z writes to the z-th of as many matrices.
    static __device__ __forceinline__ GemmTarget of(int m, int n, int begin, int end, float alpha, float beta, float* c,
                                                    long long stride_c, const float* a, long long stride_a,
                                                    bool transpose_a, const float* b, long long stride_b,
                                                    bool transpose_b) {
        GemmTarget t{m,
                     n,
                     end - begin,
                     alpha,
                     beta,
                     c + blockIdx.z * (m * stride_c),
                     stride_c,
                     a,
                     b,
                     transpose_a ? 1 : stride_a,
                     transpose_a ? stride_a : 1,
                     transpose_b ? stride_b : 1,
                     transpose_b ? 1 : stride_b};
        t.a += begin * t.step_a;
        t.b += begin * t.step_b;
        return t;
    }

    // True where the element is not finite and may be all the same: it has to be put again. That is left for a loop
    // over the few such elements: a call or a loop for every element would cost the kernel registers, and a call beside
    // wgmma its overlap.
    template <bool repair> __device__ __forceinline__ bool put(int row, int column, float product) const {
        if (row >= m || column >= n)
            return false;
        if (repair && !isfinite(product))
            return true;
        store(row, column, product);
        return false;
    }
    __device__ __forceinline__ void put_again(int row, int column) const {
        store(row, column, plain_product(a + row * line_a, step_a, b + column * line_b, step_b, levels));
    }

    __device__ __forceinline__ void store(int row, int column, float product) const {
        float* to = c + row * stride_c + column;
        *to = beta == 0.0f ? alpha * product : fmaf(beta, *to, alpha * product);
    }
};

} // namespace bs
