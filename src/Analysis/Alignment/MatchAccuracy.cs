using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Fractions of samples closer than the true match (FOSCTTM; Liu et al. 2019, SCOT's evals.py): 0 is perfect, 0.5 is chance.</summary>
/// <param name="FirstToSecond">Mean over the first domain's cells.</param>
/// <param name="SecondToFirst">Mean over the second domain's cells.</param>
/// <param name="PerCell">Per cell, the average of both directions.</param>
public sealed record FosctTm(double FirstToSecond, double SecondToFirst, double[] PerCell)
{
    /// <summary>SCOT's domain-averaged value.</summary>
    public double Average => 0.5 * (FirstToSecond + SecondToFirst);
}

/// <summary>Barycentric projection and the scores that need a known correspondence.</summary>
public static class MatchAccuracy
{
    /// <summary>Row i of the result is sum_j T_ij y_j / sum_j T_ij: the first domain's cells in the second domain's coordinates, [n, d].</summary>
    /// <param name="coupling">[n, m], in any memory.</param>
    /// <param name="y">[m, d].</param>
    /// <returns>[n, d] in the memory of y.</returns>
    public static Matrix<double> BarycentricProjection(Matrix<double> coupling, Matrix<double> y)
    {
        if (coupling.Columns != y.Rows) throw new DataException("coupling", null, $"the coupling has {coupling.Columns} columns; the second domain has {y.Rows} points.");
        using PlacedMatrix<double> weights = coupling.At(y.Device);
        Matrix<double> projected = y.Device.AllocateMatrix<double>(coupling.Rows, y.Columns);
        Kernels.BarycentricProjection.Project(weights.Matrix.View, y.View, projected.View);
        return projected;
    }

    /// <summary>The same for features that lie in host memory, as the genes of an expression matrix: blocks of columns travel to the device, which never holds all of them.</summary>
    /// <param name="coupling">[n, m], in any memory.</param>
    /// <param name="y">[m, d], in host memory.</param>
    /// <param name="device">Does the work.</param>
    /// <param name="cancellation">Stops between blocks.</param>
    /// <returns>[n, d], in host memory.</returns>
    public static Matrix<double> BarycentricProjection(Matrix<double> coupling, Matrix<double> y, ComputeDevice device, CancellationToken cancellation = default)
    {
        if (coupling.Columns != y.Rows) throw new DataException("coupling", null, $"the coupling has {coupling.Columns} columns; the second domain has {y.Rows} points.");
        using PlacedMatrix<double> weights = coupling.At(device);
        Matrix<double> projected = y.Device.AllocateMatrix<double>(coupling.Rows, y.Columns);
        Kernels.BarycentricProjection.Stream(weights.Matrix.View, y.View, projected.View, cancellation: cancellation);
        return projected;
    }

    /// <summary>FOSCTTM of two sets in common coordinates [n, d], in any memory; the device measures the distances.</summary>
    public static FosctTm Foscttm(Matrix<double> first, Matrix<double> second, ComputeDevice device)
    {
        using PlacedMatrix<double> one = first.At(device), other = second.At(device);
        return Foscttm(one.Matrix, other.Matrix);
    }

    /// <summary>FOSCTTM of two sets in common coordinates [n, d], row i of one being row i of the other; Euclidean distance, ties count as not closer.</summary>
    public static FosctTm Foscttm(Matrix<double> first, Matrix<double> second)
    {
        if (first.Rows != second.Rows || first.Columns != second.Columns)
            throw new DataException("truth", null, $"an identity correspondence needs equal shapes; got {first.Rows} x {first.Columns} and {second.Rows} x {second.Columns}.");
        int n = first.Rows;
        if (n < 2) throw new DataException("truth", null, "FOSCTTM needs at least two cells.");
        // Blocks of rows, so that any number of cells is scored in a bounded amount of memory. The direct form gives a pair the same number in any block.
        int rows = BlockRows(n, n);
        using Matrix<double> distances = first.Device.AllocateMatrix<double>(rows, n);
        double[] truth = new double[n];
        for (int start = 0; start < n; start += rows)
        {
            MatrixView<double> block = distances.View.RowBlock(0, Math.Min(rows, n - start)).ColumnBlock(0, Math.Min(rows, n - start));
            Kernels.PairwiseDistance.Compute(Kernels.DistanceMetric.Euclidean, first.View.RowBlock(start, block.Rows), second.View.RowBlock(start, block.Rows), block, Kernels.DistanceForm.Direct);
            for (int i = 0; i < block.Rows; i++) block.RowBlock(i, 1).ColumnBlock(i, 1).CopyTo(truth.AsSpan(start + i, 1));
        }
        int[] rowCloser = new int[n], columnCloser = new int[n];
        double[] row = new double[n];
        for (int start = 0; start < n; start += rows)
        {
            MatrixView<double> block = distances.View.RowBlock(0, Math.Min(rows, n - start));
            Kernels.PairwiseDistance.Compute(Kernels.DistanceMetric.Euclidean, first.View.RowBlock(start, block.Rows), second.View, block, Kernels.DistanceForm.Direct);
            for (int i = 0; i < block.Rows; i++)
            {
                block.RowBlock(i, 1).CopyTo(row);
                Count(row, truth, start + i, 1, rowCloser, columnCloser);
            }
        }
        return Fractions(rowCloser, columnCloser);
    }

    /// <summary>Rows of a block of an n by m matrix whose elements take a bounded amount of memory (32 MiB, and at least one row).</summary>
    internal static int BlockRows(int n, int m) => (int)Math.Clamp((1L << 22) / Math.Max(1, m), 1, Math.Min(n, 512));

    /// <summary>FOSCTTM from a coupling that is not stored, as <see cref="ByMass(Matrix{double}, string)"/>, a block of rows at a time.</summary>
    public static FosctTm ByMass(IFactoredCoupling coupling, string name = "coupling")
    {
        int n = coupling.Rows;
        RequireSquare(n, coupling.Columns, name);
        double[] truth = new double[n];
        int[] rowCloser = new int[n], columnCloser = new int[n];
        int rows = BlockRows(n, n);
        // Masses of the true partners from the same kind of block as all others: compared with themselves they must be equal.
        for (int pass = 0; pass < 2; pass++)
            for (int start = 0; start < n; start += rows)
            {
                using Matrix<double> block = coupling.Block(start, Math.Min(rows, n - start));
                for (int i = 0; i < block.Rows; i++)
                    if (pass == 0) truth[start + i] = block.Row(i)[start + i];
                    else Count(block.Row(i), truth, start + i, -1, rowCloser, columnCloser);
            }
        return Fractions(rowCloser, columnCloser);
    }

    /// <summary>FOSCTTM from a coupling alone: the fraction of the other domain's cells that carry more mass than the true partner, row i being column i.</summary>
    public static FosctTm ByMass(Matrix<double> coupling, string name = "coupling")
    {
        int n = coupling.Rows;
        RequireSquare(n, coupling.Columns, name);
        using PlacedMatrix<double> readable = coupling.OnHost();
        int[] rowCloser = new int[n], columnCloser = new int[n];
        double[] truth = new double[n];
        for (int i = 0; i < n; i++) truth[i] = readable.Matrix.Row(i)[i];
        for (int i = 0; i < n; i++) Count(readable.Matrix.Row(i), truth, i, -1, rowCloser, columnCloser);
        return Fractions(rowCloser, columnCloser);
    }

    private static void RequireSquare(int n, int m, string name)
    {
        if (n != m || n < 2) throw new DataException(name, null, $"an identity correspondence needs a square coupling of at least two cells; this one is {n} x {m}.");
    }

    /// <summary>Who is closer than the true partner: distances below it (sign 1), masses above it (sign -1).</summary>
    private static void Count(ReadOnlySpan<double> row, double[] truth, int i, int sign, int[] rowCloser, int[] columnCloser)
    {
        double own = sign * truth[i];
        for (int j = 0; j < row.Length; j++)
        {
            double value = sign * row[j];
            if (value < own) rowCloser[i]++;
            if (value < sign * truth[j]) columnCloser[j]++;
        }
    }

    private static FosctTm Fractions(int[] rowCloser, int[] columnCloser)
    {
        int n = rowCloser.Length;
        double scale = 1.0 / (n - 1);
        double[] perCell = new double[n];
        for (int i = 0; i < n; i++) perCell[i] = 0.5 * scale * (rowCloser[i] + columnCloser[i]);
        return new FosctTm(scale * rowCloser.Average(), scale * columnCloser.Average(), perCell);
    }
}
