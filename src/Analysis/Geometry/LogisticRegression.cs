using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Multinomial logistic regression: minimises ½‖W‖² + C Σ_i log loss_i over weights [classes, d] and free intercepts, by L-BFGS.</summary>
internal sealed class LogisticRegression : IDisposable
{
    private const int Memory = 10;
    private const double GradientTolerance = 1e-9;
    private readonly Matrix<double> _x, _weights, _gradient, _scores;
    private readonly int[] _labels;
    private readonly int _classes;
    private readonly double _c;

    private LogisticRegression(Matrix<double> x, int[] labels, int classes, double c)
    {
        _labels = labels;
        _classes = classes;
        _c = c;
        // A last column of ones carries the intercept.
        _x = x.Device.AllocateMatrix<double>(x.Rows, x.Columns + 1);
        for (int i = 0; i < x.Rows; i++)
        {
            x.Row(i).CopyTo(_x.Row(i));
            _x.Row(i)[^1] = 1;
        }
        _weights = x.Device.AllocateMatrix<double>(classes, x.Columns + 1);
        _gradient = x.Device.AllocateMatrix<double>(classes, x.Columns + 1);
        _scores = x.Device.AllocateMatrix<double>(x.Rows, classes);
    }

    public static LogisticRegression Fit(Matrix<double> x, int[] labels, int classes, double c, int maxIterations, CancellationToken cancellation)
    {
        LogisticRegression model = new(x, labels, classes, c);
        model.Minimise(maxIterations, cancellation);
        return model;
    }

    /// <summary>[classes, d + 1] weights; the last column holds the intercepts.</summary>
    public Matrix<double> Weights => _weights;

    /// <summary>Most probable class of every row.</summary>
    public int[] Predict(Matrix<double> x)
    {
        using Matrix<double> scores = x.Device.AllocateMatrix<double>(x.Rows, _classes);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, x.View, _weights.View.ColumnBlock(0, x.Columns), 0.0, scores.View);
        int[] predicted = new int[x.Rows];
        for (int i = 0; i < predicted.Length; i++)
        {
            Span<double> row = scores.Row(i);
            for (int k = 0; k < _classes; k++) row[k] += _weights.Row(k)[^1];
            predicted[i] = IndexOfMax(row);
        }
        return predicted;
    }

    public void Dispose()
    {
        _x.Dispose();
        _weights.Dispose();
        _gradient.Dispose();
        _scores.Dispose();
    }

    private void Minimise(int maxIterations, CancellationToken cancellation)
    {
        int size = _weights.Rows * _weights.Columns;
        double[] point = new double[size], gradient = new double[size], direction = new double[size], trial = new double[size], trialGradient = new double[size];
        List<(double[] Step, double[] Change, double Rho)> history = [];
        double loss = Evaluate(point, gradient), start = Math.Max(1, Math.Sqrt(HostVectors.Dot(gradient, gradient)));
        for (int iteration = 0; iteration < maxIterations; iteration++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Math.Sqrt(HostVectors.Dot(gradient, gradient)) <= GradientTolerance * start) break;
            Direction(gradient, history, direction);
            double slope = HostVectors.Dot(gradient, direction), step = history.Count == 0 ? 1 / start : 1, next;
            while (true)
            {
                // Armijo backtracking: the loss is convex and smooth, so halving always ends.
                point.CopyTo(trial, 0);
                HostVectors.AddScaled(trial, direction, step);
                next = Evaluate(trial, trialGradient);
                if (next <= loss + 1e-4 * step * slope || step < 1e-12) break;
                step *= 0.5;
            }
            if (!(next < loss)) break;
            Remember(history, point, trial, gradient, trialGradient);
            (point, trial) = (trial, point);
            (gradient, trialGradient) = (trialGradient, gradient);
            loss = next;
        }
        _weights.Buffer.CopyFrom(point);
    }

    private double Evaluate(double[] point, double[] gradient)
    {
        _weights.Buffer.CopyFrom(point);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, _x.View, _weights.View, 0.0, _scores.View);
        double loss = 0;
        for (int i = 0; i < _scores.Rows; i++)
        {
            Span<double> row = _scores.Row(i);
            double most = row[IndexOfMax(row)], own = row[_labels[i]], sum = 0;
            for (int k = 0; k < row.Length; k++) sum += row[k] = Math.Exp(row[k] - most);
            loss += most + Math.Log(sum) - own;
            for (int k = 0; k < row.Length; k++) row[k] /= sum;
            row[_labels[i]] -= 1;
        }
        Gemm.Multiply(Transpose.Yes, Transpose.No, _c, _scores.View, _x.View, 0.0, _gradient.View);
        double penalty = 0;
        for (int k = 0; k < _classes; k++)
        {
            ReadOnlySpan<double> weights = _weights.Row(k)[..^1];
            Span<double> slope = _gradient.Row(k)[..^1];
            penalty += 0.5 * HostVectors.Dot(weights, weights);
            HostVectors.AddScaled(slope, weights, 1);
        }
        _gradient.Buffer.CopyTo(gradient);
        return _c * loss + penalty;
    }

    /// <summary>Two-loop recursion (Nocedal and Wright, algorithm 7.4).</summary>
    private static void Direction(double[] gradient, List<(double[] Step, double[] Change, double Rho)> history, double[] direction)
    {
        gradient.CopyTo(direction, 0);
        HostVectors.Scale(direction, -1);
        Span<double> alphas = stackalloc double[Memory];
        for (int i = history.Count - 1; i >= 0; i--)
        {
            alphas[i] = history[i].Rho * HostVectors.Dot(history[i].Step, direction);
            HostVectors.AddScaled(direction, history[i].Change, -alphas[i]);
        }
        if (history.Count > 0)
        {
            (_, double[] change, double rho) = history[^1];
            HostVectors.Scale(direction, 1 / (rho * HostVectors.Dot(change, change)));
        }
        for (int i = 0; i < history.Count; i++)
        {
            double beta = history[i].Rho * HostVectors.Dot(history[i].Change, direction);
            HostVectors.AddScaled(direction, history[i].Step, alphas[i] - beta);
        }
    }

    private static void Remember(List<(double[] Step, double[] Change, double Rho)> history, double[] from, double[] to, double[] gradientFrom, double[] gradientTo)
    {
        double[] step = (double[])to.Clone(), change = (double[])gradientTo.Clone();
        HostVectors.AddScaled(step, from, -1);
        HostVectors.AddScaled(change, gradientFrom, -1);
        double curvature = HostVectors.Dot(step, change);
        if (curvature <= 0) return;
        if (history.Count == Memory) history.RemoveAt(0);
        history.Add((step, change, 1 / curvature));
    }

    private static int IndexOfMax(ReadOnlySpan<double> row)
    {
        int best = 0;
        for (int k = 1; k < row.Length; k++) if (row[k] > row[best]) best = k;
        return best;
    }
}
