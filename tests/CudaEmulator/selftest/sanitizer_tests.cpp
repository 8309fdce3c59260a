// Every planted bug must be found, with a sentence that names kernel, block, thread, address and buffer.
#include "selftest.h"

#include <cstdio>
#include <cstdlib>

namespace {

void restart_context() {
    CUcontext context = nullptr;
    cuDevicePrimaryCtxRelease_v2(0);
    GOOD(cuDevicePrimaryCtxRetain(&context, 0));
    GOOD(cuCtxSetCurrent(context));
}

// Runs a kernel that must fail with `code` and a sentence that holds all of `parts`.
template <class... A>
void finds(const std::string& name, CUresult code, const std::vector<std::string>& parts, Shape grid, Shape block,
           unsigned shared, A... arguments) {
    GOOD(launch(bug(name), grid, block, shared, nullptr, arguments...));
    const auto result = cuCtxSynchronize();
    const char* text = "";
    cuGetErrorString(result, &text);
    const std::string sentence = text;
    restart_context();
    expect(result, code, name);
    auto wanted = parts;
    wanted.push_back("kernel " + name + ", block (");
    wanted.push_back("), thread (");
    for (const auto& part : wanted)
        check(sentence.find(part) != std::string::npos, name + " says '" + part + "': " + sentence);
}

void out_of_bounds() {
    Buffer<float> input(64, 1.0f), output(100, 1.0f);
    const auto code = CUDA_ERROR_ILLEGAL_ADDRESS;
    finds("past_the_end", code,
          {"out-of-bounds write of 4 bytes at 0x", "0 bytes past the end of the buffer", "of 400 bytes",
           "parameter 'output'", "block (1,0,0), thread (36,0,0)"},
          {2}, {64}, 0, input.address(), output.address(), 100);
    finds("before_the_begin", code,
          {"out-of-bounds read of 4 bytes", "4 bytes before the begin of the buffer", "parameter 'input'",
           "thread (0,0,0)"},
          {1}, {64}, 0, input.address(), output.address());
    finds("wild_pointer", code, {"out-of-bounds write of 4 bytes at 0x1000"}, {1}, {1}, 0, output.address());
    finds("shared_past_the_end", code, {"past the end of dynamic shared memory of 256 bytes", "thread (63,0,0)"}, {1},
          {64}, 256, output.address());
    finds("atomic_past_the_end", code, {"out-of-bounds atomic operation of 4 bytes", "parameter 'counters'"}, {1},
          {101}, 0, output.address());
    finds("copy_past_the_end", code, {"out-of-bounds read", "parameter 'from'", "of 256 bytes"}, {1}, {8}, 0,
          input.address(), output.address());
}

void freed_memory() {
    CUdeviceptr gone = 0;
    Buffer<float> output(4, 1.0f);
    GOOD(cuMemAlloc_v2(&gone, 4096));
    GOOD(cuMemFree_v2(gone));
    finds("used_after_free", CUDA_ERROR_ILLEGAL_ADDRESS, {"out-of-bounds read of 4 bytes"}, {1}, {1}, 0, gone,
          output.address());
}

void misaligned() {
    Buffer<float> input(128, 1.0f), output(64, 1.0f);
    const auto code = CUDA_ERROR_MISALIGNED_ADDRESS;
    finds("misaligned_vector", code,
          {"misaligned access at 0x", "bugs.cu:", "wants a multiple of 16", "parameter 'input'", "thread (1,0,0)"}, {1},
          {32}, 0, input.address(), output.address());
    finds("misaligned_word", code, {"wants a multiple of 4", "parameter 'bytes'"}, {1}, {32}, 0, output.address());
    finds("misaligned_copy", code, {"cp.async from what is not at a multiple of the bytes copied", "thread (1,0,0)"},
          {1}, {32}, 0, input.address(), output.address());
    finds("misaligned_shared", code, {"wants a multiple of 8", "dynamic shared memory at offset 12"}, {1}, {32}, 1024,
          output.address());
}

void uninitialised() {
    Buffer<float> output(64, 1.0f);
    finds("uninitialised", CUDA_ERROR_LAUNCH_FAILED,
          {"uninitialised read of 4 bytes", "static shared memory", "thread (5,0,0)"}, {1}, {64}, 0, output.address());
}

void races() {
    Buffer<float> output(64, 1.0f);
    const auto code = CUDA_ERROR_LAUNCH_FAILED;
    for (const char* name : {"missing_barrier", "missing_second_barrier", "same_cell"})
        finds(name, code, {"race on shared memory", "static shared memory", "with no barrier in between"}, {1}, {64}, 0,
              output.address());
    Buffer<float> input(128, 1.0f);
    finds("unwaited_copy", code, {"race on shared memory", "static shared memory"}, {1}, {32}, 0, input.address(),
          output.address());
    finds("missing_warp_barrier", code, {"race on shared memory", "with no barrier in between"}, {1}, {32}, 0,
          output.address());
}

void global_memory() {
    const auto code = CUDA_ERROR_LAUNCH_FAILED;
    setenv("BIOSUP_EMULATOR_SANITIZE", "1", 1); // buffers made under it are watched
    Buffer<float> output(128, 1.0f);
    CUdeviceptr fresh = 0;
    GOOD(cuMemAlloc_v2(&fresh, 256));
    GOOD(cuMemsetD8Async(fresh, 0, 160, nullptr)); // the first 40 floats
    finds("read_before_written", code,
          {"uninitialised read of 4 bytes", "offset 160 of the buffer", "parameter 'fresh'", "thread (40,0,0)"}, {1},
          {64}, 0, fresh, output.address());
    finds("blocks_write_the_same", code, {"race on global memory: writes 4 bytes", "parameter 'output'"}, {2}, {64}, 0,
          output.address());
    finds("block_reads_its_neighbour", code, {"race on global memory", "in the same launch"}, {2}, {64}, 0,
          output.address());
    unsetenv("BIOSUP_EMULATOR_SANITIZE");
}

void blocks_that_count_themselves_pass() {
    setenv("BIOSUP_EMULATOR_SANITIZE", "1", 1);
    Buffer<float> partial(8, 0.0f), output(1, 0.0f);
    Buffer<unsigned> counter(1, 0u);
    GOOD(launch(bug("last_block_adds"), {8}, {32}, 0, nullptr, partial.address(), counter.address(), output.address()));
    expect(cuCtxSynchronize(), CUDA_SUCCESS, "last_block_adds");
    unsetenv("BIOSUP_EMULATOR_SANITIZE");
}

void divergent_barriers() {
    Buffer<float> output(64, 1.0f);
    const auto code = CUDA_ERROR_LAUNCH_FAILED;
    finds("barrier_in_a_branch", code, {"divergent barrier"}, {1}, {64}, 0, output.address());
    finds("different_barriers", code, {"divergent barrier: threads of the block wait at different"}, {1}, {64}, 0,
          output.address());
    finds("shuffle_in_a_branch", code, {"divergent", "mask 0xffffffff"}, {1}, {32}, 0, output.address());
}

void faultless_kernels_pass() {
    struct Row {
        float values[12];
    };
    for (const unsigned threads : {32u, 128u}) {
        Buffer<float> input(128, 1.0f), output(128, 1.0f);
        GOOD(launch(bug("faultless"), {3}, {threads}, threads / 4 * 16, nullptr, input.address(), output.address(),
                    Row{}, 5));
        const auto result = cuCtxSynchronize();
        const char* text = "";
        cuGetErrorString(result, &text);
        const std::string sentence = text;
        if (result != CUDA_SUCCESS)
            restart_context();
        check(result == CUDA_SUCCESS, sentence);
    }
}

} // namespace

std::vector<Test> sanitizer_tests() {
    return {{"the sanitizer finds out-of-bounds accesses", out_of_bounds},
            {"the sanitizer finds accesses to freed memory", freed_memory},
            {"the sanitizer finds misaligned accesses", misaligned},
            {"the sanitizer finds uninitialised reads", uninitialised},
            {"the sanitizer finds races", races},
            {"the sanitizer finds races and uninitialised reads of global memory", global_memory},
            {"the sanitizer passes blocks that count themselves", blocks_that_count_themselves_pass},
            {"the sanitizer finds divergent barriers", divergent_barriers},
            {"the sanitizer passes what is right", faultless_kernels_pass}};
}
