// What the host sees: streams, events, graphs, memory, limits, errors, the compiler and its cache.
#include "selftest.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace {

struct Stream {
    CUstream handle = nullptr;
    Stream() { GOOD(cuStreamCreateWithPriority(&handle, 1, 0)); }
    ~Stream() { cuStreamDestroy_v2(handle); }
};
struct Event {
    CUevent handle = nullptr;
    Event() { GOOD(cuEventCreate(&handle, 0)); }
    ~Event() { cuEventDestroy_v2(handle); }
};

// A fault stays until the context's last release.
void restart_context() {
    CUcontext context = nullptr;
    GOOD(cuDevicePrimaryCtxRelease_v2(0));
    GOOD(cuDevicePrimaryCtxRetain(&context, 0));
    GOOD(cuCtxSetCurrent(context));
}

void streams_keep_order() {
    Stream stream;
    Buffer<int> data(1000, 1);
    GOOD(cuCtxSynchronize());
    int wanted = 1;
    for (int i = 0; i < 10; i++) {
        GOOD(launch(kernel("add_one"), {}, {128}, 0, stream.handle, data.address(), 1000));
        wanted = wanted * 3 + 1;
    }
    GOOD(cuStreamSynchronize(stream.handle));
    CHECK(data.read() == std::vector<int>(1000, wanted));
}

void streams_are_asynchronous() {
    Stream stream;
    Buffer<int> data(1);
    GOOD(cuCtxSynchronize());
    GOOD(launch(kernel("spin"), {}, {}, 0, stream.handle, data.address(), 100'000'000ll));
    expect(cuStreamQuery(stream.handle), CUDA_ERROR_NOT_READY, "query of a stream at work");
    GOOD(cuStreamSynchronize(stream.handle));
    GOOD(cuStreamQuery(stream.handle));
}

void events_order_and_time() {
    Stream first, second;
    Event begin, end;
    Buffer<int> data(1, 1);
    GOOD(cuCtxSynchronize());
    GOOD(cuEventRecord(begin.handle, first.handle));
    GOOD(launch(kernel("spin"), {}, {}, 0, first.handle, data.address(), 20'000'000ll));
    GOOD(cuEventRecord(end.handle, first.handle));
    expect(cuEventQuery(end.handle), CUDA_ERROR_NOT_READY, "query of an event to come");
    GOOD(cuStreamWaitEvent(second.handle, end.handle, 0));
    GOOD(launch(kernel("add_one"), {}, {}, 0, second.handle, data.address(), 1));
    GOOD(cuStreamSynchronize(second.handle));
    CHECK(data.read()[0] == 7); // (1 + 1) * 3 + 1: the second stream waited
    float milliseconds = 0;
    GOOD(cuEventElapsedTime(&milliseconds, begin.handle, end.handle));
    CHECK(milliseconds >= 20.0f && milliseconds < 5000.0f);
}

void pageable_sources_are_taken_at_once() {
    Stream stream;
    Buffer<int> slow(1), data(4);
    GOOD(cuCtxSynchronize());
    GOOD(launch(kernel("spin"), {}, {}, 0, stream.handle, slow.address(), 20'000'000ll));
    int source[4] = {1, 2, 3, 4};
    GOOD(cuMemcpyHtoDAsync_v2(data.address(), source, sizeof source, stream.handle));
    std::memset(source, 0, sizeof source);
    GOOD(cuStreamSynchronize(stream.handle));
    CHECK((data.read() == std::vector<int>{1, 2, 3, 4}));
    void* pinned = nullptr;
    GOOD(cuMemHostAlloc(&pinned, 16, 0));
    GOOD(launch(kernel("spin"), {}, {}, 0, stream.handle, slow.address(), 20'000'000ll));
    GOOD(cuMemcpyHtoDAsync_v2(data.address(), pinned, 16, stream.handle));
    std::memset(pinned, 0, 16); // too early on purpose: pinned memory is read when the copy runs
    static_cast<int*>(pinned)[2] = 9;
    GOOD(cuStreamSynchronize(stream.handle));
    CHECK((data.read() == std::vector<int>{0, 0, 9, 0}));
    GOOD(cuMemFreeHost(pinned));
}

