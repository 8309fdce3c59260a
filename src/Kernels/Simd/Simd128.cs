using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static System.Runtime.CompilerServices.MethodImplOptions;

namespace BioSup.Kernels;

/// <summary>128-bit registers: what every 64-bit processor has (SSE2, NEON).</summary>
/// <typeparam name="T">float or double.</typeparam>
internal readonly unsafe struct Simd128<T> : ISimd<Vector128<T>, T> where T : unmanaged
{
    public static int Count => Vector128<T>.Count;
    public static Vector128<T> Zero => Vector128<T>.Zero;

    [MethodImpl(AggressiveInlining)] public static Vector128<T> Broadcast(T value) => Vector128.Create(value);
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Load(T* source) => Vector128.Load(source);

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> LoadWidened<TSource>(TSource* source) where TSource : unmanaged => typeof(TSource) == typeof(T)
        ? Vector128.Load((T*)source)
        : Vector128.WidenLower(Vector64.Load((float*)source).ToVector128Unsafe()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static void Store(T* destination, Vector128<T> value) => value.Store(destination);
    [MethodImpl(AggressiveInlining)]
    public static void StoreNarrowed<TTarget>(TTarget* destination, Vector128<T> value) where TTarget : unmanaged
    {
        if (typeof(TTarget) == typeof(T)) value.Store((T*)destination);
        else Vector128.Narrow(value.AsDouble(), value.AsDouble()).GetLower().Store((float*)destination);
    }

    [MethodImpl(AggressiveInlining)] public static void StoreStreaming(T* destination, Vector128<T> value) => value.StoreAlignedNonTemporal(destination);

    [MethodImpl(AggressiveInlining)] public static Vector128<T> Add(Vector128<T> a, Vector128<T> b) => a + b;
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Subtract(Vector128<T> a, Vector128<T> b) => a - b;
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Multiply(Vector128<T> a, Vector128<T> b) => a * b;
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Divide(Vector128<T> a, Vector128<T> b) => a / b;

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> MultiplyAdd(Vector128<T> a, Vector128<T> b, Vector128<T> c) => typeof(T) == typeof(float)
        ? Vector128.MultiplyAddEstimate(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector128.MultiplyAddEstimate(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static Vector128<T> Sqrt(Vector128<T> a) => Vector128.Sqrt(a);
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Abs(Vector128<T> a) => Vector128.Abs(a);
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Max(Vector128<T> a, Vector128<T> b) => Vector128.Max(a, b);

    // MaxNative is the wanted instruction on x86; elsewhere it keeps a NaN.
    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> MaxOrSecond(Vector128<T> a, Vector128<T> b) => X86Base.IsSupported
        ? Vector128.MaxNative(a, b)
        : Vector128.ConditionalSelect(Vector128.GreaterThan(a, b), a, b);

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> MinOrSecond(Vector128<T> a, Vector128<T> b) => X86Base.IsSupported
        ? Vector128.MinNative(a, b)
        : Vector128.ConditionalSelect(Vector128.LessThan(a, b), a, b);

    [MethodImpl(AggressiveInlining)] public static Vector128<T> LessOrEqual(Vector128<T> a, Vector128<T> b) => Vector128.LessThanOrEqual(a, b);
    [MethodImpl(AggressiveInlining)] public static Vector128<T> GreaterThan(Vector128<T> a, Vector128<T> b) => Vector128.GreaterThan(a, b);
    [MethodImpl(AggressiveInlining)] public static bool AllLessOrEqual(Vector128<T> a, Vector128<T> b) => Vector128.LessThanOrEqualAll(a, b);
    [MethodImpl(AggressiveInlining)] public static uint Bits(Vector128<T> mask) => (uint)mask.ExtractMostSignificantBits();
    [MethodImpl(AggressiveInlining)] public static Vector128<T> Select(Vector128<T> mask, Vector128<T> whenTrue, Vector128<T> whenFalse) => Vector128.ConditionalSelect(mask, whenTrue, whenFalse);
    [MethodImpl(AggressiveInlining)] public static Vector128<T> And(Vector128<T> a, Vector128<T> b) => a & b;
    [MethodImpl(AggressiveInlining)] public static Vector128<T> AndNot(Vector128<T> a, Vector128<T> b) => Vector128.AndNot(a, b);

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> AddBits(Vector128<T> a, Vector128<T> b) => typeof(T) == typeof(float)
        ? (a.AsUInt32() + b.AsUInt32()).As<uint, T>()
        : (a.AsUInt64() + b.AsUInt64()).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> ShiftBitsLeft(Vector128<T> a, [ConstantExpected] byte count) => typeof(T) == typeof(float)
        ? (a.AsUInt32() << count).As<uint, T>()
        : (a.AsUInt64() << count).As<ulong, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> CountWhereDifferent(Vector128<T> count, Vector128<T> a, Vector128<T> b) => typeof(T) == typeof(float)
        ? (count.AsInt32() - (~Vector128.Equals(a, b)).AsInt32()).As<int, T>()
        : (count.AsInt64() - (~Vector128.Equals(a, b)).AsInt64()).As<long, T>();

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> CountToValue(Vector128<T> count) => typeof(T) == typeof(float)
        ? Vector128.ConvertToSingle(count.AsInt32()).As<float, T>()
        : Vector128.ConvertToDouble(count.AsInt64()).As<double, T>();

    [MethodImpl(AggressiveInlining)] public static T Sum(Vector128<T> a) => Vector128.Sum(a);

    [MethodImpl(AggressiveInlining)]
    public static T MaxAcross(Vector128<T> a)
    {
        if (typeof(T) == typeof(double)) return MaxOrSecond(a, Vector128.Shuffle(a.AsDouble(), Vector128.Create(1, 0)).As<double, T>()).ToScalar();
        Vector128<T> pairs = MaxOrSecond(a, Vector128.Shuffle(a.AsSingle(), Vector128.Create(2, 3, 0, 1)).As<float, T>());
        return MaxOrSecond(pairs, Vector128.Shuffle(pairs.AsSingle(), Vector128.Create(1, 0, 3, 2)).As<float, T>()).ToScalar();
    }

    [MethodImpl(AggressiveInlining)]
    public static Vector128<T> Exp(Vector128<T> x) => typeof(T) == typeof(float)
        ? VectorExp.Single<Simd128<float>, Vector128<float>>(x.AsSingle()).As<float, T>()
        : VectorExp.Double<Simd128<double>, Vector128<double>>(x.AsDouble()).As<double, T>();
}
