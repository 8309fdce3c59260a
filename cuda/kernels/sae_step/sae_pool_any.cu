// Mean activation of every latent over runs of tokens: activations are summed where they arise and never written.
#include <bs/sae.cuh>

// Column sums of the activations over chunks of 256 tokens, partials [chunks, latents]; active pairs as in
// bs_sae_activations_f32. Grid: words of latents x chunks.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_pool_partials_f32(bs::SaeTile tile, const unsigned* by_token, double* partials) {
    using namespace bs;
    __shared__ double sums[sae_warps][sae_side];
    const int lane = lane_rank(), warp = warp_rank(), j = static_cast<int>(blockIdx.x) * sae_side + lane;
    const int t0 = (static_cast<int>(blockIdx.y) * sae_warps + warp) * sae_side;
    const bool mine = j < tile.latents;
    double sum = 0;
    for (int t = t0; mine && t < t0 + sae_side && t < tile.tokens; t++) {
        sum += sae_active(tile, by_token, t, j) ? tile.m(t, j) : 0.0f;
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || !mine)
        return;
    sum = 0;
    for (int w = 0; w < sae_warps; w++)
        sum += sums[w][lane];
    partials[static_cast<long long>(blockIdx.y) * tile.latents + j] = sum;
}

// sums += the partials in order.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_pool_join(const double* partials, int chunks, int latents, double* sums) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j >= latents)
        return;
    double sum = sums[j];
    for (int c = 0; c < chunks; c++)
        sum += partials[static_cast<long long>(c) * latents + j];
    sums[j] = sum;
}

// means = sums / tokens, and the sums begin anew.
extern "C" __global__ void __launch_bounds__(256)
    bs_sae_pool_take_f32(double* sums, int latents, double tokens, float* means) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j >= latents)
        return;
    means[j] = tokens > 0 ? static_cast<float>(sums[j] / tokens) : 0.0f;
    sums[j] = 0;
}
