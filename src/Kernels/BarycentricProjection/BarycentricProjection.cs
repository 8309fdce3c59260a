using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The first domain in the second domain's features: row i of the result is sum_j T_ij y_j / sum_j T_ij (barycentric projection, as in SCOT and GW-map).
/// </summary>
public static unsafe class BarycentricProjection
{
    /// <summary>Bytes of a tile of features where none is asked for: large enough for a product at full speed, small beside a coupling.</summary>
    private const long TileBytes = 64L << 20;

    /// <summary>Projects features that lie beside the coupling.</summary>
    /// <param name="coupling">Coupling [n, m], of which every row carries mass.</param>
    /// <param name="y">Features of the second domain [m, d].</param>
    /// <param name="projected">[n, d].</param>
    /// <exception cref="DataException">A row of the coupling carries no mass.</exception>
    public static void Project<T>(MatrixView<T> coupling, MatrixView<T> y, MatrixView<T> projected) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Check(coupling, y.Rows, y.Columns, projected);
        using DeviceBuffer<double> mass = Masses(coupling);
        Multiply(coupling, y, projected);
        Elementwise.DivideRows(projected, mass.View, projected);
    }

    /// <summary>
    /// Projects features that lie in host memory and may be larger than the device's: blocks of columns travel while the block before is multiplied, and results come
    /// back block by block.
    /// </summary>
    /// <param name="coupling">Coupling [n, m] in the memory of any device, which does the work.</param>
    /// <param name="y">Features [m, d] in host memory.</param>
    /// <param name="projected">[n, d] in host memory.</param>
    /// <param name="columnsAtOnce">Columns of a block; 0: as many as fit into 64 MiB.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <exception cref="DataException">A row of the coupling carries no mass.</exception>
    public static void Stream<T>(MatrixView<T> coupling, MatrixView<T> y, MatrixView<T> projected, int columnsAtOnce = 0, CancellationToken cancellation = default)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentOutOfRangeException.ThrowIfNegative(columnsAtOnce);
        if (!y.Device.IsHost || !projected.Device.IsHost) throw new ArgumentException("Streamed features and their projections lie in host memory.", nameof(y));
        Check(coupling, y.Rows, y.Columns, projected);
        if (y.Columns == 0 || coupling.Rows == 0) return;
        ComputeDevice device = coupling.Device;
        int width = columnsAtOnce > 0 ? columnsAtOnce : (int)Math.Clamp(TileBytes / sizeof(T) / Math.Max(coupling.Rows, coupling.Columns), 1, y.Columns);
        width = Math.Min(width, y.Columns);
        using DeviceBuffer<double> mass = Masses(coupling);
        using TransferPipeline<T> tiles = device.CreateTransferPipeline<T>((long)coupling.Columns * width);
        using Matrix<T> block = device.AllocateMatrix<T>(coupling.Rows, width);
        T[] result = new T[(long)coupling.Rows * width];
        int waiting = -1;
        for (int first = 0; first < y.Columns; first += width)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(width, y.Columns - first);
            Gather(y, first, count, tiles.Next());
            DeviceSpan<T> tile = tiles.Send((long)coupling.Columns * count);
            // The tile before is fetched while this one travels.
            if (waiting >= 0) Fetch(block, width, result, projected, waiting);
            MatrixView<T> target = new(block.Buffer.Pointer, coupling.Rows, count, count, device);
            Multiply(coupling, new MatrixView<T>(tile.Pointer, coupling.Columns, count, count, device), target);
            tiles.Release();
            Elementwise.DivideRows(target, mass.View, target);
            waiting = first;
        }
        Fetch(block, y.Columns - waiting, result, projected, waiting);
    }

    private static void Gather<T>(MatrixView<T> y, int first, int count, Span<T> tile) where T : unmanaged
    {
        for (int j = 0; j < y.Rows; j++) y.Row(j).Slice(first, count).CopyTo(tile.Slice(j * count, count));
    }

    private static void Fetch<T>(Matrix<T> block, int count, T[] result, MatrixView<T> projected, int first) where T : unmanaged
    {
        count = Math.Min(count, projected.Columns - first);
        Span<T> values = result.AsSpan(0, projected.Rows * count);
        block.Device.Download(block.Buffer.View.Slice(0, values.Length), values);
        for (int i = 0; i < projected.Rows; i++) values.Slice(i * count, count).CopyTo(projected.Row(i).Slice(first, count));
    }

    private static DeviceBuffer<double> Masses<T>(MatrixView<T> coupling) where T : unmanaged, IFloatingPointIeee754<T>
    {
        DeviceBuffer<double> mass = coupling.Device.Allocate<double>(coupling.Rows);
        try
        {
            Reductions.RowSums(coupling, mass.View);
            double[] masses = new double[coupling.Rows];
            mass.CopyTo(masses);
            int empty = Array.FindIndex(masses, m => !(m > 0));
            if (empty >= 0) throw new DataException("coupling", $"row {empty}", "the row carries no mass, so it has no projection.");
            return mass;
        }
        catch
        {
            mass.Dispose();
            throw;
        }
    }

    private static void Multiply<T>(MatrixView<T> coupling, MatrixView<T> y, MatrixView<T> projected) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(double)) Gemm.Multiply(Transpose.No, Transpose.No, 1.0, As<T, double>(coupling), As<T, double>(y), 0.0, As<T, double>(projected));
        else Gemm.Multiply(Transpose.No, Transpose.No, 1f, As<T, float>(coupling), As<T, float>(y), 0f, As<T, float>(projected));
    }

    private static MatrixView<TOut> As<T, TOut>(MatrixView<T> view) where T : unmanaged where TOut : unmanaged => new((TOut*)view.Pointer, view.Rows, view.Columns, view.Stride, view.Device);

    private static void Check<T>(MatrixView<T> coupling, int points, int features, MatrixView<T> projected) where T : unmanaged
    {
        if (coupling.Columns != points) throw new ArgumentException($"The coupling has {coupling.Columns} columns; there are features of {points} points.", nameof(coupling));
        if (projected.Rows != coupling.Rows || projected.Columns != features)
            throw new ArgumentException($"The projection is {projected.Rows} x {projected.Columns}; expected {coupling.Rows} x {features}.", nameof(projected));
    }
}
