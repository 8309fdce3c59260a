// The auxiliary loss of one tile: the largest magnitudes of every token behind closed gates, or of dead latents,
// rebuild its residual. Floor: one read of the tile's products, then `kept` decoder rows a token, used twice
// (reconstruction, gradient).
#include <bs/sae.cuh>

namespace bs {

constexpr int select_warps = 4, ahead = 4;

// A key orders like the magnitude, equal magnitudes by lower latent; no key of a candidate is 0.
__device__ __forceinline__ unsigned long long sae_key(float m, int j) {
    return static_cast<unsigned long long>(__float_as_uint(m)) << 32 | ~static_cast<unsigned>(j);
}
__device__ __forceinline__ unsigned long long sae_broadcast(unsigned long long x, int from) {
    const unsigned low = __shfl_sync(full_warp, static_cast<unsigned>(x), from);
    return static_cast<unsigned long long>(__shfl_sync(full_warp, static_cast<unsigned>(x >> 32), from)) << 32 | low;
}

// Whole warp: puts a key into a descending list of at most k. Returns how many there are then.
__device__ __forceinline__ int sae_insert(unsigned long long* keys, int held, int k, unsigned long long key) {
    const int lane = lane_rank();
    int place = 0;
    for (int start = 0; start < held; start += warp_size)
        place += __popc(__ballot_sync(full_warp, start + lane < held && keys[start + lane] > key));
    if (place >= k)
        return held;
    // Entries place ... end - 1 move up by one, the last ones first.
    const int end = held < k ? held : k - 1;
    for (int top = end; top > place; top -= warp_size) {
        const int to = top - lane;
        const bool moves = to > place;
        const unsigned long long moved = moves ? keys[to - 1] : 0;
        __syncwarp();
        if (moves)
            keys[to] = moved;
        __syncwarp();
    }
    if (lane == 0)
        keys[place] = key;
    __syncwarp();
    return held < k ? held + 1 : held;
}

} // namespace bs

// The `kept` largest m > 0 behind a closed gate, or where `dead` is given of dead latents, ties by lower index: index
// and value [tokens, kept] in ascending order of the index, count [tokens]. A block to a token, its four warps to a
// quarter of the latents each: the best of all are among the best of the quarters. 40 kept bytes of shared memory.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_auxiliary_select_f32(bs::SaeTile tile, const unsigned char* dead, int kept, int* index, float* value,
                                int* count) {
    using namespace bs;
    BS_DYNAMIC_SHARED(unsigned long long, shared);
    __shared__ int held_by[select_warps];
    const int lane = lane_rank(), warp = warp_rank(), t = static_cast<int>(blockIdx.x);
    unsigned long long* keys = shared + warp * kept;
    unsigned long long* best = shared + select_warps * kept;
    // Several columns are on their way at once: there is little else to do while they come.
    const int quarter = ceil_divide(tile.latents, select_warps * warp_size) * warp_size;
    const int end = min((warp + 1) * quarter, tile.latents);
    int held = 0;
    for (int start = warp * quarter; start < end; start += ahead * warp_size) {
        float m[ahead];
        bool candidate[ahead];
#pragma unroll
        for (int k = 0; k < ahead; k++) {
            const int j = start + k * warp_size + lane;
            m[k] = j < end ? tile.m(t, j) : 0.0f;
            candidate[k] = j < end && (dead ? dead[j] != 0 : tile.g(t, j) <= 0);
        }
#pragma unroll
        for (int k = 0; k < ahead; k++) {
            const unsigned long long key = m[k] > 0 && candidate[k] ? sae_key(m[k], start + k * warp_size + lane) : 0;
            const unsigned long long worst = held == kept ? keys[kept - 1] : 0;
            unsigned wanted = __ballot_sync(full_warp, key > worst);
            for (; wanted != 0; wanted &= wanted - 1)
                held = sae_insert(keys, held, kept, sae_broadcast(key, __ffs(static_cast<int>(wanted)) - 1));
        }
    }
    if (lane == 0)
        held_by[warp] = held;
    __syncthreads();
    int all = 0;
    for (int w = 0; w < select_warps; w++)
        all += held_by[w];
    // A key's rank: how many are before it in its own list, and in each of the others by bisection.
    for (int i = lane; i < held; i += warp_size) {
        int rank = i;
        for (int w = 0; w < select_warps; w++) {
            int low = 0;
            for (int high = w == warp ? 0 : held_by[w]; low < high;) {
                const int middle = (low + high) / 2;
                if (shared[w * kept + middle] > keys[i])
                    low = middle + 1;
                else
                    high = middle;
            }
            rank += low;
        }
        if (rank < kept)
            best[rank] = keys[i];
    }
    __syncthreads();
    all = min(all, kept);
    for (int i = static_cast<int>(threadIdx.x); i < all; i += sae_threads) {
        const unsigned j = ~static_cast<unsigned>(best[i]);
        int rank = 0;
        for (int other = 0; other < all; other++)
            rank += ~static_cast<unsigned>(best[other]) < j;
        index[static_cast<long long>(t) * kept + rank] = static_cast<int>(j);
        value[static_cast<long long>(t) * kept + rank] = __uint_as_float(static_cast<unsigned>(best[i] >> 32));
    }
    if (threadIdx.x == 0)
        count[t] = all;
}

