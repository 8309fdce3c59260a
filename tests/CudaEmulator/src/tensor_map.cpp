// Tensor maps: the documented conditions, then the emulator's own layout of the opaque 128 bytes.
#include "../include/bs_emulator_abi.h"
#include "cuda_abi.h"

#include <cstring>

namespace {

// Bytes of an element by CUtensorMapDataType, from UINT8 to TFLOAT32_FTZ.
constexpr unsigned kElementSize[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};

bool valid_box(unsigned rank, const cuuint64_t* dims, const cuuint64_t* strides, const cuuint32_t* box,
               const cuuint32_t* steps, unsigned element, int swizzle) {
    for (unsigned d = 0; d < rank; d++) {
        if (dims[d] == 0 || dims[d] > 1ull << 32 || box[d] == 0 || box[d] > 256 || steps[d] == 0 || steps[d] > 8)
            return false;
        if (d + 1 < rank && (strides[d] % 16 != 0 || strides[d] >= 1ull << 40))
            return false;
    }
    const auto inner = box[0] * element;
    return inner % 16 == 0 && (swizzle == 0 || inner <= 16u << swizzle);
}

} // namespace

BS_EXPORT CUresult cuTensorMapEncodeTiled(void* map, int type, cuuint32_t rank, void* address, const cuuint64_t* dims,
                                          const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* steps,
                                          int interleave, int swizzle, int promotion, int fill) {
    if (!map || reinterpret_cast<std::uintptr_t>(map) % 64 != 0 || type < 0 || type > 12 || rank == 0 || rank > 5 ||
        !address || reinterpret_cast<std::uintptr_t>(address) % 16 != 0 || !dims || (rank > 1 && !strides) || !box ||
        !steps || swizzle < 0 || swizzle > 3 || promotion < 0 || promotion > 3 || fill < 0 || fill > 1)
        return CUDA_ERROR_INVALID_VALUE;
    if (interleave != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    const auto element = kElementSize[type];
    if (!valid_box(rank, dims, strides, box, steps, element, swizzle))
        return CUDA_ERROR_INVALID_VALUE;
    bs_emu::TensorMap encoded{};
    encoded.magic = bs_emu::kTensorMapMagic;
    encoded.data_type = static_cast<unsigned char>(type);
    encoded.rank = static_cast<unsigned char>(rank);
    encoded.swizzle = static_cast<unsigned char>(swizzle);
    encoded.l2_promotion = static_cast<unsigned char>(promotion);
    encoded.oob_fill = static_cast<unsigned char>(fill);
    encoded.element_size = static_cast<unsigned char>(element);
    encoded.address = static_cast<char*>(address);
    for (unsigned d = 0; d < 5; d++) {
        encoded.dims[d] = d < rank ? dims[d] : 1;
        encoded.box[d] = static_cast<unsigned short>(d < rank ? box[d] : 1);
        encoded.element_strides[d] = static_cast<unsigned char>(d < rank ? steps[d] : 1);
        if (d + 1 < rank)
            encoded.strides[d] = strides[d];
    }
    std::memset(map, 0, 128);
    std::memcpy(map, &encoded, sizeof encoded);
    return CUDA_SUCCESS;
}
