using System.Runtime.InteropServices;

namespace BioSup.Runtime.Interop;

/// <summary>cuBLASLt, as cublasLt.h declares it: used for plain products where it is there, never required. Matrices are column-major.</summary>
internal static unsafe partial class cublasLt
{
    internal const string Library = "cublasLt";

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle);

    [LibraryImport(Library)]
    internal static partial nuint cublasLtGetVersion();

    [LibraryImport(Library)]
    internal static partial byte* cublasLtGetStatusString(cublasStatus_t status);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description, cublasComputeType_t compute, cudaDataType_t scale);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, void* value, nuint bytes);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, ulong rows, ulong columns, long leading);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, void* value, nuint bytes);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, void* value, nuint bytes);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
        cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int requested, cublasLtMatmulHeuristicResult_t* results, int* returned);

    [LibraryImport(Library)]
    internal static partial cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, void* alpha, CUdeviceptr a, cublasLtMatrixLayout_t aLayout,
        CUdeviceptr b, cublasLtMatrixLayout_t bLayout, void* beta, CUdeviceptr c, cublasLtMatrixLayout_t cLayout, CUdeviceptr d, cublasLtMatrixLayout_t dLayout,
        cublasLtMatmulAlgo_t* algorithm, CUdeviceptr workspace, nuint workspaceBytes, CUstream stream);
}
