namespace BioSup.Analysis.SingleCell;

/// <summary>What is done to a value before it is counted; 0 must stay 0, since zeros of a sparse matrix are not visited.</summary>
internal interface IValueMap
{
    double Map(float value, int variable);
}

/// <summary>The value itself.</summary>
internal readonly struct SameValue : IValueMap
{
    public double Map(float value, int variable) => value;
}

/// <summary>e^(scale · value) - 1: back from logarithms to counts.</summary>
internal readonly struct Exponential(double scale) : IValueMap
{
    public double Map(float value, int variable) => double.ExpM1(scale * value);
}

/// <summary>Mean and variance of every variable over the cells, in two passes in double precision.</summary>
internal static class VariableMoments
{
    /// <returns>[d] means and [d] variances with divisor n - 1 (0 for a single cell).</returns>
    public static (double[] Means, double[] Variances) Of<TMap>(CellMatrix x, TMap map, CancellationToken cancellation = default) where TMap : struct, IValueMap
    {
        double[] means = x.SumByVariable((cell, sums) =>
        {
            ReadOnlySpan<float> values = x.Values(cell);
            ReadOnlySpan<int> places = x.Places(cell);
            for (int k = 0; k < values.Length; k++) sums[places[k]] += map.Map(values[k], places[k]);
        }, cancellation);
        for (int j = 0; j < means.Length; j++) means[j] /= x.Cells;
        // A value that is stored moves its square from mean² to (value - mean)²; those that are not stored are all mean².
        double[] variances = x.SumByVariable((cell, sums) =>
        {
            ReadOnlySpan<float> values = x.Values(cell);
            ReadOnlySpan<int> places = x.Places(cell);
            for (int k = 0; k < values.Length; k++)
            {
                double deviation = map.Map(values[k], places[k]) - means[places[k]];
                sums[places[k]] += deviation * deviation;
            }
        }, cancellation);
        double[] stored = x.IsSparse ? Stored(x, cancellation) : [];
        for (int j = 0; j < variances.Length; j++)
        {
            if (x.IsSparse) variances[j] += (x.Cells - stored[j]) * means[j] * means[j];
            variances[j] = x.Cells > 1 ? variances[j] / (x.Cells - 1) : 0;
        }
        return (means, variances);
    }

    private static double[] Stored(CellMatrix x, CancellationToken cancellation) => x.SumByVariable((cell, counts) =>
    {
        foreach (int place in x.Places(cell)) counts[place]++;
    }, cancellation);
}
