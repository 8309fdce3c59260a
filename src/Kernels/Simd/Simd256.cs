using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static System.Runtime.CompilerServices.MethodImplOptions;

namespace BioSup.Kernels;

/// <summary>256-bit registers: AVX2 with fused multiply-add.</summary>
/// <typeparam name="T">float or double.</typeparam>
internal readonly unsafe struct Simd256<T> : ISimd<Vector256<T>, T> where T : unmanaged
{
    public static int Count => Vector256<T>.Count;
    public static Vector256<T> Zero => Vector256<T>.Zero;

    [MethodImpl(AggressiveInlining)] public static Vector256<T> Broadcast(T value) => Vector256.Create(value);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Load(T* source) => Vector256.Load(source);

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> LoadWidened<TSource>(TSource* source) where TSource : unmanaged => typeof(TSource) == typeof(T)
        ? Vector256.Load((T*)source)
        : Vector256.WidenLower(Vector128.Load((float*)source).ToVector256Unsafe()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static void Store(T* destination, Vector256<T> value) => value.Store(destination);
    [MethodImpl(AggressiveInlining)]
    public static void StoreNarrowed<TTarget>(TTarget* destination, Vector256<T> value) where TTarget : unmanaged
    {
        if (typeof(TTarget) == typeof(T)) value.Store((T*)destination);
        else Vector256.Narrow(value.AsDouble(), value.AsDouble()).GetLower().Store((float*)destination);
    }

    [MethodImpl(AggressiveInlining)] public static void StoreStreaming(T* destination, Vector256<T> value) => value.StoreAlignedNonTemporal(destination);

    [MethodImpl(AggressiveInlining)] public static Vector256<T> Add(Vector256<T> a, Vector256<T> b) => a + b;
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Subtract(Vector256<T> a, Vector256<T> b) => a - b;
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Multiply(Vector256<T> a, Vector256<T> b) => a * b;
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Divide(Vector256<T> a, Vector256<T> b) => a / b;

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> MultiplyAdd(Vector256<T> a, Vector256<T> b, Vector256<T> c) => typeof(T) == typeof(float)
        ? Vector256.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector256.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static Vector256<T> Sqrt(Vector256<T> a) => Vector256.Sqrt(a);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Abs(Vector256<T> a) => Vector256.Abs(a);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Max(Vector256<T> a, Vector256<T> b) => Vector256.Max(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> MaxOrSecond(Vector256<T> a, Vector256<T> b) => Vector256.MaxNative(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> MinOrSecond(Vector256<T> a, Vector256<T> b) => Vector256.MinNative(a, b);

    [MethodImpl(AggressiveInlining)] public static Vector256<T> LessOrEqual(Vector256<T> a, Vector256<T> b) => Vector256.LessThanOrEqual(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> GreaterThan(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThan(a, b);
    [MethodImpl(AggressiveInlining)] public static bool AllLessOrEqual(Vector256<T> a, Vector256<T> b) => Vector256.LessThanOrEqualAll(a, b);
    [MethodImpl(AggressiveInlining)] public static uint Bits(Vector256<T> mask) => (uint)mask.ExtractMostSignificantBits();
    [MethodImpl(AggressiveInlining)] public static Vector256<T> Select(Vector256<T> mask, Vector256<T> whenTrue, Vector256<T> whenFalse) => Vector256.ConditionalSelect(mask, whenTrue, whenFalse);
    [MethodImpl(AggressiveInlining)] public static Vector256<T> And(Vector256<T> a, Vector256<T> b) => a & b;
    [MethodImpl(AggressiveInlining)] public static Vector256<T> AndNot(Vector256<T> a, Vector256<T> b) => Vector256.AndNot(a, b);

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> AddBits(Vector256<T> a, Vector256<T> b) => typeof(T) == typeof(float)
        ? (a.AsUInt32() + b.AsUInt32()).As<uint, T>()
        : (a.AsUInt64() + b.AsUInt64()).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> ShiftBitsLeft(Vector256<T> a, [ConstantExpected] byte count) => typeof(T) == typeof(float)
        ? (a.AsUInt32() << count).As<uint, T>()
        : (a.AsUInt64() << count).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> CountWhereDifferent(Vector256<T> count, Vector256<T> a, Vector256<T> b) => typeof(T) == typeof(float)
        ? (count.AsInt32() - (~Vector256.Equals(a, b)).AsInt32()).As<int, T>()
        : (count.AsInt64() - (~Vector256.Equals(a, b)).AsInt64()).As<long, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> CountToValue(Vector256<T> count) => typeof(T) == typeof(float)
        ? Vector256.ConvertToSingle(count.AsInt32()).As<float, T>()
        : Vector256.ConvertToDouble(count.AsInt64()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static T Sum(Vector256<T> a) => Vector256.Sum(a);
    [MethodImpl(AggressiveInlining)] public static T MaxAcross(Vector256<T> a) => Simd128<T>.MaxAcross(Vector128.MaxNative(a.GetLower(), a.GetUpper()));

    [MethodImpl(AggressiveInlining)]
    public static Vector256<T> Exp(Vector256<T> x) => typeof(T) == typeof(float)
        ? VectorExp.Single<Simd256<float>, Vector256<float>>(x.AsSingle()).As<float, T>()
        : VectorExp.Double<Simd256<double>, Vector256<double>>(x.AsDouble()).As<double, T>();
}
