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
        using Matrix<double> points = Copy(x);
        if (options.RowNormalisation == RowNormalisation.L2 && options.Cost != DomainCost.Precomputed) NormaliseRows(points);
        Matrix<double> cost = x.Device.AllocateMatrix<double>(x.Rows, x.Rows);
        try
        {
            int components = 1;
            long unreachable = 0;
            switch (options.Cost)
            {
                case DomainCost.Geodesic: (components, unreachable) = Geodesics(points, options, name, cost, cancellation); break;
                case DomainCost.Precomputed:
                    InputChecks.RequireSquareFinite(x, name);
                    for (int i = 0; i < x.Rows; i++) x.Row(i).CopyTo(cost.Row(i));
                    break;
                default:
                    PairwiseDistance.ComputeSelf(Metric(options.Cost), points.View, cost.View, DistanceForm.Direct);
                    break;
            }
            int directionless = options.Cost == DomainCost.Precomputed ? 0 : CountDirectionless(points, options.Cost == DomainCost.Geodesic ? options.GraphMetric : Metric(options.Cost));
            double divisor = Divide(cost, options.Scale, name);
            return new DomainCostResult { Cost = cost, Divisor = divisor, Components = components, UnreachablePairs = unreachable, DirectionlessRows = directionless };
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
        Matrix<double> copy = Copy(x);
        NormaliseRows(copy);
        return copy;
    }

    private static DistanceMetric Metric(DomainCost cost) => cost switch
    {
        DomainCost.SquaredEuclidean => DistanceMetric.SquaredEuclidean,
        DomainCost.Euclidean => DistanceMetric.Euclidean,
        DomainCost.Cosine => DistanceMetric.Cosine,
        _ => DistanceMetric.Correlation,
    };

    private static (int Components, long Unreachable) Geodesics(Matrix<double> points, DomainCostOptions options, string name, Matrix<double> cost, CancellationToken cancellation)
    {
        NeighbourGraph graph = NeighbourGraph.Build(points, options);
        int components = graph.CountComponents();
        if (components > 1 && options.Components == ComponentRule.Refuse)
            throw new DataException(name, null, $"the {options.Neighbours}-nearest-neighbour graph has {components} components; raise knn or choose the rule that sets missing paths to the largest distance.");
        if (options.GraphWeights == GraphWeights.Hops) ShortestPaths.Hops(graph, cost, cancellation);
        else ShortestPaths.Weighted(graph, cost, cancellation);
        return (components, components == 1 ? 0 : ReplaceInfinite(cost));
    }

    private static long ReplaceInfinite(Matrix<double> cost)
    {
        double largest = 0;
        for (int i = 0; i < cost.Rows; i++)
            foreach (double value in cost.Row(i))
                if (double.IsFinite(value)) largest = Math.Max(largest, value);
        long count = 0;
        for (int i = 0; i < cost.Rows; i++)
        {
            Span<double> row = cost.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                if (double.IsFinite(row[j])) continue;
                row[j] = largest;
                count++;
            }
        }
        return count;
    }

    private static double Divide(Matrix<double> cost, CostScale scale, string name)
    {
        double divisor = scale switch
        {
            CostScale.None => 1,
            CostScale.Max => Largest(cost),
            CostScale.Mean => Mean(cost),
            _ => Median(cost),
        };
        if (!(divisor > 0))
            throw new DataException(name, null, string.Create(CultureInfo.InvariantCulture, $"the cost cannot be scaled by its {scale.ToString().ToLowerInvariant()}, which is {divisor}: are all points the same?"));
        if (scale == CostScale.None) return 1;
        for (int i = 0; i < cost.Rows; i++)
        {
            Span<double> row = cost.Row(i);
            for (int j = 0; j < row.Length; j++) row[j] /= divisor;
        }
        return divisor;
    }

    private static double Largest(Matrix<double> cost)
    {
        double largest = double.NegativeInfinity;
        for (int i = 0; i < cost.Rows; i++)
            foreach (double value in cost.Row(i)) largest = Math.Max(largest, value);
        return largest;
    }

    private static double Mean(Matrix<double> cost)
    {
        double sum = 0;
        for (int i = 0; i < cost.Rows; i++)
        {
            double row = 0;
            foreach (double value in cost.Row(i)) row += value;
            sum += row;
        }
        return sum / ((double)cost.Rows * cost.Columns);
    }

    private static double Median(Matrix<double> cost)
    {
        double[] values = new double[checked(cost.Rows * cost.Columns)];
        for (int i = 0; i < cost.Rows; i++) cost.Row(i).CopyTo(values.AsSpan(i * cost.Columns));
        Array.Sort(values);
        int middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
    }

    internal static Matrix<double> Copy(Matrix<double> x)
    {
        Matrix<double> copy = x.Device.AllocateMatrix<double>(x.Rows, x.Columns);
        for (int i = 0; i < x.Rows; i++) x.Row(i).CopyTo(copy.Row(i));
        return copy;
    }

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
        int count = 0;
        for (int i = 0; i < points.Rows; i++)
        {
            ReadOnlySpan<double> row = points.Row(i);
            if (row.IndexOfAnyExcept(metric == DistanceMetric.Correlation ? row[0] : 0.0) < 0) count++;
        }
        return count;
    }
}
