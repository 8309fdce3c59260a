using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Euclidean distances between the rows of a square matrix in double precision on a host, from scalar products, and from coordinate differences for the pairs where the subtraction of the products would cancel.
/// Rows as long as PHATE's are multiplied in slices of their length, which needs no copy of the matrix in another order as distances between shorter rows do.
/// </summary>
internal static class PhateDistances
{
    /// <summary>Where a squared distance is a smaller share than this of what it is subtracted from, fewer than nine of its digits would be left.</summary>
    private const double Cancelled = 1e-6;

    private const int RowsPerBlock = 16;

    /// <param name="rows">[n, d].</param>
    /// <param name="distances">[n, n] receives the distances; exactly symmetric, 0 on the diagonal.</param>
    /// <param name="cancel">Ends the work.</param>
    public static void Compute(Matrix<double> rows, Matrix<double> distances, CancellationToken cancel = default)
    {
        int n = rows.Rows;
        Gram.Rows(rows.View, default, distances.View);
        double[] squares = new double[n];
        for (int i = 0; i < n; i++) squares[i] = distances.Row(i)[i];
        BlockLoop.Run(rows.Device, (n + RowsPerBlock - 1) / RowsPerBlock, block =>
        {
            cancel.ThrowIfCancellationRequested();
            double[] sums = new double[n];
            for (int i = block * RowsPerBlock, end = Math.Min(i + RowsPerBlock, n); i < end; i++)
            {
                Span<double> row = distances.Row(i);
                TensorPrimitives.Add(squares, squares[i], sums);
                TensorPrimitives.MultiplyAdd(row, -2.0, sums, row);
                for (int j = 0; j < n; j++)
                    if (row[j] < Cancelled * sums[j]) row[j] = j == i ? 0 : Square(rows.Row(Math.Min(i, j)), rows.Row(Math.Max(i, j)));
                TensorPrimitives.Sqrt(row, row);
            }
        });
    }

    private static double Square(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double distance = TensorPrimitives.Distance(a, b);
        return distance * distance;
    }
}
