// A small harness over the emulated driver, reached as any other program reaches it: through its exported functions.
#pragma once

#include "../src/cuda_abi.h"

#include <functional>
#include <string>
#include <vector>

struct _nvrtcProgram;
using nvrtcProgram = _nvrtcProgram*;

extern "C" {
CUresult cuInit(unsigned);
CUresult cuDeviceGetAttribute(int*, int, CUdevice);
CUresult cuDevicePrimaryCtxRetain(CUcontext*, CUdevice);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice);
CUresult cuCtxSetCurrent(CUcontext);
CUresult cuCtxSynchronize();
CUresult cuGetErrorString(CUresult, const char**);
CUresult cuModuleLoadData(CUmodule*, const void*);
CUresult cuModuleUnload(CUmodule);
CUresult cuModuleGetFunction(CUfunction*, CUmodule, const char*);
CUresult cuFuncGetAttribute(int*, CUfunction_attribute, CUfunction);
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int);
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int*, CUfunction, int, std::size_t);
CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
                        void**, void**);
CUresult cuLaunchKernelEx(const CUlaunchConfig*, CUfunction, void**, void**);
CUresult cuMemGetInfo_v2(std::size_t*, std::size_t*);
CUresult cuMemAlloc_v2(CUdeviceptr*, std::size_t);
CUresult cuMemFree_v2(CUdeviceptr);
CUresult cuMemAllocAsync(CUdeviceptr*, std::size_t, CUstream);
CUresult cuMemFreeAsync(CUdeviceptr, CUstream);
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool*, CUdevice);
CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void*);
CUresult cuMemPoolGetAttribute(CUmemoryPool, CUmemPool_attribute, void*);
CUresult cuMemHostAlloc(void**, std::size_t, unsigned);
CUresult cuMemFreeHost(void*);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void*, std::size_t, CUstream);
CUresult cuMemcpyDtoHAsync_v2(void*, CUdeviceptr, std::size_t, CUstream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, std::size_t, CUstream);
CUresult cuMemsetD8Async(CUdeviceptr, unsigned char, std::size_t, CUstream);
CUresult cuMemsetD32Async(CUdeviceptr, unsigned, std::size_t, CUstream);
CUresult cuStreamCreateWithPriority(CUstream*, unsigned, int);
CUresult cuStreamDestroy_v2(CUstream);
CUresult cuStreamSynchronize(CUstream);
CUresult cuStreamQuery(CUstream);
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned);
CUresult cuEventCreate(CUevent*, unsigned);
CUresult cuEventDestroy_v2(CUevent);
CUresult cuEventRecord(CUevent, CUstream);
CUresult cuEventSynchronize(CUevent);
CUresult cuEventQuery(CUevent);
CUresult cuEventElapsedTime(float*, CUevent, CUevent);
CUresult cuStreamBeginCapture_v2(CUstream, int);
CUresult cuStreamEndCapture(CUstream, CUgraph*);
CUresult cuStreamIsCapturing(CUstream, int*);
CUresult cuGraphInstantiateWithFlags(CUgraphExec*, CUgraph, unsigned long long);
CUresult cuGraphLaunch(CUgraphExec, CUstream);
CUresult cuGraphExecUpdate_v2(CUgraphExec, CUgraph, CUgraphExecUpdateResultInfo*);
CUresult cuGraphExecDestroy(CUgraphExec);
CUresult cuGraphDestroy(CUgraph);
CUresult cuTensorMapEncodeTiled(void*, int, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                                const cuuint32_t*, int, int, int, int);
int nvrtcCreateProgram(nvrtcProgram*, const char*, const char*, int, const char* const*, const char* const*);
int nvrtcDestroyProgram(nvrtcProgram*);
int nvrtcCompileProgram(nvrtcProgram, int, const char* const*);
int nvrtcGetProgramLogSize(nvrtcProgram, std::size_t*);
int nvrtcGetProgramLog(nvrtcProgram, char*);
int nvrtcGetCUBINSize(nvrtcProgram, std::size_t*);
int nvrtcGetCUBIN(nvrtcProgram, char*);
}

// A test ends with an exception at its first failed check.
void check(bool good, const std::string& what);
void expect(CUresult got, CUresult wanted, const std::string& what);
#define GOOD(call) expect(call, CUDA_SUCCESS, #call)
#define CHECK(condition) check(condition, #condition)

struct Compiled {
    int result;
    std::string cubin, log;
};
Compiled compile(const std::string& text, const std::string& name, const std::vector<std::string>& options,
                 const std::vector<std::pair<std::string, std::string>>& headers = {});
std::string source_text(const std::string& file); // of this folder

// The compiled kernels of one file, found by name.
CUfunction kernel(const std::string& name);
CUfunction bug(const std::string& name);

// Device memory that begins as a copy of `values` and ends with its scope.
template <class T> class Buffer {
  public:
    explicit Buffer(const std::vector<T>& values) : _count(values.size()) {
        GOOD(cuMemAlloc_v2(&_address, _count * sizeof(T)));
        GOOD(cuMemcpyHtoDAsync_v2(_address, values.data(), _count * sizeof(T), nullptr));
    }
    explicit Buffer(std::size_t count, T value = T{}) : Buffer(std::vector<T>(count, value)) {}
    Buffer(const Buffer&) = delete;
    ~Buffer() { cuMemFree_v2(_address); }
    CUdeviceptr& address() { return _address; }
    std::vector<T> read(CUstream stream = nullptr) const {
        std::vector<T> values(_count);
        GOOD(cuMemcpyDtoHAsync_v2(values.data(), _address, _count * sizeof(T), stream));
        return values;
    }

  private:
    CUdeviceptr _address = 0;
    std::size_t _count;
};

struct Shape {
    unsigned x = 1, y = 1, z = 1;
};

template <class... A>
CUresult launch(CUfunction function, Shape grid, Shape block, unsigned shared, CUstream stream, A... arguments) {
    void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
    return cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, pointers,
                          nullptr);
}

struct Test {
    const char* name;
    std::function<void()> run;
};
std::vector<Test> device_tests();
std::vector<Test> driver_tests();
std::vector<Test> sanitizer_tests();
void measure();
