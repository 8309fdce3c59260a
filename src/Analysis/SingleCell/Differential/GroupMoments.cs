namespace BioSup.Analysis.SingleCell;

/// <summary>Sums of one gene over some cells.</summary>
internal struct GroupMoments
{
    public long Count;

    public long NonZero;

    public double Sum;

    /// <summary>Σ (x − mean)².</summary>
    public double Squares;

    /// <summary>Σ expm1(x).</summary>
    public double ExpSum;

    public readonly double Mean => Count == 0 ? 0 : Sum / Count;

    /// <summary>Of the cells of both (Chan, Golub and LeVeque 1979): nothing is taken away, so nothing cancels.</summary>
    public static GroupMoments Join(in GroupMoments a, in GroupMoments b)
    {
        if (a.Count == 0) return b;
        if (b.Count == 0) return a;
        double gap = a.Mean - b.Mean;
        return new GroupMoments
        {
            Count = a.Count + b.Count,
            NonZero = a.NonZero + b.NonZero,
            Sum = a.Sum + b.Sum,
            Squares = a.Squares + b.Squares + gap * gap * ((double)a.Count * b.Count / (a.Count + b.Count)),
            ExpSum = a.ExpSum + b.ExpSum,
        };
    }
}
