using System.Diagnostics.CodeAnalysis;

namespace BioSup.Kernels;

/// <summary>
/// The vector operations a kernel needs, for one register width and element type. A kernel written over this interface is compiled once per
/// width: <see cref="Simd512Single"/> for Avx512, <see cref="Simd256Single"/> for Avx2, <see cref="Simd128Single"/> for Portable (and Double).
/// Implementations are empty structs, so every call is resolved and inlined when the kernel is compiled.
/// </summary>
/// <remarks>Comparison results are vectors with all bits of a true lane set.</remarks>
internal unsafe interface ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged
{
    /// <summary>Lanes per vector.</summary>
    static abstract int Count { get; }
    static abstract TVector Zero { get; }
    static abstract TVector Broadcast(T value);
    static abstract TVector Load(T* source);
    static abstract void Store(T* destination, TVector value);
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

    /// <summary>Smaller of two numbers; a NaN in either operand gives NaN.</summary>
    static abstract TVector Min(TVector a, TVector b);
    static abstract TVector Equal(TVector a, TVector b);
    static abstract TVector LessThan(TVector a, TVector b);
    static abstract TVector GreaterThan(TVector a, TVector b);

    /// <summary>Lanes of <paramref name="whenTrue"/> where the mask is set, else of <paramref name="whenFalse"/>.</summary>
    static abstract TVector Select(TVector mask, TVector whenTrue, TVector whenFalse);
    static abstract TVector And(TVector a, TVector b);

    /// <summary>True when any lane of a comparison result is set.</summary>
    static abstract bool Any(TVector mask);

    /// <summary>a &gt; b ? a : b, hence b when either is NaN: one instruction on x86.</summary>
    static abstract TVector MaxOrSecond(TVector a, TVector b);

    /// <summary>a &lt; b ? a : b, hence b when either is NaN: one instruction on x86.</summary>
    static abstract TVector MinOrSecond(TVector a, TVector b);
    static abstract TVector Or(TVector a, TVector b);

    /// <summary>Integer sum of the lanes' bit patterns.</summary>
    static abstract TVector AddBits(TVector a, TVector b);
    static abstract TVector ShiftBitsLeft(TVector a, [ConstantExpected] byte count);

    /// <summary>Logical shift of the lanes' bit patterns.</summary>
    static abstract TVector ShiftBitsRight(TVector a, [ConstantExpected] byte count);

    /// <summary>Lanes added in a fixed order: element 0 first.</summary>
    static abstract T Sum(TVector a);

    /// <summary>True when every lane of a is a number not above the lane of b.</summary>
    static abstract bool AllLessOrEqual(TVector a, TVector b);
    static abstract TVector Exp(TVector x);
    static abstract TVector Log(TVector x);
}
