using System.Runtime.InteropServices;
using BioSup.Runtime;
using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Benchmarks.Device;

/// <summary>Precisions of a product, as cuBLASLt computes them.</summary>
internal enum LtPrecision
{
    /// <summary>Single precision outside the tensor cores.</summary>
    Single,

    /// <summary>Single precision in memory, tf32 in the tensor cores.</summary>
    Tf32,

    /// <summary>bf16 in memory, single-precision sums.</summary>
    Bf16,

    Double,
}

/// <summary>C [m, n] = A [m, k] B [k, n], all row-major, by cuBLASLt with the algorithm that its heuristic ranks first. Operands are random.</summary>
internal sealed unsafe class LtProduct : IDisposable
{
    private const long WorkspaceBytes = 64L << 20;
    private readonly CudaDevice _gpu;
    private readonly DeviceBuffer<byte> _a, _b, _c, _workspace;
    private readonly List<IDisposable> _owned = [];
    private readonly bool _double;
    private cublasLtHandle_t _handle;
    private cublasLtMatmulDesc_t _description;
    private cublasLtMatrixLayout_t _aLayout, _bLayout, _cLayout;
    private cublasLtMatmulAlgo_t _algorithm;

    /// <exception cref="DeviceException">cuBLASLt is not there or refuses the product.</exception>
    public LtProduct(CudaDevice gpu, LtPrecision precision, int m, int n, int k)
    {
        if (!IsThere) throw new DeviceException(Missing);
        _gpu = gpu;
        _double = precision == LtPrecision.Double;
        (cudaDataType_t type, cublasComputeType_t compute, int size) = precision switch
        {
            LtPrecision.Single => (cudaDataType_t.CUDA_R_32F, cublasComputeType_t.CUBLAS_COMPUTE_32F, 4),
            LtPrecision.Tf32 => (cudaDataType_t.CUDA_R_32F, cublasComputeType_t.CUBLAS_COMPUTE_32F_FAST_TF32, 4),
            LtPrecision.Bf16 => (cudaDataType_t.CUDA_R_16BF, cublasComputeType_t.CUBLAS_COMPUTE_32F, 2),
            _ => (cudaDataType_t.CUDA_R_64F, cublasComputeType_t.CUBLAS_COMPUTE_64F, 8),
        };
        gpu.Require((double)size * ((double)m * k + (double)k * n + (double)m * n) + WorkspaceBytes);
        try
        {
            _a = Operand(precision, (long)m * k, 1);
            _b = Operand(precision, (long)k * n, 2);
            _c = gpu.Array<byte>((long)m * n * size, _owned);
            _workspace = gpu.Array<byte>(WorkspaceBytes, _owned);
            gpu.Synchronize();
            Prepare(type, compute, m, n, k);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public const string Missing = $"cuBLASLt was not found; {BiosupEnvironment.CublasLtPathName} names it";

    /// <summary>The library was found, or is found now.</summary>
    /// <exception cref="DeviceException">Its variable names a file that cannot be loaded.</exception>
    public static bool IsThere => NativeLibraries.Find(LibraryName.CublasLt, CudaDriver.Version?.Major ?? int.MaxValue) != 0;

    /// <summary>The result's bytes, for a test.</summary>
    public DeviceBuffer<byte> Result => _c;
    public DeviceBuffer<byte> A => _a;
    public DeviceBuffer<byte> B => _b;

    /// <summary>Puts the product into the device's stream.</summary>
    public void Run()
    {
        float one = 1, zero = 0;
        double oneDouble = 1, zeroDouble = 0;
        void* alpha = _double ? &oneDouble : &one, beta = _double ? &zeroDouble : &zero;
        CUdeviceptr c = Address(_c);
        cublasLtMatmulAlgo_t algorithm = _algorithm;
        // Column-major, as the library sees them, the rows of B come first: C' = B' A'.
        Check(cublasLt.cublasLtMatmul(_handle, _description, alpha, Address(_b), _bLayout, Address(_a), _aLayout, beta, c, _cLayout, c, _cLayout, &algorithm, Address(_workspace),
            (nuint)WorkspaceBytes, _gpu.Stream.Raw), "cublasLtMatmul");
    }

    public void Dispose()
    {
        if (_aLayout.Value != 0) cublasLt.cublasLtMatrixLayoutDestroy(_aLayout);
        if (_bLayout.Value != 0) cublasLt.cublasLtMatrixLayoutDestroy(_bLayout);
        if (_cLayout.Value != 0) cublasLt.cublasLtMatrixLayoutDestroy(_cLayout);
        if (_description.Value != 0) cublasLt.cublasLtMatmulDescDestroy(_description);
        if (_handle.Value != 0) cublasLt.cublasLtDestroy(_handle);
        (_aLayout, _bLayout, _cLayout, _description, _handle) = (default, default, default, default, default);
        foreach (IDisposable each in _owned) each.Dispose();
        _owned.Clear();
    }

    private void Prepare(cudaDataType_t type, cublasComputeType_t compute, int m, int n, int k)
    {
        cublasLtHandle_t handle;
        Check(cublasLt.cublasLtCreate(&handle), "cublasLtCreate");
        _handle = handle;
        cublasLtMatmulDesc_t description;
        Check(cublasLt.cublasLtMatmulDescCreate(&description, compute, _double ? cudaDataType_t.CUDA_R_64F : cudaDataType_t.CUDA_R_32F), "cublasLtMatmulDescCreate");
        _description = description;
        _bLayout = Layout(type, n, k);
        _aLayout = Layout(type, k, m);
        _cLayout = Layout(type, n, m);

        cublasLtMatmulPreference_t preference;
        Check(cublasLt.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
        ulong workspace = (ulong)WorkspaceBytes;
        cublasLtMatmulHeuristicResult_t best;
        int found = 0;
        try
        {
            Check(cublasLt.cublasLtMatmulPreferenceSetAttribute(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(ulong)),
                "cublasLtMatmulPreferenceSetAttribute");
            Check(cublasLt.cublasLtMatmulAlgoGetHeuristic(_handle, _description, _bLayout, _aLayout, _cLayout, _cLayout, preference, 1, &best, &found), "cublasLtMatmulAlgoGetHeuristic");
        }
        finally
        {
            cublasLt.cublasLtMatmulPreferenceDestroy(preference);
        }
        if (found < 1) throw new DeviceException($"cuBLASLt has no algorithm for {m} x {n} x {k}.");
        _algorithm = best.algo;
    }

    private static cublasLtMatrixLayout_t Layout(cudaDataType_t type, int rows, int columns)
    {
        cublasLtMatrixLayout_t layout;
        Check(cublasLt.cublasLtMatrixLayoutCreate(&layout, type, (ulong)rows, (ulong)columns, rows), "cublasLtMatrixLayoutCreate");
        return layout;
    }

    /// <summary>Random values in the precision of the product.</summary>
    private DeviceBuffer<byte> Operand(LtPrecision precision, long count, uint seed)
    {
        if (precision is LtPrecision.Single or LtPrecision.Tf32)
        {
            DeviceBuffer<byte> single = _gpu.Array<byte>(4 * count, _owned);
            DeviceArrays.Fill(_gpu, new DeviceSpan<float>((float*)single.Pointer, count, _gpu), seed);
            return single;
        }
        bool wide = precision == LtPrecision.Double;
        DeviceBuffer<byte> buffer = _gpu.Array<byte>((wide ? 8 : 2) * count, _owned);
        DeviceArrays.Kernel(_gpu, wide ? "bs_ceilings_random_f64" : "bs_ceilings_random_bf16")
            .Launch(_gpu.Stream, new LaunchShape((int)Math.Clamp((count + 255) / 256, 1, 16L * _gpu.Info.Multiprocessors), 256), buffer.View.Address, count, seed);
        return buffer;
    }

    private static CUdeviceptr Address(DeviceBuffer<byte> buffer) => new(buffer.View.Address.Address);

    private static void Check(cublasStatus_t status, string call)
    {
        if (status != cublasStatus_t.CUBLAS_STATUS_SUCCESS)
            throw new DeviceException($"{call}: {Marshal.PtrToStringUTF8((nint)cublasLt.cublasLtGetStatusString(status)) ?? $"status {(int)status}"}");
    }
}
