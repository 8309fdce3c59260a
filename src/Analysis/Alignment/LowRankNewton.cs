using System.Numerics.Tensors;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// The projection of <see cref="LowRankProjection"/> by Newton's method. Row scalings and weights follow from the column scalings exp(α), exp(β), so its dual is a convex function of 2 r numbers,
/// sum a log(K1 e^α) + sum b log(K2 e^β) + sum h(α + β) with h(θ) = k3 e^-θ, linear where the weight is at its bound. A solution takes about ten passes over the kernels where Dykstra's iteration,
/// whose rate falls as the factors sharpen, takes hundreds to thousands.
/// </summary>
internal sealed class LowRankNewton(LowRankFactor first, LowRankFactor second, double smallest)
{
    private const int MostIterations = 60;

    /// <summary>Alternating scalings before the first Newton step: they move a far-off scaling by any factor at once.</summary>
    private const int Scalings = 3;
    private const double LongestStep = 5, ShortestShare = 1e-4, Ridge = 1e-10;

    /// <summary>Kernels of weights that underflow.</summary>
    private const double Least = 1e-200;
    private readonly int _rank = first.Rank;
    private readonly double[] _logs = new double[2 * first.Rank], _trial = new double[2 * first.Rank], _step = new double[2 * first.Rank], _force = new double[2 * first.Rank], _size = new double[2 * first.Rank];
    private readonly double[] _kernel = new double[first.Rank], _hessian = new double[4 * first.Rank * first.Rank];

    /// <summary>g of the last projection [r].</summary>
    public double[] Weights { get; } = new double[first.Rank];

    /// <summary>Projects; the factors' kernels hold K1 and K2 on entry and, scaled, the new Q and R on return.</summary>
    /// <param name="weights">k3 [r], up to a common factor.</param>
    /// <param name="tolerance">L1 difference of the factors' column sums and the weights at which to stop.</param>
    public (int Iterations, bool Converged) Run(ReadOnlySpan<double> weights, double tolerance)
    {
        TensorPrimitives.Max(weights, Least, _kernel);
        for (int scaling = 0; scaling < Scalings; scaling++) Alternate();
        double value = Evaluate(_logs), error = Slope();
        int iteration = 0;
        while (error > tolerance && iteration < MostIterations)
        {
            iteration++;
            if (!Solve()) break;
            double slope = TensorPrimitives.Dot<double>(_force, _step), share = 1;
            while (true)
            {
                for (int k = 0; k < _logs.Length; k++) _trial[k] = _logs[k] + share * _step[k];
                double next = Evaluate(_trial);
                if (next <= value + 1e-4 * share * slope + 1e-13 * Math.Abs(value) || share < ShortestShare)
                {
                    value = next;
                    break;
                }
                share *= 0.5;
            }
            _trial.CopyTo(_logs, 0);
            error = Slope();
        }
        first.Finish(measure: false);
        second.Finish(measure: false);
        return (iteration + Scalings, error <= tolerance);
    }

    private void Alternate()
    {
        first.ScaleRows();
        second.ScaleRows();
        for (int k = 0; k < _rank; k++)
        {
            double s1 = first.ColumnSums[k], s2 = second.ColumnSums[k], g = Math.Max(smallest, Math.Cbrt(_kernel[k] * s1 * s2));
            (_logs[k], _logs[_rank + k]) = (Math.Log(g / s1), Math.Log(g / s2));
            (first.Scale[k], second.Scale[k]) = (g / s1, g / s2);
        }
    }

    /// <summary>The dual function; leaves row scalings and column sums for its point in the factors.</summary>
    private double Evaluate(double[] logs)
    {
        double value = 0;
        for (int k = 0; k < _rank; k++)
        {
            (first.Scale[k], second.Scale[k]) = (Math.Exp(logs[k]), Math.Exp(logs[_rank + k]));
            double theta = logs[k] + logs[_rank + k], weight = _kernel[k] * Math.Exp(-theta);
            value += weight >= smallest ? weight : smallest * (1 - theta + Math.Log(_kernel[k] / smallest));
        }
        first.ScaleRows();
        second.ScaleRows();
        return value + first.LogSum() + second.LogSum();
    }

    /// <summary>Column sums less weights; returns their L1 norm.</summary>
    private double Slope()
    {
        double error = 0;
        for (int k = 0; k < _rank; k++)
        {
            Weights[k] = Math.Max(smallest, _kernel[k] * Math.Exp(-_logs[k] - _logs[_rank + k]));
            _force[k] = first.ColumnSums[k] * first.Scale[k] - Weights[k];
            _force[_rank + k] = second.ColumnSums[k] * second.Scale[k] - Weights[k];
            error += Math.Abs(_force[k]) + Math.Abs(_force[_rank + k]);
        }
        return error;
    }

    /// <summary>The Newton step by Cholesky's factorisation, scaled to a unit diagonal; false where it is not finite.</summary>
    private bool Solve()
    {
        int size = 2 * _rank;
        first.Gram(_hessian, size, 0);
        second.Gram(_hessian, size, _rank);
        for (int k = 0; k < _rank; k++)
        {
            double slope = Weights[k] > smallest ? Weights[k] : 0;
            for (int l = 0; l < _rank; l++) (_hessian[(_rank + k) * size + l], _hessian[k * size + _rank + l]) = (0, 0);
            _hessian[(_rank + k) * size + k] = slope;
            _hessian[k * size + k] += first.ColumnSums[k] * first.Scale[k] + slope;
            _hessian[(_rank + k) * size + _rank + k] += second.ColumnSums[k] * second.Scale[k] + slope;
        }
        for (int k = 0; k < size; k++) _size[k] = 1 / Math.Sqrt(Math.Max(_hessian[k * size + k], 1e-300));
        for (int k = 0; k < size; k++)
        {
            for (int l = 0; l <= k; l++) _hessian[k * size + l] *= _size[k] * _size[l];
            _hessian[k * size + k] += Ridge;
            _step[k] = -_size[k] * _force[k];
        }
        for (int k = 0; k < size; k++)
        {
            Span<double> row = _hessian.AsSpan(k * size, size);
            for (int l = 0; l <= k; l++)
            {
                double left = row[l] - TensorPrimitives.Dot<double>(row[..l], _hessian.AsSpan(l * size, l));
                if (l < k) row[l] = left / _hessian[l * size + l];
                else row[k] = Math.Sqrt(Math.Max(left, Ridge));
            }
            _step[k] = (_step[k] - TensorPrimitives.Dot<double>(row[..k], _step.AsSpan(0, k))) / row[k];
        }
        for (int k = size - 1; k >= 0; k--)
        {
            for (int l = k + 1; l < size; l++) _step[k] -= _hessian[l * size + k] * _step[l];
            _step[k] /= _hessian[k * size + k];
        }
        double most = 0;
        for (int k = 0; k < size; k++) most = Math.Max(most, Math.Abs(_step[k] *= _size[k]));
        if (!double.IsFinite(most)) return false;
        if (most > LongestStep) TensorPrimitives.Multiply(_step, LongestStep / most, _step);
        return true;
    }
}
