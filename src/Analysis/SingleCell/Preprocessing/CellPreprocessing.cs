using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// The usual steps between counts (or latents) and a principal component analysis, in place on cells × features.
/// Conventions: scanpy's normalize_total and log1p, scikit-learn's StandardScaler (ddof 0).
/// </summary>
public static class CellPreprocessing
{
    /// <summary>Scales every row to the same total. Rows that sum to zero stay zero.</summary>
    /// <param name="counts">cells × genes, non-negative.</param>
    /// <param name="target">Total per cell; null takes the median of the positive totals, as scanpy does.</param>
    /// <returns>The target used.</returns>
    public static double NormaliseTotal(Matrix<float> counts, double? target = null)
    {
        using DeviceBuffer<double> sums = counts.Device.Allocate<double>(counts.Rows);
        Reductions.RowSums(counts.View, sums.View);
        double[] totals = new double[counts.Rows];
        sums.CopyTo(totals);
        double goal = target ?? Median([.. totals.Where(t => t > 0)]);
        sums.CopyFrom(Array.ConvertAll(totals, t => t > 0 ? t / goal : 1));
        Elementwise.DivideRows(counts.View, sums.View, counts.View);
        return goal;
    }

    /// <summary>x ← ln(1 + max(x, 0)).</summary>
    public static void Log1p(Matrix<float> values) => Elementwise.LogOnePlus(values.View, values.View);

    /// <summary>Centres every column and divides it by its standard deviation (ddof 0). Constant columns become zero.</summary>
    public static void Standardise(Matrix<float> values)
    {
        using DeviceBuffer<double> means = values.Device.Allocate<double>(values.Columns), scales = values.Device.Allocate<double>(values.Columns);
        Reductions.ColumnVariances(values.View, means.View, scales.View);
        double[] mean = new double[values.Columns], variance = new double[values.Columns];
        means.CopyTo(mean);
        scales.CopyTo(variance);
        // A column whose spread is rounding noise carries nothing: scaling it up would invent structure.
        scales.CopyFrom([.. variance.Zip(mean, (v, m) => Math.Sqrt(v) <= 1e-7 * Math.Abs(m) ? 0 : Math.Sqrt(v))]);
        Kernels.Standardise.Columns(values.View, means.View, scales.View, values.View);
    }

    /// <summary>Divides every row by its Euclidean norm. Zero rows stay zero.</summary>
    public static void NormaliseRows(Matrix<float> values)
    {
        using DeviceBuffer<double> norms = values.Device.Allocate<double>(values.Rows);
        L2Normalise.Rows(values.View, norms.View, values.View);
    }

    internal static double Median(double[] values)
    {
        if (values.Length == 0) return 0;
        Array.Sort(values);
        int middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
    }
}
