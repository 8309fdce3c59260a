using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>How points of one domain are compared.</summary>
public enum DomainCost
{
    /// <summary>Shortest paths on the k-nearest-neighbour graph.</summary>
    Geodesic,
    SquaredEuclidean,
    Euclidean,
    Cosine,
    Correlation,

    /// <summary>The matrix given is the cost itself.</summary>
    Precomputed,
}

/// <summary>Length of an edge of the neighbour graph.</summary>
public enum GraphWeights
{
    /// <summary>1: paths count hops.</summary>
    Hops,

    /// <summary>The distance in the graph's metric.</summary>
    Distance,
}

public enum RowNormalisation
{
    None,

    /// <summary>Each row divided by its Euclidean norm; rows of zeros stay.</summary>
    L2,
}

/// <summary>What the finished cost is divided by, over all n² entries.</summary>
public enum CostScale
{
    None,
    Max,
    Mean,
    Median,
}

/// <summary>What to do with pairs that no path joins.</summary>
public enum ComponentRule
{
    /// <summary>Their distance is the largest finite one (SCOT).</summary>
    LargestFinite,

    /// <summary>Every pair of components is joined by an edge between their two nearest points (scikit-learn's Isomap; Pamona's idea).</summary>
    Bridge,

    /// <summary>Refuse the data.</summary>
    Refuse,
}

/// <summary>Parameters of a cost within one domain.</summary>
public sealed record DomainCostOptions
{
    public DomainCost Cost { get; init; } = DomainCost.Geodesic;

    /// <summary>Neighbours per point in the graph.</summary>
    public int Neighbours { get; init; } = 30;
    public DistanceMetric GraphMetric { get; init; } = DistanceMetric.Correlation;
    public GraphWeights GraphWeights { get; init; } = GraphWeights.Hops;

    /// <summary>Counts a point as the first of its own neighbours, as scikit-learn's kneighbors_graph(include_self=True).</summary>
    public bool IncludeSelf { get; init; } = true;
    public RowNormalisation RowNormalisation { get; init; } = RowNormalisation.L2;
    public CostScale Scale { get; init; } = CostScale.Max;
    public ComponentRule Components { get; init; } = ComponentRule.LargestFinite;

    /// <summary>
    /// Coordinates of a kernel-PCA embedding whose squared distances stand for the cost; 0 for the cost itself. Its error is in <see cref="DomainCostResult.Embedding"/>.
    /// </summary>
    public int EmbeddingRank { get; init; }

    /// <summary>True where the cost is known by points, so that no matrix of it is needed.</summary>
    internal bool KeepsPoints => EmbeddingRank > 0 || (Cost == DomainCost.SquaredEuclidean && Scale != CostScale.Median);

    /// <summary>Coordinates of these points, for data of this many columns.</summary>
    internal int Coordinates(int columns) => EmbeddingRank > 0 ? EmbeddingRank : columns;

    /// <summary>SCOT (Demetci et al. 2022, src/scotv1.py): rows to unit length, k nearest by correlation with the point itself, hops, undirected, divided by the maximum.</summary>
    public static DomainCostOptions Scot(int neighbours) => new() { Neighbours = neighbours };

    /// <summary>GW-map (arXiv 2606.31394): k = 60 Euclidean neighbours, edge lengths, divided by the mean. Used with epsilon in OTT's convention.</summary>
    public static DomainCostOptions GwMap(int neighbours = 60) => new()
    {
        Neighbours = neighbours, GraphMetric = DistanceMetric.Euclidean, GraphWeights = GraphWeights.Distance, IncludeSelf = false,
        RowNormalisation = RowNormalisation.None, Scale = CostScale.Mean,
    };

    /// <summary>Refuses a neighbour graph that the points cannot have, before anything is computed.</summary>
    /// <param name="points">Points of the domain.</param>
    /// <param name="domain">What to call the domain in the message.</param>
    /// <exception cref="UsageException">The cost needs a graph, and its points have too few neighbours or there are not enough of them.</exception>
    public void RequirePoints(int points, string domain)
    {
        if (EmbeddingRank < 0) throw new UsageException($"The cost cannot be embedded in {EmbeddingRank} coordinates; at least one is needed.");
        if (EmbeddingRank > 0 && Cost == DomainCost.Precomputed) throw new UsageException("A precomputed cost is not embedded: its points are not known.");
        if (EmbeddingRank > 0 && Scale == CostScale.Median) throw new UsageException("An embedded cost is scaled by its maximum, by its mean or not at all; a median needs all pairs.");
        if (Cost != DomainCost.Geodesic) return;
        int others = IncludeSelf ? Neighbours - 1 : Neighbours;
        if (others < 1) throw new UsageException($"knn is {Neighbours}; the graph needs at least one neighbour besides the point itself.");
        if (others > points - 1) throw new UsageException($"knn is {Neighbours}, but there are only {points} points in {domain}.");
    }
}

/// <summary>A finished cost within one domain. Owns the matrix, which a squared Euclidean cost makes when it is first asked for.</summary>
public sealed class DomainCostResult : IDisposable
{
    private readonly Func<Matrix<double>>? _make;
    private Matrix<double>? _cost;

    /// <param name="cost">The cost after scaling.</param>
    internal DomainCostResult(Matrix<double> cost) => _cost = cost;

    /// <param name="points">Points whose squared Euclidean distances, divided by <see cref="Divisor"/>, are the cost.</param>
    /// <param name="make">Makes the cost after scaling.</param>
    internal DomainCostResult(Matrix<double> points, Func<Matrix<double>> make) => (Points, _make) = (points, make);

    /// <summary>The cost [n, n] after scaling, in the memory of the points.</summary>
    public Matrix<double> Cost => _cost ??= _make!();

    /// <summary>Number of points.</summary>
    public int Count => _cost?.Rows ?? Points!.Rows;

    /// <summary>Where the squared distances of points are the cost, these points: products need not form it.</summary>
    internal Matrix<double>? Points { get; }

    /// <summary>The largest magnitude of the cost, exact where the cost has been made, else a bound at most four times as large.</summary>
    internal double LargestMagnitude
    {
        get
        {
            if (_cost is not null || Points is null) return MatrixElements.Summarise(Cost.View).LargestMagnitude;
            // No two points are farther apart than twice the farthest is from the first.
            using Matrix<double> distances = Points.Device.AllocateMatrix<double>(1, Points.Rows);
            PairwiseDistance.Compute(DistanceMetric.SquaredEuclidean, Points.View.RowBlock(0, 1), Points.View, distances.View, DistanceForm.Direct);
            return 4 * MatrixElements.Summarise(distances.View).Largest / Divisor;
        }
    }

    /// <summary>What the raw cost was divided by.</summary>
    public required double Divisor { get; init; }

    /// <summary>Connected components of the neighbour graph, before any were bridged; 1 for costs without a graph.</summary>
    public required int Components { get; init; }

    /// <summary>How well embedded points stand for the cost; null where it was not embedded.</summary>
    public EmbeddingReport? Embedding { get; init; }

    /// <summary>Edges added between components.</summary>
    public int Bridges { get; init; }

    /// <summary>Ordered pairs that no path joins and that received the largest finite distance.</summary>
    public required long UnreachablePairs { get; init; }

    /// <summary>Rows without a direction (all zero for cosine, constant for correlation), which count as distance 1 from every other row.</summary>
    public required int DirectionlessRows { get; init; }

    public void Dispose()
    {
        _cost?.Dispose();
        Points?.Dispose();
    }
}
