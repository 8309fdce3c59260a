using System.Numerics;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The k largest elements of every row, largest first; equal values in the order of their column. k is the number of columns of the results.
/// As in torch.topk, NaN counts as larger than every number; −0 and +0 are equal.
/// </summary>
public static unsafe partial class TopK
{
    /// <param name="x">[n, d], d ≥ k</param>
    /// <param name="indices">[n, k] columns of x</param>
    /// <param name="values">[n, k] the elements themselves</param>
    /// <exception cref="ArgumentException">The shapes do not fit together.</exception>
    public static void Rows(MatrixView<float> x, MatrixView<int> indices, MatrixView<float> values) => Select<float, SingleKey>(x, indices, values);

    /// <inheritdoc cref="Rows(MatrixView{float}, MatrixView{int}, MatrixView{float})"/>
    public static void Rows(MatrixView<double> x, MatrixView<int> indices, MatrixView<double> values) => Select<double, DoubleKey>(x, indices, values);

    private static void Select<T, TKey>(MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values)
        where T : unmanaged, IFloatingPointIeee754<T> where TKey : struct, IOrderedKey<T>
    {
        Validate(x, indices, values);
        if (x.Device is CudaDevice gpu)
        {
            Cuda(gpu, x, indices, values);
            return;
        }
        CpuDevice cpu = x.Device as CpuDevice ?? throw new DeviceException($"Top-k has no implementation for device '{x.Device.Name}'.");
        switch (KernelDispatch.Select(nameof(TopK)))
        {
            case KernelVariant.Avx512: RowTopK<Simd512<T>, Vector512<T>, T, TKey>.Run(cpu, x, indices, values); break;
            case KernelVariant.Avx2: RowTopK<Simd256<T>, Vector256<T>, T, TKey>.Run(cpu, x, indices, values); break;
            case KernelVariant.Portable: RowTopK<Simd128<T>, Vector128<T>, T, TKey>.Run(cpu, x, indices, values); break;
            default: Reference(x, indices, values); break;
        }
    }

    private static void Validate<T>(MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged
    {
        if (indices.Rows != x.Rows || values.Rows != x.Rows || indices.Columns != values.Columns)
            throw new ArgumentException($"x has {x.Rows} rows, indices are {indices.Rows} x {indices.Columns}, values {values.Rows} x {values.Columns}: the results must both be [rows of x, k].");
        if (indices.Columns > x.Columns) throw new ArgumentException($"The {indices.Columns} largest of {x.Columns} elements were asked for.");
        if (indices.Device != x.Device || values.Device != x.Device) throw new ArgumentException("x, indices and values must lie on the same device.");
    }
}
