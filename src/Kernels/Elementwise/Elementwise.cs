using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Element by element: copies that change the type, fills, squares, ln(1 + x), scaled sums and rows divided by a number each. Elements are single or double
/// precision, arithmetic is double. Source and target may be the same matrix; otherwise they must not overlap.
/// </summary>
public static unsafe partial class Elementwise
{
    /// <summary>y = x, rounded to nearest where y is narrower.</summary>
    /// <exception cref="ArgumentException">The shapes or devices differ.</exception>
    public static void Copy<TIn, TOut>(MatrixView<TIn> x, MatrixView<TOut> y) where TIn : unmanaged, INumberBase<TIn> where TOut : unmanaged, INumberBase<TOut> =>
        Map<CopyElement, TIn, TOut>(x, y, default, default, default, 0);

    /// <summary>A copy in single or double precision on the same device.</summary>
    public static Matrix<TOut> Converted<TIn, TOut>(MatrixView<TIn> x) where TIn : unmanaged, INumberBase<TIn> where TOut : unmanaged, INumberBase<TOut>
    {
        Matrix<TOut> y = x.Device.AllocateMatrix<TOut>(x.Rows, x.Columns);
        Copy(x, y.View);
        return y;
    }

    /// <summary>y = x / divisor; 0 where the divisor is 0.</summary>
    public static void Divide<T>(MatrixView<T> x, double divisor, MatrixView<T> y) where T : unmanaged, INumberBase<T> => Map<DivideElement, T, T>(x, y, default, default, default, divisor);

    /// <summary>y = x².</summary>
    public static void Square<T>(MatrixView<T> x, MatrixView<T> y) where T : unmanaged, INumberBase<T> => Map<SquareElement, T, T>(x, y, default, default, default, 0);

    /// <summary>y = ln(1 + max(x, 0)); NaN stays.</summary>
    public static void LogOnePlus<T>(MatrixView<T> x, MatrixView<T> y) where T : unmanaged, INumberBase<T> => Map<LogOnePlusElement, T, T>(x, y, default, default, default, 0);

    /// <summary>y += factor · x.</summary>
    public static void AddScaled<T>(double factor, MatrixView<T> x, MatrixView<T> y) where T : unmanaged, INumberBase<T> => Map<AddScaledElement, T, T>(x, y, default, default, default, factor);

    /// <summary>y[i, j] = x[i, j] / divisors[i]; rows whose divisor is 0 become 0.</summary>
    public static void DivideRows<T>(MatrixView<T> x, DeviceSpan<double> divisors, MatrixView<T> y) where T : unmanaged, INumberBase<T>
    {
        if (divisors.Length != x.Rows) throw new ArgumentException($"There are {divisors.Length} divisors for {x.Rows} rows.");
        Map<DivideElement, T, T>(x, y, default, default, divisors, 0);
    }

    /// <summary>Every element of y becomes <paramref name="value"/>.</summary>
    public static void Fill<T>(MatrixView<T> y, T value) where T : unmanaged, INumberBase<T>
    {
        RequireElements<T>();
        if (y.Device is CudaDevice gpu)
        {
            CudaFill(gpu, y, value);
            return;
        }
        _ = RequireCpu(y.Device);
        for (int i = 0; i < y.Rows; i++) y.Row(i).Fill(value);
    }

    internal static void Map<TTerm, TIn, TOut>(MatrixView<TIn> x, MatrixView<TOut> y, DeviceSpan<double> shifts, DeviceSpan<double> divisors, DeviceSpan<double> rowValues, double value)
        where TTerm : struct, IElementTerm where TIn : unmanaged, INumberBase<TIn> where TOut : unmanaged, INumberBase<TOut>
    {
        RequireElements<TIn>();
        RequireElements<TOut>();
        if (x.Rows != y.Rows || x.Columns != y.Columns) throw new ArgumentException($"x is {x.Rows} x {x.Columns}, y is {y.Rows} x {y.Columns}: both must be of one shape.");
        if (x.Device != y.Device || !IsOn(shifts, x.Device) || !IsOn(divisors, x.Device) || !IsOn(rowValues, x.Device)) throw new ArgumentException("All operands must lie on the same device.");
        ElementProblem<TIn, TOut> problem = new()
        {
            X = x.Pointer, StrideX = x.Stride, Y = y.Pointer, StrideY = y.Stride, Rows = x.Rows, Columns = x.Columns,
            Shifts = shifts.Pointer, Divisors = divisors.Pointer, RowValues = rowValues.Pointer, Value = value,
        };
        if (x.Rows == 0 || x.Columns == 0) return;
        if (x.Device is CudaDevice gpu)
        {
            Cuda<TTerm, TIn, TOut>(gpu, problem);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Elementwise)))
        {
            case KernelVariant.Avx512: ElementMap<Simd512<double>, Vector512<double>, TIn, TOut, TTerm>.Run(cpu, problem); break;
            case KernelVariant.Avx2: ElementMap<Simd256<double>, Vector256<double>, TIn, TOut, TTerm>.Run(cpu, problem); break;
            case KernelVariant.Portable: ElementMap<Simd128<double>, Vector128<double>, TIn, TOut, TTerm>.Run(cpu, problem); break;
            default: Reference<TTerm, TIn, TOut>(problem); break;
        }
    }

    private static bool IsOn(DeviceSpan<double> span, ComputeDevice device) => span.Pointer == null || span.Device == device;

    private static void RequireElements<T>()
    {
        if (typeof(T) != typeof(float) && typeof(T) != typeof(double)) throw new NotSupportedException($"Element-wise operations take single or double precision, not {typeof(T).Name}.");
    }

    private static CpuDevice RequireCpu(ComputeDevice device) =>
        device as CpuDevice ?? throw new DeviceException($"Element-wise operations have no implementation for device '{device.Name}'.");
}
