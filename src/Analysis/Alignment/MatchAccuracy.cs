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
        using Matrix<double> distances = first.Device.AllocateMatrix<double>(n, n);
        Kernels.PairwiseDistance.Compute(Kernels.DistanceMetric.Euclidean, first.View, second.View, distances.View, Kernels.DistanceForm.Direct);
        using PlacedMatrix<double> readable = distances.OnHost();
        double[] truth = new double[n];
        for (int i = 0; i < n; i++) truth[i] = readable.Matrix.Row(i)[i];
        int[] rowCloser = new int[n], columnCloser = new int[n];
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 0; j < n; j++)
            {
                if (row[j] < truth[i]) rowCloser[i]++;
                if (row[j] < truth[j]) columnCloser[j]++;
            }
        }
        double scale = 1.0 / (n - 1);
        double[] perCell = new double[n];
        for (int i = 0; i < n; i++) perCell[i] = 0.5 * scale * (rowCloser[i] + columnCloser[i]);
        return new FosctTm(scale * rowCloser.Average(), scale * columnCloser.Average(), perCell);
    }

    /// <summary>FOSCTTM from a coupling alone: the fraction of the other domain's cells that carry more mass than the true partner, row i being column i.</summary>
    public static FosctTm ByMass(Matrix<double> coupling, string name = "coupling")
    {
        int n = coupling.Rows;
        if (n != coupling.Columns || n < 2) throw new DataException(name, null, $"an identity correspondence needs a square coupling of at least two cells; this one is {n} x {coupling.Columns}.");
        using PlacedMatrix<double> readable = coupling.OnHost();
        int[] rowCloser = new int[n], columnCloser = new int[n];
        double[] truth = new double[n];
        for (int i = 0; i < n; i++) truth[i] = readable.Matrix.Row(i)[i];
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 0; j < n; j++)
            {
                if (row[j] > truth[i]) rowCloser[i]++;
                if (row[j] > truth[j]) columnCloser[j]++;
            }
        }
        double scale = 1.0 / (n - 1);
        double[] perCell = new double[n];
        for (int i = 0; i < n; i++) perCell[i] = 0.5 * scale * (rowCloser[i] + columnCloser[i]);
        return new FosctTm(scale * rowCloser.Average(), scale * columnCloser.Average(), perCell);
    }
}
