using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Column means and deviations, summed row by row in a fixed order.</summary>
internal static class ColumnStatistics
{
    private const double MachineEpsilon = 2.220446049250313e-16;

    public static double[] Means(Matrix<double> x)
    {
        double[] means = new double[x.Columns];
        for (int i = 0; i < x.Rows; i++)
        {
            ReadOnlySpan<double> row = x.Row(i);
            for (int j = 0; j < row.Length; j++) means[j] += row[j];
        }
        for (int j = 0; j < means.Length; j++) means[j] /= x.Rows;
        return means;
    }

    /// <summary>Standard deviations with divisor n; exactly 0 for a column whose values are all equal.</summary>
    public static double[] Deviations(Matrix<double> x, double[] means)
    {
        double[] sums = new double[x.Columns], corrections = new double[x.Columns];
        for (int i = 0; i < x.Rows; i++)
        {
            ReadOnlySpan<double> row = x.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                double delta = row[j] - means[j];
                sums[j] += delta * delta;
                corrections[j] += delta;
            }
        }
        for (int j = 0; j < sums.Length; j++)
        {
            double variance = (sums[j] - corrections[j] * corrections[j] / x.Rows) / x.Rows;
            // scikit-learn's bound: what rounding alone can leave behind in a constant column.
            double rounding = x.Rows * means[j] * MachineEpsilon, floor = x.Rows * MachineEpsilon * variance + rounding * rounding;
            sums[j] = variance <= floor ? 0 : Math.Sqrt(variance);
        }
        return sums;
    }

    /// <summary>Copies chosen rows (all when null) with the means taken off.</summary>
    public static Matrix<double> Centred(Matrix<double> x, double[] means, int[]? rows = null)
    {
        Matrix<double> copy = x.Device.AllocateMatrix<double>(rows?.Length ?? x.Rows, x.Columns);
        for (int i = 0; i < copy.Rows; i++)
        {
            ReadOnlySpan<double> source = x.Row(rows?[i] ?? i);
            Span<double> target = copy.Row(i);
            for (int j = 0; j < target.Length; j++) target[j] = source[j] - means[j];
        }
        return copy;
    }

    /// <summary>Copies chosen rows.</summary>
    public static Matrix<double> Rows(Matrix<double> x, int[] rows)
    {
        Matrix<double> copy = x.Device.AllocateMatrix<double>(rows.Length, x.Columns);
        for (int i = 0; i < rows.Length; i++) x.Row(rows[i]).CopyTo(copy.Row(i));
        return copy;
    }
}
