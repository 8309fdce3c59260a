using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Reductions
{
    private static void RowReduce<TTerm>(MatrixView<float> x, DeviceSpan<double> shifts, DeviceSpan<double> results) where TTerm : struct, ITerm
    {
        CpuDevice cpu = Validate(x.Device, results, x.Rows, "row");
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: RowReduction<Simd512<double>, Vector512<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: RowReduction<Simd256<double>, Vector256<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: RowReduction<Simd128<double>, Vector128<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceRows<TTerm, float>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static void RowReduce<TTerm>(MatrixView<double> x, DeviceSpan<double> shifts, DeviceSpan<double> results) where TTerm : struct, ITerm
    {
        CpuDevice cpu = Validate(x.Device, results, x.Rows, "row");
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: RowReduction<Simd512<double>, Vector512<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: RowReduction<Simd256<double>, Vector256<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: RowReduction<Simd128<double>, Vector128<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceRows<TTerm, double>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static void ColumnReduce<TTerm>(MatrixView<float> x, DeviceSpan<double> shifts, DeviceSpan<double> results) where TTerm : struct, ITerm
    {
        CpuDevice cpu = Validate(x.Device, results, x.Columns, "column");
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: ColumnReduction<Simd512<double>, Vector512<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: ColumnReduction<Simd256<double>, Vector256<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: ColumnReduction<Simd128<double>, Vector128<double>, float, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceColumns<TTerm, float>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static void ColumnReduce<TTerm>(MatrixView<double> x, DeviceSpan<double> shifts, DeviceSpan<double> results) where TTerm : struct, ITerm
    {
        CpuDevice cpu = Validate(x.Device, results, x.Columns, "column");
        switch (KernelDispatch.Select(nameof(Reductions)))
        {
            case KernelVariant.Avx512: ColumnReduction<Simd512<double>, Vector512<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Avx2: ColumnReduction<Simd256<double>, Vector256<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            case KernelVariant.Portable: ColumnReduction<Simd128<double>, Vector128<double>, double, TTerm>.Run(cpu, x, shifts.Pointer, results.Pointer); break;
            default: ReferenceColumns<TTerm, double>(x, shifts.Pointer, results.Pointer); break;
        }
    }

    private static CpuDevice Validate(ComputeDevice device, DeviceSpan<double> results, int expected, string what)
    {
        if (results.Length != expected) throw new ArgumentException($"The result has {results.Length} elements; one per {what} is {expected}.");
        if (expected > 0 && results.Device != device) throw new ArgumentException("The matrix and the result must lie on the same device.");
        return device as CpuDevice ?? throw new DeviceException($"Reductions have no implementation for device '{device.Name}'.");
    }
}
