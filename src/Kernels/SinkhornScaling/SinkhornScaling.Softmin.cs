using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class SinkhornScaling
{
    /// <summary>softmin_i = -epsilon log sum_j exp((g_j - C_ij) / epsilon), [n]: half an iteration in the log domain, on the host. Nothing under- or overflows.</summary>
    internal static void RowSoftmin<T>(SinkhornWorkspace<T> workspace, MatrixView<T> cost, DeviceSpan<double> g, double epsilon, DeviceSpan<double> softmin)
        where T : unmanaged, IFloatingPointIeee754<T> => Softmin(workspace, cost, rows: true, g, epsilon, softmin);

    /// <summary>softmin_j = -epsilon log sum_i exp((f_i - C_ij) / epsilon), [m].</summary>
    internal static void ColumnSoftmin<T>(SinkhornWorkspace<T> workspace, MatrixView<T> cost, DeviceSpan<double> f, double epsilon, DeviceSpan<double> softmin)
        where T : unmanaged, IFloatingPointIeee754<T> => Softmin(workspace, cost, rows: false, f, epsilon, softmin);

    private static void Softmin<T>(SinkhornWorkspace<T> workspace, MatrixView<T> cost, bool rows, DeviceSpan<double> potential, double epsilon, DeviceSpan<double> softmin)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        KernelVariant variant = KernelDispatch.Select(nameof(SinkhornScaling));
        if (variant == KernelVariant.Reference) ReferenceSoftmin(cost, rows, potential, epsilon, softmin);
        else if (typeof(T) == typeof(double)) SoftminDouble((SinkhornWorkspace<double>)(object)workspace, Retyped<T, double>(cost), variant, rows, potential.Pointer, epsilon, softmin.Pointer);
        else SoftminSingle((SinkhornWorkspace<float>)(object)workspace, Retyped<T, float>(cost), variant, rows, potential.Pointer, epsilon, softmin.Pointer);
    }

    private static void SoftminDouble(SinkhornWorkspace<double> w, MatrixView<double> cost, KernelVariant variant, bool rows, double* potential, double epsilon, double* softmin)
    {
        switch (variant)
        {
            case KernelVariant.Avx512: SoftminWith<Simd512<double>, Vector512<double>, double>(w, cost, rows, potential, epsilon, softmin); break;
            case KernelVariant.Avx2: SoftminWith<Simd256<double>, Vector256<double>, double>(w, cost, rows, potential, epsilon, softmin); break;
            default: SoftminWith<Simd128<double>, Vector128<double>, double>(w, cost, rows, potential, epsilon, softmin); break;
        }
    }

    private static void SoftminSingle(SinkhornWorkspace<float> w, MatrixView<float> cost, KernelVariant variant, bool rows, double* potential, double epsilon, double* softmin)
    {
        switch (variant)
        {
            case KernelVariant.Avx512: SoftminWith<Simd512<float>, Vector512<float>, float>(w, cost, rows, potential, epsilon, softmin); break;
            case KernelVariant.Avx2: SoftminWith<Simd256<float>, Vector256<float>, float>(w, cost, rows, potential, epsilon, softmin); break;
            default: SoftminWith<Simd128<float>, Vector128<float>, float>(w, cost, rows, potential, epsilon, softmin); break;
        }
    }

    private static void SoftminWith<TLanes, TVector, T>(SinkhornWorkspace<T> w, MatrixView<T> cost, bool rows, double* potential, double epsilon, double* softmin)
        where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (rows) LogDomainSolver<TLanes, TVector, T>.RowSoftmin(w, cost, epsilon, potential, softmin);
        else LogDomainSolver<TLanes, TVector, T>.ColumnSoftmin(w, cost, epsilon, potential, softmin);
    }

    private static void ReferenceSoftmin<T>(MatrixView<T> cost, bool rows, DeviceSpan<double> potential, double epsilon, DeviceSpan<double> softmin) where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int k = 0; k < softmin.Length; k++)
            softmin.Pointer[k] = -epsilon * (rows ? RowLogSum(cost, potential, k, epsilon) : ColumnLogSum(cost, potential, k, epsilon));
    }

    private static MatrixView<TOut> Retyped<T, TOut>(MatrixView<T> view) where T : unmanaged where TOut : unmanaged =>
        new((TOut*)view.Pointer, view.Rows, view.Columns, view.Stride, view.Device);
}
