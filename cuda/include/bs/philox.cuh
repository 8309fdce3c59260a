// Philox4x32-10 (Salmon et al. 2011), the host's CounterRandom: the same words and numbers at the same position.
#pragma once
#include <bs/device.cuh>

namespace bs {

// The four words at a position.
__device__ __forceinline__ void philox(unsigned long long seed, unsigned long long stream, unsigned long long position,
                                       unsigned (&words)[4]) {
    unsigned c0 = static_cast<unsigned>(position), c1 = static_cast<unsigned>(position >> 32);
    unsigned c2 = static_cast<unsigned>(stream), c3 = static_cast<unsigned>(stream >> 32);
    unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = static_cast<unsigned>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<unsigned>(p1);
        c2 = static_cast<unsigned>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<unsigned>(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

// A sequence of numbers, drawn as CounterRandom draws them.
class PhiloxSequence {
  public:
    __device__ __forceinline__ PhiloxSequence(unsigned long long seed, unsigned long long stream,
                                              unsigned long long position)
        : seed_(seed), stream_(stream), position_(position), left_(0) {}

    // 32 uniform bits.
    __device__ __forceinline__ unsigned word() {
        if (left_ == 0) {
            philox(seed_, stream_, position_++, words_);
            left_ = 4;
        }
        left_--;
        // Not by index: the words stay in registers.
        return left_ == 3 ? words_[0] : left_ == 2 ? words_[1] : left_ == 1 ? words_[2] : words_[3];
    }

    // Uniform in 0 ... bound - 1, without modulo bias.
    __device__ __forceinline__ int below(unsigned bound) {
        unsigned long long product = static_cast<unsigned long long>(word()) * bound;
        if (static_cast<unsigned>(product) < bound) {
            const unsigned threshold = (0u - bound) % bound;
            while (static_cast<unsigned>(product) < threshold)
                product = static_cast<unsigned long long>(word()) * bound;
        }
        return static_cast<int>(product >> 32);
    }

  private:
    unsigned long long seed_, stream_, position_;
    unsigned words_[4];
    int left_;
};

} // namespace bs
