using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Whether an operand of a product is taken as it is or transposed.</summary>
public enum Transpose
{
    No,
    Yes,
}

/// <summary>How the products of matrices in single precision are formed on a GPU.</summary>
public enum GemmPrecision
{
    /// <summary>With the error of single precision, by whichever units are the faster for the shape.</summary>
    Single,

    /// <summary>
    /// On the tensor cores, every element split into two TF32 numbers: three products, sums in single precision. At most twice the error of a plain
    /// loop in single precision, give or take one part in 2²² of Σ|a b|, which shows where the depth is below about 30.
    /// </summary>
    TensorFloat3,

    /// <summary>On the tensor cores, every element rounded to bf16 (8 significant bits), sums in single precision: an error up to Σ|a b| / 128.</summary>
    BFloat16,
}

/// <summary>
/// General matrix product C = alpha op(A) op(B) + beta C, row-major, single and double precision.
/// op(A) is [m, k], op(B) is [k, n], C is [m, n]; a transposed operand is stored as [k, m] or [n, k].
/// </summary>
/// <remarks>
/// As in BLAS: beta = 0 never reads C (it may hold NaN), alpha = 0 or k = 0 reads neither A nor B. A NaN in A or B reaches every element that depends on it.
/// Every element of C is summed in one fixed order, so the result does not depend on the number of threads. C must not overlap A or B.
/// </remarks>
public static unsafe partial class Gemm
{
    /// <summary>C = alpha op(A) op(B) + beta C in single precision.</summary>
    /// <exception cref="ArgumentException">The shapes do not fit together, or the operands lie on different devices.</exception>
    public static void Multiply(Transpose transposeA, Transpose transposeB, float alpha, MatrixView<float> a, MatrixView<float> b, float beta, MatrixView<float> c) =>
        Multiply(transposeA, transposeB, alpha, a, b, beta, c, GemmPrecision.Single);

    /// <summary>C = alpha op(A) op(B) + beta C on matrices in single precision. A processor takes all of them with the error of single precision.</summary>
    /// <exception cref="ArgumentException">The shapes do not fit together, or the operands lie on different devices.</exception>
    public static void Multiply(Transpose transposeA, Transpose transposeB, float alpha, MatrixView<float> a, MatrixView<float> b, float beta, MatrixView<float> c, GemmPrecision precision)
    {
        if (!Enum.IsDefined(precision)) throw new ArgumentOutOfRangeException(nameof(precision));
        Run(c.Device, Validate(transposeA, transposeB, alpha, a, b, beta, c), transposeA, transposeB, precision);
    }

    /// <summary>C = alpha op(A) op(B) + beta C in double precision.</summary>
    /// <exception cref="ArgumentException">The shapes do not fit together, or the operands lie on different devices.</exception>
    public static void Multiply(Transpose transposeA, Transpose transposeB, double alpha, MatrixView<double> a, MatrixView<double> b, double beta, MatrixView<double> c) =>
        Run(c.Device, Validate(transposeA, transposeB, alpha, a, b, beta, c), transposeA, transposeB, GemmPrecision.Single);

    /// <summary>The variants, best first: one tile over registers of 512, 256 and 128 bits. The reference is forced by tests only.</summary>
    private static void Run<T>(ComputeDevice device, in GemmProblem<T> problem, Transpose transposeA, Transpose transposeB, GemmPrecision precision)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (device is CudaDevice gpu)
        {
            Cuda(gpu, problem, transposeA, transposeB, precision);
            return;
        }
        CpuDevice cpu = device as CpuDevice ?? throw new DeviceException($"The matrix product has no implementation for device '{device.Name}'.");
        if (problem.IsEmpty) return;
        switch (KernelDispatch.Select(nameof(Gemm)))
        {
            case KernelVariant.Avx512: GemmDriver<GemmTile<Simd512<T>, Vector512<T>, T>, T>.Run(cpu, problem); break;
            case KernelVariant.Avx2: GemmDriver<GemmTile<Simd256<T>, Vector256<T>, T>, T>.Run(cpu, problem); break;
            case KernelVariant.Portable: GemmDriver<GemmTile<Simd128<T>, Vector128<T>, T>, T>.Run(cpu, problem); break;
            default: Reference(problem); break;
        }
    }

    private static GemmProblem<T> Validate<T>(Transpose transposeA, Transpose transposeB, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        (int m, int k) = transposeA == Transpose.No ? (a.Rows, a.Columns) : (a.Columns, a.Rows);
        (int inner, int n) = transposeB == Transpose.No ? (b.Rows, b.Columns) : (b.Columns, b.Rows);
        if (inner != k) throw new ArgumentException($"The inner dimensions differ: op(A) is {m} x {k}, op(B) is {inner} x {n}.");
        if (c.Rows != m || c.Columns != n) throw new ArgumentException($"C is {c.Rows} x {c.Columns}; op(A) op(B) is {m} x {n}.");
        if (a.Device != c.Device || b.Device != c.Device) throw new ArgumentException("A, B and C must lie on the same device.");
        return new GemmProblem<T>
        {
            Rows = m,
            Columns = n,
            Depth = alpha == T.Zero ? 0 : k,
            Alpha = alpha,
            Beta = beta,
            A = a.Pointer,
            RowStrideA = transposeA == Transpose.No ? a.Stride : 1,
            DepthStrideA = transposeA == Transpose.No ? 1 : a.Stride,
            B = b.Pointer,
            ColumnStrideB = transposeB == Transpose.No ? 1 : b.Stride,
            DepthStrideB = transposeB == Transpose.No ? b.Stride : 1,
            C = c.Pointer,
            StrideC = c.Stride,
            ColumnStrideC = 1,
        };
    }
}

/// <summary>One product with transposition expressed as strides: op(A)(i, p) = A[i * RowStrideA + p * DepthStrideA], op(B)(p, j) = B[p * DepthStrideB + j * ColumnStrideB].</summary>
internal unsafe struct GemmProblem<T> where T : unmanaged
{
    public int Rows, Columns, Depth;
    public T Alpha, Beta;
    public T* A, B, C;
    public long RowStrideA, DepthStrideA, ColumnStrideB, DepthStrideB, StrideC, ColumnStrideC;

    public readonly bool IsEmpty => Rows == 0 || Columns == 0;

    /// <summary>The same product read the other way round: Cᵀ = op(B)ᵀ op(A)ᵀ.</summary>
    public readonly GemmProblem<T> Transposed => new()
    {
        Rows = Columns, Columns = Rows, Depth = Depth, Alpha = Alpha, Beta = Beta,
        A = B, RowStrideA = ColumnStrideB, DepthStrideA = DepthStrideB,
        B = A, ColumnStrideB = RowStrideA, DepthStrideB = DepthStrideA,
        C = C, StrideC = ColumnStrideC, ColumnStrideC = StrideC,
    };
}