void graphs_replay() {
    Stream stream, side;
    Event fork, join;
    Buffer<int> data(10, 1), copy(10);
    GOOD(cuCtxSynchronize());
    GOOD(cuStreamBeginCapture_v2(stream.handle, 1));
    GOOD(launch(kernel("add_one"), {}, {32}, 0, stream.handle, data.address(), 10));
    GOOD(cuEventRecord(fork.handle, stream.handle));
    GOOD(cuStreamWaitEvent(side.handle, fork.handle, 0));
    GOOD(cuMemcpyDtoDAsync_v2(copy.address(), data.address(), 40, side.handle));
    GOOD(cuEventRecord(join.handle, side.handle));
    GOOD(cuStreamWaitEvent(stream.handle, join.handle, 0));
    GOOD(launch(kernel("add_one"), {}, {32}, 0, stream.handle, data.address(), 10));
    int status = 0;
    GOOD(cuStreamIsCapturing(stream.handle, &status));
    CHECK(status == 1);
    CUdeviceptr refused = 0;
    CUgraph graph = nullptr;
    GOOD(cuStreamEndCapture(stream.handle, &graph));
    CHECK(data.read() == std::vector<int>(10, 1)); // captured, not run
    CUgraphExec exec = nullptr;
    GOOD(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 3; i++)
        GOOD(cuGraphLaunch(exec, stream.handle));
    GOOD(cuStreamSynchronize(stream.handle));
    CHECK(data.read() == std::vector<int>(10, 1093)); // six times x -> 3x + 1
    CHECK(copy.read() == std::vector<int>(10, 364));

    GOOD(cuStreamBeginCapture_v2(stream.handle, 1));
    expect(cuMemAlloc_v2(&refused, 16), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "allocation while capturing");
    expect(cuStreamEndCapture(stream.handle, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "end of a spoilt capture");

    GOOD(cuStreamBeginCapture_v2(stream.handle, 1));
    GOOD(cuEventRecord(fork.handle, stream.handle));
    GOOD(cuStreamWaitEvent(side.handle, fork.handle, 0));
    GOOD(cuMemsetD8Async(copy.address(), 0, 40, side.handle));
    expect(cuStreamEndCapture(stream.handle, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "end with unjoined work");

    GOOD(cuStreamBeginCapture_v2(stream.handle, 1));
    GOOD(launch(kernel("add_one"), {}, {32}, 0, stream.handle, data.address(), 5));
    CUgraph other = nullptr;
    GOOD(cuStreamEndCapture(stream.handle, &other));
    CUgraphExecUpdateResultInfo info{};
    expect(cuGraphExecUpdate_v2(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "update by another shape");
    CHECK(info.result == 2);
    GOOD(cuGraphDestroy(other));
    GOOD(cuGraphExecDestroy(exec));
}

void memory_is_counted() {
    std::size_t before = 0, after = 0, total = 0;
    GOOD(cuCtxSynchronize());
    GOOD(cuMemGetInfo_v2(&before, &total));
    CUdeviceptr a = 0, b = 0;
    GOOD(cuMemAlloc_v2(&a, 1 << 20));
    GOOD(cuMemAllocAsync(&b, 1 << 20, nullptr));
    GOOD(cuMemGetInfo_v2(&after, &total));
    CHECK(before - after == 2 << 20);
    CUmemoryPool pool = nullptr;
    cuuint64_t used = 0, threshold = 1 << 30;
    GOOD(cuDeviceGetDefaultMemPool(&pool, 0));
    GOOD(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    GOOD(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    CHECK(used == 1 << 20);
    GOOD(cuMemFreeAsync(b, nullptr));
    GOOD(cuMemFree_v2(a));
    GOOD(cuCtxSynchronize());
    GOOD(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    CHECK(used == 0);
    GOOD(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &used));
    CHECK(used == 1 << 20);
    expect(cuMemFree_v2(a), CUDA_ERROR_INVALID_VALUE, "freeing twice");
    expect(cuMemAlloc_v2(&a, total + 1), CUDA_ERROR_OUT_OF_MEMORY, "more than there is");
    Buffer<int> small(4);
    expect(cuMemsetD32Async(small.address(), 1, 5, nullptr), CUDA_ERROR_INVALID_VALUE, "filling past the end");
    GOOD(cuMemsetD32Async(small.address(), 7, 4, nullptr));
    CHECK(small.read() == std::vector<int>(4, 7));
}

void limits_are_enforced() {
    Buffer<int> out(2048);
    const auto add = kernel("add_one"), bounded = kernel("bounded"), sum = kernel("block_sum");
    const auto try_launch = [&](CUfunction f, Shape grid, Shape block, unsigned shared) {
        return launch(f, grid, block, shared, nullptr, out.address(), 1);
    };
    expect(try_launch(add, {1}, {1025}, 0), CUDA_ERROR_INVALID_VALUE, "1025 threads");
    expect(try_launch(add, {1}, {64, 64}, 0), CUDA_ERROR_INVALID_VALUE, "64 x 64 threads");
    expect(try_launch(add, {1}, {1, 1, 65}, 0), CUDA_ERROR_INVALID_VALUE, "65 threads in z");
    expect(try_launch(add, {0}, {1}, 0), CUDA_ERROR_INVALID_VALUE, "an empty grid");
    expect(try_launch(add, {1, 65536}, {1}, 0), CUDA_ERROR_INVALID_VALUE, "65536 blocks in y");
    expect(try_launch(add, {1}, {1}, 49153), CUDA_ERROR_INVALID_VALUE, "48 KiB + 1 of shared memory");
    expect(try_launch(sum, {1}, {1}, 41000), CUDA_ERROR_INVALID_VALUE, "static and dynamic memory over 48 KiB");
    expect(cuFuncSetAttribute(add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 227 * 1024 + 1),
           CUDA_ERROR_INVALID_VALUE, "opting in to more than 227 KiB");
    GOOD(cuFuncSetAttribute(add, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 227 * 1024));
    GOOD(try_launch(add, {1}, {1}, 227 * 1024));
    expect(try_launch(bounded, {1}, {160}, 0), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "more threads than launch bounds");
    GOOD(try_launch(bounded, {1}, {128}, 0));
    int value = 0;
    GOOD(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, bounded));
    CHECK(value == 128);
    GOOD(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, bounded));
    CHECK(value == 128);
    GOOD(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, bounded, 128, 100 * 1024));
    CHECK(value == 0);
    GOOD(cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, bounded, 128, 40 * 1024));
    CHECK(value == 4);
    expect(cuStreamSynchronize(reinterpret_cast<CUstream>(0x1234)), CUDA_ERROR_INVALID_HANDLE, "a stream made up");
    CUfunction none = nullptr;
    CUmodule made_up = reinterpret_cast<CUmodule>(0x1234);
    expect(cuModuleGetFunction(&none, made_up, "x"), CUDA_ERROR_INVALID_HANDLE, "a module made up");
    expect(cuModuleLoadData(&made_up, "no image at all, only text"), CUDA_ERROR_INVALID_IMAGE, "a text as module");
    GOOD(cuCtxSynchronize());
}

void faults_stay_until_release() {
    GOOD(launch(kernel("traps"), {}, {}, 0, nullptr));
    expect(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_INSTRUCTION, "synchronise after a trap");
    CUdeviceptr address = 0;
    expect(cuMemAlloc_v2(&address, 16), CUDA_ERROR_ILLEGAL_INSTRUCTION, "allocate after a trap");
    restart_context();
    GOOD(cuCtxSynchronize());
    GOOD(launch(kernel("asserts"), {}, {32}, 0, nullptr, 0));
    expect(cuCtxSynchronize(), CUDA_ERROR_ASSERT, "synchronise after a failed assertion");
    const char* sentence = nullptr;
    GOOD(cuGetErrorString(CUDA_ERROR_ASSERT, &sentence));
    CHECK(std::string(sentence).find("asserts, block (0,0,0), thread (0,0,0): kernels.cu:") != std::string::npos);
    restart_context();
}

void compiler_speaks() {
    const std::vector<std::string> options{"--gpu-architecture=sm_90", "-DVALUE=3", "--use_fast_math", "-lineinfo"};
    const auto good = compile("#include <bs/one.cuh>\nextern \"C\" __global__ void k(int* p) { *p = VALUE + one(); }\n",
                              "good.cu", options, {{"bs/one.cuh", "__device__ inline int one() { return 1; }\n"}});
    check(good.result == 0, good.log);
    CHECK(!good.cubin.empty());
    const auto bad = compile("\nextern \"C\" __global__ void k(int* p) { *p = missing; }\n", "bad.cu", options);
    CHECK(bad.result == 6);
    CHECK(bad.log.find("bad.cu:2:") != std::string::npos && bad.log.find("missing") != std::string::npos);
    const auto standard = compile("#include <vector>\n", "headers.cu", options);
    CHECK(standard.result == 6); // as on a node without a toolkit
    CHECK(compile("", "x.cu", {"--no-such-option"}).result == 5);
    CHECK(compile("", "x.cu", {"--gpu-architecture=sm_9000"}).result == 5);
    CHECK(compile("", "x.cu", {"--gpu-architecture=compute_90"}).cubin.empty());
    const auto foreign = compile("extern \"C\" __global__ void k() {}\n", "old.cu", {"-arch=sm_80"});
    CUmodule module = nullptr;
    expect(cuModuleLoadData(&module, foreign.cubin.data()), CUDA_ERROR_NO_BINARY_FOR_GPU, "a module for sm_80");
}

void programs_are_cached() {
    const auto folder = std::filesystem::temp_directory_path() / ("biosup-selftest-" + std::to_string(rand()));
    const char* before = std::getenv("BIOSUP_EMULATOR_CACHE");
    const std::string kept = before ? before : "";
    setenv("BIOSUP_EMULATOR_CACHE", folder.c_str(), 1);
    const std::string text = "extern \"C\" __global__ void k(int* p) { *p = 1; }\n";
    const auto cold = compile(text, "cached.cu", {"-arch=sm_90"});
    const auto begin = std::chrono::steady_clock::now();
    const auto warm = compile(text, "cached.cu", {"-arch=sm_90"});
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (before)
        setenv("BIOSUP_EMULATOR_CACHE", kept.c_str(), 1);
    else
        unsetenv("BIOSUP_EMULATOR_CACHE");
    std::filesystem::remove_all(folder);
    CHECK(cold.result == 0 && cold.cubin == warm.cubin && cold.log == warm.log);
    CHECK(seconds < 0.05);
}

void tensor_maps_are_validated() {
    alignas(64) char map[128];
    Buffer<float> data(64 * 64);
    auto* address = reinterpret_cast<void*>(data.address());
    const cuuint64_t dims[] = {64, 64}, strides[] = {256}, odd[] = {250};
    const cuuint32_t box[] = {32, 16}, wide[] = {64, 16}, steps[] = {1, 1};
    const auto encode = [&](const cuuint64_t* stride, const cuuint32_t* b, int swizzle) {
        return cuTensorMapEncodeTiled(map, 7, 2, address, dims, stride, b, steps, 0, swizzle, 0, 0);
    };
    GOOD(encode(strides, box, 3));
    expect(encode(odd, box, 3), CUDA_ERROR_INVALID_VALUE, "a stride that is no multiple of 16");
    expect(encode(strides, wide, 3), CUDA_ERROR_INVALID_VALUE, "a box wider than the swizzle");
    GOOD(encode(strides, wide, 0));
}

} // namespace

