using System.Numerics;
using BioSup.Runtime.Interop;
using BioSup.Runtime.Loading;

namespace BioSup.Runtime;

/// <summary>Number formats of a product by cuBLASLt.</summary>
public enum CublasLtKind
{
    Single,

    /// <summary>Single precision in memory, products in bf16, sums in single precision.</summary>
    SingleThroughBFloat16,
    Double,
}

/// <summary>
/// D = alpha op(First) op(Second) + beta D, all column-major: rows x depth times depth x columns. A plan is kept for each, so the alignments of the addresses are part of it.
/// </summary>
public readonly record struct CublasLtProduct(
    CublasLtKind Kind, int Rows, int Columns, int Depth, bool TransposeFirst, bool TransposeSecond, long LeadingFirst, long LeadingSecond, long LeadingResult, int AlignmentFirst, int AlignmentSecond, int AlignmentResult)
{
    /// <summary>Column-major, a row-major matrix is its transpose: C = op(A) op(B) becomes Cᵀ = op(B)ᵀ op(A)ᵀ, and the operands change places.</summary>
    /// <param name="kind">Number formats.</param>
    /// <param name="rows">Rows of C.</param>
    /// <param name="columns">Columns of C.</param>
    /// <param name="depth">Columns of op(A).</param>
    /// <param name="a">The address of A, and whether it is transposed, with the elements between its rows.</param>
    /// <param name="b">The same of B.</param>
    /// <param name="c">The address of C with the elements between its rows.</param>
    public static CublasLtProduct OfRowMajor(CublasLtKind kind, int rows, int columns, int depth, (DevicePointer Address, bool Transposed, long Stride) a, (DevicePointer Address, bool Transposed, long Stride) b,
        (DevicePointer Address, long Stride) c) =>
        new(kind, columns, rows, depth, b.Transposed, a.Transposed, b.Stride, a.Stride, c.Stride, AlignmentOf(b.Address), AlignmentOf(a.Address), AlignmentOf(c.Address));

    /// <summary>The largest power of two up to 256 that divides an address.</summary>
    private static int AlignmentOf(DevicePointer pointer) => 1 << Math.Min(8, BitOperations.TrailingZeroCount(pointer.Address));
}

/// <summary>
/// NVIDIA's matrix products, where the library is there. One algorithm is chosen for each product when it is first met and kept: never one that
/// adds parts in the order in which they happen to end, so that the same product has the same bits.
/// </summary>
public sealed unsafe class CublasLt : IDisposable
{
    /// <summary>What NVIDIA advises for compute capability 9.0.</summary>
    private const long MostWorkspace = 32L << 20;

    /// <summary>CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: parts of the depth go to the workspace and are added in order; in-place sums are left out.</summary>
    private const uint OrderedReductions = 2;

    private readonly CudaDevice _device;
    private readonly Dictionary<CublasLtProduct, Plan?> _plans = [];
    private cublasLtHandle_t _handle;

    internal CublasLt(CudaDevice device)
    {
        _device = device;
        device.Bind();
        cublasLtHandle_t handle;
        Check(cublasLt.cublasLtCreate(&handle), nameof(cublasLt.cublasLtCreate));
        _handle = handle;
        nuint packed = cublasLt.cublasLtGetVersion();
        Version = $"{packed / 10000}.{packed % 10000 / 100}.{packed % 100}";
    }

    /// <summary>The library's version: "12.4.2".</summary>
    public string Version { get; }

    /// <summary>The library for a device, or null where it is not found or switched off.</summary>
    internal static CublasLt? Find(CudaDevice device)
    {
        if (!BiosupEnvironment.UseCublasLt) return null;
        return NativeLibraries.Find(LibraryName.CublasLt, CudaDriver.Version?.Major ?? int.MaxValue) != 0 ? new CublasLt(device) : null;
    }

    /// <summary>The library in a file, on a machine where the search finds none.</summary>
    public static CublasLt Load(CudaDevice device, string path)
    {
        NativeLibraries.Use(LibraryName.CublasLt, path);
        return new CublasLt(device);
    }

    /// <summary>Forms the product on the device's stream.</summary>
    /// <param name="product">Shapes and formats.</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <param name="first">Address of the first operand.</param>
    /// <param name="second">Address of the second operand.</param>
    /// <param name="beta">Factor of what the result holds, which is not read where this is 0.</param>
    /// <param name="result">Address of the result.</param>
    /// <returns>False where the library has no algorithm for it.</returns>
    public bool Multiply(in CublasLtProduct product, double alpha, DevicePointer first, DevicePointer second, double beta, DevicePointer result)
    {
        ObjectDisposedException.ThrowIf(_handle.Value == 0, this);
        _device.Bind();
        if (!_plans.TryGetValue(product, out Plan? plan)) _plans.Add(product, plan = Plan.Create(_handle, product));
        if (plan is null) return false;
        CUdeviceptr workspace = plan.WorkspaceBytes == 0 ? default : new CUdeviceptr(_device.Workspace.Take<byte>(plan.WorkspaceBytes).Address.Address);
        (float alpha32, float beta32) = ((float)alpha, (float)beta);
        bool wide = product.Kind == CublasLtKind.Double;
        cublasLtMatmulAlgo_t algorithm = plan.Algorithm;
        CUdeviceptr d = new(result.Address);
        Check(cublasLt.cublasLtMatmul(_handle, plan.Description, wide ? &alpha : &alpha32, new CUdeviceptr(first.Address), plan.First, new CUdeviceptr(second.Address), plan.Second,
            wide ? &beta : &beta32, d, plan.Result, d, plan.Result, &algorithm, workspace, (nuint)plan.WorkspaceBytes, _device.Stream.Raw), nameof(cublasLt.cublasLtMatmul));
        return true;
    }

