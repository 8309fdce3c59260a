// Kernels with one planted bug each, which the sanitizer must find, and one without any, in which it must find nothing.

extern "C" __global__ void past_the_end(const float* input, float* output, int n) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i <= n)
        output[i] = input[0];
}

extern "C" __global__ void before_the_begin(const float* input, float* output) {
    output[threadIdx.x] = input[static_cast<int>(threadIdx.x) - 1];
}

extern "C" __global__ void wild_pointer(float* output) {
    *reinterpret_cast<float*>(0x1000 + threadIdx.x * 4) = output[0];
}

extern "C" __global__ void shared_past_the_end(float* output) {
    BS_DYNAMIC_SHARED(float, tile);
    tile[threadIdx.x + 1] = 1.0f;
    __syncthreads();
    output[threadIdx.x] = tile[threadIdx.x + 1];
}

extern "C" __global__ void misaligned_vector(const float* input, float* output) {
    const float4 v = *reinterpret_cast<const float4*>(input + threadIdx.x);
    output[threadIdx.x] = v.x + v.w;
}

extern "C" __global__ void misaligned_word(char* bytes) {
    *reinterpret_cast<int*>(bytes + threadIdx.x * 2) = 1;
}

extern "C" __global__ void misaligned_shared(float* output) {
    BS_DYNAMIC_SHARED(char, tile);
    *reinterpret_cast<double*>(tile + threadIdx.x * 12) = 1.0;
    output[threadIdx.x] = 0.0f;
}

extern "C" __global__ void misaligned_copy(const float* input, float* output) {
    __shared__ __align__(16) float tile[128];
    bs_emu::cp_async(tile + 4 * threadIdx.x, input + threadIdx.x, 16, 16);
    bs_emu::cp_async_commit();
    bs_emu::cp_async_wait(0);
    output[threadIdx.x] = tile[4 * threadIdx.x];
}

extern "C" __global__ void unwaited_copy(const float* input, float* output) {
    __shared__ __align__(16) float tile[128];
    bs_emu::cp_async(tile + 4 * threadIdx.x, input + 4 * threadIdx.x, 16, 16);
    bs_emu::cp_async_commit();
    __syncthreads();
    const float early = tile[(4 * threadIdx.x + 4) % 128];
    bs_emu::cp_async_wait(0);
    output[threadIdx.x] = early;
}

extern "C" __global__ void uninitialised(float* output) {
    __shared__ float tile[64];
    if (threadIdx.x != 5)
        tile[threadIdx.x] = 1.0f;
    __syncthreads();
    output[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void missing_barrier(float* output) {
    __shared__ float tile[64];
    tile[threadIdx.x] = static_cast<float>(threadIdx.x);
    output[threadIdx.x] = tile[63 - threadIdx.x];
}

extern "C" __global__ void missing_second_barrier(float* output) {
    __shared__ float tile[64];
    for (int round = 0; round < 2; round++) {
        tile[threadIdx.x] = static_cast<float>(round);
        __syncthreads();
        output[threadIdx.x] = tile[(threadIdx.x + 33) % 64];
    }
}

extern "C" __global__ void missing_warp_barrier(float* output) {
    __shared__ float tile[32];
    tile[threadIdx.x] = 1.0f;
    output[threadIdx.x] = tile[threadIdx.x ^ 1];
}

extern "C" __global__ void same_cell(float* output) {
    __shared__ int cell;
    cell = static_cast<int>(threadIdx.x);
    __syncthreads();
    output[threadIdx.x] = static_cast<float>(cell);
}

extern "C" __global__ void barrier_in_a_branch(float* output) {
    if (threadIdx.x < 16)
        __syncthreads();
    output[threadIdx.x] = 1.0f;
}

extern "C" __global__ void different_barriers(float* output) {
    if (threadIdx.x < 32) {
        __syncthreads();
        output[threadIdx.x] = 1.0f;
    } else {
        output[threadIdx.x] = 2.0f;
        __syncthreads();
    }
}

extern "C" __global__ void shuffle_in_a_branch(float* output) {
    float v = static_cast<float>(threadIdx.x);
    if (threadIdx.x % 2 == 0)
        v = __shfl_xor_sync(~0u, v, 2);
    __syncthreads();
    output[threadIdx.x] = v;
}

extern "C" __global__ void atomic_past_the_end(int* counters) {
    atomicAdd(counters + threadIdx.x, 1);
}

struct Row {
    float values[12];
};

extern "C" __global__ void copy_past_the_end(const Row* from, Row* to) {
    to[threadIdx.x] = from[threadIdx.x];
}

extern "C" __global__ void used_after_free(const float* freed, float* output) {
    output[0] = freed[0];
}

extern "C" __global__ void read_before_written(const float* fresh, float* output) {
    output[threadIdx.x] = fresh[threadIdx.x];
}

extern "C" __global__ void blocks_write_the_same(float* output) {
    output[threadIdx.x] = static_cast<float>(blockIdx.x);
}

extern "C" __global__ void block_reads_its_neighbour(float* output) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    output[i] = 1.0f;
    output[i] += output[(i + blockDim.x) % (gridDim.x * blockDim.x)];
}

// The last block to end adds up what the others left: in order, by the counter.
extern "C" __global__ void last_block_adds(float* partial, unsigned* counter, float* output) {
    __shared__ unsigned ended;
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = 1.0f;
        __threadfence();
        ended = atomicAdd(counter, 1u);
        if (ended == gridDim.x - 1) {
            float sum = 0.0f;
            for (unsigned b = 0; b < gridDim.x; b++)
                sum += partial[b];
            output[0] = sum;
        }
    }
}

extern "C" __global__ void faultless(const float* input, float* output, Row row, int n) {
    __shared__ __align__(16) float tile[128];
    __shared__ int counter;
    BS_DYNAMIC_SHARED(float4, vectors);
    const unsigned t = threadIdx.x;
    if (t == 0)
        counter = 0;
    tile[t] = input[t];
    __syncthreads();
    atomicAdd(&counter, 1);
    float sum = tile[(t + 1) % blockDim.x] + row.values[t % 12];
    float local[16];
    for (int i = 0; i < 16; i++)
        local[i] = sum * static_cast<float>(i);
    for (int i = 0; i < n; i++)
        sum += local[(i * 7) % 16];
    for (int offset = 16; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(~0u, sum, offset);
    __syncthreads();
    tile[t] = sum;
    __syncwarp();
    sum = tile[t ^ 1];
    if (t < blockDim.x / 4)
        vectors[t] = *reinterpret_cast<const float4*>(input + t * 4);
    __syncthreads();
    output[t] = sum + vectors[t / 4].x + static_cast<float>(counter);
}
