using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gemm
{
    /// <summary>Products of fewer operations are over before NVIDIA's library is at work.</summary>
    private const long FewestOperationsOfLibrary = 1L << 22;

    /// <summary>
    /// Leaves a product to cuBLASLt where the library is there and has the numbers that are wanted: double precision (tensor cores where the device has them
    /// for it), bf16, and single precision where three TF32 products, which the library does not have, are not the choice.
    /// </summary>
    /// <returns>False where it is the engine's own to form.</returns>
    internal static bool TryCublasLt<T>(CudaDevice gpu, CublasLt? library, in GemmProblem<T> p, Transpose transposeA, Transpose transposeB, GemmForm form) where T : unmanaged
    {
        if (library is null || form == GemmForm.TensorFloat3 || 2L * p.Rows * p.Columns * p.Depth < FewestOperationsOfLibrary) return false;
        bool single = typeof(T) == typeof(float);
        CublasLtKind kind = !single ? CublasLtKind.Double : form == GemmForm.BFloat16 ? CublasLtKind.SingleThroughBFloat16 : CublasLtKind.Single;
        DevicePointer a = new((ulong)p.A), b = new((ulong)p.B), c = new((ulong)p.C);
        CublasLtProduct product = CublasLtProduct.OfRowMajor(kind, p.Rows, p.Columns, p.Depth,
            (a, transposeA == Transpose.Yes, Stride(p.RowStrideA, p.DepthStrideA, transposeA)), (b, transposeB == Transpose.Yes, Stride(p.DepthStrideB, p.ColumnStrideB, transposeB)), (c, p.StrideC));
        T alpha = p.Alpha, beta = p.Beta;
        if (!library.Multiply(product, single ? *(float*)&alpha : *(double*)&alpha, b, a, single ? *(float*)&beta : *(double*)&beta, c)) return false;
        DeviceKernels.Report(gpu, nameof(Gemm), ("cuBLASLt " + library.Version, kind));
        return true;
    }
}
