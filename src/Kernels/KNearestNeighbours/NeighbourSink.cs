using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Feeds the heaps of the rows (and, in the self form, of the columns) of a tile. Almost every tile is dismissed by one comparison per vector:
/// a lower bound of the raw values against the worst neighbour each row has so far.
/// </summary>
internal unsafe struct NeighbourSink<TSimd, TVector, T> : IPairSink<T>
    where TSimd : struct, ISimd<TVector, T>
    where TVector : struct
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public T* Distances;
    public long DistancesStride;
    public int* Indices;
    public long IndicesStride;

    /// <summary>Neighbours per row.</summary>
    public int Count;

    /// <summary>
    /// Per row of x: a raw value above this cannot enter the heap. Read without the lock: a stale limit is only too high.
    /// Padded to whole blocks with -∞ so that padding columns never pass.
    /// </summary>
    public T* Limits;

    /// <summary>|x|² and |y|² lowered by the error bound: (lower x + lower y) − 2 x·y is below the true squared distance. +∞ in the padding of y.</summary>
    public T* XLower;
    public T* YLower;

    /// <summary>One lock per row of x: 1 while a thread changes its heap.</summary>
    public int* Locks;

    /// <summary>Factor on a raw limit that covers the rounding of the bound and of the square root.</summary>
    public T Slack;

    /// <summary>The same for values so small that they round to a multiple of the smallest number.</summary>
    public T Underflow;

    public static bool KeepsBlock => false;

    public readonly void EndBlock(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* block) { }

    public readonly void Tile(ref PairProblem<T> problem, int row, int column, int rows, int columns, T* tile, nint stride, T* spare)
    {
        uint hits = problem.Expanded ? FilterExpanded(ref problem, row, column, rows, tile, stride) : FilterRaw(ref problem, row, column, rows, tile, stride);
        if (hits == 0) return;
        if (problem.Expanded) PairExpansion<TSimd, TVector, T>.Resolve(ref problem, row, column, rows, hits, tile, stride, spare);
        for (int r = 0; r < rows; r++)
            if ((hits >> r & 1) != 0) OfferRow(ref problem, row + r, column, columns, tile + r * stride);
    }

    /// <summary>Rows of scalar products that hold a possible neighbour.</summary>
    private readonly uint FilterExpanded(ref PairProblem<T> problem, int row, int column, int rows, T* tile, nint stride)
    {
        TVector minusTwo = TSimd.Broadcast(T.CreateTruncating(-2));
        TVector y0 = TSimd.Load(YLower + column), y1 = TSimd.Load(YLower + column + TSimd.Count);
        // Without the self form only rows receive: the limits of the columns never pass.
        T* columnLimits = problem.Self ? Limits + column : null;
        TVector none = TSimd.Broadcast(T.NegativeInfinity);
        TVector limit0 = problem.Self ? TSimd.Load(columnLimits) : none, limit1 = problem.Self ? TSimd.Load(columnLimits + TSimd.Count) : none;
        uint hits = 0;
        for (int r = 0; r < rows; r++, tile += stride)
        {
            TVector x = TSimd.Broadcast(XLower[row + r]), limit = TSimd.Broadcast(Limits[row + r]);
            TVector lower0 = TSimd.MultiplyAdd(minusTwo, TSimd.Load(tile), TSimd.Add(x, y0));
            TVector lower1 = TSimd.MultiplyAdd(minusTwo, TSimd.Load(tile + TSimd.Count), TSimd.Add(x, y1));
            if ((TSimd.Bits(TSimd.LessOrEqual(lower0, TSimd.MaxOrSecond(limit, limit0))) | TSimd.Bits(TSimd.LessOrEqual(lower1, TSimd.MaxOrSecond(limit, limit1)))) != 0) hits |= 1u << r;
        }
        return hits;
    }

    /// <summary>Rows of raw values that hold a possible neighbour.</summary>
    private readonly uint FilterRaw(ref PairProblem<T> problem, int row, int column, int rows, T* tile, nint stride)
    {
        TVector none = TSimd.Broadcast(T.NegativeInfinity);
        TVector limit0 = problem.Self ? TSimd.Load(Limits + column) : none, limit1 = problem.Self ? TSimd.Load(Limits + column + TSimd.Count) : none;
        uint hits = 0;
        for (int r = 0; r < rows; r++, tile += stride)
        {
            TVector limit = TSimd.Broadcast(Limits[row + r]);
            if ((TSimd.Bits(TSimd.LessOrEqual(TSimd.Load(tile), TSimd.MaxOrSecond(limit, limit0))) |
                TSimd.Bits(TSimd.LessOrEqual(TSimd.Load(tile + TSimd.Count), TSimd.MaxOrSecond(limit, limit1)))) != 0) hits |= 1u << r;
        }
        return hits;
    }

    /// <summary>Offers the pairs of one row to the row's heap and, in the self form, to the heaps of the columns.</summary>
    private readonly void OfferRow(ref PairProblem<T> problem, int i, int column, int columns, T* raw)
    {
        uint forRow = 0, forColumns = 0;
        TVector limit = TSimd.Broadcast(Limits[i]);
        for (int lane = 0; lane < PairTile.Vectors * TSimd.Count; lane += TSimd.Count)
        {
            TVector values = TSimd.Load(raw + lane);
            forRow |= TSimd.Bits(TSimd.LessOrEqual(values, limit)) << lane;
            if (problem.Self) forColumns |= TSimd.Bits(TSimd.LessOrEqual(values, TSimd.Load(Limits + column + lane))) << lane;
        }
        uint valid = columns >= 32 ? uint.MaxValue : (1u << columns) - 1;
        // In the self form every pair is met once, as i < j.
        if (problem.Self && column <= i) valid &= i - column >= 31 ? 0 : ~((1u << (i - column + 1)) - 1);
        forRow &= valid;
        forColumns &= valid;
        if (forRow != 0)
        {
            Lock(i);
            for (; forRow != 0; forRow &= forRow - 1)
            {
                int c = BitOperations.TrailingZeroCount(forRow);
                Offer(ref problem, i, column + c, problem.ToDistance(raw[c]));
            }
            Volatile.Write(ref Locks[i], 0);
        }
        for (; forColumns != 0; forColumns &= forColumns - 1)
        {
            int c = BitOperations.TrailingZeroCount(forColumns);
            Lock(column + c);
            Offer(ref problem, column + c, i, problem.ToDistance(raw[c]));
            Volatile.Write(ref Locks[column + c], 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Offer(ref PairProblem<T> problem, int row, int neighbour, T distance)
    {
        T* distances = Distances + row * DistancesStride;
        if (NeighbourHeap<T>.Offer(distances, Indices + row * IndicesStride, Count, distance, neighbour)) Limits[row] = RawLimit(ref problem, distances[0]);
    }

    /// <summary>A raw value above this has a distance above the given one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly T RawLimit(ref PairProblem<T> problem, T distance) => problem.Value switch
    {
        PairValue.SquareRoot => distance * distance * Slack + Underflow,
        // At the greatest cosine distance, 2, raw values are clamped: any of them may tie.
        PairValue.HalfOfUnit => distance >= T.CreateTruncating(2) ? T.PositiveInfinity : (distance + distance) * Slack + Underflow,
        PairValue.Fraction => distance * T.CreateTruncating(Math.Max(1, problem.Depth)) * Slack,
        _ => distance * Slack,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Lock(int row)
    {
        SpinWait wait = default;
        while (Interlocked.CompareExchange(ref Locks[row], 1, 0) != 0) wait.SpinOnce(sleep1Threshold: -1);
    }
}

/// <summary>Sorts the finished heaps.</summary>
internal unsafe struct NeighbourSortJob<T> : IBlockJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public const int BlockRows = 64;
    public T* Distances;
    public long DistancesStride;
    public int* Indices;
    public long IndicesStride;
    public int Rows;
    public int Count;

    public readonly void Execute(long block, int worker)
    {
        int end = (int)Math.Min(Rows, (block + 1) * BlockRows);
        for (int i = (int)(block * BlockRows); i < end; i++)
            NeighbourHeap<T>.Sort(Distances + i * DistancesStride, Indices + i * IndicesStride, Count);
    }
}
