using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Reductions
{
    private static void RowReduce<TTerm, T>(MatrixView<T> x, DeviceSpan<double> shifts, DeviceSpan<double> results)
        where TTerm : struct, ITerm where T : unmanaged, INumberBase<T>
    {
        Validate<T>(x.Device, results, x.Rows, "row");
        if (x.Device is CudaDevice gpu)
        {
            CudaRows<TTerm, T>(gpu, x, shifts, results);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: RowReduction<Simd512<double>, Vector512<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: RowReduction<Simd256<double>, Vector256<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: RowReduction<Simd128<double>, Vector128<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceRows<TTerm, T>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static void ColumnReduce<TTerm, T>(MatrixView<T> x, DeviceSpan<double> shifts, DeviceSpan<double> results)
        where TTerm : struct, ITerm where T : unmanaged, INumberBase<T>
    {
        Validate<T>(x.Device, results, x.Columns, "column");
        if (x.Device is CudaDevice gpu)
        {
            CudaColumns<TTerm, T>(gpu, x, shifts, results);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: ColumnReduction<Simd512<double>, Vector512<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: ColumnReduction<Simd256<double>, Vector256<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: ColumnReduction<Simd128<double>, Vector128<double>, T, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceColumns<TTerm, T>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static void Dots<T>(MatrixView<T> x, MatrixView<T> y, DeviceSpan<double> results) where T : unmanaged, INumberBase<T>
    {
        Validate<T>(x.Device, results, x.Rows, "row");
        if (x.Rows != y.Rows || x.Columns != y.Columns) throw new ArgumentException($"x is {x.Rows} x {x.Columns}, y is {y.Rows} x {y.Columns}: both must be of one shape.");
        if (x.Rows > 0 && x.Device != y.Device) throw new ArgumentException("Both matrices must lie on the same device.");
        if (x.Device is CudaDevice gpu)
        {
            CudaDots(gpu, x, y, results);
            return;
        }
        CpuDevice cpu = RequireCpu(x.Device);
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: RowDots<Simd512<double>, Vector512<double>, T>.Run(cpu, x, y, results.Pointer); break;
            case KernelVariant.Avx2: RowDots<Simd256<double>, Vector256<double>, T>.Run(cpu, x, y, results.Pointer); break;
            case KernelVariant.Portable: RowDots<Simd128<double>, Vector128<double>, T>.Run(cpu, x, y, results.Pointer); break;
            default: ReferenceDots(x, y, results.Pointer); break;
        }
    }

    private static void Validate<T>(ComputeDevice device, DeviceSpan<double> results, int expected, string what)
    {
        if (typeof(T) != typeof(float) && typeof(T) != typeof(double)) throw new NotSupportedException($"Reductions take single or double precision, not {typeof(T).Name}.");
        if (results.Length != expected) throw new ArgumentException($"The result has {results.Length} elements; one per {what} is {expected}.");
        if (expected > 0 && results.Device != device) throw new ArgumentException("The matrix and the result must lie on the same device.");
    }

    private static CpuDevice RequireCpu(ComputeDevice device) =>
        device as CpuDevice ?? throw new DeviceException($"Reductions have no implementation for device '{device.Name}'.");
}
