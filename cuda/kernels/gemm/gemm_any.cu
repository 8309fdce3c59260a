// C = alpha op(A) op(B) + beta C on the ordinary arithmetic units (bs/gemm_plain.cuh). With more than one block in z,
// block z has the z-th part of the depth and writes to the z-th of as many matrices, which gemm_join_any.cu adds up.
//
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=64 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=0 BS_TRANSPOSE_B=1
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=0
// ptx-gate: BS_TILE=128 BS_TRANSPOSE_A=1 BS_TRANSPOSE_B=1
#ifndef BS_TILE
#define BS_TILE 64
#endif
#ifndef BS_TRANSPOSE_A
#define BS_TRANSPOSE_A 0 // 1: A is stored [k, m]
#endif
#ifndef BS_TRANSPOSE_B
#define BS_TRANSPOSE_B 0 // 1: B is stored [n, k]
#endif
#define BS_GEMM_TILE BS_TILE
#include <bs/gemm_plain.cuh>

namespace bs {

template <class T>
__device__ __forceinline__ void part_of_gemm(int m, int n, int k, int part, T alpha, const T* a, long long stride_a,
                                             const T* b, long long stride_b, T beta, T* c, long long stride_c) {
    const int begin = static_cast<int>(blockIdx.z) * part, end = begin < k - part ? begin + part : k;
    gemm<BS_TRANSPOSE_A, BS_TRANSPOSE_B>(m, n, begin, end, alpha, a, stride_a, b, stride_b, beta,
                                         c + blockIdx.z * (m * stride_c), stride_c);
}

} // namespace bs

extern "C" __global__ void __launch_bounds__(256)
    bs_gemm_f32(int m, int n, int k, int part, float alpha, const float* a, long long stride_a, const float* b,
                long long stride_b, float beta, float* c, long long stride_c) {
    bs::part_of_gemm<float>(m, n, k, part, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
}

#if BS_TILE == 64
extern "C" __global__ void __launch_bounds__(256)
    bs_gemm_f64(int m, int n, int k, int part, double alpha, const double* a, long long stride_a, const double* b,
                long long stride_b, double beta, double* c, long long stride_c) {
    bs::part_of_gemm<double>(m, n, k, part, alpha, a, stride_a, b, stride_b, beta, c, stride_c);
}
#endif
