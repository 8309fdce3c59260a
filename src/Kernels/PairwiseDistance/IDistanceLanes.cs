namespace BioSup.Kernels;

/// <summary>
/// One vector width. The distance kernels are written once over this interface and compiled for 512, 256 and 128 bits;
/// every operation acts on each lane alone, so the value of a pair does not depend on the lane it falls into.
/// </summary>
/// <typeparam name="TVector">Vector512, Vector256 or Vector128 of <typeparamref name="T"/>.</typeparam>
/// <typeparam name="T">float or double.</typeparam>
internal unsafe interface IDistanceLanes<TVector, T>
    where TVector : struct
    where T : unmanaged
{
    /// <summary>Elements in a vector.</summary>
    static abstract int Count { get; }
    static abstract TVector Load(T* source);
    static abstract void Store(T* target, TVector value);

    /// <summary>A store that bypasses the caches; the target is aligned to the vector.</summary>
    static abstract void StoreStreaming(T* target, TVector value);
    static abstract TVector Broadcast(T value);
    static abstract TVector Add(TVector a, TVector b);
    static abstract TVector Subtract(TVector a, TVector b);
    static abstract TVector Multiply(TVector a, TVector b);
    static abstract TVector Divide(TVector a, TVector b);

    /// <summary>a b + c, rounded once where the processor can.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);
    static abstract TVector Abs(TVector a);
    static abstract TVector Max(TVector a, TVector b);
    static abstract TVector Min(TVector a, TVector b);
    static abstract TVector Sqrt(TVector a);

    /// <summary>count + 1 where a and b differ; the count is an integer in each lane (<see cref="CountToValue"/>).</summary>
    static abstract TVector CountWhereDifferent(TVector count, TVector a, TVector b);

    /// <summary>The integers of <see cref="CountWhereDifferent"/> as floating-point numbers.</summary>
    static abstract TVector CountToValue(TVector count);

    /// <summary>Bit l is set where a[l] ≤ b[l].</summary>
    static abstract uint LessOrEqualMask(TVector a, TVector b);

    /// <summary>a[l] > b[l] ? ifGreater[l] : otherwise[l]; the latter where either is NaN.</summary>
    static abstract TVector SelectGreater(TVector a, TVector b, TVector ifGreater, TVector otherwise);
}
