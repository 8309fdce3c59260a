using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static partial class PairwiseDistance
{
    /// <summary>The oracle: one pair at a time, in double precision, by the definition.</summary>
    internal static double ReferenceDistance<T>(DistanceMetric metric, ReadOnlySpan<T> x, ReadOnlySpan<T> y) where T : unmanaged, INumber<T>
    {
        double sum = 0;
        switch (metric)
        {
            case DistanceMetric.Euclidean:
                return Math.Sqrt(ReferenceDistance(DistanceMetric.SquaredEuclidean, x, y));
            case DistanceMetric.SquaredEuclidean:
                for (int k = 0; k < x.Length; k++) sum += Square(Difference(x, y, k));
                return sum;
            case DistanceMetric.Cityblock:
                for (int k = 0; k < x.Length; k++) sum += Math.Abs(Difference(x, y, k));
                return sum;
            case DistanceMetric.Chebyshev:
                for (int k = 0; k < x.Length; k++) sum = Math.Max(sum, Math.Abs(Difference(x, y, k)));
                return sum;
            case DistanceMetric.Hamming:
                if (x.Length == 0) return 0;
                for (int k = 0; k < x.Length; k++) sum += x[k] == y[k] ? 0 : 1;
                return sum / x.Length;
            case DistanceMetric.Cosine:
                return ReferenceCosine(x, 0, y, 0);
            case DistanceMetric.Correlation:
                return ReferenceCosine(x, ReferenceMean(x), y, ReferenceMean(y));
            default:
                throw new ArgumentOutOfRangeException(nameof(metric));
        }
    }

    /// <summary>
    /// Half the squared distance between the unit vectors: equal to 1 − cos, and still accurate when the directions are nearly the same.
    /// </summary>
    private static double ReferenceCosine<T>(ReadOnlySpan<T> x, double meanX, ReadOnlySpan<T> y, double meanY) where T : unmanaged, INumber<T>
    {
        double normX = 0, normY = 0, sum = 0;
        for (int k = 0; k < x.Length; k++)
        {
            normX += Square(double.CreateChecked(x[k]) - meanX);
            normY += Square(double.CreateChecked(y[k]) - meanY);
        }
        if (normX == 0 || normY == 0) return 1;
        normX = Math.Sqrt(normX);
        normY = Math.Sqrt(normY);
        for (int k = 0; k < x.Length; k++)
            sum += Square((double.CreateChecked(x[k]) - meanX) / normX - (double.CreateChecked(y[k]) - meanY) / normY);
        return Math.Min(sum / 2, 2);
    }

    /// <summary>Mean of a row, taken from its first element on, so that a constant row has exactly its constant as mean.</summary>
    private static double ReferenceMean<T>(ReadOnlySpan<T> x) where T : unmanaged, INumber<T>
    {
        if (x.Length == 0) return 0;
        double first = double.CreateChecked(x[0]), sum = 0;
        for (int k = 0; k < x.Length; k++) sum += double.CreateChecked(x[k]) - first;
        return first + sum / x.Length;
    }

    private static double Difference<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> y, int k) where T : unmanaged, INumber<T> =>
        double.CreateChecked(x[k]) - double.CreateChecked(y[k]);

    private static double Square(double value) => value * value;

    private static void ComputeReference<T>(DistanceMetric metric, MatrixView<T> x, MatrixView<T> y, MatrixView<T> distances, bool self)
        where T : unmanaged, INumber<T>
    {
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < y.Rows; j++)
                distances.Row(i)[j] = self && i == j ? T.Zero : T.CreateChecked(ReferenceDistance<T>(metric, x.Row(i), y.Row(j)));
    }
}
