// Which pre-activations are the largest: k of every token, or n k of a batch of n tokens. Positive floats order like
// their bits, of which three rounds of counting fix 11, 10 and 10: a histogram of those that share the bits found so
// far, then the bin in which the last one to be taken lies. Counts are integers, so no order of the threads shows. Of
// equal ones those of lower tokens, then of lower latents, are taken. Floor: the pre-activations read once a round; a
// token's row is read from the cache.
#include <bs/sae.cuh>

namespace bs {

constexpr int select_bins = 2048, rounds = 3;

// The state of a selection. Keys above `key` are taken, and of those equal to it the first `ties`.
struct SaeCut {
    unsigned key, ties;
    unsigned whole; // all that equal the key are taken
    unsigned left;  // how many are to be found below the bins that are done
};

__device__ __forceinline__ unsigned sae_positive_key(float z) {
    return z > 0 ? __float_as_uint(z) : 0u;
}
__device__ __forceinline__ int round_shift(int round) {
    return round == 0 ? 20 : round == 1 ? 10 : 0;
}
__device__ __forceinline__ int round_bins(int round) {
    return round == 0 ? 2048 : 1024;
}
// Whether a key shares the bits that earlier rounds have found.
__device__ __forceinline__ bool in_round(unsigned key, unsigned found, int round) {
    return key != 0 && (round == 0 || key >> round_shift(round - 1) == found >> round_shift(round - 1));
}

// Whole block of 256: the bin, from the top, in which the number `left` lies, `above` of them before it; -1 for none.
__device__ __forceinline__ int find_bin(const unsigned* bins, int count, unsigned left, unsigned& above,
                                        unsigned* scratch, int* found) {
    const int thread = static_cast<int>(threadIdx.x), own = count / 256, top = count - 1 - thread * own;
    unsigned sum = 0;
    for (int b = 0; b < own; b++)
        sum += bins[top - b];
    if (thread == 0) {
        found[0] = -1;
        found[1] = 0;
    }
    unsigned total, before = block_prefix(sum, scratch, total);
    if (left > 0 && before < left && left <= before + sum)
        for (int b = 0; b < own; b++) {
            const unsigned here = bins[top - b];
            if (before < left && left <= before + here) {
                found[0] = top - b;
                found[1] = static_cast<int>(before);
            }
            before += here;
        }
    __syncthreads();
    above = static_cast<unsigned>(found[1]);
    const int bin = found[0];
    __syncthreads();
    return bin;
}

// One more round is done: the bits of the bin join the key. Returns the state for the next.
__device__ __forceinline__ SaeCut next_cut(SaeCut cut, const unsigned* bins, int round, unsigned* scratch, int* found) {
    unsigned above;
    const int bin = find_bin(bins, round_bins(round), cut.left, above, scratch, found);
    if (bin < 0) // nothing is to be taken
        return SaeCut{0x7FFFFFFFu, 0u, 1u, 0u};
    cut.key |= static_cast<unsigned>(bin) << round_shift(round);
    cut.left -= above;
    cut.ties = cut.left;
    cut.whole = bins[bin] == cut.left;
    __syncthreads(); // the bins may be cleared
    return cut;
}

// Bits of the keys of a row, key_of(j), above the cut, and of the first `ties` that equal it. Whole block of 256.
template <class Key>
__device__ __forceinline__ void take_row(Key key_of, int latents, unsigned key, unsigned ties, bool whole,
                                         unsigned* bits, int words) {
    const int lane = lane_rank(), warp = warp_rank();
    if (!whole && warp != 0)
        return; // in order: one warp
    unsigned left = ties;
    for (int word = whole ? warp : 0; word < words; word += whole ? sae_warps : 1) {
        const int j = word * 32 + lane;
        const unsigned own = j < latents ? key_of(j) : 0u;
        unsigned taken = __ballot_sync(full_warp, own != 0 && own > key);
        const unsigned equal = __ballot_sync(full_warp, own != 0 && own == key);
        if (whole) {
            taken |= equal;
        } else {
            for (unsigned e = equal; e != 0 && left != 0; e &= e - 1, left--)
                taken |= e & (~e + 1);
        }
        if (lane == 0)
            bits[word] = taken;
    }
}

} // namespace bs

