using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Mean, deviation and range of each target over the fitted rows of a network.</summary>
internal sealed class MlpTargetRange<T>(int targets) where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly double[] _means = new double[targets], _deviations = new double[targets], _least = new double[targets], _most = new double[targets];

    /// <param name="y">Targets [n, G].</param>
    /// <param name="rows">Rows of the features that are fitted.</param>
    /// <param name="order">Row of the targets for each row of the features.</param>
    /// <param name="scale">Receives how the network sees the targets.</param>
    public void Fit(Matrix<T> y, ReadOnlySpan<int> rows, ReadOnlySpan<int> order, MlpTargetScale<T> scale)
    {
        _means.AsSpan().Clear();
        _deviations.AsSpan().Clear();
        _least.AsSpan().Fill(double.PositiveInfinity);
        _most.AsSpan().Fill(double.NegativeInfinity);
        foreach (int i in rows)
        {
            ReadOnlySpan<T> row = y.Row(order[i]);
            for (int t = 0; t < row.Length; t++)
            {
                double value = double.CreateTruncating(row[t]);
                _means[t] += value;
                if (value < _least[t]) _least[t] = value;
                if (value > _most[t]) _most[t] = value;
            }
        }
        for (int t = 0; t < _means.Length; t++) _means[t] /= rows.Length;
        foreach (int i in rows)
        {
            ReadOnlySpan<T> row = y.Row(order[i]);
            for (int t = 0; t < row.Length; t++)
            {
                double centred = double.CreateTruncating(row[t]) - _means[t];
                _deviations[t] += centred * centred;
            }
        }
        for (int t = 0; t < _means.Length; t++)
        {
            // A target that does not vary over the fitted rows is left as it is, less its mean.
            _deviations[t] = _least[t] < _most[t] ? Math.Sqrt(_deviations[t] / rows.Length) : 1;
            scale.NegativeInverse[t] = T.CreateTruncating(-1 / _deviations[t]);
            scale.Offset[t] = T.CreateTruncating(_means[t] / _deviations[t]);
        }
    }

    /// <summary>Adds the squared errors of one row's predictions, brought back to the targets' units and kept within the range and a margin.</summary>
    public void AddErrors(ReadOnlySpan<T> predicted, ReadOnlySpan<T> actual, double clipMargin, Span<double> errors)
    {
        for (int t = 0; t < errors.Length; t++)
        {
            double margin = clipMargin * (_most[t] - _least[t]);
            double value = Math.Clamp(_means[t] + _deviations[t] * double.CreateTruncating(predicted[t]), _least[t] - margin, _most[t] + margin);
            double error = double.CreateTruncating(actual[t]) - value;
            errors[t] += error * error;
        }
    }
}
