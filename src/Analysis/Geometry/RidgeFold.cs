using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// One fold of the ridge probe, decomposed once: StandardScaler and PCA fitted on the training rows give Z = U S with orthonormal U, so that
/// the ridge fit of any target is U diag(s² / (s² + α)) Uᵀy and its leave-one-out errors follow from the diagonal of the hat matrix.
/// </summary>
internal sealed class RidgeFold : IDisposable
{
    private readonly Fold _fold;
    private readonly Matrix<double> _left, _testScores;
    private readonly double[] _singular, _alphas;
    private readonly double[][] _leverages;

    public RidgeFold(Matrix<double> x, Fold fold, int mostComponents, double[] alphas)
    {
        _fold = fold;
        _alphas = alphas;
        using Matrix<double> train = ColumnStatistics.Rows(x, fold.Train), test = ColumnStatistics.Rows(x, fold.Test);
        double[] means = ColumnStatistics.Means(train), deviations = ColumnStatistics.Deviations(train, means);
        Standardise(train, means, deviations);
        Standardise(test, means, deviations);
        int components = Math.Min(Math.Min(mostComponents, x.Columns), fold.Train.Length - 1);
        double[] trainMeans = ColumnStatistics.Means(train);
        using Matrix<double> centred = ColumnStatistics.Centred(train, trainMeans);
        using Pca pca = Pca.FitCentred(centred, trainMeans, components);
        Components = components;
        _left = pca.Transform(train);
        _testScores = pca.Transform(test);
        _singular = ColumnNorms(_left);
        for (int i = 0; i < _left.Rows; i++) DivideBy(_left.Row(i), _singular);
        for (int i = 0; i < _testScores.Rows; i++) DivideBy(_testScores.Row(i), _singular);
        _leverages = Array.ConvertAll(alphas, Leverage);
    }

    public int Components { get; }

    /// <summary>Test predictions [test rows, targets] for targets [all rows, targets], each with its own best alpha (least leave-one-out error).</summary>
    public Matrix<double> Predict(Matrix<double> targets, Span<double> chosenAlphas)
    {
        using Matrix<double> y = ColumnStatistics.Rows(targets, _fold.Train);
        double[] means = ColumnStatistics.Means(y);
        for (int i = 0; i < y.Rows; i++) SubtractFrom(y.Row(i), means);
        using Matrix<double> projected = y.Device.AllocateMatrix<double>(_left.Columns, y.Columns);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, _left.View, y.View, 0.0, projected.View);
        int[] best = ChooseAlphas(y, projected);
        for (int t = 0; t < best.Length; t++) chosenAlphas[t] = _alphas[best[t]];
        for (int k = 0; k < projected.Rows; k++)
        {
            // Scores were divided by s, so that the coefficient of column k is s · s / (s² + α) · uᵀy.
            Span<double> row = projected.Row(k);
            for (int t = 0; t < row.Length; t++) row[t] *= Shrinkage(k, _alphas[best[t]]);
        }
        Matrix<double> predictions = y.Device.AllocateMatrix<double>(_testScores.Rows, y.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, _testScores.View, projected.View, 0.0, predictions.View);
        for (int i = 0; i < predictions.Rows; i++)
        {
            Span<double> row = predictions.Row(i);
            for (int t = 0; t < row.Length; t++) row[t] += means[t];
        }
        return predictions;
    }

    public void Dispose()
    {
        _left.Dispose();
        _testScores.Dispose();
    }

    /// <summary>For every target the first alpha with the least mean squared leave-one-out error, as RidgeCV chooses.</summary>
    private int[] ChooseAlphas(Matrix<double> y, Matrix<double> projected)
    {
        using Matrix<double> shrunk = y.Device.AllocateMatrix<double>(projected.Rows, projected.Columns);
        using Matrix<double> fitted = y.Device.AllocateMatrix<double>(y.Rows, y.Columns);
        int[] best = new int[y.Columns];
        double[] bestError = new double[y.Columns], errors = new double[y.Columns];
        Array.Fill(bestError, double.PositiveInfinity);
        for (int a = 0; a < _alphas.Length; a++)
        {
            for (int k = 0; k < shrunk.Rows; k++)
            {
                double factor = Shrinkage(k, _alphas[a]);
                Span<double> target = shrunk.Row(k);
                projected.Row(k).CopyTo(target);
                for (int t = 0; t < target.Length; t++) target[t] *= factor;
            }
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, _left.View, shrunk.View, 0.0, fitted.View);
            Array.Clear(errors);
            for (int i = 0; i < y.Rows; i++)
            {
                ReadOnlySpan<double> truth = y.Row(i), fit = fitted.Row(i);
                double leverage = _leverages[a][i];
                for (int t = 0; t < truth.Length; t++)
                {
                    double error = (truth[t] - fit[t]) / (1 - leverage);
                    errors[t] += error * error;
                }
            }
            for (int t = 0; t < errors.Length; t++)
            {
                if (!(errors[t] < bestError[t])) continue;
                bestError[t] = errors[t];
                best[t] = a;
            }
        }
        return best;
    }

    /// <summary>Diagonal of the hat matrix, intercept included: 1 / n + Σ u² s² / (s² + α).</summary>
    private double[] Leverage(double alpha)
    {
        double[] factors = new double[_singular.Length], leverage = new double[_left.Rows];
        for (int k = 0; k < factors.Length; k++) factors[k] = Shrinkage(k, alpha);
        for (int i = 0; i < leverage.Length; i++)
        {
            ReadOnlySpan<double> row = _left.Row(i);
            double sum = 1.0 / leverage.Length;
            for (int k = 0; k < row.Length; k++) sum += row[k] * row[k] * factors[k];
            leverage[i] = sum;
        }
        return leverage;
    }

    private double Shrinkage(int k, double alpha) => _singular[k] * _singular[k] / (_singular[k] * _singular[k] + alpha);

    private static void Standardise(Matrix<double> x, double[] means, double[] deviations)
    {
        for (int i = 0; i < x.Rows; i++)
        {
            Span<double> row = x.Row(i);
            for (int j = 0; j < row.Length; j++) row[j] = (row[j] - means[j]) / (deviations[j] > 0 ? deviations[j] : 1);
        }
    }

    private static double[] ColumnNorms(Matrix<double> x)
    {
        double[] norms = new double[x.Columns];
        for (int i = 0; i < x.Rows; i++)
        {
            ReadOnlySpan<double> row = x.Row(i);
            for (int j = 0; j < row.Length; j++) norms[j] += row[j] * row[j];
        }
        return Array.ConvertAll(norms, Math.Sqrt);
    }

    private static void DivideBy(Span<double> row, double[] divisors)
    {
        for (int k = 0; k < row.Length; k++) row[k] = divisors[k] > 0 ? row[k] / divisors[k] : 0;
    }

    private static void SubtractFrom(Span<double> row, double[] values)
    {
        for (int t = 0; t < row.Length; t++) row[t] -= values[t];
    }
}