std::vector<Test> driver_tests() {
    return {{"streams keep order", streams_keep_order},
            {"streams are asynchronous", streams_are_asynchronous},
            {"events order and time", events_order_and_time},
            {"pageable sources are taken at once", pageable_sources_are_taken_at_once},
            {"graphs replay", graphs_replay},
            {"memory is counted", memory_is_counted},
            {"limits are enforced", limits_are_enforced},
            {"faults stay until release", faults_stay_until_release},
            {"the compiler speaks", compiler_speaks},
            {"programs are cached", programs_are_cached},
            {"tensor maps are validated", tensor_maps_are_validated}};
}

// Costs that decide how large a kernel test may be.
void measure() {
    const auto seconds = [](const std::function<void()>& work) {
        const auto begin = std::chrono::steady_clock::now();
        work();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const std::string text = R"(
extern "C" __global__ void shuffle(float* p, int n) {
    float s = threadIdx.x;
    for (int i = 0; i < n; i++)
        s = __shfl_xor_sync(~0u, s, 1);
    p[threadIdx.x] = s;
}
extern "C" __global__ void barrier(float* p, int n) {
    for (int i = 0; i < n; i++)
        __syncthreads();
    p[threadIdx.x] = 0;
}
extern "C" __global__ void yield(float* p, int n) {
    for (int i = 0; i < n; i++)
        bs_emu::yield();
    p[threadIdx.x] = 0;
}
extern "C" __global__ void nothing(float* p, int n) {
    if (n == 0)
        p[threadIdx.x] = 0;
}
)";
    Compiled compiled;
    setenv("BIOSUP_EMULATOR_CACHE", "", 1);
    std::printf("compile a small program: %.2f s\n",
                seconds([&] { compiled = compile(text, "measure.cu", {"-arch=sm_90a"}); }));
    CUmodule module = nullptr;
    GOOD(cuModuleLoadData(&module, compiled.cubin.data()));
    Buffer<float> data(1024);
    for (const std::string name : {"yield", "shuffle", "barrier"}) {
        CUfunction function = nullptr;
        GOOD(cuModuleGetFunction(&function, module, name.c_str()));
        for (const unsigned threads : {32u, 256u, 1024u}) {
            const int n = static_cast<int>(6'400'000 / threads);
            const double time = seconds([&] {
                GOOD(launch(function, {1}, {threads}, 0, nullptr, data.address(), n));
                GOOD(cuCtxSynchronize());
            });
            std::printf("%s, %u threads: %.1f ns per thread\n", name.c_str(), threads, time * 1e9 / n / threads);
        }
    }
    CUfunction function = nullptr;
    GOOD(cuModuleGetFunction(&function, module, "nothing"));
    const double time = seconds([&] {
        GOOD(launch(function, {20000}, {256}, 0, nullptr, data.address(), 1));
        GOOD(cuCtxSynchronize());
    });
    std::printf("threads without barriers, 256 a block: %.1f ns per thread\n", time * 1e9 / 20000 / 256);
    const double launches = seconds([&] {
        for (int i = 0; i < 2000; i++) {
            GOOD(launch(function, {1}, {32}, 0, nullptr, data.address(), 1));
            GOOD(cuCtxSynchronize());
        }
    });
    std::printf("launch and synchronise: %.1f us\n", launches / 2000 * 1e6);
}
