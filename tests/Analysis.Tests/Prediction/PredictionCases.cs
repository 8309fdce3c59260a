using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Prediction;

/// <summary>Seeded features and targets with a known relation.</summary>
internal static class PredictionCases
{
    public static float[] Normal(int count, ulong seed)
    {
        CounterRandom random = new(seed, 0x70);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = (float)random.NextNormal();
        return values;
    }

    /// <summary>Targets X B + noise · N(0, 1), row-major [n, targets].</summary>
    public static float[] Linear(float[] x, int rows, int targets, double noise, ulong seed)
    {
        int columns = x.Length / rows;
        float[] weights = Normal(columns * targets, seed + 1), y = Normal(rows * targets, seed + 2);
        for (int i = 0; i < rows; i++)
            for (int t = 0; t < targets; t++)
            {
                double value = noise * y[i * targets + t];
                for (int k = 0; k < columns; k++) value += x[i * columns + k] * weights[k * targets + t];
                y[i * targets + t] = (float)value;
            }
        return y;
    }

    public static float[] PermuteRows(float[] y, int columns, ReadOnlySpan<int> order)
    {
        float[] permuted = new float[y.Length];
        for (int i = 0; i < order.Length; i++) y.AsSpan(order[i] * columns, columns).CopyTo(permuted.AsSpan(i * columns));
        return permuted;
    }
}
