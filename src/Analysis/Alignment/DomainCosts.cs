using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Costs within one domain: what Gromov-Wasserstein compares between domains.</summary>
public static class DomainCosts
{
    /// <summary>Builds the cost of a data matrix.</summary>
    /// <param name="x">Points [n, d], or the cost [n, n] itself for <see cref="DomainCost.Precomputed"/>; not changed.</param>
    /// <param name="options">Parameters.</param>
    /// <param name="name">What to call the matrix in error messages.</param>
    /// <param name="cancellation">Stops the path search.</param>
    /// <exception cref="DataException">A value is not finite, all points are the same, or the graph falls apart and the rule refuses it.</exception>
    public static DomainCostResult Build(Matrix<double> x, DomainCostOptions options, string name = "points", CancellationToken cancellation = default)
    {
        InputChecks.RequireFinite(x, name);
        if (options.Cost == DomainCost.Precomputed) InputChecks.RequireSquareFinite(x, name);
        bool precomputed = options.Cost == DomainCost.Precomputed;
        if (options.EmbeddingRank > 0) return Embedded(x, options, name, cancellation);
        // A median looks at all distances, so nothing is saved there.
        if (options.KeepsPoints) return SquaredDistances(x, options, name);
        using Matrix<double>? points = precomputed ? null : options.RowNormalisation == RowNormalisation.L2 ? NormalisedRows(x) : Copy(x);
        Matrix<double> cost = precomputed ? Copy(x) : x.Device.AllocateMatrix<double>(x.Rows, x.Rows);
        try
        {
            int components = 1, directionless = 0, bridges = 0;
            long unreachable = 0;
            if (points is not null)
            {
                DistanceMetric metric = options.Cost == DomainCost.Geodesic ? options.GraphMetric : Metric(options.Cost);
                if (options.Cost == DomainCost.Geodesic) (components, unreachable, bridges) = Geodesics(points, options, name, cost, cancellation);
                else PairwiseDistance.ComputeSelf(metric, points.View, cost.View, DistanceForm.Direct);
                directionless = CountDirectionless(points, metric);
            }
            double divisor = Divide(cost, options.Scale, name);
            return new DomainCostResult(cost) { Divisor = divisor, Components = components, Bridges = bridges, UnreachablePairs = unreachable, DirectionlessRows = directionless };
        }
        catch
        {
            cost.Dispose();
            throw;
        }
    }

    /// <summary>A copy with every row divided by its Euclidean norm, as SCOT projects and scores; rows of zeros stay.</summary>
    public static Matrix<double> NormalisedRows(Matrix<double> x)
    {
        using Matrix<double> copy = x.CopyOnHost();
        NormaliseRows(copy);
        return copy.CopyAt(x.Device);
    }

    /// <summary>Points whose squared distances stand for the cost. Of metrics only the costs to landmarks are computed; shortest paths are those of all pairs.</summary>
    private static DomainCostResult Embedded(Matrix<double> x, DomainCostOptions options, string name, CancellationToken cancellation)
    {
        options.RequirePoints(x.Rows, name);
        int[] landmarks = CostEmbedding.Landmarks(x.Rows);
        bool geodesic = options.Cost == DomainCost.Geodesic;
        using DomainCostResult? paths = geodesic ? Build(x, options with { EmbeddingRank = 0, Scale = CostScale.None }, name, cancellation) : null;
        using PlacedMatrix<double> lengths = (paths?.Cost ?? x).OnHost();
        using Matrix<double> points = (options.RowNormalisation == RowNormalisation.L2 ? NormalisedRows(x) : Copy(x)).MoveToHost(), marks = points.Device.AllocateMatrix<double>(landmarks.Length, x.Columns);
        for (int l = 0; l < landmarks.Length; l++) points.Row(landmarks[l]).CopyTo(marks.Row(l));
        DistanceMetric metric = geodesic ? options.GraphMetric : Metric(options.Cost);
        void Costs(int first, Matrix<double> block)
        {
            if (!geodesic) PairwiseDistance.Compute(metric, points.View.RowBlock(first, block.Rows), marks.View, block.View, DistanceForm.Direct);
            for (int r = 0; r < block.Rows; r++)
            {
                for (int l = 0; geodesic && l < landmarks.Length; l++) block.Row(r)[l] = lengths.Matrix.Row(first + r)[landmarks[l]];
            }
        }
        (Matrix<double> embedded, EmbeddingReport report, double largest, double mean) = CostEmbedding.Embed(x.Device, x.Rows, options.EmbeddingRank, landmarks, Costs, name, cancellation);
        try
        {
            double divisor = options.Scale switch { CostScale.None => 1, CostScale.Max => largest, _ => mean };
            RequirePositive(divisor, options.Scale, name);
            return new DomainCostResult(embedded, () => ScaledSquaredDistances(embedded, divisor))
            {
                Divisor = divisor, Components = paths?.Components ?? 1, Bridges = paths?.Bridges ?? 0, UnreachablePairs = paths?.UnreachablePairs ?? 0,
                DirectionlessRows = CountDirectionless(points, metric), Embedding = report,
            };
        }
        catch
        {
            embedded.Dispose();
            throw;
        }
    }

    /// <summary>Squared distances are known by their points; the matrix of them is made when something looks at it.</summary>
    private static DomainCostResult SquaredDistances(Matrix<double> x, DomainCostOptions options, string name)
    {
        Matrix<double> points = options.RowNormalisation == RowNormalisation.L2 ? NormalisedRows(x) : Copy(x);
        try
        {
            double divisor = options.Scale switch
            {
                CostScale.None => 1,
                CostScale.Max => LargestSquaredDistance(points),
                _ => MeanSquaredDistance(points),
            };
            RequirePositive(divisor, options.Scale, name);
            return new DomainCostResult(points, () => ScaledSquaredDistances(points, divisor)) { Divisor = divisor, Components = 1, UnreachablePairs = 0, DirectionlessRows = 0 };
        }
        catch
        {
            points.Dispose();
            throw;
        }
    }

