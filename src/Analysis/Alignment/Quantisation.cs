using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// A domain by clusters of its points: k-means++ seeds and Lloyd's iteration in the costs (exact for squared distances). The costs between clusters are means over their points, so that the loss of a
/// coupling of clusters is that of the coupling of points it is spread to. Owns the costs.
/// </summary>
internal sealed class Quantisation : IDisposable
{
    /// <summary>Clusters of a large domain. The coarse problem takes the third power of their number.</summary>
    public const int MostClusters = 256;
    private const int Refinements = 10;

    /// <summary>Random stream of the seeds of the first domain; the second has the next.</summary>
    private const ulong RandomStream = 0x7175616EUL;

    private Quantisation(int[] labels, int[] sizes, Matrix<double> costs)
    {
        (Labels, Costs) = (labels, costs);
        Masses = [.. sizes.Select(size => size / (double)labels.Length)];
    }

    /// <summary>Which cluster every point belongs to [n].</summary>
    public int[] Labels { get; }

    /// <summary>Share of the points that belong to each cluster, positive [k].</summary>
    public double[] Masses { get; }

    /// <summary>Mean costs between the points of clusters [k, k], in host memory.</summary>
    public Matrix<double> Costs { get; }

    /// <summary>How many clusters a domain gets: so many that the coarse problem is small beside one product of the whole one.</summary>
    public static int Count(int points) => Math.Min(MostClusters, Math.Min(points, (int)Math.Ceiling(4 * Math.Sqrt(points))));

    /// <summary>Clusters a domain.</summary>
    /// <param name="cost">The domain; where it is known by points, from their coordinates.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="domain">0 or 1: the two domains of an alignment draw independently.</param>
    /// <param name="cancellation">Stops between passes over the points.</param>
    public static Quantisation Of(DomainCostResult cost, ulong seed, int domain, CancellationToken cancellation)
    {
        using PlacedMatrix<double> placed = (cost.Points ?? cost.Cost).OnHost();
        ClusterCosts costs = cost.Points is null ? new StoredClusterCosts(placed.Matrix) : new PointClusterCosts(placed.Matrix, cost.Divisor);
        int n = cost.Count, clusters = Count(n);
        double[] means = new double[clusters];
        int[] sizes = new int[clusters], labels = CostClustering.Seed(Row, n, clusters, new CounterRandom(seed, stream: RandomStream + (ulong)domain), cancellation);
        Matrix<double> between = placed.Matrix.Device.Host.AllocateMatrix<double>(clusters, clusters);
        for (int round = 0; ; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            Array.Clear(sizes);
            foreach (int label in labels) sizes[label]++;
            costs.Update(labels, sizes);
            Between(costs, labels, sizes, between);
            if (round == Refinements || !CostClustering.Assign(Means, labels, sizes, between)) return new Quantisation(labels, sizes, between);
        }

        ReadOnlySpan<double> Means(int point)
        {
            costs.Means(point, means);
            return means;
        }

        void Row(int point, Span<double> row)
        {
            for (int i = 0; i < row.Length; i++) row[i] = costs.Cost(point, i);
        }
    }

    public void Dispose() => Costs.Dispose();

    private static void Between(ClusterCosts costs, int[] labels, int[] sizes, Matrix<double> between)
    {
        between.Buffer.Clear();
        double[] means = new double[sizes.Length];
        for (int i = 0; i < labels.Length; i++)
        {
            costs.Means(i, means);
            TensorPrimitives.MultiplyAdd(means, 1.0 / sizes[labels[i]], between.Row(labels[i]), between.Row(labels[i]));
        }
    }

    /// <summary>Costs of single points to clusters.</summary>
    private abstract class ClusterCosts
    {
        public abstract double Cost(int one, int other);

        /// <summary>Takes the clusters that <see cref="Means"/> is about.</summary>
        public abstract void Update(int[] labels, int[] sizes);

        /// <summary>Mean costs of a point to the points of every cluster [k].</summary>
        public abstract void Means(int point, double[] means);
    }

    private sealed class StoredClusterCosts(Matrix<double> cost) : ClusterCosts
    {
        private int[] _labels = [], _sizes = [];

        public override double Cost(int one, int other) => cost.Row(one)[other];

        public override void Update(int[] labels, int[] sizes) => (_labels, _sizes) = ((int[])labels.Clone(), (int[])sizes.Clone());

        public override void Means(int point, double[] means)
        {
            Array.Clear(means);
            ReadOnlySpan<double> row = cost.Row(point);
            for (int j = 0; j < row.Length; j++) means[_labels[j]] += row[j];
            for (int k = 0; k < means.Length; k++) means[k] /= _sizes[k];
        }
    }

    private sealed class PointClusterCosts(Matrix<double> points, double divisor) : ClusterCosts
    {
        private double[][] _centres = [];
        private double[] _spread = [];

        public override double Cost(int one, int other) => Square(points.Row(one), points.Row(other)) / divisor;

        public override void Update(int[] labels, int[] sizes)
        {
            _centres = [.. sizes.Select(_ => new double[points.Columns])];
            _spread = new double[sizes.Length];
            for (int i = 0; i < labels.Length; i++) TensorPrimitives.MultiplyAdd(points.Row(i), 1.0 / sizes[labels[i]], _centres[labels[i]], _centres[labels[i]]);
            for (int i = 0; i < labels.Length; i++) _spread[labels[i]] += Square(points.Row(i), _centres[labels[i]]) / sizes[labels[i]];
        }

        /// <summary>The mean squared distance to the points of a cluster is that to its mean and their spread.</summary>
        public override void Means(int point, double[] means)
        {
            for (int k = 0; k < means.Length; k++) means[k] = (Square(points.Row(point), _centres[k]) + _spread[k]) / divisor;
        }

        private static double Square(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
        {
            double distance = TensorPrimitives.Distance(x, y);
            return distance * distance;
        }
    }
}
