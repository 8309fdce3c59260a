// Kernels of the emulator's self-tests: each uses one feature in a way whose result is known.

extern "C" __global__ void __launch_bounds__(1024) vector_add(const float* a, const float* b, float* c, long long n) {
    const long long block = blockIdx.x + static_cast<long long>(gridDim.x) * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const long long i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    if (i < n)
        c[i] = a[i] + b[i];
}

// out[t * 8 + k]: what each shuffle gives lane t.
extern "C" __global__ void shuffles(int* out) {
    const int lane = threadIdx.x & 31;
    int* row = out + threadIdx.x * 8;
    row[0] = __shfl_sync(~0u, lane * 10, 5);
    row[1] = __shfl_up_sync(~0u, lane, 3);
    row[2] = __shfl_down_sync(~0u, lane, 3);
    row[3] = __shfl_xor_sync(~0u, lane, 9);
    row[4] = __shfl_sync(~0u, lane, 2, 8);
    row[5] = __shfl_up_sync(~0u, lane, 1, 4);
    row[6] = static_cast<int>(__shfl_xor_sync(~0u, lane * 1.5, 16) * 2.0);
    // Two halves of a warp in different branches meet only among themselves.
    if (lane < 16)
        row[7] = __shfl_sync(0xFFFFu, lane, 3);
    else
        row[7] = __shfl_sync(0xFFFF0000u, lane, 19);
}

extern "C" __global__ void votes(unsigned* out) {
    const unsigned lane = threadIdx.x & 31;
    unsigned* row = out + threadIdx.x * 8;
    row[0] = __ballot_sync(~0u, lane % 3 == 0);
    row[1] = __any_sync(~0u, lane == 7);
    row[2] = __all_sync(~0u, lane < 31);
    row[3] = __match_any_sync(~0u, lane / 8);
    row[4] = __reduce_add_sync(~0u, lane);
    row[5] = static_cast<unsigned>(__reduce_min_sync(~0u, 5 - static_cast<int>(lane)));
    row[6] = __reduce_max_sync(~0u, lane ^ 21u);
    row[7] = __reduce_or_sync(~0u, 1u << (lane / 2));
}

extern "C" __global__ void barrier_votes(int* out) {
    const int t = threadIdx.x;
    out[t * 3] = __syncthreads_count(t % 2);
    out[t * 3 + 1] = __syncthreads_and(t >= 0) + 2 * __syncthreads_and(t > 0);
    out[t * 3 + 2] = __syncthreads_or(t == 3) + 2 * __syncthreads_or(t < 0);
}

// Sums blockDim.x numbers by a tree in static shared memory and again in dynamic shared memory.
extern "C" __global__ void block_sum(const double* in, double* out) {
    __shared__ double fixed[1024];
    BS_DYNAMIC_SHARED(double, given);
    const unsigned t = threadIdx.x;
    fixed[t] = given[t] = in[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) {
            fixed[t] += fixed[t + half];
            given[t] += given[t + half];
        }
        __syncthreads();
    }
    if (t == 0) {
        out[blockIdx.x * 2] = fixed[0];
        out[blockIdx.x * 2 + 1] = given[0];
    }
}

extern "C" __global__ void small_shared(int* out) {
    __shared__ __align__(128) int one[16];
    one[threadIdx.x & 15] = 1;
    __syncthreads();
    out[threadIdx.x] = one[threadIdx.x & 15] + static_cast<int>(bs_emu::shared_offset(one) % 128);
}

extern "C" __global__ void atomics(int* ints, unsigned long long* longs, float* floats, double* doubles) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    atomicAdd(ints, 1);
    atomicMax(ints + 1, i);
    atomicMin(ints + 2, -i);
    atomicOr(ints + 3, 1 << (i % 31));
    atomicXor(ints + 4, i);
    while (atomicCAS(ints + 5, 0, 1) != 0)
        bs_emu::yield();
    ints[6] += 2;
    __threadfence();
    atomicExch(ints + 5, 0);
    atomicAdd(longs, 1ull << 33);
    atomicAdd(floats, 0.5f);
    atomicAdd(doubles, 0.25);
}

__constant__ float c_table[4] = {1.0f, 2.0f, 4.0f, 8.0f};
__device__ int d_counter = 40;

extern "C" __global__ void globals(float* out) {
    if (threadIdx.x < 4)
        out[threadIdx.x] = c_table[threadIdx.x];
    if (threadIdx.x == 0)
        out[4] = static_cast<float>(atomicAdd(&d_counter, 1));
}

struct Pair {
    float a;
    double b;
};

extern "C" __global__ void parameters(char c, Pair pair, short s, const float* p, float4 v, double* out) {
    out[0] = c;
    out[1] = pair.a;
    out[2] = pair.b;
    out[3] = s;
    out[4] = p[1];
    out[5] = v.w;
}

