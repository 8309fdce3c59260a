using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The outer iteration on Γ and the potentials. Does not own the domains.</summary>
internal sealed class OnlineGromovIteration<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Share of the last change of Γ to which the next inner problem is solved: an inexact plan then moves Γ far less than the iteration does.</summary>
    private const double InexactShare = 0.01;

    /// <summary>Relative change of Γ from which a plan in single precision may have settled: below it, changes of the plan that no longer fall are rounding.</summary>
    private const double SingleResolution = 1e-6;
    private readonly SquaredDistanceDomain _x, _y;
    private readonly GromovOptions _options;
    private readonly ComputeDevice _device;
    private readonly List<IDisposable> _owned = [];
    private readonly FactoredPlan<T> _plan, _before;
    private readonly DeviceBuffer<double> _p, _q, _u, _v, _sums, _uBefore, _vBefore, _rowChange;
    private readonly Matrix<double> _moments, _left, _right, _point, _gamma, _gammaBefore;
    private readonly MomentExtrapolation? _extrapolation;
    private readonly OnlineFactors _factors;
    private readonly int _n, _m;
    private double _normWeight, _relativeChange = 1, _lastInnerError;
    private long _innerIterations, _sinkhornTicks, _momentTicks, _changeTicks;
    private int _innerNotConverged;

    public OnlineGromovIteration(SquaredDistanceDomain x, SquaredDistanceDomain y, GromovOptions options, Matrix<double>? initial)
    {
        (_x, _y, _options, _device, _factors) = (x, y, options, x.Points.Device, new OnlineFactors(x, y, options));
        (_n, _m) = (x.Count, y.Count);
        _plan = Own(new FactoredPlan<T>(x.Device, _n, _m, _factors.Rank) { KeepsEntries = true });
        _right = Own(_device.AllocateMatrix<double>(_m, _factors.Rank));
        _left = Own(_device.AllocateMatrix<double>(_n, _factors.Rank));
        // Column factors that never change are shared with the plan before.
        _before = Own(_factors.MovesColumns ? new FactoredPlan<T>(x.Device, _n, _m, _factors.Rank) : new FactoredPlan<T>(_plan));
        _p = Own(Masses(_n));
        _q = Own(Masses(_m));
        _u = Own(_device.Allocate<double>(_n));
        _v = Own(_device.Allocate<double>(_m));
        _sums = Own(_device.Allocate<double>(_m));
        _uBefore = Own(_device.Allocate<double>(_n));
        _vBefore = Own(_device.Allocate<double>(_m));
        _rowChange = Own(_device.Allocate<double>(_n));
        _moments = Own(_device.AllocateMatrix<double>(_n, y.Dimensions));
        _gamma = Own(_device.AllocateMatrix<double>(x.Dimensions, y.Dimensions));
        _gammaBefore = Own(_device.AllocateMatrix<double>(x.Dimensions, y.Dimensions));
        _point = Own(_device.AllocateMatrix<double>(x.Dimensions, y.Dimensions));
        if (options.Extrapolate && options.Solver == GromovSolverKind.Pgd) _extrapolation = Own(new MomentExtrapolation(_device, x.Dimensions * y.Dimensions, options));
        // The product of the masses: no correlation, no scores.
        _gamma.Buffer.Clear();
        _gammaBefore.Buffer.Clear();
        _point.Buffer.Clear();
        _plan.Left.Buffer.Clear();
        _factors.Right(_point, _right);
        _plan.SetRight(_right.View);
        if (initial is not null) _gamma.View.CopyFrom(initial.Buffer.View.Host[..(initial.Rows * initial.Columns)]);
        _u.View.Host.Fill(-Math.Log(_n));
        _v.View.Host.Fill(-Math.Log(_m));
    }

    public OnlineGromovResult Run(IProgressReporter progress, CancellationToken cancellation)
    {
        List<double> trace = new(_options.MaxIterations / _options.CheckEvery + 1);
        double error = 1, changePerMoment = double.PositiveInfinity;
        int iteration = 0;
        bool promising = false, settled = false;
        while (error > _options.Tolerance && !settled && iteration < _options.MaxIterations)
        {
            // POT's rule compares the plans of two successive plain steps. Where Γ says that they are close enough already, it is not put off to the next tenth iteration.
            bool check = iteration % _options.CheckEvery == 0 || promising;
            if (check) Remember();
            Step(iteration, cancellation);
            if (check)
            {
                error = Change();
                settled = typeof(T) == typeof(float) && _relativeChange <= SingleResolution && trace.Count > 0 && error >= 0.5 * trace.Min();
                trace.Add(error);
                if (_relativeChange > 0) changePerMoment = error / _relativeChange;
            }
            promising = _extrapolation is not null && _relativeChange * changePerMoment <= _options.Tolerance;
            bool plain = promising || (iteration + 1) % _options.CheckEvery == 0;
            _extrapolation?.Next(_point.Buffer.View.Host, _gamma.Buffer.View.Host, Dual(), !plain);
            progress.Report("aligning", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"change of the coupling {error:e3}, relative change of its moments {_relativeChange:e3}"));
            iteration++;
        }
        return new OnlineGromovEvaluation(_x, _y, _options, _factors, _point, _normWeight).Finish(_v.View, new OnlineGromovRun
        {
            ErrorTrace = trace,
            Converged = error <= _options.Tolerance,
            Settled = settled && error > _options.Tolerance ? error : null,
            Iterations = iteration,
            InnerIterations = _innerIterations,
            InnerNotConverged = _innerNotConverged,
            LastInnerError = _lastInnerError,
            Ticks = (_momentTicks, _sinkhornTicks, _changeTicks),
        });
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    /// <summary>One outer iteration: scores from Γ, potentials from the scores, Γ from the potentials.</summary>
    internal void Step(int iteration, CancellationToken cancellation)
    {
        Linearise(iteration);
        long start = Stopwatch.GetTimestamp();
        // What a proximal step leaves stays in all later plans, so there every problem is solved to the end.
        double share = _options.Solver == GromovSolverKind.Ppa ? 0 : InexactShare * _relativeChange;
        SinkhornOptions options = _options.EffectiveInner with { Tolerance = Math.Max(_options.Inner.Tolerance, share * TensorPrimitives.Norm<double>(_q.View.Host)) };
        SinkhornResult inner = FactoredTransport.Solve(_plan, _p.View, _q.View, _u.View, _v.View, _sums.View, options, cancellation);
        _innerIterations += inner.Iterations;
        if (!inner.Converged) _innerNotConverged++;
        _lastInnerError = inner.MarginalError;
        long middle = Stopwatch.GetTimestamp();
        UpdateGamma(iteration);
        _sinkhornTicks += middle - start;
        _momentTicks += Stopwatch.GetTimestamp() - middle;
    }

    /// <summary>Factors at the current Γ. The proximal point adds -epsilon log T, whose scores are those of all steps so far.</summary>
    private void Linearise(int iteration)
    {
        bool proximal = _options.Solver == GromovSolverKind.Ppa;
        _normWeight = proximal ? _normWeight + 1 : 1;
        Span<double> point = _point.Buffer.View.Host;
        if (proximal) TensorPrimitives.Add(point, _gamma.Buffer.View.Host, point);
        else _gamma.Buffer.View.Host.CopyTo(point);
        _factors.Left(_point, _normWeight, _left);
        if (_factors.MovesColumns)
        {
            _factors.Right(_point, _right);
            _plan.SetRight(_right.View);
        }
        double limit = typeof(T) == typeof(double) ? 1e150 : 1e25;
        double largest = Math.Abs(TensorPrimitives.MaxMagnitude<double>(_left.Buffer.View.Host)) * (1 + Math.Abs(TensorPrimitives.MaxMagnitude<double>(_right.Buffer.View.Host))) * _factors.Rank;
        if (!(largest < limit))
            throw new ConvergenceException(string.Create(CultureInfo.InvariantCulture, $"With epsilon {_options.Epsilon} the exponents reach {largest:e1} at outer iteration {iteration}; raise epsilon or scale the costs."));
        TensorPrimitives.ConvertTruncating<double, T>(_left.Buffer.View.Host, _plan.Left.Buffer.View.Host);
    }

    private void UpdateGamma(int iteration)
    {
        FactoredTransport.Apply(_plan, _u.View, _v.View, _y.Points.View, _moments.View);
        _gamma.Buffer.View.Host.CopyTo(_gammaBefore.Buffer.View.Host);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, _x.Points.View, _moments.View, 0, _gamma.View);
        double norm = TensorPrimitives.Norm<double>(_gamma.Buffer.View.Host), change = TensorPrimitives.Distance<double>(_gamma.Buffer.View.Host, _gammaBefore.Buffer.View.Host);
        _relativeChange = norm > 0 ? Math.Min(1, change / norm) : 0;
        if (!double.IsFinite(norm)) throw new ConvergenceException($"The coupling became non-finite at outer iteration {iteration}; raise epsilon or scale the costs.");
    }

    /// <summary>Value of the linear problem just solved, in units of epsilon and up to a constant.</summary>
    private double Dual() => TensorPrimitives.Dot<double>(_p.View.Host, _u.View.Host) + TensorPrimitives.Dot<double>(_q.View.Host, _v.View.Host);

    private void Remember()
    {
        _plan.Left.Buffer.View.Host.CopyTo(_before.Left.Buffer.View.Host);
        if (_factors.MovesColumns) _before.SetRight(_right.View);
        _u.View.Host.CopyTo(_uBefore.View.Host);
        _v.View.Host.CopyTo(_vBefore.View.Host);
    }

    private double Change()
    {
        long start = Stopwatch.GetTimestamp();
        double change = FactoredTransport.Change(_plan, _u.View, _v.View, _before, _uBefore.View, _vBefore.View, _rowChange.View);
        _changeTicks += Stopwatch.GetTimestamp() - start;
        return change;
    }

    private DeviceBuffer<double> Masses(int count)
    {
        DeviceBuffer<double> masses = _device.Allocate<double>(count);
        masses.View.Host.Fill(1.0 / count);
        return masses;
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
