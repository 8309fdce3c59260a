using System.Diagnostics.CodeAnalysis;

namespace BioSup.Kernels;

/// <summary>
/// The vector operations a kernel needs, for one register width and element type. A kernel written over this interface is compiled once per
/// width: <see cref="Simd512{T}"/> for Avx512, <see cref="Simd256{T}"/> for Avx2, <see cref="Simd128{T}"/> for Portable.
/// Implementations are empty structs, so every call is resolved and inlined when the kernel is compiled.
/// </summary>
/// <typeparam name="TVector">Vector512, Vector256 or Vector128 of <typeparamref name="T"/>: bare, because wrapping it in a struct of our own costs registers.</typeparam>
/// <typeparam name="T">float or double.</typeparam>
/// <remarks>
/// Unless it says otherwise, an operation acts on each lane alone, so a value does not depend on the lane it falls into.
/// Comparison results are vectors with all bits of a true lane set.
/// </remarks>
internal unsafe interface ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged
{
    /// <summary>Lanes per vector.</summary>
    static abstract int Count { get; }
    static abstract TVector Zero { get; }
    static abstract TVector Broadcast(T value);
    static abstract TVector Load(T* source);

    /// <summary>Reads float or double into doubles (or T into T): sums over data are kept in double precision whatever the data's type.</summary>
    static abstract TVector LoadWidened<TSource>(TSource* source) where TSource : unmanaged;
    static abstract void Store(T* destination, TVector value);

    /// <summary>Writes doubles as float, rounded to nearest even, or as double (or T as T).</summary>
    static abstract void StoreNarrowed<TTarget>(TTarget* destination, TVector value) where TTarget : unmanaged;

    /// <summary>A store that bypasses the caches; the destination is aligned to the vector.</summary>
    static abstract void StoreStreaming(T* destination, TVector value);
    static abstract TVector Add(TVector a, TVector b);
    static abstract TVector Subtract(TVector a, TVector b);
    static abstract TVector Multiply(TVector a, TVector b);
    static abstract TVector Divide(TVector a, TVector b);

    /// <summary>a * b + c, in one rounding where the processor has it.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);
    static abstract TVector Sqrt(TVector a);
    static abstract TVector Abs(TVector a);

    /// <summary>Larger of two numbers; a NaN in either operand gives NaN.</summary>
    static abstract TVector Max(TVector a, TVector b);

    /// <summary>a &gt; b ? a : b, hence b when either is NaN: one instruction on x86.</summary>
    static abstract TVector MaxOrSecond(TVector a, TVector b);

    /// <summary>a &lt; b ? a : b, hence b when either is NaN: one instruction on x86.</summary>
    static abstract TVector MinOrSecond(TVector a, TVector b);
    static abstract TVector LessOrEqual(TVector a, TVector b);
    static abstract TVector GreaterThan(TVector a, TVector b);

    /// <summary>True when every lane of a is a number not above the lane of b.</summary>
    static abstract bool AllLessOrEqual(TVector a, TVector b);

    /// <summary>Bit l is set where lane l of a comparison result is.</summary>
    static abstract uint Bits(TVector mask);

    /// <summary>Lanes of <paramref name="whenTrue"/> where the mask is set, else of <paramref name="whenFalse"/>.</summary>
    static abstract TVector Select(TVector mask, TVector whenTrue, TVector whenFalse);
    static abstract TVector And(TVector a, TVector b);

    /// <summary>a and not b.</summary>
    static abstract TVector AndNot(TVector a, TVector b);

    /// <summary>Integer sum of the lanes' bit patterns.</summary>
    static abstract TVector AddBits(TVector a, TVector b);
    static abstract TVector ShiftBitsLeft(TVector a, [ConstantExpected] byte count);

    /// <summary>count + 1 where a and b differ; the count is an integer in each lane (<see cref="CountToValue"/>).</summary>
    static abstract TVector CountWhereDifferent(TVector count, TVector a, TVector b);

    /// <summary>The integers of <see cref="CountWhereDifferent"/> as floating-point numbers.</summary>
    static abstract TVector CountToValue(TVector count);

    /// <summary>All lanes added, pair by pair.</summary>
    static abstract T Sum(TVector a);

    /// <summary>The largest lane; no lane may be NaN.</summary>
    static abstract T MaxAcross(TVector a);
    static abstract TVector Exp(TVector x);
}
