using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Refuses input that a solver could only answer with nonsense, naming the row and column.</summary>
internal static class InputChecks
{
    public static void RequireFinite(Matrix<double> matrix, string name)
    {
        if (matrix.Rows == 0 || matrix.Columns == 0) throw new DataException(name, null, $"the matrix is empty ({matrix.Rows} x {matrix.Columns}).");
        if (MatrixElements.Summarise(matrix.View).NotFinite == 0) return;
        using PlacedMatrix<double> readable = matrix.OnHost();
        for (int i = 0; i < matrix.Rows; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 0; j < row.Length; j++)
                if (!double.IsFinite(row[j]))
                    throw new DataException(name, $"row {i}, column {j}", string.Create(CultureInfo.InvariantCulture, $"the value is {row[j]}; every value must be finite."));
        }
    }

    public static void RequireSquareFinite(Matrix<double> matrix, string name)
    {
        if (matrix.Rows != matrix.Columns) throw new DataException(name, null, $"the matrix is {matrix.Rows} x {matrix.Columns}; it must be square.");
        RequireFinite(matrix, name);
    }

    /// <summary>Square, finite and symmetric to 1e-10 of the largest entry (of 1 where that is less). In host memory.</summary>
    public static void RequireSymmetric(Matrix<double> cost, string name)
    {
        RequireSquareFinite(cost, name);
        double largest = Math.Max(1, MatrixElements.Summarise(cost.View).LargestMagnitude);
        for (int i = 0; i < cost.Rows; i++)
            for (int j = 0; j < i; j++)
                if (Math.Abs(cost.Row(i)[j] - cost.Row(j)[i]) > 1e-10 * largest)
                    throw new DataException(name, $"row {i}, column {j}", "the cost is not symmetric, and couplings of this form are computed between symmetric costs.");
    }

    public static void RequireShapeFinite(Matrix<double> matrix, int rows, int columns, string name)
    {
        if (matrix.Rows != rows || matrix.Columns != columns)
            throw new DataException(name, null, $"the matrix is {matrix.Rows} x {matrix.Columns}; expected {rows} x {columns}.");
        RequireFinite(matrix, name);
    }

    public static void RequireCoupling(Matrix<double> matrix, int rows, int columns, string name, bool wholeMass = true)
    {
        RequireShapeFinite(matrix, rows, columns, name);
        MatrixSummary summary = MatrixElements.Summarise(matrix.View);
        if (summary.Smallest < 0) RefuseNegative(matrix, name);
        if (!(summary.Sum > 0)) throw new DataException(name, null, "all masses are zero; a coupling carries mass.");
        if (wholeMass && Math.Abs(summary.Sum - 1) > 1e-3) throw new DataException(name, null, string.Create(CultureInfo.InvariantCulture, $"the masses sum to {summary.Sum}; a coupling sums to 1."));
    }

    private static void RefuseNegative(Matrix<double> matrix, string name)
    {
        using PlacedMatrix<double> readable = matrix.OnHost();
        for (int i = 0; i < matrix.Rows; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 0; j < row.Length; j++)
                if (row[j] < 0) throw new DataException(name, $"row {i}, column {j}", string.Create(CultureInfo.InvariantCulture, $"the mass is {row[j]}; masses must not be negative."));
        }
    }
}
