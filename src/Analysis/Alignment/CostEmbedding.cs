using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How well squared distances of embedded points stand for a cost.</summary>
/// <param name="Rank">Coordinates kept: those asked for, or fewer where fewer eigenvalues are positive.</param>
/// <param name="RelativeError">Frobenius norm of (embedded - cost) over that of the cost, over all pairs with a landmark.</param>
/// <param name="NegativeShare">Sum of the magnitudes of the negative eigenvalues over that of all: what no number of coordinates can show; 0 for conditionally negative costs.</param>
/// <param name="Landmarks">Points whose costs were decomposed; all of them where there are few enough.</param>
public sealed record EmbeddingReport(int Rank, double RelativeError, double NegativeShare, int Landmarks)
{
    internal string Sentence(string domain) => string.Create(CultureInfo.InvariantCulture,
        $"The cost of the {domain} domain is that of {Rank} embedded coordinates: relative error {RelativeError:g3}, share of the negative spectrum {NegativeShare:g3}, {Landmarks} landmarks.");
}

/// <summary>
/// Kernel PCA of a cost that is read as a squared distance (classical scaling; Torgerson 1952): the leading eigenvectors of -J C J / 2. Exact for conditionally negative costs
/// at full rank: squared distances, distances, one minus cosine or correlation. From more points than there are landmarks the others are placed by their costs to these (de Silva
/// and Tenenbaum 2004, a Nyström extension), so that the costs of all pairs are never needed.
/// </summary>
internal static class CostEmbedding
{
    /// <summary>Points that are decomposed together, at most.</summary>
    public const int MostLandmarks = 1000;
    private const ulong Stream = 0x656D6265UL;

    /// <summary>The landmarks of n points, in ascending order.</summary>
    public static int[] Landmarks(int n)
    {
        int[] all = [.. Enumerable.Range(0, n)];
        if (n <= MostLandmarks) return all;
        new CounterRandom(0, Stream).Shuffle<int>(all);
        return [.. all.Take(MostLandmarks).Order()];
    }

    /// <summary>Embeds.</summary>
    /// <param name="device">Where the embedded points go.</param>
    /// <param name="n">Points.</param>
    /// <param name="rank">Coordinates wanted, positive.</param>
    /// <param name="landmarks">Which points are landmarks.</param>
    /// <param name="costs">Fills a block with the costs of points first to first + rows to the landmarks [rows, landmarks], on the host.</param>
    /// <param name="name">What to call the points in error messages.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <exception cref="DataException">No eigenvalue is positive.</exception>
    public static (Matrix<double> Points, EmbeddingReport Report, double Largest, double Mean) Embed(ComputeDevice device, int n, int rank, int[] landmarks, Action<int, Matrix<double>> costs,
        string name, CancellationToken cancellation)
    {
        int l = landmarks.Length;
        CpuDevice host = device.Host;
        double[] means = new double[l];
        (double[][] directions, int kept, double negative) = Decompose(host, rank, landmarks, costs, means);
        if (kept == 0) throw new DataException(name, null, "the cost cannot be embedded: no eigenvalue of the centred cost is positive (are all points the same?)");
        Matrix<double> points = host.AllocateMatrix<double>(n, kept);
        double[] shifted = new double[l];
        ForBlocks(host, n, l, costs, cancellation, (i, row) =>
        {
            for (int k = 0; k < l; k++) shifted[k] = row[k] - means[k];
            for (int c = 0; c < kept; c++) points.Row(i)[c] = -0.5 * TensorPrimitives.Dot<double>(shifted, directions[c]);
        });
        double error = 0, norm = 0, largest = 0, sum = 0;
        ForBlocks(host, n, l, costs, cancellation, (i, row) =>
        {
            for (int k = 0; k < l; k++)
            {
                double distance = TensorPrimitives.Distance<double>(points.Row(i), points.Row(landmarks[k])), difference = distance * distance - row[k];
                error += difference * difference;
                norm += row[k] * row[k];
                largest = Math.Max(largest, row[k]);
                sum += row[k];
            }
        });
        EmbeddingReport report = new(kept, norm > 0 ? Math.Sqrt(error / norm) : 0, negative, l);
        if (device.IsHost) return (points, report, largest, sum / ((double)n * l));
        using (points) return (points.CopyAt(device), report, largest, sum / ((double)n * l));
    }

    /// <summary>Directions [r][landmarks] divided by the roots of their eigenvalues.</summary>
    private static (double[][] Directions, int Kept, double Negative) Decompose(CpuDevice host, int rank, int[] landmarks, Action<int, Matrix<double>> costs, double[] means)
    {
        int l = landmarks.Length;
        using Matrix<double> gram = host.AllocateMatrix<double>(l, l), one = host.AllocateMatrix<double>(1, l);
        for (int k = 0; k < l; k++)
        {
            costs(landmarks[k], one);
            one.Row(0).CopyTo(gram.Row(k));
            means[k] = TensorPrimitives.Sum<double>(gram.Row(k)) / l;
        }
        double mean = TensorPrimitives.Sum<double>(means) / l;
        for (int k = 0; k < l; k++)
            for (int j = 0; j <= k; j++)
            {
                // Both triangles from one, so that rounding leaves the matrix symmetric.
                double value = -0.5 * (0.5 * (gram.Row(k)[j] + gram.Row(j)[k]) - means[k] - means[j] + mean);
                (gram.Row(k)[j], gram.Row(j)[k]) = (value, value);
            }
        using SymmetricEigen eigen = SymmetricEigen.Decompose(gram, vectors: true);
        double all = 0, negative = 0, floor = Math.Abs(eigen.Values[0]) * l * 2.3e-16;
        foreach (double value in eigen.Values)
        {
            if (Math.Abs(value) <= floor) continue;
            all += Math.Abs(value);
            if (value < 0) negative -= value;
        }
        int kept = 0;
        while (kept < Math.Min(rank, l) && eigen.Values[kept] > floor) kept++;
        double[][] directions = new double[kept][];
        for (int c = 0; c < kept; c++)
        {
            directions[c] = eigen.Vectors.Row(c).ToArray();
            TensorPrimitives.Divide(directions[c], Math.Sqrt(eigen.Values[c]), directions[c]);
        }
        return (directions, kept, all > 0 ? negative / all : 0);
    }

    private static void ForBlocks(CpuDevice host, int n, int landmarks, Action<int, Matrix<double>> costs, CancellationToken cancellation, Action<int, double[]> use)
    {
        int rows = MatchAccuracy.BlockRows(n, landmarks);
        double[] row = new double[landmarks];
        for (int start = 0; start < n; start += rows)
        {
            cancellation.ThrowIfCancellationRequested();
            using Matrix<double> block = host.AllocateMatrix<double>(Math.Min(rows, n - start), landmarks);
            costs(start, block);
            for (int r = 0; r < block.Rows; r++)
            {
                block.Row(r).CopyTo(row);
                use(start + r, row);
            }
        }
    }
}
