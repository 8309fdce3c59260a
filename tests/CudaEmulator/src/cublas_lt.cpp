// What the engine binds of cuBLASLt, for the emulated device: column-major products by plain loops, in the stream's
// order. It checks what the library documents, and offers one algorithm for every product.
#include "cuda_abi.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Size = std::size_t;

enum Status { Success = 0, InvalidValue = 7, NotSupported = 15 };
enum Compute { Single = 68, Double = 70, FastBf16 = 75 };
enum Type { Float = 0, Wide = 1 };
constexpr std::uint64_t kAlgorithm = 0xB1A5'0001;
constexpr std::size_t kWorkspace = 4096;

struct Description {
    int compute, scale, transpose[2];
};
struct Layout {
    int type;
    std::uint64_t rows, columns;
    std::int64_t leading;
};
struct Preference {
    std::uint64_t workspace = 0;
    std::uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};
};
struct Algorithm {
    std::uint64_t data[8];
};
struct Found {
    Algorithm algorithm;
    Size workspace;
    int state;
    float waves;
    int reserved[4];
};

bool fits(const Description* d, const Layout* a, const Layout* b, const Layout* c) {
    const bool at = d->transpose[0], bt = d->transpose[1];
    const int type = d->compute == Double ? Wide : Float;
    for (const auto* layout : {a, b, c}) {
        if (layout->type != type || layout->rows == 0 || layout->columns == 0 ||
            layout->leading < static_cast<std::int64_t>(layout->rows))
            return false;
    }
    return (at ? a->columns : a->rows) == c->rows && (bt ? b->rows : b->columns) == c->columns &&
           (at ? a->rows : a->columns) == (bt ? b->columns : b->rows);
}

float round_bf16(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
    std::memcpy(&x, &bits, 4);
    return x;
}

template <class T>
void multiply(const Description& d, T alpha, const T* a, const Layout& la, const T* b, const Layout& lb, T beta, T* c,
              const Layout& lc) {
    const auto depth = static_cast<std::int64_t>(d.transpose[0] ? la.rows : la.columns);
    auto value = [&](T x) { return d.compute == FastBf16 ? static_cast<T>(round_bf16(static_cast<float>(x))) : x; };
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(lc.columns); j++) {
        for (std::int64_t i = 0; i < static_cast<std::int64_t>(lc.rows); i++) {
            T sum = 0;
            for (std::int64_t p = 0; p < depth; p++)
                sum += value(d.transpose[0] ? a[p + i * la.leading] : a[i + p * la.leading]) *
                       value(d.transpose[1] ? b[j + p * lb.leading] : b[p + j * lb.leading]);
            T& to = c[i + j * lc.leading];
            to = beta == 0 ? alpha * sum : alpha * sum + beta * to;
        }
    }
}

} // namespace

extern "C" CUresult cuStreamSynchronize(CUstream stream);

BS_EXPORT int cublasLtCreate(int** handle) {
    *handle = new int{0};
    return Success;
}
BS_EXPORT int cublasLtDestroy(int* handle) {
    delete handle;
    return Success;
}
BS_EXPORT Size cublasLtGetVersion() {
    return 120402;
}
BS_EXPORT const char* cublasLtGetStatusString(int status) {
    return status == Success ? "CUBLAS_STATUS_SUCCESS" : "an error of the emulated cuBLASLt";
}
BS_EXPORT int cublasLtMatmulDescCreate(Description** out, int compute, int scale) {
    if (compute != Single && compute != Double && compute != FastBf16)
        return NotSupported;
    if ((compute == Double) != (scale == Wide))
        return InvalidValue;
    *out = new Description{compute, scale, {0, 0}};
    return Success;
}
BS_EXPORT int cublasLtMatmulDescDestroy(Description* description) {
    delete description;
    return Success;
}
BS_EXPORT int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value, Size bytes) {
    if ((attribute != 3 && attribute != 4) || bytes != sizeof(int))
        return InvalidValue;
    std::memcpy(&description->transpose[attribute - 3], value, bytes);
    return Success;
}
BS_EXPORT int cublasLtMatrixLayoutCreate(Layout** out, int type, std::uint64_t rows, std::uint64_t columns,
                                         std::int64_t leading) {
    *out = new Layout{type, rows, columns, leading};
    return Success;
}
BS_EXPORT int cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return Success;
}
BS_EXPORT int cublasLtMatrixLayoutSetAttribute(Layout*, int, const void*, std::size_t) {
    return NotSupported;
}
BS_EXPORT int cublasLtMatmulPreferenceCreate(Preference** out) {
    *out = new Preference;
    return Success;
}
BS_EXPORT int cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return Success;
}
BS_EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value,
                                                   Size bytes) {
    if (attribute == 1 && bytes == 8)
        std::memcpy(&preference->workspace, value, 8);
    else if (attribute == 3 && bytes == 4)
        std::memcpy(&preference->reductions, value, 4);
    else if (attribute >= 5 && attribute <= 8 && bytes == 4)
        std::memcpy(&preference->alignments[attribute - 5], value, 4);
    else
        return InvalidValue;
    return Success;
}

// Without in-place sums (1) the same product has the same bits; the emulated library insists on it.
BS_EXPORT int cublasLtMatmulAlgoGetHeuristic(int* handle, Description* description, Layout* a, Layout* b, Layout* c,
                                             Layout* d, Preference* preference, int requested, Found* found,
                                             int* count) {
    *count = 0;
    if (!handle || requested < 1 || c->leading != d->leading || !fits(description, a, b, d))
        return InvalidValue;
    const std::uint32_t element = d->type == Wide ? 8 : 4;
    for (const auto alignment : preference->alignments) {
        if (alignment < element)
            return NotSupported;
    }
    if ((preference->reductions & 1) != 0 || preference->workspace < kWorkspace)
        return NotSupported;
    std::memset(found, 0, sizeof *found);
    found->algorithm.data[0] = kAlgorithm;
    found->algorithm.data[1] = static_cast<std::uint64_t>(description->compute);
    found->workspace = kWorkspace;
    *count = 1;
    return Success;
}

BS_EXPORT int cublasLtMatmul(int* handle, Description* description, const void* alpha, const void* a, Layout* la,
                             const void* b, Layout* lb, const void* beta, const void* c, Layout* lc, void* d,
                             Layout* ld, const Algorithm* algorithm, void* workspace, Size bytes, CUstream stream) {
    if (!handle || !algorithm || algorithm->data[0] != kAlgorithm || c != d || lc->leading != ld->leading ||
        !fits(description, la, lb, ld) || !workspace || bytes < kWorkspace)
        return InvalidValue;
    if (cuStreamSynchronize(stream) != CUDA_SUCCESS)
        return NotSupported;
    if (description->compute == Double)
        multiply(*description, *static_cast<const double*>(alpha), static_cast<const double*>(a), *la,
                 static_cast<const double*>(b), *lb, *static_cast<const double*>(beta), static_cast<double*>(d), *ld);
    else
        multiply(*description, *static_cast<const float*>(alpha), static_cast<const float*>(a), *la,
                 static_cast<const float*>(b), *lb, *static_cast<const float*>(beta), static_cast<float*>(d), *ld);
    return Success;
}
