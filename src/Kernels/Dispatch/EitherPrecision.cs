using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Operations for code that is written once for single and double precision; any other type is an error of the caller.</summary>
public static unsafe class EitherPrecision
{
    /// <summary>C = alpha op(A) op(B) + beta C, as <see cref="Gemm"/>.</summary>
    public static void Multiply<T>(Transpose transposeA, Transpose transposeB, T alpha, MatrixView<T> a, MatrixView<T> b, T beta, MatrixView<T> c) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(float)) Gemm.Multiply(transposeA, transposeB, (float)(object)alpha, As<T, float>(a), As<T, float>(b), (float)(object)beta, As<T, float>(c));
        else Gemm.Multiply(transposeA, transposeB, (double)(object)alpha, As<T, double>(a), As<T, double>(b), (double)(object)beta, As<T, double>(c));
    }

    /// <summary>One step of <see cref="AdamW"/> with gradients times a scale.</summary>
    internal static void AdamStep<T>(DeviceBuffer<T> parameters, DeviceBuffer<T> gradients, DeviceBuffer<T> first, DeviceBuffer<T> second, in AdamWOptions options, long step, double gradientScale) where T : unmanaged
    {
        if (typeof(T) == typeof(float)) AdamW.Step(As<T, float>(parameters), As<T, float>(gradients), As<T, float>(first), As<T, float>(second), options, step, gradientScale);
        else AdamW.Step(As<T, double>(parameters), As<T, double>(gradients), As<T, double>(first), As<T, double>(second), options, step, gradientScale);
    }

    /// <summary>Σ g² in double precision.</summary>
    internal static double SumOfSquares<T>(DeviceBuffer<T> values) where T : unmanaged =>
        typeof(T) == typeof(float) ? AdamW.SumOfSquares(As<T, float>(values)) : AdamW.SumOfSquares(As<T, double>(values));

    /// <summary>Copies single precision into either, which must be as long or longer.</summary>
    public static void Convert<T>(ReadOnlySpan<float> from, Span<T> to) where T : unmanaged
    {
        if (typeof(T) == typeof(float)) MemoryMarshal.Cast<float, T>(from).CopyTo(to);
        else TensorPrimitives.ConvertChecked(from, MemoryMarshal.Cast<T, double>(to));
    }

    private static MatrixView<TTo> As<T, TTo>(MatrixView<T> view) where T : unmanaged where TTo : unmanaged => new((TTo*)view.Pointer, view.Rows, view.Columns, view.Stride, view.Device);

    private static DeviceSpan<TTo> As<T, TTo>(DeviceBuffer<T> buffer) where T : unmanaged where TTo : unmanaged => new((TTo*)buffer.View.Pointer, buffer.Length, buffer.Device);
}