// The k largest of each token, as bits [tokens, words]. A block to a token, whose keys stay in shared memory where
// `held` says that there is room for them.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_top_k_f32(bs::SaeTile tile, int k, int held, unsigned* bits, int words) {
    using namespace bs;
    BS_DYNAMIC_SHARED(unsigned, keys);
    __shared__ unsigned bins[select_bins];
    __shared__ unsigned scratch[sae_warps];
    __shared__ int found[2];
    const int t = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
    unsigned positive = 0;
    for (int j = thread; j < tile.latents; j += 256) {
        const unsigned key = sae_positive_key(tile.m(t, j));
        if (held)
            keys[j] = key;
        positive += key != 0;
    }
    unsigned total;
    block_prefix(positive, scratch, total);
    const auto key_of = [&](int j) { return held ? keys[j] : sae_positive_key(tile.m(t, j)); };
    const auto most = static_cast<unsigned>(k);
    SaeCut cut{0u, 0u, 1u, total < most ? total : most};
    for (int round = 0; round < rounds && total > most; round++) {
        for (int b = thread; b < round_bins(round); b += 256)
            bins[b] = 0;
        __syncthreads();
        for (int j = thread; j < tile.latents; j += 256) {
            const unsigned key = key_of(j);
            if (in_round(key, cut.key, round))
                atomicAdd(bins + (key >> round_shift(round) & static_cast<unsigned>(round_bins(round) - 1)), 1u);
        }
        __syncthreads();
        cut = next_cut(cut, bins, round, scratch, found);
    }
    take_row(key_of, tile.latents, cut.key, cut.ties, cut.whole != 0, bits + static_cast<long long>(t) * words, words);
}

// One round over the batch: adds the keys of a tile to the bins. Eight tokens a block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_batch_count_f32(bs::SaeTile tile, const bs::SaeCut* cut, int round, unsigned* bins) {
    using namespace bs;
    __shared__ unsigned own[select_bins];
    const int thread = static_cast<int>(threadIdx.x), t0 = static_cast<int>(blockIdx.x) * sae_warps;
    for (int b = thread; b < round_bins(round); b += 256)
        own[b] = 0;
    __syncthreads();
    const unsigned found = round == 0 ? 0u : cut->key;
    for (int t = t0; t < t0 + sae_warps && t < tile.tokens; t++)
        for (int j = thread; j < tile.latents; j += 256) {
            const unsigned key = sae_positive_key(tile.m(t, j));
            if (in_round(key, found, round))
                atomicAdd(own + (key >> round_shift(round) & static_cast<unsigned>(round_bins(round) - 1)), 1u);
        }
    __syncthreads();
    for (int b = thread; b < round_bins(round); b += 256)
        if (own[b] != 0)
            atomicAdd(bins + b, own[b]);
}

// The end of a round: where the last one to be taken lies. Clears the bins for the next one. One block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_batch_cut(bs::SaeCut* cut, unsigned* bins, int round, long long count, bs::SaeStatistics* statistics) {
    using namespace bs;
    __shared__ long long integers[warp_size];
    __shared__ unsigned scratch[sae_warps];
    __shared__ int found[2];
    const int thread = static_cast<int>(threadIdx.x);
    SaeCut now{};
    if (round > 0) {
        now = *cut;
    } else {
        long long total = 0;
        for (int b = thread; b < round_bins(0); b += 256)
            total += bins[b];
        total = block_sum(total, integers);
        now = SaeCut{0u, 0u, 1u, static_cast<unsigned>(total < count ? total : count)};
    }
    __syncthreads();
    if (now.left > 0 || round == 0)
        now = next_cut(now, bins, round, scratch, found);
    __syncthreads();
    for (int b = thread; b < select_bins; b += 256)
        bins[b] = 0;
    if (thread != 0)
        return;
    *cut = now;
    if (round == rounds - 1)
        statistics->smallest = now.left > 0 ? __uint_as_float(now.key) : 0.0f;
}

