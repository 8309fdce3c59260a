using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Decoys of a cost that keep its smoothness: the points are cut into groups, distances inside a group stay, and the mean distances between groups are
/// dealt out anew. Permuting single points would leave Gromov-Wasserstein unchanged, and shuffling single distances would leave nothing smooth to align.
/// </summary>
internal static class DecoyTargets
{
    private const int Groups = 8;

    /// <param name="source">A cost [n, n] in any memory; it is looked at on the host.</param>
    /// <param name="seed">Seed of the arrangements.</param>
    /// <param name="decoy">Which arrangement.</param>
    /// <returns>The decoy, in the memory of the cost.</returns>
    public static Matrix<double> ClusterPermuted(Matrix<double> source, ulong seed, int decoy)
    {
        using PlacedMatrix<double> readable = source.OnHost();
        Matrix<double> cost = readable.Matrix;
        CounterRandom random = new(seed, stream: 0x6465636FUL + (ulong)decoy);
        int n = cost.Rows, k = Math.Min(Groups, n);
        int[] group = GroupByLandmarks(cost, k);
        (double[,] mean, int[] shuffled) = (BlockMeans(cost, group, k), [.. Enumerable.Range(0, k)]);
        do random.Shuffle<int>(shuffled);
        while (k > 2 && shuffled.Select((to, from) => to == from ? 1 : 0).Sum() > 1);
        double[] row = new double[n];
        Matrix<double> decoyCost = source.Device.AllocateMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> from = cost.Row(i);
            for (int j = 0; j < n; j++)
            {
                int a = group[i], b = group[j];
                double shift = a == b ? 0 : mean[shuffled[a], shuffled[b]] - mean[a, b];
                row[j] = i == j ? from[j] : Math.Max(0, from[j] + shift);
            }
            decoyCost.View.RowBlock(i, 1).CopyFrom(row);
        }
        return decoyCost;
    }

    /// <summary>Farthest-point landmarks (the first is the point with the smallest mean distance); every point joins its nearest landmark.</summary>
    private static int[] GroupByLandmarks(Matrix<double> cost, int k)
    {
        int n = cost.Rows;
        int[] group = new int[n];
        double[] nearest = new double[n];
        int landmark = 0;
        double least = double.PositiveInfinity;
        for (int i = 0; i < n; i++)
        {
            double sum = 0;
            foreach (double c in cost.Row(i)) sum += c;
            if (sum < least) (least, landmark) = (sum, i);
        }
        Array.Fill(nearest, double.PositiveInfinity);
        for (int g = 0; g < k; g++)
        {
            ReadOnlySpan<double> row = cost.Row(landmark);
            int farthest = 0;
            for (int i = 0; i < n; i++)
            {
                if (row[i] < nearest[i]) (nearest[i], group[i]) = (row[i], g);
                if (nearest[i] > nearest[farthest]) farthest = i;
            }
            landmark = farthest;
        }
        return group;
    }

    private static double[,] BlockMeans(Matrix<double> cost, int[] group, int k)
    {
        double[,] sum = new double[k, k];
        long[,] count = new long[k, k];
        for (int i = 0; i < cost.Rows; i++)
        {
            ReadOnlySpan<double> row = cost.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                sum[group[i], group[j]] += row[j];
                count[group[i], group[j]]++;
            }
        }
        for (int a = 0; a < k; a++)
            for (int b = 0; b < k; b++) sum[a, b] /= Math.Max(1, count[a, b]);
        return sum;
    }
}
