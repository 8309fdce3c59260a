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
        double[] totals = new double[counts.Rows];
        for (int i = 0; i < counts.Rows; i++)
        {
            double sum = 0;
            foreach (float value in counts.Row(i)) sum += value;
            totals[i] = sum;
        }
        double goal = target ?? Median([.. totals.Where(t => t > 0)]);
        for (int i = 0; i < counts.Rows; i++)
        {
            if (totals[i] <= 0) continue;
            float scale = (float)(goal / totals[i]);
            foreach (ref float value in counts.Row(i)) value *= scale;
        }
        return goal;
    }

    /// <summary>x ← ln(1 + max(x, 0)).</summary>
    public static void Log1p(Matrix<float> values)
    {
        for (int i = 0; i < values.Rows; i++)
            foreach (ref float value in values.Row(i)) value = (float)double.LogP1(Math.Max(value, 0f));
    }

    /// <summary>Centres every column and divides it by its standard deviation (ddof 0). Constant columns become zero.</summary>
    public static void Standardise(Matrix<float> values)
    {
        int n = values.Rows, d = values.Columns;
        double[] mean = new double[d], square = new double[d];
        for (int i = 0; i < n; i++)
        {
            Span<float> row = values.Row(i);
            for (int j = 0; j < d; j++) mean[j] += row[j];
        }
        for (int j = 0; j < d; j++) mean[j] /= Math.Max(n, 1);
        for (int i = 0; i < n; i++)
        {
            Span<float> row = values.Row(i);
            for (int j = 0; j < d; j++) square[j] += (row[j] - mean[j]) * (row[j] - mean[j]);
        }
        for (int i = 0; i < n; i++)
        {
            Span<float> row = values.Row(i);
            for (int j = 0; j < d; j++)
            {
                double deviation = Math.Sqrt(square[j] / n);
                // A column whose spread is rounding noise carries nothing: scaling it up would invent structure.
                row[j] = deviation <= 1e-7 * Math.Abs(mean[j]) || deviation == 0 ? 0 : (float)((row[j] - mean[j]) / deviation);
            }
        }
    }

    /// <summary>Divides every row by its Euclidean norm. Zero rows stay zero.</summary>
    public static void NormaliseRows(Matrix<float> values)
    {
        for (int i = 0; i < values.Rows; i++)
        {
            Span<float> row = values.Row(i);
            double square = 0;
            foreach (float value in row) square += (double)value * value;
            if (square == 0) continue;
            float scale = (float)(1 / Math.Sqrt(square));
            foreach (ref float value in row) value *= scale;
        }
    }

    private static double Median(double[] values)
    {
        if (values.Length == 0) return 0;
        Array.Sort(values);
        int middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
    }
}
