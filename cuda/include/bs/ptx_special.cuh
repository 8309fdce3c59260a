// Instructions of the special function unit that CUDA C++ reaches only together with others.
#pragma once
#include <bs/device.cuh>

namespace bs {

// 2^x to about two units in the last place; results below the normal range are zero.
__device__ __forceinline__ float exp2_approx(float x) {
#if defined(BS_EMULATE)
    const float y = exp2f(x);
    return y < 1.17549435e-38f ? 0.0f : y;
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

} // namespace bs
