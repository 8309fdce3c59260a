// A cuBLASLt of plain loops for the emulated device, whose memory is the process's own: shows that the calls of
// benchmarks/Device are put together as the library wants them. Column-major, no transposed operands, algorithm 0
// alone.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ok = 0, invalid = 7, not_supported = 15, r32f = 0, r64f = 1, r16bf = 14 };
enum { compute_32f = 68, compute_64f = 70, compute_fast_tf32 = 77 };

typedef struct {
    int compute, scale;
} description;
typedef struct {
    int type;
    uint64_t rows, columns;
    int64_t leading;
} layout;
typedef struct {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} heuristic;

#define EXPORT __attribute__((visibility("default")))

EXPORT int cublasLtCreate(void** handle) {
    *handle = malloc(1);
    return ok;
}
EXPORT int cublasLtDestroy(void* handle) {
    free(handle);
    return ok;
}
EXPORT size_t cublasLtGetVersion(void) {
    return 120401;
}
EXPORT const char* cublasLtGetStatusString(int status) {
    return status == invalid ? "the stand-in was given something it does not understand"
                             : "the stand-in does not do that";
}
EXPORT int cublasLtMatmulDescCreate(description** made, int compute, int scale) {
    *made = malloc(sizeof(description));
    **made = (description){compute, scale};
    return ok;
}
EXPORT int cublasLtMatmulDescDestroy(description* one) {
    free(one);
    return ok;
}
EXPORT int cublasLtMatmulDescSetAttribute(description* one, int attribute, const void* value, size_t bytes) {
    return not_supported;
}
EXPORT int cublasLtMatrixLayoutCreate(layout** made, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *made = malloc(sizeof(layout));
    **made = (layout){type, rows, columns, leading};
    return (uint64_t)leading < rows ? invalid : ok;
}
EXPORT int cublasLtMatrixLayoutDestroy(layout* one) {
    free(one);
    return ok;
}
EXPORT int cublasLtMatrixLayoutSetAttribute(layout* one, int attribute, const void* value, size_t bytes) {
    return not_supported;
}
EXPORT int cublasLtMatmulPreferenceCreate(void** made) {
    *made = malloc(1);
    return ok;
}
EXPORT int cublasLtMatmulPreferenceDestroy(void* one) {
    free(one);
    return ok;
}
EXPORT int cublasLtMatmulPreferenceSetAttribute(void* one, int attribute, const void* value, size_t bytes) {
    return attribute == 1 && bytes == sizeof(uint64_t) ? ok : invalid;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(void* handle, description* d, layout* a, layout* b, layout* c, layout* out,
                                          void* preference, int requested, heuristic* results, int* returned) {
    memset(results, 0, sizeof *results);
    results->algorithm[0] = 42;
    *returned = 1;
    return a->columns == b->rows && a->rows == c->rows && b->columns == c->columns ? ok : invalid;
}

static double get(const void* p, int type, uint64_t at) {
    if (type == r64f)
        return ((const double*)p)[at];
    if (type == r32f)
        return ((const float*)p)[at];
    const uint32_t bits = (uint32_t)((const uint16_t*)p)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void put(void* p, int type, uint64_t at, double value) {
    if (type == r64f) {
        ((double*)p)[at] = value;
    } else if (type == r32f) {
        ((float*)p)[at] = (float)value;
    } else {
        const float narrow = (float)value;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        ((uint16_t*)p)[at] = (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}

EXPORT int cublasLtMatmul(void* handle, description* d, const void* alpha, const void* a, layout* al, const void* b,
                          layout* bl, const void* beta, const void* c, layout* cl, void* out, layout* ol,
                          const uint64_t* algorithm, void* workspace, size_t bytes, void* stream) {
    const int wide = d->scale == r64f;
    const double scale = wide ? *(const double*)alpha : *(const float*)alpha,
                 keep = wide ? *(const double*)beta : *(const float*)beta;
    if (algorithm[0] != 42 || c != out || keep != 0 || !workspace || !bytes)
        return invalid;
    if (d->compute != (wide ? compute_64f : compute_32f) && d->compute != compute_fast_tf32)
        return invalid;
    for (uint64_t j = 0; j < ol->columns; j++) {
        for (uint64_t i = 0; i < ol->rows; i++) {
            double sum = 0;
            for (uint64_t k = 0; k < al->columns; k++)
                sum +=
                    get(a, al->type, i + k * (uint64_t)al->leading) * get(b, bl->type, k + j * (uint64_t)bl->leading);
            put(out, ol->type, i + j * (uint64_t)ol->leading, scale * sum);
        }
    }
    return ok;
}
