using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>A representation to measure: one row per cell.</summary>
public sealed record GeometrySource(string Name, Matrix<double> X);

/// <summary>What a study measures.</summary>
public sealed record GeometryOptions
{
    /// <summary>Neighbourhood sizes.</summary>
    public IReadOnlyList<int> K { get; init; } = [5, 10, 15, 20, 25];

    /// <summary>Permutations behind each p-value; 0 for none.</summary>
    public int Permutations { get; init; }

    /// <summary>False leaves the ridge probe out.</summary>
    public bool Ridge { get; init; } = true;

    /// <summary>Seed of the permutations; folds keep the paper's seed 42.</summary>
    public ulong Seed { get; init; } = 42;
}

/// <summary>Every metric of one representation inside one group of cells.</summary>
public sealed record GeometryMeasurement
{
    public required string Source { get; init; }
    public required string Group { get; init; }
    public required int Rows { get; init; }
    public required int Columns { get; init; }

    /// <summary>One result per k.</summary>
    public required IReadOnlyList<LocalLinearityResult> Local { get; init; }

    /// <summary>Effective rank with the column means taken off.</summary>
    public required EffectiveRankResult RankCentred { get; init; }

    /// <summary>Effective rank as the matrix stands.</summary>
    public required EffectiveRankResult RankRaw { get; init; }

    public RidgeProbeResult? Ridge { get; init; }
}

/// <summary>Linear CKA of two representations inside one group.</summary>
public sealed record CkaMeasurement(string First, string Second, string Group, double Cka);

/// <summary>The geometry of several representations of the same cells against one value: the whole of `biosup geometry`.</summary>
public sealed record GeometryStudy(IReadOnlyList<GeometryMeasurement> Measurements, IReadOnlyList<CkaMeasurement> Cka)
{
    /// <summary>Name of the group that holds every cell.</summary>
    public const string AllRows = "all";

    /// <param name="sources">Representations with equally many, finite rows.</param>
    /// <param name="values">One finite value per row.</param>
    /// <param name="groups">A group name per row, measured separately; null measures all rows together.</param>
    /// <param name="options">What to measure.</param>
    /// <param name="progress">Receives one report per representation and group.</param>
    /// <param name="cancellation">Stops between measurements.</param>
    /// <exception cref="DataException">Lengths differ, a value is not finite, or a value is constant inside a group.</exception>
    /// <exception cref="UsageException">A group is too small for the largest k or for the folds.</exception>
    public static GeometryStudy Run(IReadOnlyList<GeometrySource> sources, double[] values, string[]? groups, GeometryOptions options,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        Check(sources, values, groups, options);
        List<GeometryMeasurement> measurements = [];
        List<CkaMeasurement> cka = [];
        List<(string Name, int[] Rows)> parts = Parts(values.Length, groups);
        int done = 0, total = parts.Count * sources.Count;
        foreach ((string name, int[] rows) in parts)
        {
            List<GeometrySource> subsets = [.. sources.Select(s => groups is null ? s : new GeometrySource(s.Name, Gather.Rows(s.X, rows)))];
            try
            {
                double[] own = Array.ConvertAll(rows, row => values[row]);
                foreach (GeometrySource subset in subsets)
                {
                    measurements.Add(Measure(subset, name, own, options, cancellation));
                    progress?.Report("geometry", ++done, total, $"{subset.Name}, {name}");
                }
                for (int i = 0; i < subsets.Count; i++)
                    for (int j = i + 1; j < subsets.Count; j++)
                        cka.Add(new CkaMeasurement(subsets[i].Name, subsets[j].Name, name, LinearCka.Measure(subsets[i].X, subsets[j].X)));
            }
            finally
            {
                if (groups is not null)
                    foreach (GeometrySource subset in subsets) subset.X.Dispose();
            }
        }
        return new GeometryStudy(measurements, cka);
    }

    /// <summary>Refuses neighbourhoods that a group is too small for, before anything is measured.</summary>
    /// <param name="rows">Cells.</param>
    /// <param name="groups">A group name per cell; null for one group of all.</param>
    /// <param name="k">Neighbourhood sizes.</param>
    /// <exception cref="UsageException">A group has no more rows than the largest k.</exception>
    public static void RequireNeighbours(int rows, string[]? groups, IReadOnlyList<int> k)
    {
        int largest = k.Max();
        foreach ((string name, int[] own) in Parts(rows, groups))
            if (own.Length <= largest) throw new UsageException($"k = {largest} needs at least {largest + 1} rows; group '{name}' has {own.Length}.");
    }

    private static GeometryMeasurement Measure(GeometrySource source, string group, double[] values, GeometryOptions options, CancellationToken cancellation)
    {
        try
        {
            using NeighbourTable neighbours = NeighbourTable.Build(source.X, options.K.Max());
            return new GeometryMeasurement
            {
                Source = source.Name,
                Group = group,
                Rows = source.X.Rows,
                Columns = source.X.Columns,
                Local = [.. options.K.Select(k => LocalLinearity.Measure(neighbours, values, k, options.Permutations, options.Seed, cancellation))],
                RankCentred = EffectiveRank.Measure(source.X, centre: true),
                RankRaw = EffectiveRank.Measure(source.X, centre: false),
                Ridge = options.Ridge
                    ? RidgeProbe.Measure(source.X, values, new RidgeProbeOptions { Permutations = options.Permutations, Seed = options.Seed }, null, cancellation)
                    : null,
            };
        }
        catch (DataException e)
        {
            throw new DataException(source.Name, $"group '{group}'", e.Message, e);
        }
    }

    private static List<(string Name, int[] Rows)> Parts(int rows, string[]? groups)
    {
        if (groups is null) return [(AllRows, [.. Enumerable.Range(0, rows)])];
        return [.. Enumerable.Range(0, rows).GroupBy(i => groups[i], StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => (g.Key, g.ToArray()))];
    }

    private static void Check(IReadOnlyList<GeometrySource> sources, double[] values, string[]? groups, GeometryOptions options)
    {
        if (options.K.Count == 0 || options.K.Any(k => k < 1)) throw new UsageException("k needs at least one neighbourhood size, each 1 or larger.");
        foreach (GeometrySource source in sources)
            if (source.X.Rows != values.Length) throw new DataException(source.Name, null, $"there are {source.X.Rows} rows, but {values.Length} values: one value per row is needed.");
        if (groups is not null && groups.Length != values.Length) throw new DataException("group", null, $"there are {groups.Length} group names, but {values.Length} values.");
        for (int i = 0; i < values.Length; i++)
            if (!double.IsFinite(values[i])) throw new DataException("value", $"row {i}", $"the value is {(double.IsNaN(values[i]) ? "missing" : "infinite")}; every row needs a finite one.");
        RequireNeighbours(values.Length, groups, options.K);
    }
}
