using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Fills the panels of a block: gathers the cost in the workspace's order, drops strips below the cut, exponentiates the rest.</summary>
internal unsafe struct BuildStripsJob<TLanes, TVector, T> : IBlockJob
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    public SinkhornPointers<T> W;
    public T* Cost;
    public long CostStride;
    public double InverseEpsilon;
    public double Cut;

    public void Execute(long block, int worker)
    {
        int width = SinkhornWorkspace<T>.StripWidth, blocks = W.Blocks;
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        double* exponents = stackalloc double[panelRows * width];
        for (int panel = (int)(W.Panels * block / blocks); panel < (int)(W.Panels * (block + 1) / blocks); panel++)
        {
            T* tile = W.Tiles + (long)panel * panelRows * W.Strips * width;
            int* index = W.StripIndex + (long)panel * W.Strips;
            float* largest = W.StripLargest + (long)panel * W.Strips;
            int count = 0;
            for (int strip = 0; strip < W.Strips; strip++)
            {
                double most = Exponents(panel, strip, exponents);
                if (!(most > -Cut)) continue;
                for (int e = 0; e < panelRows * width; e++) tile[e] = T.CreateTruncating(exponents[e]);
                for (int e = 0; e < panelRows * width; e += TLanes.Count) TLanes.Store(tile + e, TLanes.Exp(TLanes.Load(tile + e)));
                if ((strip + 1) * width > W.Columns || (panel + 1) * panelRows > W.Rows) ClearPadding(panel, strip, tile);
                tile += panelRows * width;
                index[count] = strip;
                largest[count++] = (float)most;
            }
            W.StripCount[panel] = count;
        }
    }

    private double Exponents(int panel, int strip, double* exponents)
    {
        int width = SinkhornWorkspace<T>.StripWidth, first = strip * width, columns = Math.Min(width, W.Columns - first);
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        double most = double.NegativeInfinity;
        for (int r = 0; r < panelRows; r++)
        {
            // Padding repeats the last row or column; ClearPadding removes it from the sums.
            int row = Math.Min(panel * panelRows + r, W.Rows - 1);
            double alpha = W.Alpha[row];
            T* cost = Cost + W.RowOrder[row] * CostStride;
            for (int c = 0; c < width; c++)
            {
                int column = first + Math.Min(c, columns - 1);
                double x = (alpha + W.Beta[column] - double.CreateTruncating(cost[W.ColumnOrder[column]])) * InverseEpsilon;
                exponents[r * width + c] = x;
                most = Math.Max(most, x);
            }
        }
        return most;
    }

    private void ClearPadding(int panel, int strip, T* tile)
    {
        int width = SinkhornWorkspace<T>.StripWidth;
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        for (int r = 0; r < panelRows; r++)
            for (int c = 0; c < width; c++)
                if (panel * panelRows + r >= W.Rows || strip * width + c >= W.Columns) tile[r * width + c] = T.Zero;
    }
}

/// <summary>What a pass does with the rows.</summary>
internal enum PassMode
{
    /// <summary>u = a / (K v): one Sinkhorn iteration.</summary>
    Scale,

    /// <summary>u as it is.</summary>
    ColumnSumsOnly,

    /// <summary>u = a (K v): with a = 1 / degree, an average over neighbours.</summary>
    Average,
}

