using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Orders rows and columns so that the support of the plan lies in few, full strips: by the second singular vectors of the support's
/// degree-normalised 0/1 matrix (the bipartite spectral co-clustering of Dhillon 2001). Plans between data with cell types become nearly block-diagonal.
/// </summary>
internal static unsafe class SpectralOrder<TLanes, TVector, T, TStore>
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
    where TStore : unmanaged, IFloatingPointIeee754<TStore>
{
    private const int PowerIterations = 30;

    /// <summary>Takes the plan from the workspace's strips (which it overwrites) and reorders the workspace for its next build.</summary>
    public static void Update(SinkhornWorkspace<T> w, double threshold)
    {
        int rows = w.Rows, columns = w.Columns, width = SinkhornWorkspace<T>.StripWidth;
        SupportJob job = new() { W = new SinkhornPointers<T>(w), Threshold = TStore.CreateTruncating(threshold) };
        w.Device.Pool.Run(w.Panels, ref job);
        // Degrees: one pass with v = 1 gives row degrees as u, another with u = 1 the column degrees.
        for (int i = 0; i < rows; i++) w.RowMass[i] = T.One;
        for (int j = 0; j < columns; j++) w.V[j] = T.One;
        ScalingPass<TLanes, TVector, T, TStore>.Run(w, w.U, PassMode.Average);
        for (int i = 0; i < rows; i++) w.RowMass[i] = T.One / T.Max(w.U[i], T.One);
        for (int i = 0; i < rows; i++) w.U[i] = T.One;
        ScalingPass<TLanes, TVector, T, TStore>.Run(w, w.U, PassMode.ColumnSumsOnly);
        for (int j = 0; j < columns; j++) w.ColumnMass[j] = T.Max(w.ColumnSums[j], T.One);

        for (int j = 0; j < columns; j++)
        {
            double start = w.ColumnScore[w.ColumnOrder[j]];
            // The golden-ratio sequence is a start without structure that needs no generator.
            w.V[j] = T.CreateTruncating(start != 0 ? start : j * 0.6180339887498949 % 1 - 0.5);
        }
        for (int iteration = 0; iteration < PowerIterations; iteration++)
        {
            Deflate(w);
            ScalingPass<TLanes, TVector, T, TStore>.Run(w, w.U, PassMode.Average);
            for (int j = 0; j < columns; j++) w.V[j] = w.ColumnSums[j] / w.ColumnMass[j];
        }
        for (int j = 0; j < columns; j++) w.ColumnScore[w.ColumnOrder[j]] = double.CreateTruncating(w.V[j]);
        new Span<T>(w.U, rows).Sort(new Span<int>(w.RowOrder, rows));
        new Span<T>(w.V, columns).Sort(new Span<int>(w.ColumnOrder, columns));
    }

    /// <summary>Removes the constant vector (the first singular vector in these weights) and scales to unit length.</summary>
    private static void Deflate(SinkhornWorkspace<T> w)
    {
        double sum = 0, weight = 0, squares = 0;
        for (int j = 0; j < w.Columns; j++)
        {
            double degree = double.CreateTruncating(w.ColumnMass[j]);
            sum += degree * double.CreateTruncating(w.V[j]);
            weight += degree;
        }
        double mean = sum / weight;
        for (int j = 0; j < w.Columns; j++)
        {
            double x = double.CreateTruncating(w.V[j]) - mean;
            squares += double.CreateTruncating(w.ColumnMass[j]) * x * x;
        }
        double scale = squares > 0 ? 1 / Math.Sqrt(squares) : 1;
        for (int j = 0; j < w.Columns; j++) w.V[j] = T.CreateTruncating((double.CreateTruncating(w.V[j]) - mean) * scale);
    }

    private struct SupportJob : IBlockJob
    {
        public SinkhornPointers<T> W;
        public TStore Threshold;

        public readonly void Execute(long block, int worker)
        {
            int size = SinkhornWorkspace<T>.PanelRows * SinkhornWorkspace<T>.StripWidth;
            TStore* tiles = (TStore*)(W.Tiles + block * W.Strips * size);
            for (long e = 0; e < (long)W.StripCount[block] * size; e++) tiles[e] = tiles[e] > Threshold ? TStore.One : TStore.Zero;
        }
    }
}
