using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Softmax and log-sum-exp with the maximum taken out first, so that nothing overflows. Exponentials are taken in the matrix's own type
/// (<see cref="VectorExp"/>, 1 ulp), their sums in double precision. NaN gives NaN.
/// </summary>
public static unsafe partial class Softmax
{
    /// <summary>y[i, j] = exp(x[i, j]) / Σⱼ exp(x[i, j]). x and y may be the same matrix. A row of −∞ alone gives NaN, as in PyTorch.</summary>
    /// <param name="x">[n, d]</param>
    /// <param name="y">[n, d]</param>
    public static void Rows(MatrixView<float> x, MatrixView<float> y) => NormalisedRows(x, y);

    /// <inheritdoc cref="Rows(MatrixView{float}, MatrixView{float})"/>
    public static void Rows(MatrixView<double> x, MatrixView<double> y) => NormalisedRows(x, y);

    /// <summary>result[i] = log Σⱼ exp(x[i, j]); −∞ for a row of −∞ alone or without elements.</summary>
    public static void LogSumExpRows(MatrixView<float> x, DeviceSpan<float> result) => LogSumsOfRows(x, result);

    /// <inheritdoc cref="LogSumExpRows(MatrixView{float}, DeviceSpan{float})"/>
    public static void LogSumExpRows(MatrixView<double> x, DeviceSpan<double> result) => LogSumsOfRows(x, result);

    /// <summary>result[j] = log Σᵢ exp(x[i, j]); −∞ for a column of −∞ alone or without elements.</summary>
    public static void LogSumExpColumns(MatrixView<float> x, DeviceSpan<float> result) => LogSumsOfColumns(x, result);

    /// <inheritdoc cref="LogSumExpColumns(MatrixView{float}, DeviceSpan{float})"/>
    public static void LogSumExpColumns(MatrixView<double> x, DeviceSpan<double> result) => LogSumsOfColumns(x, result);

    private static void NormalisedRows<T>(MatrixView<T> x, MatrixView<T> y) where T : unmanaged, IFloatingPointIeee754<T>
    {
        ValidateSame(x, y);
        if (x.Device is CudaDevice gpu)
        {
            CudaRows(gpu, x, y);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Softmax)))
        {
            case KernelVariant.Avx512: RowSoftmax<Simd512<T>, Vector512<T>, T>.Run(cpu, x, y, null); break;
            case KernelVariant.Avx2: RowSoftmax<Simd256<T>, Vector256<T>, T>.Run(cpu, x, y, null); break;
            case KernelVariant.Portable: RowSoftmax<Simd128<T>, Vector128<T>, T>.Run(cpu, x, y, null); break;
            default: ReferenceRows(x, y); break;
        }
    }

    private static void LogSumsOfRows<T>(MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Validate(x.Device, result, x.Rows, "row");
        if (x.Device is CudaDevice gpu)
        {
            CudaLogSumRows(gpu, x, result);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        MatrixView<T> none = new(null, 0, 0, 0, x.Device);
        switch (KernelDispatch.Select(nameof(Softmax)))
        {
            case KernelVariant.Avx512: RowSoftmax<Simd512<T>, Vector512<T>, T>.Run(cpu, x, none, result.Pointer); break;
            case KernelVariant.Avx2: RowSoftmax<Simd256<T>, Vector256<T>, T>.Run(cpu, x, none, result.Pointer); break;
            case KernelVariant.Portable: RowSoftmax<Simd128<T>, Vector128<T>, T>.Run(cpu, x, none, result.Pointer); break;
            default: for (int i = 0; i < x.Rows; i++) result.Pointer[i] = T.CreateTruncating(ReferenceLogSumExp(x.Pointer + i * x.Stride, 1, x.Columns)); break;
        }
    }

    private static void LogSumsOfColumns<T>(MatrixView<T> x, DeviceSpan<T> result) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Validate(x.Device, result, x.Columns, "column");
        if (x.Device is CudaDevice gpu)
        {
            CudaLogSumColumns(gpu, x, result);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Softmax)))
        {
            case KernelVariant.Avx512: ColumnLogSumExp<Simd512<T>, Vector512<T>, Simd512<double>, Vector512<double>, T>.Run(cpu, x, result.Pointer); break;
            case KernelVariant.Avx2: ColumnLogSumExp<Simd256<T>, Vector256<T>, Simd256<double>, Vector256<double>, T>.Run(cpu, x, result.Pointer); break;
            case KernelVariant.Portable: ColumnLogSumExp<Simd128<T>, Vector128<T>, Simd128<double>, Vector128<double>, T>.Run(cpu, x, result.Pointer); break;
            default: for (int j = 0; j < x.Columns; j++) result.Pointer[j] = T.CreateTruncating(ReferenceLogSumExp(x.Pointer + j, x.Stride, x.Rows)); break;
        }
    }

    private static void ValidateSame<T>(MatrixView<T> x, MatrixView<T> y) where T : unmanaged
    {
        if (x.Rows != y.Rows || x.Columns != y.Columns) throw new ArgumentException($"x is {x.Rows} x {x.Columns}, y is {y.Rows} x {y.Columns}: they must have the same shape.");
        if (x.Device != y.Device) throw new ArgumentException("x and y must lie on the same device.");
    }

    private static void Validate<T>(ComputeDevice device, DeviceSpan<T> result, int expected, string what) where T : unmanaged
    {
        if (result.Length != expected) throw new ArgumentException($"The result has {result.Length} elements; one per {what} is {expected}.");
        if (expected > 0 && result.Device != device) throw new ArgumentException("The matrix and the result must lie on the same device.");
    }

    private static CpuDevice RequireCpu(ComputeDevice device) =>
        device as CpuDevice ?? throw new DeviceException($"Softmax has no implementation for device '{device.Name}'.");
}