    public void Dispose()
    {
        foreach (Plan? plan in _plans.Values) plan?.Dispose();
        _plans.Clear();
        if (_handle.Value != 0) _ = cublasLt.cublasLtDestroy(_handle);
        _handle = default;
    }

    private static void Check(cublasStatus_t status, string call)
    {
        if (status != cublasStatus_t.CUBLAS_STATUS_SUCCESS)
            throw new DeviceException($"cuBLASLt: {call} answered {status}; set {BiosupEnvironment.CublasLtName}=0 to use the engine's own products.");
    }

    /// <summary>What the library calls a product, and the algorithm that it advises.</summary>
    private sealed class Plan : IDisposable
    {
        public cublasLtMatmulDesc_t Description;
        public cublasLtMatrixLayout_t First, Second, Result;
        public cublasLtMatmulAlgo_t Algorithm;
        public long WorkspaceBytes;

        public static Plan? Create(cublasLtHandle_t handle, in CublasLtProduct p)
        {
            Plan plan = new();
            cublasLtMatmulPreference_t preference = default;
            try
            {
                plan.Describe(p);
                Check(cublasLt.cublasLtMatmulPreferenceCreate(&preference), nameof(cublasLt.cublasLtMatmulPreferenceCreate));
                ulong most = MostWorkspace;
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof(ulong));
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, OrderedReductions);
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, (uint)p.AlignmentFirst);
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, (uint)p.AlignmentSecond);
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, (uint)p.AlignmentResult);
                Prefer(preference, cublasLtMatmulPreferenceAttributes_t.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, (uint)p.AlignmentResult);
                cublasLtMatmulHeuristicResult_t found;
                int count = 0;
                cublasStatus_t status = cublasLt.cublasLtMatmulAlgoGetHeuristic(handle, plan.Description, plan.First, plan.Second, plan.Result, plan.Result, preference, 1, &found, &count);
                if (status == cublasStatus_t.CUBLAS_STATUS_NOT_SUPPORTED || (status == cublasStatus_t.CUBLAS_STATUS_SUCCESS && (count == 0 || found.state != cublasStatus_t.CUBLAS_STATUS_SUCCESS)))
                {
                    plan.Dispose();
                    return null;
                }
                Check(status, nameof(cublasLt.cublasLtMatmulAlgoGetHeuristic));
                (plan.Algorithm, plan.WorkspaceBytes) = (found.algo, (long)found.workspaceSize);
                return plan;
            }
            catch
            {
                plan.Dispose();
                throw;
            }
            finally
            {
                if (preference.Value != 0) _ = cublasLt.cublasLtMatmulPreferenceDestroy(preference);
            }
        }

        private void Describe(in CublasLtProduct p)
        {
            (cublasComputeType_t compute, cudaDataType_t type) = p.Kind switch
            {
                CublasLtKind.Double => (cublasComputeType_t.CUBLAS_COMPUTE_64F, cudaDataType_t.CUDA_R_64F),
                CublasLtKind.SingleThroughBFloat16 => (cublasComputeType_t.CUBLAS_COMPUTE_32F_FAST_16BF, cudaDataType_t.CUDA_R_32F),
                _ => (cublasComputeType_t.CUBLAS_COMPUTE_32F, cudaDataType_t.CUDA_R_32F),
            };
            cublasLtMatmulDesc_t description;
            Check(cublasLt.cublasLtMatmulDescCreate(&description, compute, type), nameof(cublasLt.cublasLtMatmulDescCreate));
            Description = description;
            Transpose(cublasLtMatmulDescAttributes_t.CUBLASLT_MATMUL_DESC_TRANSA, p.TransposeFirst);
            Transpose(cublasLtMatmulDescAttributes_t.CUBLASLT_MATMUL_DESC_TRANSB, p.TransposeSecond);
            First = Layout(type, p.TransposeFirst ? p.Depth : p.Rows, p.TransposeFirst ? p.Rows : p.Depth, p.LeadingFirst);
            Second = Layout(type, p.TransposeSecond ? p.Columns : p.Depth, p.TransposeSecond ? p.Depth : p.Columns, p.LeadingSecond);
            Result = Layout(type, p.Rows, p.Columns, p.LeadingResult);
        }

        private void Transpose(cublasLtMatmulDescAttributes_t which, bool transposed)
        {
            int operation = transposed ? 1 : 0; // CUBLAS_OP_T, CUBLAS_OP_N
            Check(cublasLt.cublasLtMatmulDescSetAttribute(Description, which, &operation, sizeof(int)), nameof(cublasLt.cublasLtMatmulDescSetAttribute));
        }

        private static cublasLtMatrixLayout_t Layout(cudaDataType_t type, int rows, int columns, long leading)
        {
            cublasLtMatrixLayout_t layout;
            Check(cublasLt.cublasLtMatrixLayoutCreate(&layout, type, (ulong)rows, (ulong)columns, leading), nameof(cublasLt.cublasLtMatrixLayoutCreate));
            return layout;
        }

        private static void Prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, uint value) => Prefer(preference, attribute, &value, sizeof(uint));

        private static void Prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, void* value, nuint bytes) =>
            Check(cublasLt.cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes), nameof(cublasLt.cublasLtMatmulPreferenceSetAttribute));

        public void Dispose()
        {
            if (First.Value != 0) _ = cublasLt.cublasLtMatrixLayoutDestroy(First);
            if (Second.Value != 0) _ = cublasLt.cublasLtMatrixLayoutDestroy(Second);
            if (Result.Value != 0) _ = cublasLt.cublasLtMatrixLayoutDestroy(Result);
            if (Description.Value != 0) _ = cublasLt.cublasLtMatmulDescDestroy(Description);
            (First, Second, Result, Description) = (default, default, default, default);
        }
    }
}
