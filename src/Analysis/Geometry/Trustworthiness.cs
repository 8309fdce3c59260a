using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// How far the neighbours in an embedding are neighbours in the data (Venna and Kaski 2001; scikit-learn's <c>trustworthiness</c>): 1 minus the penalties for every neighbour
/// in the embedding that is not among the k nearest in the data, by how much farther it is in rank; 1 is perfect, about 0.5 is random.
/// </summary>
public static class Trustworthiness
{
    private const int RowsAtOnce = 512;

    /// <param name="data">[n, d].</param>
    /// <param name="embedding">[n, e], the same rows.</param>
    /// <param name="k">Neighbourhood size, below n / 2.</param>
    /// <param name="metric">Distance of the data; that of the embedding is Euclidean.</param>
    /// <exception cref="UsageException">The rows or k do not fit.</exception>
    public static double Of(Matrix<double> data, Matrix<double> embedding, int k, DistanceMetric metric = DistanceMetric.Euclidean)
    {
        int n = data.Rows;
        if (embedding.Rows != n) throw new UsageException($"An embedding of {embedding.Rows} rows does not belong to data of {n}.");
        if (k < 1 || 2 * k >= n) throw new UsageException($"Trustworthiness of {k} neighbours needs more than {2 * k} rows; there are {n}.");
        using Matrix<int> near = embedding.Device.AllocateMatrix<int>(n, k);
        using Matrix<double> ignored = embedding.Device.AllocateMatrix<double>(n, k);
        KNearestNeighbours.SearchSelf(DistanceMetric.Euclidean, embedding.View, near.View, ignored.View);
        using PlacedMatrix<int> found = near.OnHost();
        double penalty = 0;
        for (int start = 0; start < n; start += RowsAtOnce)
        {
            int rows = Math.Min(RowsAtOnce, n - start);
            using Matrix<double> distances = data.Device.AllocateMatrix<double>(rows, n);
            PairwiseDistance.Compute(metric, data.View.RowBlock(start, rows), data.View, distances.View);
            using PlacedMatrix<double> block = distances.OnHost();
            for (int i = 0; i < rows; i++)
            {
                int[] rank = Ranks(block.Matrix.Row(i), start + i);
                foreach (int j in found.Matrix.Row(start + i)) penalty += Math.Max(0, rank[j] - k);
            }
        }
        return 1 - penalty * 2 / (n * (double)k * (2.0 * n - 3 * k - 1));
    }

    /// <summary>Rank of every row by distance from one, 1 for the nearest other; equal distances by number.</summary>
    private static int[] Ranks(ReadOnlySpan<double> distances, int self)
    {
        double[] keys = distances.ToArray();
        keys[self] = double.NegativeInfinity;
        int[] order = [.. Enumerable.Range(0, keys.Length).OrderBy(j => keys[j])], rank = new int[keys.Length];
        for (int r = 0; r < order.Length; r++) rank[order[r]] = r;
        return rank;
    }
}
