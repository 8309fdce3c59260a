using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// One fold of the ridge probe, decomposed once: StandardScaler and PCA fitted on the training rows give Z = U S with orthonormal U, so that
/// the ridge fit of any target is U diag(s² / (s² + α)) Uᵀy and its leave-one-out errors follow from the diagonal of the hat matrix.
/// </summary>
internal sealed class RidgeFold : IDisposable
{
    private readonly Matrix<double> _left, _testScores, _shrinkages, _remainders;
    private readonly DeviceBuffer<int> _train;
    private readonly double[] _singular, _alphas;

    public RidgeFold(Matrix<double> x, Fold fold, int mostComponents, double[] alphas)
    {
        _alphas = alphas;
        _train = x.Device.Allocate<int>(fold.Train.Length);
        _train.CopyFrom(fold.Train);
        using Matrix<double> train = Gather.Rows(x, fold.Train), test = Gather.Rows(x, fold.Test);
        (DeviceBuffer<double> means, DeviceBuffer<double> scales) = ColumnStatistics.Scaler(train);
        using (means)
        using (scales)
        {
            Standardise.Columns(train.View, means.View, scales.View, train.View);
            Standardise.Columns(test.View, means.View, scales.View, test.View);
        }
        Components = Math.Min(Math.Min(mostComponents, x.Columns), fold.Train.Length - 1);
        using Pca pca = Pca.Fit(train, Components);
        _left = pca.Transform(train);
        _testScores = pca.Transform(test);
        using DeviceBuffer<double> norms = x.Device.Allocate<double>(Components);
        Reductions.ColumnNorms(_left.View, norms.View);
        _singular = norms.ToArray();
        Standardise.Columns(_left.View, default, norms.View, _left.View);
        Standardise.Columns(_testScores.View, default, norms.View, _testScores.View);
        _shrinkages = Shrinkages(x.Device);
        _remainders = Remainders();
    }

    public int Components { get; }

    /// <summary>Test predictions of targets [all rows, targets], each with its own best alpha (least leave-one-out error): row by row [test rows, targets], on the host.</summary>
    public double[] Predict(MatrixView<double> targets, Span<double> chosenAlphas)
    {
        ComputeDevice device = _left.Device;
        using Matrix<double> y = device.AllocateMatrix<double>(_left.Rows, targets.Columns), projected = device.AllocateMatrix<double>(Components, targets.Columns);
        Gather.Rows(targets, _train.View, y.View);
        using DeviceBuffer<double> columnMeans = ColumnStatistics.Means(y);
        Standardise.Columns(y.View, columnMeans.View, default, y.View);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, _left.View, y.View, 0.0, projected.View);
        int[] best = ChooseAlphas(y, projected);
        for (int t = 0; t < best.Length; t++) chosenAlphas[t] = _alphas[best[t]];
        // Scores were divided by s, so that the coefficient of column k is s · s / (s² + α) · uᵀy.
        projected.EditOnHost(coefficients =>
        {
            for (int k = 0; k < coefficients.Rows; k++)
                for (int t = 0; t < best.Length; t++) coefficients.Row(k)[t] *= Shrinkage(_singular[k], _alphas[best[t]]);
        });
        using Matrix<double> predicted = device.AllocateMatrix<double>(_testScores.Rows, targets.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, _testScores.View, projected.View, 0.0, predicted.View);
        double[] predictions = predicted.ToArray(), means = columnMeans.ToArray();
        for (int i = 0; i < predictions.Length; i++) predictions[i] += means[i % means.Length];
        return predictions;
    }

    public void Dispose()
    {
        _left.Dispose();
        _testScores.Dispose();
        _shrinkages.Dispose();
        _remainders.Dispose();
        _train.Dispose();
    }

    /// <summary>For every target the first alpha with the least mean squared leave-one-out error, as RidgeCV chooses.</summary>
    private int[] ChooseAlphas(Matrix<double> y, Matrix<double> projected)
    {
        int targets = y.Columns;
        using Matrix<double> shrunk = y.Device.AllocateMatrix<double>(projected.Rows, targets), residuals = y.Device.AllocateMatrix<double>(y.Rows, targets);
        using Matrix<double> errors = y.Device.AllocateMatrix<double>(_alphas.Length, targets);
        for (int a = 0; a < _alphas.Length; a++)
        {
            Elementwise.DivideRows(projected.View, _shrinkages.Buffer.View.Slice((long)a * Components, Components), shrunk.View);
            y.Device.Copy(y.Buffer.View, residuals.Buffer.View);
            Gemm.Multiply(Transpose.No, Transpose.No, -1.0, _left.View, shrunk.View, 1.0, residuals.View);
            Elementwise.DivideRows(residuals.View, _remainders.Buffer.View.Slice((long)a * y.Rows, y.Rows), residuals.View);
            Reductions.ColumnSquaredNorms(residuals.View, errors.Buffer.View.Slice((long)a * targets, targets));
        }
        double[] error = errors.ToArray(), least = new double[targets];
        int[] best = new int[targets];
        Array.Fill(least, double.PositiveInfinity);
        for (int a = 0; a < _alphas.Length; a++)
            for (int t = 0; t < targets; t++)
                if (error[a * targets + t] < least[t]) (least[t], best[t]) = (error[a * targets + t], a);
        return best;
    }

    /// <summary>[alphas, components]: what a coefficient is divided by, (s² + α) / s²; 0 where s is, which makes the coefficient 0.</summary>
    private Matrix<double> Shrinkages(ComputeDevice device)
    {
        double[] divisors = new double[_alphas.Length * Components];
        for (int a = 0; a < _alphas.Length; a++)
            for (int k = 0; k < Components; k++) divisors[a * Components + k] = _singular[k] > 0 ? 1 / Shrinkage(_singular[k], _alphas[a]) : 0;
        return Matrix<double>.From(device, _alphas.Length, Components, divisors);
    }

    /// <summary>[alphas, training rows]: 1 less the diagonal of the hat matrix, intercept included, which is 1 / n + Σ u² s² / (s² + α).</summary>
    private Matrix<double> Remainders()
    {
        ComputeDevice device = _left.Device;
        double[] factors = new double[_alphas.Length * Components];
        for (int a = 0; a < _alphas.Length; a++)
            for (int k = 0; k < Components; k++) factors[a * Components + k] = Shrinkage(_singular[k], _alphas[a]);
        using Matrix<double> squares = device.AllocateMatrix<double>(_left.Rows, Components), shares = Matrix<double>.From(device, _alphas.Length, Components, factors);
        Elementwise.Square(_left.View, squares.View);
        Matrix<double> remainders = device.AllocateMatrix<double>(_alphas.Length, _left.Rows);
        Elementwise.Fill(remainders.View, 1 - 1.0 / _left.Rows);
        Gemm.Multiply(Transpose.No, Transpose.Yes, -1.0, shares.View, squares.View, 1.0, remainders.View);
        // A row that decides its own fit has no leave-one-out error: that alpha is not a candidate.
        remainders.EditOnHost(rows =>
        {
            foreach (ref double remainder in rows.Buffer.View.Host) if (remainder <= 0) remainder = double.NaN;
        });
        return remainders;
    }

    private static double Shrinkage(double singular, double alpha) => singular > 0 ? singular * singular / (singular * singular + alpha) : 0;
}