// With e' = sum of the chosen latents' parts (+ bias) + error: gradient [tokens, kept] = scale e' . decoder row; chosen
// pairs as bits [tokens, words]; squared length of e', and e' itself [tokens, width] where there is a place for it. A
// block to a token; `width` floats of shared memory.
extern "C" __global__ void __launch_bounds__(128)
    bs_sae_auxiliary_f32(const int* index, const float* value, const int* count, int kept, const float* decoder,
                         long long decoder_stride, const float* bias, const float* error, int width, float scale,
                         float* gradient, unsigned* chosen, int words, float* rests, bs::SaeTokenSums sums) {
    using namespace bs;
    BS_DYNAMIC_SHARED(float, rest);
    __shared__ double scratch[warp_size];
    const int thread = static_cast<int>(threadIdx.x), t = static_cast<int>(blockIdx.x), held = count[t];
    const int* own = index + static_cast<long long>(t) * kept;
    unsigned* bits = chosen + static_cast<long long>(t) * words;
    for (int word = thread; word < words; word += sae_threads)
        bits[word] = 0;
    double squares = 0;
    bool any = false;
    for (int i = thread; i < width; i += sae_threads) {
        float sum = 0;
        for (int c = 0; c < held; c++)
            sum = fmaf(value[static_cast<long long>(t) * kept + c], decoder[own[c] * decoder_stride + i], sum);
        sum += bias ? bias[i] : 0.0f;
        any |= sum != 0;
        const float e = sum + error[static_cast<long long>(t) * width + i];
        rest[i] = e;
        if (rests)
            rests[static_cast<long long>(t) * width + i] = e;
        squares = fma(static_cast<double>(e), static_cast<double>(e), squares);
    }
    squares = block_sum(squares, scratch);
    any = __syncthreads_or(any);
    if (thread == 0) {
        sums.auxiliary[t] = squares;
        sums.auxiliary_any[t] = any;
    }
    for (int c = thread; c < held; c += sae_threads)
        atomicOr(bits + own[c] / 32, 1u << own[c] % 32);
    for (int c = warp_rank(); c < held; c += sae_threads / warp_size) {
        const float* row = decoder + own[c] * decoder_stride;
        float dot = 0;
        for (int i = lane_rank(); i < width; i += warp_size)
            dot = fmaf(rest[i], row[i], dot);
        dot = warp_sum(dot);
        if (lane_rank() == 0)
            gradient[static_cast<long long>(t) * kept + c] = scale * dot;
    }
}
