using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Matrices and oracles shared by the tests of pairwise distances and nearest neighbours.</summary>
internal static class DistanceData
{
    public static readonly DistanceMetric[] Metrics = Enum.GetValues<DistanceMetric>();

    /// <summary>The variants that are not the oracle itself.</summary>
    public static readonly KernelVariant[] Variants = [KernelVariant.Avx512, KernelVariant.Avx2, KernelVariant.Portable];

    public static Matrix<T> Normal<T>(ComputeDevice device, int rows, int columns, ulong seed, double offset = 0, double scale = 1)
        where T : unmanaged, System.Numerics.INumber<T>
    {
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        CounterRandom random = new(seed);
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < columns; k++) matrix.Row(i)[k] = T.CreateChecked(offset + scale * random.NextNormal());
        return matrix;
    }

    /// <summary>Small whole numbers: many equal coordinates, distances and rows.</summary>
    public static Matrix<T> Whole<T>(ComputeDevice device, int rows, int columns, ulong seed, int levels)
        where T : unmanaged, System.Numerics.INumber<T>
    {
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns);
        CounterRandom random = new(seed);
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < columns; k++) matrix.Row(i)[k] = T.CreateChecked(random.NextInt32(levels));
        return matrix;
    }

    /// <summary>The plain way in single precision: one loop per pair, by the definition.</summary>
    public static float Plain(DistanceMetric metric, DistanceForm form, ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        float sum = 0, normX = 0, normY = 0, meanX = 0, meanY = 0;
        int d = x.Length;
        switch (metric)
        {
            case DistanceMetric.Euclidean:
                return MathF.Sqrt(Plain(DistanceMetric.SquaredEuclidean, form, x, y));
            case DistanceMetric.SquaredEuclidean:
                for (int k = 0; k < d; k++) sum += (x[k] - y[k]) * (x[k] - y[k]);
                return sum;
            case DistanceMetric.Cityblock:
                for (int k = 0; k < d; k++) sum += MathF.Abs(x[k] - y[k]);
                return sum;
            case DistanceMetric.Chebyshev:
                for (int k = 0; k < d; k++) sum = MathF.Max(sum, MathF.Abs(x[k] - y[k]));
                return sum;
            case DistanceMetric.Hamming:
                for (int k = 0; k < d; k++) sum += x[k] == y[k] ? 0 : 1;
                return sum / d;
            case DistanceMetric.Correlation:
                for (int k = 0; k < d; k++)
                {
                    meanX += x[k];
                    meanY += y[k];
                }
                meanX /= d;
                meanY /= d;
                break;
        }
        for (int k = 0; k < d; k++)
        {
            sum += (x[k] - meanX) * (y[k] - meanY);
            normX += (x[k] - meanX) * (x[k] - meanX);
            normY += (y[k] - meanY) * (y[k] - meanY);
        }
        normX = MathF.Sqrt(normX);
        normY = MathF.Sqrt(normY);
        if (form == DistanceForm.Expanded) return 1 - sum / (normX * normY);
        sum = 0;
        for (int k = 0; k < d; k++)
        {
            float difference = (x[k] - meanX) / normX - (y[k] - meanY) / normY;
            sum += difference * difference;
        }
        return sum / 2;
    }
}
