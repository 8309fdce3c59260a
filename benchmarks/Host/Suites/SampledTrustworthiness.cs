using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>Trustworthiness (Venna and Kaski 2001) over some of the rows, each against all: what is left of n² work when n is large. One function judges every contender.</summary>
internal static class SampledTrustworthiness
{
    /// <param name="data">[n, d].</param>
    /// <param name="layout">[n, e], the same rows.</param>
    /// <param name="k">Neighbours in the layout.</param>
    /// <param name="rows">How many rows are judged, spread evenly; all where n is smaller.</param>
    public static double Of(Matrix<float> data, Matrix<float> layout, int k, int rows)
    {
        int n = data.Rows;
        rows = Math.Min(rows, n);
        double[] penalty = new double[rows];
        Parallel.For(0, rows, new ParallelOptions { MaxDegreeOfParallelism = ProcessorAllowance.Current.Usable }, r =>
        {
            int row = (int)((long)r * n / rows);
            float[] far = Distances(data, row);
            foreach (int j in Nearest(layout, row, k))
            {
                int rank = 1;
                for (int i = 0; i < n; i++) if (far[i] < far[j]) rank++;
                penalty[r] += Math.Max(0, rank - k);
            }
        });
        return 1 - 2 * penalty.Sum() / ((double)rows * k * (2.0 * n - 3 * k - 1));
    }

    private static float[] Distances(Matrix<float> points, int row)
    {
        float[] distances = new float[points.Rows];
        for (int i = 0; i < distances.Length; i++) distances[i] = TensorPrimitives.Distance<float>(points.Row(i), points.Row(row));
        distances[row] = float.PositiveInfinity;
        return distances;
    }

    /// <summary>The k rows nearest to one, itself left out, in no order.</summary>
    public static int[] Nearest(Matrix<float> points, int row, int k)
    {
        float[] values = Distances(points, row);
        PriorityQueue<int, float> kept = new(k + 1);
        for (int i = 0; i < values.Length; i++)
        {
            if (kept.Count < k) kept.Enqueue(i, -values[i]);
            else kept.EnqueueDequeue(i, -values[i]);
        }
        return [.. kept.UnorderedItems.Select(item => item.Element)];
    }
}
