using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Imaging;

/// <summary>
/// Lloyd's k-means with k-means++ seeding (Arthur and Vassilvitskii 2007). Assignment is our exact nearest-neighbour search with k = 1;
/// centroids are 64-bit sums taken block by block, so the bytes do not depend on the number of threads.
/// </summary>
internal static class KMeans
{
    private const int BlockRows = 2048;

    /// <returns>Centroids, [count, samples.Columns]; owned by the caller.</returns>
    public static Matrix<float> Fit(CpuDevice device, Matrix<float> samples, int count, int iterations, ulong seed, IProgressReporter progress, CancellationToken cancellation)
    {
        Matrix<float> centroids = Seed(device, samples, count, seed, cancellation);
        using Matrix<int> nearest = device.AllocateMatrix<int>(samples.Rows, 1);
        using Matrix<float> distance = device.AllocateMatrix<float>(samples.Rows, 1);
        int[] previous = new int[samples.Rows];
        Array.Fill(previous, -1);
        for (int round = 1; round <= iterations; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            KNearestNeighbours.Search(DistanceMetric.SquaredEuclidean, samples.View, centroids.View, nearest.View, distance.View);
            Span<int> assigned = nearest.Buffer.View.Host;
            int changed = 0;
            for (int i = 0; i < previous.Length; i++) if (previous[i] != assigned[i]) changed++;
            progress.Report("learning the dictionary", round, iterations, $"{changed} of {samples.Rows} windows moved");
            if (changed == 0) break;
            assigned.CopyTo(previous);
            Update(device, samples, nearest, distance, centroids);
        }
        return centroids;
    }

    private static Matrix<float> Seed(CpuDevice device, Matrix<float> samples, int count, ulong seed, CancellationToken cancellation)
    {
        CounterRandom random = new(seed, stream: 0x6B6D65616E73);
        Matrix<float> centroids = device.AllocateMatrix<float>(count, samples.Columns);
        using Matrix<float> toLast = device.AllocateMatrix<float>(samples.Rows, 1);
        double[] least = new double[samples.Rows];
        Array.Fill(least, double.MaxValue);
        int chosen = random.NextInt32(samples.Rows);
        for (int k = 0; k < count; k++)
        {
            cancellation.ThrowIfCancellationRequested();
            samples.Row(chosen).CopyTo(centroids.Row(k));
            PairwiseDistance.Compute(DistanceMetric.SquaredEuclidean, samples.View, centroids.View.RowBlock(k, 1), toLast.View);
            ReadOnlySpan<float> fresh = toLast.Buffer.View.Host;
            double total = 0;
            for (int i = 0; i < least.Length; i++) total += least[i] = Math.Min(least[i], fresh[i]);
            chosen = Draw(least, random.NextDouble() * total);
        }
        return centroids;
    }

    private static int Draw(double[] weights, double target)
    {
        int last = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] > 0) last = i;
            target -= weights[i];
            if (target < 0) return last;
        }
        return last;
    }

    private static void Update(CpuDevice device, Matrix<float> samples, Matrix<int> nearest, Matrix<float> distance, Matrix<float> centroids)
    {
        int blocks = (samples.Rows + BlockRows - 1) / BlockRows, count = centroids.Rows, width = samples.Columns;
        double[][] sums = new double[blocks][];
        int[][] sizes = new int[blocks][];
        SumJob job = new(samples, nearest, count, sums, sizes);
        device.Pool.Run(blocks, ref job);
        HashSet<int> taken = [];
        for (int k = 0; k < count; k++)
        {
            int size = sizes.Sum(block => block[k]);
            if (size == 0)
            {
                samples.Row(Farthest(distance.Buffer.View.Host, taken)).CopyTo(centroids.Row(k));
                continue;
            }
            Span<float> centroid = centroids.Row(k);
            for (int j = 0; j < width; j++)
            {
                double sum = 0;
                foreach (double[] block in sums) sum += block[k * width + j];
                centroid[j] = (float)(sum / size);
            }
        }
    }

    /// <summary>A centroid that lost all its samples restarts at the sample that is served worst.</summary>
    private static int Farthest(ReadOnlySpan<float> distances, HashSet<int> taken)
    {
        int farthest = -1;
        for (int i = 0; i < distances.Length; i++)
            if (!taken.Contains(i) && (farthest < 0 || distances[i] > distances[farthest])) farthest = i;
        taken.Add(farthest);
        return farthest;
    }

    private readonly struct SumJob(Matrix<float> samples, Matrix<int> nearest, int count, double[][] sums, int[][] sizes) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            int width = samples.Columns, end = (int)Math.Min((block + 1) * BlockRows, samples.Rows);
            double[] sum = new double[count * width];
            int[] size = new int[count];
            for (int i = (int)block * BlockRows; i < end; i++)
            {
                int k = nearest.Row(i)[0];
                size[k]++;
                ReadOnlySpan<float> row = samples.Row(i);
                Span<double> target = sum.AsSpan(k * width, width);
                for (int j = 0; j < row.Length; j++) target[j] += row[j];
            }
            sums[block] = sum;
            sizes[block] = size;
        }
    }
}