extern "C" __global__ void add_one(int* p, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        p[i] = p[i] * 3 + 1;
}

extern "C" __global__ void spin(int* p, long long nanoseconds) {
    const long long begin = clock64();
    while (clock64() - begin < nanoseconds) {
    }
    atomicAdd(p, 1);
}

// Half of the block produces, half consumes, through two named barriers.
extern "C" __global__ void producer_consumer(int* out) {
    __shared__ int slot[32];
    const int lane = threadIdx.x & 31;
    for (int round = 0; round < 10; round++) {
        if (threadIdx.x < 32) {
            slot[lane] = round * 100 + lane;
            bs_emu::named_barrier_arrive(1, 64);
            bs_emu::named_barrier_sync(2, 64);
        } else {
            bs_emu::named_barrier_sync(1, 64);
            out[round * 32 + lane] = slot[31 - lane];
            bs_emu::named_barrier_arrive(2, 64);
        }
    }
}

// A flag in shared memory, set by the last thread and awaited by the others.
extern "C" __global__ void wait_for_flag(int* out) {
    __shared__ volatile int flag;
    if (threadIdx.x == 0)
        flag = 0;
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1)
        flag = 7;
    while (flag != 7)
        bs_emu::yield();
    out[threadIdx.x] = flag;
}

extern "C" __global__ void exchanges(int* out) {
    const int mine = static_cast<int>(threadIdx.x) * 2;
    int warp[32], group[128];
    bs_emu::warp_exchange(~0u, &mine, warp, sizeof mine);
    bs_emu::block_exchange_warpgroup(&mine, group, sizeof mine);
    out[threadIdx.x * 2] = warp[31];
    out[threadIdx.x * 2 + 1] = group[127] - group[0];
}

// Every block writes into its neighbour's shared memory.
extern "C" __global__ void cluster_ring(int* out) {
    __shared__ int box;
    bs_emu::cluster_sync();
    if (threadIdx.x == 0) {
        const unsigned next = (bs_emu::cluster_rank() + 1) % bs_emu::cluster_size();
        *static_cast<int*>(bs_emu::cluster_shared_pointer(next, &box)) = static_cast<int>(blockIdx.x);
    }
    bs_emu::cluster_sync();
    if (threadIdx.x == 0)
        out[blockIdx.x] = box;
}

// What a thread sees of its two groups of copies before any wait, after the first and after the second.
extern "C" __global__ void own_copies(const int* from, int* out) {
    __shared__ __align__(16) int four[32 * 4];
    __shared__ int one[32];
    const unsigned t = threadIdx.x;
    four[4 * t] = one[t] = 7;
    bs_emu::cp_async(four + 4 * t, from + 4 * t, 16, 8);
    bs_emu::cp_async_commit();
    bs_emu::cp_async(one + t, from + t, 4, 4);
    bs_emu::cp_async_commit();
    int* row = out + 6 * t;
    row[0] = four[4 * t];
    bs_emu::cp_async_wait(1);
    row[1] = four[4 * t];
    row[2] = four[4 * t + 1];
    row[3] = four[4 * t + 2];
    row[4] = one[t];
    bs_emu::cp_async_wait(0);
    row[5] = one[t];
}

extern "C" __global__ void leave_early(int* out) {
    if (threadIdx.x >= 40)
        return;
    const int sum = static_cast<int>(__reduce_add_sync(threadIdx.x < 32 ? ~0u : 0xFFu, 1u));
    __syncthreads();
    out[threadIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(128, 4) bounded(int* out) {
    out[threadIdx.x] = 1;
}
extern "C" __global__ void asserts(int n) {
    assert(n > 0);
}
extern "C" __global__ void traps() {
    __trap();
}

extern "C" __global__ void arithmetic(float* out) {
    out[0] = __fmul_rn(1.0f + 1e-7f, 1.0f - 1e-7f) - 1.0f;
    out[1] = rsqrtf(4.0f) + exp2f(3.0f) + fmaxf(2.0f, 1.0f) + max(3.0f, 2.0f);
    out[2] = static_cast<float>(__popc(0xF0F0u) + __ffs(8) + __clz(1) + (__brev(1u) >> 31));
    out[3] = static_cast<float>(__float2int_rn(2.5f) + __float2int_rz(-2.7f) + __float2int_rn(1e20f) / 2147483647);
    out[4] = __uint_as_float(0x40490FDBu);
    out[5] = static_cast<float>(__byte_perm(0x33221100u, 0x77665544u, 0x7410u) == 0x77441100u);
}

// A product that is rounded before it is added to, and one that need not be.
extern "C" __global__ void rounded(const float* in, float* out) {
    out[0] = __fmul_rn(in[0], in[1]) + in[2];
    out[1] = in[0] * in[1] + in[2];
}