// equal[t] = how many keys of a token equal the cut, unless all are taken anyway. A warp to a token.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_batch_equal_f32(bs::SaeTile tile, const bs::SaeCut* cut, unsigned* equal) {
    using namespace bs;
    const int t = static_cast<int>(blockIdx.x) * sae_warps + warp_rank();
    if (cut->whole != 0 || t >= tile.tokens)
        return;
    unsigned sum = 0;
    for (int j = lane_rank(); j < tile.latents; j += warp_size)
        sum += sae_positive_key(tile.m(t, j)) == cut->key;
    sum = warp_sum(sum);
    if (lane_rank() == 0)
        equal[t] = sum;
}

// equal[t] becomes the number before token t. One block.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_batch_before(const bs::SaeCut* cut, int tokens, unsigned* equal) {
    using namespace bs;
    __shared__ unsigned scratch[sae_warps];
    if (cut->whole != 0)
        return;
    unsigned before = 0;
    for (int start = 0; start < tokens; start += 256) {
        const int t = start + static_cast<int>(threadIdx.x);
        const unsigned own = t < tokens ? equal[t] : 0u;
        unsigned total;
        const unsigned place = block_prefix(own, scratch, total);
        if (t < tokens)
            equal[t] = before + place;
        before += total;
    }
}

// Selected pairs of a tile as bits [tokens, words]. A block to a token.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_batch_take_f32(bs::SaeTile tile, const bs::SaeCut* cut, const unsigned* before, unsigned* bits, int words) {
    using namespace bs;
    const int t = static_cast<int>(blockIdx.x);
    const SaeCut now = *cut;
    const unsigned first = now.whole != 0 ? 0u : before[t], ties = now.ties > first ? now.ties - first : 0u;
    // Without any to spare nothing is counted: key + 1 takes what is above the key alone.
    const bool none = now.whole == 0 && ties == 0;
    take_row([&](int j) { return sae_positive_key(tile.m(t, j)); }, tile.latents, none ? now.key + 1 : now.key, ties,
             now.whole != 0 || none, bits + static_cast<long long>(t) * words, words);
}

// Bits by token turned into bits by latent; where there is a place for them, counts of the chunk: of bits, and of
// positive pre-activations. Grid: words of latents x chunks of tokens.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_turn_f32(bs::SaeTile tile, const unsigned* by_token, unsigned* by_latent, int token_words,
                    bs::SaeLatentSums partial) {
    using namespace bs;
    __shared__ int counts[2][sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank(), words = static_cast<int>(gridDim.x);
    const int j = static_cast<int>(blockIdx.x) * sae_side + lane,
              t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp) * sae_side;
    const bool mine = j < tile.latents;
    const unsigned row =
        t0 + lane < tile.tokens ? by_token[static_cast<long long>(t0 + lane) * words + blockIdx.x] : 0u;
    unsigned column = 0;
    for (int i = 0; i < sae_side; i++) {
        const unsigned bits = __ballot_sync(full_warp, (row >> i & 1u) != 0);
        column = lane == i ? bits : column;
    }
    if (mine && t0 < tile.tokens)
        by_latent[static_cast<long long>(j) * token_words + t0 / sae_side] = column;
    if (!partial.usage)
        return;
    int positive = 0;
    for (int t = t0; mine && t < t0 + sae_side && t < tile.tokens; t++)
        positive += tile.m(t, j) > 0;
    counts[0][warp][lane] = __popc(column);
    counts[1][warp][lane] = positive;
    __syncthreads();
    if (warp != 0 || !mine)
        return;
    int used = 0;
    positive = 0;
    for (int w = 0; w < sae_warps; w++) {
        used += counts[0][w][lane];
        positive += counts[1][w][lane];
    }
    const long long at = static_cast<long long>(blockIdx.y) * tile.latents + j;
    partial.penalty[at] = 0;
    partial.usage[at] = used;
    partial.positive[at] = positive;
    partial.open[at] = used;
}
