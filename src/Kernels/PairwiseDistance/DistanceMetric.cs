using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Distances between rows x and y of d coordinates, with the conventions of scipy.spatial.distance and scikit-learn.</summary>
public enum DistanceMetric
{
    /// <summary>√Σ(xₖ − yₖ)².</summary>
    Euclidean,

    /// <summary>Σ(xₖ − yₖ)².</summary>
    SquaredEuclidean,

    /// <summary>1 − x·y / (|x| |y|), in [0, 2]. A zero row is at distance 1 from every other row (scikit-learn; scipy gives NaN).</summary>
    Cosine,

    /// <summary>Cosine distance of the rows after each has lost its own mean. A constant row is at distance 1 from every other row (scipy gives NaN).</summary>
    Correlation,

    /// <summary>Σ|xₖ − yₖ|, also called Manhattan or L1.</summary>
    Cityblock,

    /// <summary>max |xₖ − yₖ|, also called L∞.</summary>
    Chebyshev,

    /// <summary>The fraction of coordinates that differ, in [0, 1].</summary>
    Hamming,
}

/// <summary>How distances are computed.</summary>
public enum DistanceForm
{
    /// <summary>
    /// Euclidean, cosine and correlation distances from scalar products: |x|² + |y|² − 2 x·y, and directly for the pairs where that
    /// subtraction would cancel. The other metrics have no such form and are computed directly.
    /// </summary>
    Expanded,

    /// <summary>Every pair from coordinate differences.</summary>
    Direct,
}

/// <summary>Names of the metrics on the command line and in files.</summary>
public static class DistanceMetrics
{
    private static readonly (string Name, DistanceMetric Metric)[] s_names =
    [
        ("euclidean", DistanceMetric.Euclidean),
        ("sqeuclidean", DistanceMetric.SquaredEuclidean),
        ("cosine", DistanceMetric.Cosine),
        ("correlation", DistanceMetric.Correlation),
        ("cityblock", DistanceMetric.Cityblock),
        ("chebyshev", DistanceMetric.Chebyshev),
        ("hamming", DistanceMetric.Hamming),
        ("l2", DistanceMetric.Euclidean),
        ("manhattan", DistanceMetric.Cityblock),
        ("l1", DistanceMetric.Cityblock),
    ];

    /// <summary>The names scipy and scikit-learn use, one per metric.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_names.Take(7).Select(entry => entry.Name)];

    /// <summary>The metric called <paramref name="name"/>; scikit-learn's synonyms l1, l2 and manhattan are understood.</summary>
    /// <exception cref="UsageException">There is no such metric.</exception>
    public static DistanceMetric Parse(string name)
    {
        foreach ((string known, DistanceMetric metric) in s_names)
            if (string.Equals(known, name, StringComparison.OrdinalIgnoreCase)) return metric;
        throw new UsageException($"'{name}' is not a distance metric; expected {string.Join(", ", Names)}.");
    }

    /// <summary>The name <see cref="Parse"/> reads.</summary>
    public static string NameOf(DistanceMetric metric) => Array.Find(s_names, entry => entry.Metric == metric).Name
        ?? throw new ArgumentOutOfRangeException(nameof(metric));
}
