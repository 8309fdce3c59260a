using System.Numerics;
using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Fills one panel per block: gathers the cost in the workspace's order, drops strips below the cut, exponentiates the rest.</summary>
internal unsafe struct BuildStripsJob<TLanes, TVector, T> : IBlockJob
    where TLanes : struct, IScalingLanes<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    public SinkhornPointers<T> W;
    public T* Cost;
    public long CostStride;
    public double InverseEpsilon;
    public double Cut;

    public void Execute(long block, int worker)
    {
        int panel = (int)block, width = SinkhornWorkspace<T>.StripWidth;
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        double* exponents = stackalloc double[panelRows * width];
        T* tile = W.Tiles + (long)panel * panelRows * W.Strips * width;
        int* index = W.StripIndex + (long)panel * W.Strips;
        float* largest = W.StripLargest + (long)panel * W.Strips;
        int count = 0;
        for (int strip = 0; strip < W.Strips; strip++)
        {
            double most = Exponents(panel, strip, exponents);
            if (!(most > -Cut)) continue;
            for (int e = 0; e < panelRows * width; e++) tile[e] = T.CreateTruncating(exponents[e]);
            for (int e = 0; e < panelRows * width; e += TLanes.Width) TLanes.Store(TLanes.Exp(TLanes.Load(tile + e)), tile + e);
            if ((strip + 1) * width > W.Columns || (panel + 1) * panelRows > W.Rows) ClearPadding(panel, strip, tile);
            tile += panelRows * width;
            index[count] = strip;
            largest[count++] = (float)most;
        }
        W.StripCount[panel] = count;
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
internal unsafe struct IterateJob<TLanes, TVector, T> : IBlockJob
    where TLanes : struct, IScalingLanes<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    public SinkhornPointers<T> W;
    public T* U;
    public T* V;
    public PassMode Mode;

    public void Execute(long block, int worker)
    {
        int width = SinkhornWorkspace<T>.StripWidth, padded = W.Strips * width;
        const int panelRows = SinkhornWorkspace<T>.PanelRows;
        T* sums = W.Partials + block * padded;
        int first = W.BlockFirstStrip[block], last = W.BlockLastStrip[block];
        if (last >= first) new Span<T>(sums + first * width, (last - first + 1) * width).Clear();
        T low = T.PositiveInfinity, high = T.Zero;
        T* rowSums = stackalloc T[panelRows];
        for (int panel = W.BlockStart[block]; panel < W.BlockStart[block + 1]; panel++)
        {
            T* tiles = W.Tiles + (long)panel * panelRows * padded;
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

    private static void RowSums(T* tiles, int* index, int count, T* v, T* rowSums)
    {
        int width = SinkhornWorkspace<T>.StripWidth, step = 2 * TLanes.Width;
        TVector a0 = TLanes.Zero, a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (int s = 0; s < count; s++)
        {
            T* x = v + index[s] * width;
            if (TLanes.Width == width)
            {
                TVector y = TLanes.Load(x);
                a0 = TLanes.MultiplyAdd(TLanes.Load(tiles), y, a0);
                a1 = TLanes.MultiplyAdd(TLanes.Load(tiles + width), y, a1);
                a2 = TLanes.MultiplyAdd(TLanes.Load(tiles + 2 * width), y, a2);
                a3 = TLanes.MultiplyAdd(TLanes.Load(tiles + 3 * width), y, a3);
            }
            else
            {
                for (int c = 0; c < width; c += step)
                {
                    TVector y = TLanes.Load(x + c), z = TLanes.Load(x + c + TLanes.Width);
                    T* t = tiles + c;
                    T* q = t + TLanes.Width;
                    a0 = TLanes.MultiplyAdd(TLanes.Load(t), y, a0);
                    b0 = TLanes.MultiplyAdd(TLanes.Load(q), z, b0);
                    a1 = TLanes.MultiplyAdd(TLanes.Load(t + width), y, a1);
                    b1 = TLanes.MultiplyAdd(TLanes.Load(q + width), z, b1);
                    a2 = TLanes.MultiplyAdd(TLanes.Load(t + 2 * width), y, a2);
                    b2 = TLanes.MultiplyAdd(TLanes.Load(q + 2 * width), z, b2);
                    a3 = TLanes.MultiplyAdd(TLanes.Load(t + 3 * width), y, a3);
                    b3 = TLanes.MultiplyAdd(TLanes.Load(q + 3 * width), z, b3);
                }
            }
            tiles += 4 * width;
        }
        rowSums[0] = TLanes.Sum(TLanes.Add(a0, b0));
        rowSums[1] = TLanes.Sum(TLanes.Add(a1, b1));
        rowSums[2] = TLanes.Sum(TLanes.Add(a2, b2));
        rowSums[3] = TLanes.Sum(TLanes.Add(a3, b3));
    }

    private static void AddColumns(T* tiles, int* index, int count, T* u, T* sums)
    {
        int width = SinkhornWorkspace<T>.StripWidth;
        TVector u0 = TLanes.Broadcast(u[0]), u1 = TLanes.Broadcast(u[1]), u2 = TLanes.Broadcast(u[2]), u3 = TLanes.Broadcast(u[3]);
        for (int s = 0; s < count; s++)
        {
            T* sum = sums + index[s] * width;
            for (int c = 0; c < width; c += TLanes.Width)
            {
                T* t = tiles + c;
                TVector x = TLanes.MultiplyAdd(TLanes.Load(t), u0, TLanes.Load(sum + c));
                TVector y = TLanes.Multiply(TLanes.Load(t + width), u1);
                x = TLanes.MultiplyAdd(TLanes.Load(t + 2 * width), u2, x);
                y = TLanes.MultiplyAdd(TLanes.Load(t + 3 * width), u3, y);
                TLanes.Store(TLanes.Add(x, y), sum + c);
            }
            tiles += 4 * width;
        }
    }
}

/// <summary>The workspace's pointers, copied into jobs so that the inner loops do not go through an object.</summary>
internal unsafe struct SinkhornPointers<T>(SinkhornWorkspace<T> workspace) where T : unmanaged, IFloatingPointIeee754<T>
{
    public readonly int Rows = workspace.Rows, Columns = workspace.Columns, Strips = workspace.Strips;
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
    public readonly int* BlockStart = workspace.BlockStart;
    public readonly int* BlockFirstStrip = workspace.BlockFirstStrip;
    public readonly int* BlockLastStrip = workspace.BlockLastStrip;
    public readonly double* BlockLow = workspace.BlockLow;
    public readonly double* BlockHigh = workspace.BlockHigh;
}
