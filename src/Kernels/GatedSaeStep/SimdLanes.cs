namespace BioSup.Kernels;

/// <summary>
/// The vector operations the step needs, so that one source serves every width. <typeparamref name="TVector"/> is a hardware vector of floats;
/// a comparison gives lanes of all ones or all zeros.
/// </summary>
internal unsafe interface ISimdLanes<TVector> where TVector : unmanaged
{
    static abstract int Count { get; }
    static abstract TVector Zero { get; }
    static abstract TVector Broadcast(float value);
    static abstract TVector Load(float* source);
    static abstract void Store(TVector value, float* destination);
    static abstract TVector Add(TVector a, TVector b);
    static abstract TVector Subtract(TVector a, TVector b);
    static abstract TVector Multiply(TVector a, TVector b);
    static abstract TVector Divide(TVector a, TVector b);
    static abstract TVector Max(TVector a, TVector b);
    static abstract TVector Abs(TVector a);
    static abstract TVector Sqrt(TVector a);

    /// <summary>a·b + c, rounded once where the hardware can.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);

    static abstract TVector And(TVector a, TVector b);

    /// <summary>a and not b.</summary>
    static abstract TVector AndNot(TVector a, TVector b);

    static abstract TVector GreaterThan(TVector a, TVector b);

    /// <summary>One bit per lane of a comparison result.</summary>
    static abstract ulong Bits(TVector mask);

    static abstract float ReduceMax(TVector a);
    static abstract float ReduceAdd(TVector a);

    /// <summary>value · 2^n where the low mantissa bits of <paramref name="shifted"/> hold the integer n.</summary>
    static abstract TVector ScaleByPowerOfTwo(TVector value, TVector shifted);
}
