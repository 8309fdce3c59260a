using System.Collections.Concurrent;
using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>How a neighbour search is cut up. Its result does not depend on this.</summary>
/// <param name="Places">Places of a list in shared memory.</param>
/// <param name="Parts">Blocks that share the points of one square of queries.</param>
/// <param name="TilesPerPart">Squares of points that a block passes over.</param>
internal readonly record struct NeighbourConfig(int Places, int Parts, int TilesPerPart)
{
    public const int MaxPlaces = 64;

    /// <summary>A list fills with the first points it meets: parts of fewer points would mostly insert.</summary>
    private const int FewestPoints = 512;

    public static int PlacesFor(int count) => count <= 16 ? 16 : count <= 32 ? 32 : MaxPlaces;

    public static int SharedBytes(PairConfig pairs, int places) => pairs.SharedBytes + pairs.Tile * places * (pairs.ElementBytes + sizeof(int));

    /// <param name="pairs">The squares.</param>
    /// <param name="queries">Rows that look for neighbours.</param>
    /// <param name="points">Rows that may be neighbours.</param>
    /// <param name="places">Places of a list.</param>
    /// <param name="wave">Blocks that the device holds at a time.</param>
    public static NeighbourConfig For(PairConfig pairs, int queries, int points, int places, int wave)
    {
        int down = pairs.Tiles(queries), across = pairs.Tiles(points);
        int parts = Math.Clamp(wave / down, 1, Math.Max(1, across / (FewestPoints / pairs.Tile)));
        int tilesPerPart = (across + parts - 1) / parts;
        return new(places, (across + tilesPerPart - 1) / tilesPerPart, tilesPerPart);
    }
}

/// <summary>The two ways to search. Both give the same bits: a pair's distance and the order of pairs are the same.</summary>
internal enum NeighbourVariant
{
    /// <summary>Distances are consumed where they are computed.</summary>
    Fused,

    /// <summary>A block of distances goes to memory, and a second kernel selects from it; within one set each pair is computed once.</summary>
    Split,
}

/// <summary>Which variant is the faster for a class of shapes on a device: timed once, on the first large search of the class.</summary>
internal static class NeighbourTuning
{
    /// <summary>Searches of fewer pairs are over before it matters.</summary>
    private const long FewestPairs = 1L << 24;

    /// <summary>Queries on which the variants are timed.</summary>
    public const int SampleRows = 4096;

    private static readonly ConcurrentDictionary<Class, NeighbourVariant> s_known = new();
    [ThreadStatic] private static Choice? t_forced;

    /// <summary>A variant with the queries and points of a block of distances in memory.</summary>
    internal sealed record Choice(NeighbourVariant Variant, int BlockQueries, int BlockPoints);

    /// <summary>32 MiB in single precision, which a large device's cache holds between the two kernels of the split form.</summary>
    public static (int Queries, int Points) Block => t_forced is { } forced ? (forced.BlockQueries, forced.BlockPoints) : (2048, 4096);

    /// <summary>Lengths within a factor of two are one class.</summary>
    internal readonly record struct Class(string Device, PairConfig Pairs, int Places, bool Self, int Queries, int Points, int Depth)
    {
        public static Class Of(CudaDevice device, PairConfig pairs, int places, in PairArguments problem) => new(device.Info.Uuid, pairs, places, problem.Self != 0,
            BitOperations.Log2((uint)problem.XRows), BitOperations.Log2((uint)problem.YRows), BitOperations.Log2((uint)problem.Depth + 1));
    }

    /// <summary>The variant to take, or null where it has to be timed.</summary>
    public static NeighbourVariant? Find(CudaDevice device, Class shapes, in PairArguments problem)
    {
        if (t_forced is { } forced) return forced.Variant;
        if ((long)problem.XRows * problem.YRows < FewestPairs) return NeighbourVariant.Fused;
        if (s_known.TryGetValue(shapes, out NeighbourVariant known)) return known;
        return device.Stream.IsCapturing ? NeighbourVariant.Fused : null;
    }

    public static NeighbourVariant Remember(CudaDevice device, Class shapes, double fusedMilliseconds, double splitMilliseconds)
    {
        NeighbourVariant best = s_known.GetOrAdd(shapes, splitMilliseconds < fusedMilliseconds ? NeighbourVariant.Split : NeighbourVariant.Fused);
        DeviceKernels.Report(device, nameof(KNearestNeighbours), FormattableString.Invariant(
            $"timed {SampleRows} queries of {shapes.Pairs}, {shapes.Places} places: fused {fusedMilliseconds:F3} ms, split {splitMilliseconds:F3} ms"));
        return best;
    }

    /// <summary>Forces a variant for searches from this thread until the result is disposed; null: the choice is free again.</summary>
    internal static Forced Force(Choice? choice)
    {
        Forced scope = new(t_forced);
        t_forced = choice;
        return scope;
    }

    internal readonly struct Forced(Choice? previous) : IDisposable
    {
        public void Dispose() => t_forced = previous;
    }
}
