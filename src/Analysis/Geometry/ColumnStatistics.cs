using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Column means and deviations, kept where the matrix is.</summary>
internal static class ColumnStatistics
{
    private const double MachineEpsilon = 2.220446049250313e-16;

    /// <summary>[d] column means.</summary>
    public static DeviceBuffer<double> Means(Matrix<double> x)
    {
        DeviceBuffer<double> means = x.Device.Allocate<double>(x.Columns);
        Reductions.ColumnMeans(x.View, means.View);
        return means;
    }

    /// <summary>[d] means and [d] scales as scikit-learn's StandardScaler takes them: deviations with divisor n, and 1 for a column whose values are all equal.</summary>
    public static (DeviceBuffer<double> Means, DeviceBuffer<double> Scales) Scaler(Matrix<double> x)
    {
        DeviceBuffer<double> means = x.Device.Allocate<double>(x.Columns), scales = x.Device.Allocate<double>(x.Columns);
        Reductions.ColumnVariances(x.View, means.View, scales.View);
        double[] mean = means.ToArray(), scale = scales.ToArray();
        for (int j = 0; j < scale.Length; j++) scale[j] = Scale(scale[j], mean[j], x.Rows);
        scales.CopyFrom(scale);
        return (means, scales);
    }

    /// <summary>The scale of a column of this variance and mean.</summary>
    public static double Scale(double variance, double mean, int rows)
    {
        // scikit-learn's bound: what rounding alone can leave behind in a constant column.
        double rounding = rows * mean * MachineEpsilon, floor = rows * MachineEpsilon * variance + rounding * rounding;
        return variance <= floor ? 1 : Math.Sqrt(variance);
    }

    /// <summary>A copy with the means taken off.</summary>
    public static Matrix<double> Centred(Matrix<double> x, DeviceBuffer<double> means)
    {
        Matrix<double> copy = x.Device.AllocateMatrix<double>(x.Rows, x.Columns);
        Standardise.Columns(x.View, means.View, default, copy.View);
        return copy;
    }

    /// <summary>The elements, brought to the host.</summary>
    public static double[] ToArray(this DeviceBuffer<double> buffer)
    {
        double[] values = new double[buffer.Length];
        buffer.CopyTo(values);
        return values;
    }

    /// <summary>Σᵢⱼ x[i, j] y[i, j]: rows on the device, their sums on the host.</summary>
    public static double InnerProduct(Matrix<double> x, Matrix<double> y)
    {
        using DeviceBuffer<double> rows = x.Device.Allocate<double>(x.Rows);
        Reductions.RowDots(x.View, y.View, rows.View);
        double sum = 0;
        foreach (double row in rows.ToArray()) sum += row;
        return sum;
    }
}
