using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Multinomial logistic regression: minimises ½‖W‖² + C Σ_i log loss_i over weights [classes, d] and free intercepts, by L-BFGS.</summary>
internal sealed class LogisticRegression : IDisposable
{
    private const int Memory = 10;
    private const double GradientTolerance = 1e-9;
    private readonly ProbeDesign _x;
    private readonly Matrix<double> _truth, _weights, _gradient, _scores;
    private readonly DeviceBuffer<double> _rowTerms;
    private readonly double[] _losses;
    private readonly int _classes;
    private readonly double _c;

    private LogisticRegression(ProbeDesign x, int[] labels, int classes, double c)
    {
        _classes = classes;
        _c = c;
        _x = x;
        double[] truth = new double[labels.Length * classes];
        for (int i = 0; i < labels.Length; i++) truth[i * classes + labels[i]] = 1;
        _truth = Matrix<double>.From(x.Device, labels.Length, classes, truth);
        _weights = x.Device.AllocateMatrix<double>(classes, x.Columns + 1);
        _gradient = x.Device.AllocateMatrix<double>(classes, x.Columns + 1);
        _scores = x.Device.AllocateMatrix<double>(x.Rows, classes);
        _rowTerms = x.Device.Allocate<double>(2L * x.Rows);
        _losses = new double[2 * x.Rows];
    }

    public static LogisticRegression Fit(Matrix<double> x, int[] labels, int classes, double c, int maxIterations, CancellationToken cancellation) =>
        Fit(new DenseDesign(x), labels, classes, c, maxIterations, cancellation);

    /// <param name="x">Is disposed with the model.</param>
    public static LogisticRegression Fit(ProbeDesign x, int[] labels, int classes, double c, int maxIterations, CancellationToken cancellation)
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
        using DenseDesign design = new(x);
        return Predict(design);
    }

    /// <inheritdoc cref="Predict(Matrix{double})"/>
    public int[] Predict(ProbeDesign x)
    {
        using Matrix<double> scores = x.Device.AllocateMatrix<double>(x.Rows, _classes), best = x.Device.AllocateMatrix<double>(x.Rows, 1);
        using Matrix<int> predicted = x.Device.AllocateMatrix<int>(x.Rows, 1);
        x.Scores(_weights, scores);
        TopK.Rows(scores.View, predicted.View, best.View);
        return predicted.ToArray();
    }

    public void Dispose()
    {
        _x.Dispose();
        _truth.Dispose();
        _weights.Dispose();
        _gradient.Dispose();
        _scores.Dispose();
        _rowTerms.Dispose();
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
        int n = _x.Rows, width = _weights.Columns;
        _weights.Buffer.CopyFrom(point);
        _x.Scores(_weights, _scores);
        Softmax.LogSumExpRows(_scores.View, _rowTerms.View.Slice(0, n));
        Reductions.RowDots(_scores.View, _truth.View, _rowTerms.View.Slice(n, n));
        Softmax.Rows(_scores.View, _scores.View);
        Elementwise.AddScaled(-1, _truth.View, _scores.View);
        _x.Gradient(_c, _scores, _gradient);
        _gradient.Buffer.CopyTo(gradient);
        _rowTerms.CopyTo(_losses);
        double loss = 0, penalty = 0;
        for (int i = 0; i < n; i++) loss += _losses[i] - _losses[n + i];
        for (int k = 0; k < _classes; k++)
        {
            ReadOnlySpan<double> weights = point.AsSpan(k * width, width - 1);
            penalty += 0.5 * HostVectors.Dot(weights, weights);
            HostVectors.AddScaled(gradient.AsSpan(k * width, width - 1), weights, 1);
        }
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
}
