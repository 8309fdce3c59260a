using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Mirror descent on the factors (Scetbon, Peyré and Cuturi 2022, algorithm 2): a multiplicative step along the gradients, then the projection. With D = diag(1 / g), P = Qᵀ C1 Q and S = Rᵀ C2 R
/// the gradients of -2 ⟨C1 T C2, T⟩ are -4 C1 Q (D S D), -4 C2 R (D P D) and 4 diag(P D S) / g², and its value is -2 tr(D S D P). Does not own costs and factors.
/// </summary>
internal sealed class LowRankIteration : IDisposable
{
    /// <summary>Largest exponent of the first step (POT's and OTT's gamma 10), and how many times longer a step may become.</summary>
    private const double LargestExponent = 10, LongestStep = 10;
    private const double NewtonTolerance = 1e-10, DykstraSettles = 1e-9;
    private const double Lengthening = 1.5;

    /// <summary>A step this much shorter than the longest one that still raises the loss ends the descent.</summary>
    private const double ShortestStep = 1e-6;

    /// <summary>Iterations over which the loss must fall.</summary>
    private const int Window = 10;
    private const double WeightFloor = 1e-16;

    /// <summary>Share of the mean squared costs that counts as loss when it is compared: copies of each other have none.</summary>
    private const double ShareOfCosts = 1e-3;
    private readonly LowRankCosts _c1, _c2;
    private readonly LowRankOptions _options;
    private readonly LowRankFactor _q, _r;
    private readonly LowRankProjection _dykstra;
    private readonly LowRankNewton _newton;
    private readonly bool _pot;
    private readonly Matrix<double> _p, _s, _m1, _m2;
    private readonly DeviceBuffer<double> _squares1, _squares2;
    private readonly double[] _g, _gradient, _kernel, _share, _window;
    private readonly double _constant;
    private double _step = 1, _loss;

    public LowRankIteration(LowRankCosts c1, LowRankCosts c2, LowRankOptions options, LowRankFactor q, LowRankFactor r, double[] weights)
    {
        (_c1, _c2, _options, _q, _r) = (c1, c2, options, q, r);
        ComputeDevice device = c1.Device;
        int rank = q.Rank;
        _dykstra = new LowRankProjection(q, r, options.SmallestWeight);
        _newton = new LowRankNewton(q, r, options.SmallestWeight);
        _pot = options.Step == LowRankStep.Pot;
        _p = device.AllocateMatrix<double>(rank, rank);
        _s = device.AllocateMatrix<double>(rank, rank);
        _m1 = device.AllocateMatrix<double>(rank, rank);
        _m2 = device.AllocateMatrix<double>(rank, rank);
        (_g, _gradient, _kernel, _share, _window) = (weights, new double[rank], new double[rank], new double[rank], new double[Window]);
        double[] first = c1.SquaredRows(EntropicGromovWasserstein.Uniform(c1.Count)), second = c2.SquaredRows(EntropicGromovWasserstein.Uniform(c2.Count));
        _squares1 = device.Allocate<double>(c1.Count);
        _squares2 = device.Allocate<double>(c2.Count);
        _squares1.CopyFrom(first);
        _squares2.CopyFrom(second);
        _constant = TensorPrimitives.Sum<double>(first) / first.Length + TensorPrimitives.Sum<double>(second) / second.Length;
        Array.Fill(_window, double.PositiveInfinity);
        _c1.Products(q.Values.View, _p.View);
        _c2.Products(r.Values.View, _s.View);
        _loss = double.PositiveInfinity;
    }

    public long ProjectionIterations { get; private set; }
    public int ProjectionsNotConverged { get; private set; }
    public int RejectedSteps { get; private set; }
    public bool Converged { get; private set; }

    /// <summary>The loss after the last step taken, to second order in what the marginals miss.</summary>
    public double Loss => _loss;

    /// <summary>Length of the last safeguarded step, 1 being the longest.</summary>
    internal double LastShare { get; private set; }