/// <summary>
/// One pass over the panels of a block: u from K v row by row, and while the panel is still in the first-level cache its share of K^T u.
/// </summary>
internal unsafe struct IterateJob<TLanes, TVector, T, TStore> : IBlockJob
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T> where TStore : unmanaged
{
    public SinkhornPointers<T> W;
    public T* U;
    public T* V;
    public PassMode Mode;
    public int Pass;
    public int Threads;
    public bool Backward;

    public void Execute(long slot, int worker)
    {
        // A thread starts with the blocks it had in the last pass, whose strips its second-level cache still holds, and helps with the others afterwards.
        int own = (int)((long)W.Blocks * worker / Threads);
        for (int k = 0; k < W.Blocks; k++)
        {
            int block = (own + (Backward ? W.Blocks - 1 - k + OwnCount(worker) : k)) % W.Blocks;
            if (Interlocked.CompareExchange(ref W.Claims[block], Pass, Pass - 1) == Pass - 1) Block(block);
        }
    }

    private readonly int OwnCount(int worker) => (int)((long)W.Blocks * (worker + 1) / Threads) - (int)((long)W.Blocks * worker / Threads);

    private void Block(int block)
    {
        int width = SinkhornWorkspace<T>.StripWidth, padded = W.Strips * width;
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        T* sums = W.Partials + (long)block * padded;
        int firstStrip = W.BlockFirstStrip[block], lastStrip = W.BlockLastStrip[block];
        if (lastStrip >= firstStrip) new Span<T>(sums + firstStrip * width, (lastStrip - firstStrip + 1) * width).Clear();
        T low = T.PositiveInfinity, high = T.Zero;
        T* rowSums = stackalloc T[panelRows];
        int first = W.BlockStart[block], last = W.BlockStart[block + 1] - 1;
        for (int k = first; k <= last; k++)
        {
            // Passes alternate direction, so that what was read last is read first.
            int panel = Backward ? first + last - k : k;
            TStore* tiles = (TStore*)(W.Tiles + (long)panel * panelRows * padded);
            int* index = W.StripIndex + (long)panel * W.Strips;
            int count = W.StripCount[panel];
            T* u = U + panel * panelRows;
            if (Mode != PassMode.ColumnSumsOnly)
            {
                RowSums(tiles, index, count, V, rowSums);
                for (int r = 0; r < panelRows && panel * panelRows + r < W.Rows; r++)
                {
                    T mass = W.RowMass[panel * panelRows + r];
                    T value = Mode == PassMode.Scale ? mass / rowSums[r] : mass * rowSums[r];
                    u[r] = value;
                    low = T.Min(low, value);
                    high = T.Max(high, value);
                }
            }
            AddColumns(tiles, index, count, u, sums);
        }
        W.BlockLow[block] = double.CreateTruncating(low);
        W.BlockHigh[block] = double.CreateTruncating(high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector Tile(TStore* tile) => typeof(TStore) == typeof(T) ? TLanes.Load((T*)tile) : TLanes.LoadWidened((float*)tile);

    private static void RowSums(TStore* tiles, int* index, int count, T* v, T* rowSums)
    {
        int width = SinkhornWorkspace<T>.StripWidth, step = 2 * TLanes.Count;
        TVector a0 = TLanes.Zero, a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (int s = 0; s < count; s++)
        {
            T* x = v + index[s] * width;
            if (TLanes.Count == width)
            {
                TVector y = TLanes.Load(x);
                a0 = TLanes.MultiplyAdd(Tile(tiles), y, a0);
                a1 = TLanes.MultiplyAdd(Tile(tiles + width), y, a1);
                a2 = TLanes.MultiplyAdd(Tile(tiles + 2 * width), y, a2);
                a3 = TLanes.MultiplyAdd(Tile(tiles + 3 * width), y, a3);
            }
            else
            {
                for (int c = 0; c < width; c += step)
                {
                    TVector y = TLanes.Load(x + c), z = TLanes.Load(x + c + TLanes.Count);
                    TStore* t = tiles + c;
                    TStore* q = t + TLanes.Count;
                    a0 = TLanes.MultiplyAdd(Tile(t), y, a0);
                    b0 = TLanes.MultiplyAdd(Tile(q), z, b0);
                    a1 = TLanes.MultiplyAdd(Tile(t + width), y, a1);
                    b1 = TLanes.MultiplyAdd(Tile(q + width), z, b1);
                    a2 = TLanes.MultiplyAdd(Tile(t + 2 * width), y, a2);
                    b2 = TLanes.MultiplyAdd(Tile(q + 2 * width), z, b2);
                    a3 = TLanes.MultiplyAdd(Tile(t + 3 * width), y, a3);
                    b3 = TLanes.MultiplyAdd(Tile(q + 3 * width), z, b3);
                }
            }
            tiles += 4 * width;
        }
        rowSums[0] = TLanes.Sum(TLanes.Add(a0, b0));
        rowSums[1] = TLanes.Sum(TLanes.Add(a1, b1));
        rowSums[2] = TLanes.Sum(TLanes.Add(a2, b2));
        rowSums[3] = TLanes.Sum(TLanes.Add(a3, b3));
    }

    private static void AddColumns(TStore* tiles, int* index, int count, T* u, T* sums)
    {
        int width = SinkhornWorkspace<T>.StripWidth;
        TVector u0 = TLanes.Broadcast(u[0]), u1 = TLanes.Broadcast(u[1]), u2 = TLanes.Broadcast(u[2]), u3 = TLanes.Broadcast(u[3]);
        for (int s = 0; s < count; s++)
        {
            T* sum = sums + index[s] * width;
            for (int c = 0; c < width; c += TLanes.Count)
            {
                TStore* t = tiles + c;
                TVector x = TLanes.MultiplyAdd(Tile(t), u0, TLanes.Load(sum + c));
                TVector y = TLanes.Multiply(Tile(t + width), u1);
                x = TLanes.MultiplyAdd(Tile(t + 2 * width), u2, x);
                y = TLanes.MultiplyAdd(Tile(t + 3 * width), u3, y);
                TLanes.Store(sum + c, TLanes.Add(x, y));
            }
            tiles += 4 * width;
        }
    }
}

/// <summary>The workspace's pointers, copied into jobs so that the inner loops do not go through an object.</summary>
internal unsafe struct SinkhornPointers<T>(SinkhornWorkspace<T> workspace) where T : unmanaged, IFloatingPointIeee754<T>
{
    public readonly int Rows = workspace.Rows, Columns = workspace.Columns, Strips = workspace.Strips, Panels = workspace.Panels, Blocks = workspace.Blocks;
    public readonly T* Tiles = workspace.Tiles;
    public readonly int* StripIndex = workspace.StripIndex;
    public readonly float* StripLargest = workspace.StripLargest;
    public readonly int* StripCount = workspace.StripCount;
    public readonly int* RowOrder = workspace.RowOrder;
    public readonly int* ColumnOrder = workspace.ColumnOrder;
    public readonly double* Alpha = workspace.Alpha;
    public readonly double* Beta = workspace.Beta;
    public readonly T* RowMass = workspace.RowMass;
    public readonly T* Partials = workspace.Partials;
    public readonly T* RowLoss = workspace.RowLoss;
    public readonly T* RowKept = workspace.PreviousU;
    public readonly int* Claims = workspace.Claims;
    public readonly int* BlockStart = workspace.BlockStart;
    public readonly int* BlockFirstStrip = workspace.BlockFirstStrip;
    public readonly int* BlockLastStrip = workspace.BlockLastStrip;
    public readonly double* BlockLow = workspace.BlockLow;
    public readonly double* BlockHigh = workspace.BlockHigh;
}
