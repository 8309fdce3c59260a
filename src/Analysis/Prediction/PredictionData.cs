using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>Refuses what cannot be predicted and brings blocks of targets to mean 0 and deviation 1.</summary>
internal static class PredictionData
{
    /// <summary>Features and targets of equally many rows, one per row of the folds, all finite.</summary>
    /// <exception cref="DataException">Shapes differ, a matrix is empty, or a value is not finite: row and column are named.</exception>
    public static void Require(MatrixView<float> x, MatrixView<float> y, PredictionFolds folds)
    {
        if (x.Rows != y.Rows) throw new DataException("targets", null, $"there are {y.Rows} rows of targets for {x.Rows} rows of features.");
        if (x.Rows != folds.Rows) throw new DataException("features", null, $"there are {x.Rows} rows, but the folds are of {folds.Rows} rows.");
        RequireFinite(x, "features");
        RequireFinite(y, "targets");
    }

    /// <summary>A number of permutations that a run can have.</summary>
    public static void RequirePermutations(int permutations)
    {
        if (permutations < 0) throw new UsageException($"{permutations} permutations were asked for; expected 0 or more.");
    }

    /// <summary>The same values in double precision in host memory, column means removed.</summary>
    public static Matrix<double> Centred(MatrixView<float> x, CpuDevice cpu)
    {
        Matrix<double> centred = cpu.AllocateMatrix<double>(x.Rows, x.Columns);
        float[] row = new float[x.Columns];
        double[] means = new double[x.Columns];
        for (int i = 0; i < x.Rows; i++)
        {
            x.RowBlock(i, 1).CopyTo(row);
            Span<double> to = centred.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                to[j] = row[j];
                means[j] += row[j];
            }
        }
        for (int j = 0; j < means.Length; j++) means[j] /= x.Rows;
        for (int i = 0; i < x.Rows; i++)
        {
            Span<double> values = centred.Row(i);
            for (int j = 0; j < means.Length; j++) values[j] -= means[j];
        }
        return centred;
    }

    private static void RequireFinite(MatrixView<float> matrix, string name)
    {
        if (matrix.Rows == 0 || matrix.Columns == 0) throw new DataException(name, null, $"the matrix is empty ({matrix.Rows} x {matrix.Columns}).");
        float[] row = new float[matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
        {
            matrix.RowBlock(i, 1).CopyTo(row);
            for (int j = 0; j < row.Length; j++)
                if (!float.IsFinite(row[j]))
                    throw new DataException(name, $"row {i}, column {j}", string.Create(CultureInfo.InvariantCulture, $"the value is {row[j]}; every value must be finite."));
        }
    }
}

/// <summary>A block of consecutive targets in host memory, each with mean 0 and population deviation 1; a constant one is all zeros.</summary>
internal sealed class TargetBlock : IDisposable
{
    public TargetBlock(MatrixView<float> y, int first, int count, CpuDevice cpu)
    {
        (First, Count) = (first, count);
        Values = cpu.AllocateMatrix<float>(y.Rows, count);
        y.ColumnBlock(first, count).CopyTo(Values.Buffer.View.Host);
        Means = new double[count];
        Deviations = new double[count];
        IsConstant = new bool[count];
        SumOfSquares = new double[count];
        Standardise();
    }

    public int First { get; }
    public int Count { get; }

    /// <summary>[n, Count], standardised, rounded to single precision.</summary>
    public Matrix<float> Values { get; }

    public double[] Means { get; }
    public double[] Deviations { get; }
    public bool[] IsConstant { get; }

    /// <summary>Σ(y − ȳ)² of the rounded values: n, but for rounding.</summary>
    public double[] SumOfSquares { get; }

    public void Dispose() => Values.Dispose();

    /// <summary>The standardised targets without the rounding: [n, Count], from the same matrix as this block.</summary>
    public void CopyExact(MatrixView<float> y, Matrix<double> to)
    {
        float[] row = new float[Count];
        for (int i = 0; i < to.Rows; i++)
        {
            y.RowBlock(i, 1).ColumnBlock(First, Count).CopyTo(row);
            Span<double> into = to.Row(i);
            for (int j = 0; j < Count; j++) into[j] = IsConstant[j] ? 0 : (row[j] - Means[j]) / Deviations[j];
        }
    }

    private void Standardise()
    {
        int n = Values.Rows;
        float[] least = new float[Count], most = new float[Count];
        Values.Row(0).CopyTo(least);
        Values.Row(0).CopyTo(most);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<float> row = Values.Row(i);
            for (int j = 0; j < Count; j++)
            {
                Means[j] += row[j];
                if (row[j] < least[j]) least[j] = row[j];
                if (row[j] > most[j]) most[j] = row[j];
            }
        }
        for (int j = 0; j < Count; j++)
        {
            Means[j] /= n;
            IsConstant[j] = least[j] == most[j];
        }
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<float> row = Values.Row(i);
            for (int j = 0; j < Count; j++) Deviations[j] += (row[j] - Means[j]) * (row[j] - Means[j]);
        }
        for (int j = 0; j < Count; j++) Deviations[j] = IsConstant[j] ? 1 : Math.Sqrt(Deviations[j] / n);
        Round();
    }

    private void Round()
    {
        double[] sums = new double[Count];
        for (int i = 0; i < Values.Rows; i++)
        {
            Span<float> row = Values.Row(i);
            for (int j = 0; j < Count; j++)
            {
                row[j] = IsConstant[j] ? 0 : (float)((row[j] - Means[j]) / Deviations[j]);
                sums[j] += row[j];
                SumOfSquares[j] += (double)row[j] * row[j];
            }
        }
        for (int j = 0; j < Count; j++) SumOfSquares[j] -= sums[j] * sums[j] / Values.Rows;
    }
}