    public List<double> Run(IProgressReporter progress, CancellationToken cancellation)
    {
        List<double> trace = new(_options.MaxIterations / Window + 2);
        for (int iteration = 0; iteration < _options.MaxIterations && !Converged; iteration++)
        {
            cancellation.ThrowIfCancellationRequested();
            Step(iteration);
            Iterations++;
            if (iteration % Window == 0 || Converged)
            {
                trace.Add(_loss);
                progress.Report("aligning", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"loss {_loss:g6}"));
            }
        }
        return trace;
    }

    public int Iterations { get; private set; }

    /// <summary>One step; sets <see cref="Converged"/> where there is nothing left to do.</summary>
    internal void Step(int iteration)
    {
        MakeGradients();
        (double range1, double most1) = _q.GradientSize();
        (double range2, double most2) = _r.GradientSize();
        if (_pot)
        {
            double most = Math.Max(Math.Max(most1, most2), Math.Abs(TensorPrimitives.MaxMagnitude<double>(_gradient))), gamma = LargestExponent / (most * most);
            double change = Try(gamma).Change / (gamma * gamma);
            if (!double.IsFinite(change)) throw new ConvergenceException($"The factors became non-finite at iteration {iteration}: POT's step depends on the scale of the costs; use the safeguarded one.");
            Take();
            Converged = change <= _options.Tolerance;
            return;
        }
        double range = Math.Max(Math.Max(range1, range2), TensorPrimitives.Max<double>(_gradient) - TensorPrimitives.Min<double>(_gradient));
        if (!(range > 0))
        {
            Converged = true;
            return;
        }
        while (true)
        {
            bool projected = Try(_step * LargestExponent / range).Converged;
            if (projected && Evaluate() <= _loss) break;
            RejectedSteps++;
            _step *= 0.5;
            if (_step >= ShortestStep) continue;
            Converged = true;
            return;
        }
        Take();
        LastShare = _step;
        _step = Math.Min(LongestStep, _step * Lengthening);
        double before = _window[iteration % Window];
        _window[iteration % Window] = _loss;
        Converged = before - _loss <= _options.Tolerance * (_loss + ShareOfCosts * _constant);
    }

    /// <summary>Projects the factors as they are, so that the marginals are met.</summary>
    public (bool Converged, int Iterations) Settle()
    {
        _q.MakeKernel(0);
        _r.MakeKernel(0);
        (bool converged, int iterations, _) = Project(_g, DykstraSettles);
        Evaluate();
        Take();
        return (converged, iterations);
    }

    public void Dispose()
    {
        foreach (IDisposable owned in (ReadOnlySpan<IDisposable>)[_p, _s, _m1, _m2, _squares1, _squares2]) owned.Dispose();
    }

    private double _tried;

    private void MakeGradients()
    {
        int rank = _g.Length;
        for (int k = 0; k < rank; k++)
        {
            double sum = 0;
            for (int l = 0; l < rank; l++)
            {
                double both = 1 / (_g[k] * _g[l]);
                _m1.Row(k)[l] = _s.Row(k)[l] * both;
                _m2.Row(k)[l] = _p.Row(k)[l] * both;
                sum += _p.Row(k)[l] * _s.Row(l)[k] / _g[l];
            }
            _gradient[k] = 4 * sum / (_g[k] * _g[k]);
        }
        // The products are those of the factors: a step that was not taken left others, so they are made again only where needed.
        _c1.Gradient(_m1.View, _q.Gradient.View);
        _c2.Gradient(_m2.View, _r.Gradient.View);
    }

    /// <summary>A step and its projection, into the factors' kernels; with POT's step also the change of factors and weights.</summary>
    private (bool Converged, double Change) Try(double gamma)
    {
        double least = TensorPrimitives.Min<double>(_gradient), range = TensorPrimitives.Max<double>(_gradient) - least;
        // Any common factor of the weights is the projection's to find; it is left in where it can be, as POT does.
        double shift = gamma * Math.Max(Math.Abs(least), Math.Abs(least + range)) < 300 ? 0 : least;
        for (int k = 0; k < _g.Length; k++) _kernel[k] = _g[k] * Math.Exp(-gamma * (_gradient[k] - shift));
        _q.MakeKernel(gamma);
        _r.MakeKernel(gamma);
        (bool converged, _, double change) = Project(_kernel, _options.ProjectionTolerance);
        if (!converged) ProjectionsNotConverged++;
        if (_pot)
            for (int k = 0; k < _g.Length; k++) change += (Weights[k] - _g[k]) * (Math.Log(Weights[k]) - Math.Log(_g[k]));
        return (converged, change);
    }

    private double[] Weights => _pot ? _dykstra.Weights : _newton.Weights;

    private (bool Converged, int Iterations, double Change) Project(double[] weights, double tolerance)
    {
        double change = 0;
        int iterations;
        bool converged;
        if (_pot) (iterations, converged, change) = _dykstra.Run(weights, tolerance, _options.ProjectionIterations, measure: true);
        else (iterations, converged) = _newton.Run(weights, NewtonTolerance);
        ProjectionIterations += iterations;
        return (converged, iterations, change);
    }

    /// <summary>The loss of the factors just projected: constant terms by first order in what the marginals miss, so to their square.</summary>
    private double Evaluate()
    {
        _c1.Products(_q.Kernel.View, _p.View);
        _c2.Products(_r.Kernel.View, _s.View);
        double[] g = Weights;
        double cross = 0;
        for (int k = 0; k < g.Length; k++)
            for (int l = 0; l < g.Length; l++) cross += _s.Row(k)[l] * _p.Row(l)[k] / ((g[k] + WeightFloor) * (g[l] + WeightFloor));
        for (int k = 0; k < g.Length; k++) _share[k] = _r.ColumnSums[k] / (g[k] + WeightFloor);
        double missed = _q.RowDeviation(_share, _squares1).Weighted;
        for (int k = 0; k < g.Length; k++) _share[k] = _q.ColumnSums[k] / (g[k] + WeightFloor);
        missed += _r.RowDeviation(_share, _squares2).Weighted;
        return _tried = _constant + 2 * missed - 2 * cross;
    }

    private void Take()
    {
        if (_pot) Evaluate();
        _q.Accept();
        _r.Accept();
        for (int k = 0; k < _g.Length; k++) _g[k] = Weights[k] + WeightFloor;
        _loss = _tried;
    }
}