    private static Matrix<double> ScaledSquaredDistances(Matrix<double> points, double divisor)
    {
        Matrix<double> cost = points.Device.AllocateMatrix<double>(points.Rows, points.Rows);
        PairwiseDistance.ComputeSelf(DistanceMetric.SquaredEuclidean, points.View, cost.View, DistanceForm.Direct);
        if (divisor != 1) Elementwise.Divide(cost.View, divisor, cost.View);
        return cost;
    }

    private static double LargestSquaredDistance(Matrix<double> points)
    {
        int rows = MatchAccuracy.BlockRows(points.Rows, points.Rows);
        using Matrix<double> block = points.Device.AllocateMatrix<double>(rows, points.Rows);
        double largest = 0;
        for (int first = 0; first < points.Rows; first += rows)
        {
            MatrixView<double> distances = block.View.RowBlock(0, Math.Min(rows, points.Rows - first));
            PairwiseDistance.Compute(DistanceMetric.SquaredEuclidean, points.View.RowBlock(first, distances.Rows), points.View, distances, DistanceForm.Direct);
            largest = Math.Max(largest, MatrixElements.Summarise(distances).Largest);
        }
        return largest;
    }

    /// <summary>Over all n² pairs: twice the sum of the coordinates' variances.</summary>
    private static double MeanSquaredDistance(Matrix<double> points)
    {
        using DeviceBuffer<double> means = points.Device.Allocate<double>(points.Columns), variances = points.Device.Allocate<double>(points.Columns);
        Reductions.ColumnVariances(points.View, means.View, variances.View);
        double[] variance = new double[points.Columns];
        variances.CopyTo(variance);
        return 2 * variance.Sum();
    }

    private static DistanceMetric Metric(DomainCost cost) => cost switch
    {
        DomainCost.SquaredEuclidean => DistanceMetric.SquaredEuclidean,
        DomainCost.Euclidean => DistanceMetric.Euclidean,
        DomainCost.Cosine => DistanceMetric.Cosine,
        _ => DistanceMetric.Correlation,
    };

    private static (int Components, long Unreachable, int Bridges) Geodesics(Matrix<double> points, DomainCostOptions options, string name, Matrix<double> cost, CancellationToken cancellation)
    {
        (CompressedGraph built, int components, int bridges) = NeighbourGraph.Build(points, options, name, cancellation);
        using CompressedGraph graph = built;
        if (components > 1 && options.Components == ComponentRule.Refuse)
            throw new DataException(name, null, $"the {options.Neighbours}-nearest-neighbour graph has {components} components; raise knn, or choose the rule that bridges them or the one that sets missing paths to the largest distance.");
        if (options.GraphWeights == GraphWeights.Hops) Kernels.Geodesics.Hops(graph, cost.View, cancellation);
        else Kernels.Geodesics.Lengths(graph, cost.View, cancellation);
        return (components, components == 1 || options.Components == ComponentRule.Bridge ? 0 : ReplaceInfinite(cost), bridges);
    }

    private static long ReplaceInfinite(Matrix<double> cost)
    {
        MatrixSummary summary = MatrixElements.Summarise(cost.View);
        MatrixElements.ReplaceNotFinite(cost.View, Math.Max(0, summary.Largest));
        return summary.NotFinite;
    }

    private static double Divide(Matrix<double> cost, CostScale scale, string name)
    {
        double divisor = scale switch
        {
            CostScale.None => 1,
            CostScale.Max => MatrixElements.Summarise(cost.View).Largest,
            CostScale.Mean => MatrixElements.Summarise(cost.View).Sum / ((double)cost.Rows * cost.Columns),
            _ => Median(cost),
        };
        RequirePositive(divisor, scale, name);
        if (scale == CostScale.None) return 1;
        Elementwise.Divide(cost.View, divisor, cost.View);
        return divisor;
    }

    private static void RequirePositive(double divisor, CostScale scale, string name)
    {
        if (!(divisor > 0))
            throw new DataException(name, null, string.Create(CultureInfo.InvariantCulture, $"the cost cannot be scaled by its {scale.ToString().ToLowerInvariant()}, which is {divisor}: are all points the same?"));
    }

    private static double Median(Matrix<double> cost)
    {
        double[] values = new double[checked(cost.Rows * cost.Columns)];
        cost.View.CopyTo(values);
        Array.Sort(values);
        int middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
    }

    internal static Matrix<double> Copy(Matrix<double> x) => x.CopyAt(x.Device);

    private static void NormaliseRows(Matrix<double> points)
    {
        for (int i = 0; i < points.Rows; i++)
        {
            Span<double> row = points.Row(i);
            double squares = 0;
            foreach (double value in row) squares += value * value;
            if (squares == 0) continue;
            double norm = Math.Sqrt(squares);
            for (int j = 0; j < row.Length; j++) row[j] /= norm;
        }
    }

    /// <summary>Rows whose cosine or correlation with others does not exist (all zero, or constant): they lie at distance 1 from every other row.</summary>
    private static int CountDirectionless(Matrix<double> points, DistanceMetric metric)
    {
        if (metric is not (DistanceMetric.Cosine or DistanceMetric.Correlation)) return 0;
        using PlacedMatrix<double> readable = points.OnHost();
        int count = 0;
        for (int i = 0; i < points.Rows; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            if (row.IndexOfAnyExcept(metric == DistanceMetric.Correlation ? row[0] : 0.0) < 0) count++;
        }
        return count;
    }
}
