using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using static System.Runtime.CompilerServices.MethodImplOptions;

namespace BioSup.Kernels;

/// <summary>512-bit registers: AVX-512; .NET emulates them elsewhere, for tests.</summary>
/// <typeparam name="T">float or double.</typeparam>
internal readonly unsafe struct Simd512<T> : ISimd<Vector512<T>, T> where T : unmanaged
{
    public static int Count => Vector512<T>.Count;
    public static Vector512<T> Zero => Vector512<T>.Zero;

    [MethodImpl(AggressiveInlining)] public static Vector512<T> Broadcast(T value) => Vector512.Create(value);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Load(T* source) => Vector512.Load(source);

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> LoadWidened<TSource>(TSource* source) where TSource : unmanaged => typeof(TSource) == typeof(T)
        ? Vector512.Load((T*)source)
        : Vector512.WidenLower(Vector256.Load((float*)source).ToVector512Unsafe()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static void Store(T* destination, Vector512<T> value) => value.Store(destination);
    [MethodImpl(AggressiveInlining)]
    public static void StoreNarrowed<TTarget>(TTarget* destination, Vector512<T> value) where TTarget : unmanaged
    {
        if (typeof(TTarget) == typeof(T)) value.Store((T*)destination);
        else Vector512.Narrow(value.AsDouble(), value.AsDouble()).GetLower().Store((float*)destination);
    }

    [MethodImpl(AggressiveInlining)] public static void StoreStreaming(T* destination, Vector512<T> value) => value.StoreAlignedNonTemporal(destination);

    [MethodImpl(AggressiveInlining)] public static Vector512<T> Add(Vector512<T> a, Vector512<T> b) => a + b;
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Subtract(Vector512<T> a, Vector512<T> b) => a - b;
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Multiply(Vector512<T> a, Vector512<T> b) => a * b;
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Divide(Vector512<T> a, Vector512<T> b) => a / b;

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> MultiplyAdd(Vector512<T> a, Vector512<T> b, Vector512<T> c) => typeof(T) == typeof(float)
        ? Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static Vector512<T> Sqrt(Vector512<T> a) => Vector512.Sqrt(a);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Abs(Vector512<T> a) => Vector512.Abs(a);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Max(Vector512<T> a, Vector512<T> b) => Vector512.Max(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> MaxOrSecond(Vector512<T> a, Vector512<T> b) => Vector512.MaxNative(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> MinOrSecond(Vector512<T> a, Vector512<T> b) => Vector512.MinNative(a, b);

    [MethodImpl(AggressiveInlining)] public static Vector512<T> LessOrEqual(Vector512<T> a, Vector512<T> b) => Vector512.LessThanOrEqual(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> GreaterThan(Vector512<T> a, Vector512<T> b) => Vector512.GreaterThan(a, b);
    [MethodImpl(AggressiveInlining)] public static bool AllLessOrEqual(Vector512<T> a, Vector512<T> b) => Vector512.LessThanOrEqualAll(a, b);
    [MethodImpl(AggressiveInlining)] public static uint Bits(Vector512<T> mask) => (uint)mask.ExtractMostSignificantBits();
    [MethodImpl(AggressiveInlining)] public static Vector512<T> Select(Vector512<T> mask, Vector512<T> whenTrue, Vector512<T> whenFalse) => Vector512.ConditionalSelect(mask, whenTrue, whenFalse);
    [MethodImpl(AggressiveInlining)] public static Vector512<T> And(Vector512<T> a, Vector512<T> b) => a & b;
    [MethodImpl(AggressiveInlining)] public static Vector512<T> AndNot(Vector512<T> a, Vector512<T> b) => Vector512.AndNot(a, b);

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> AddBits(Vector512<T> a, Vector512<T> b) => typeof(T) == typeof(float)
        ? (a.AsUInt32() + b.AsUInt32()).As<uint, T>()
        : (a.AsUInt64() + b.AsUInt64()).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> ShiftBitsLeft(Vector512<T> a, [ConstantExpected] byte count) => typeof(T) == typeof(float)
        ? (a.AsUInt32() << count).As<uint, T>()
        : (a.AsUInt64() << count).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> CountWhereDifferent(Vector512<T> count, Vector512<T> a, Vector512<T> b) => typeof(T) == typeof(float)
        ? (count.AsInt32() - (~Vector512.Equals(a, b)).AsInt32()).As<int, T>()
        : (count.AsInt64() - (~Vector512.Equals(a, b)).AsInt64()).As<long, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> CountToValue(Vector512<T> count) => typeof(T) == typeof(float)
        ? Vector512.ConvertToSingle(count.AsInt32()).As<float, T>()
        : Vector512.ConvertToDouble(count.AsInt64()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static T Sum(Vector512<T> a) => Vector512.Sum(a);
    [MethodImpl(AggressiveInlining)] public static T MaxAcross(Vector512<T> a) => Simd256<T>.MaxAcross(Vector256.MaxNative(a.GetLower(), a.GetUpper()));

    [MethodImpl(AggressiveInlining)]
    public static Vector512<T> Exp(Vector512<T> x) => typeof(T) == typeof(float)
        ? VectorExp.Single<Simd512<float>, Vector512<float>>(x.AsSingle()).As<float, T>()
        : VectorExp.Double<Simd512<double>, Vector512<double>>(x.AsDouble()).As<double, T>();
}
