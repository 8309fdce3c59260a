using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>What is aligned: two costs, or points whose squared distances they are.</summary>
internal sealed class GromovIterationInput<T> where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly DomainCostResult? _first, _second;

    public GromovIterationInput(Matrix<T> first, Matrix<T> second) => Costs = (first, second);

    public GromovIterationInput(DomainCostResult first, DomainCostResult second) => (_first, _second) = (first, second);

    public (Matrix<T> First, Matrix<T> Second)? Costs { get; }

    public ComputeDevice Device => Costs?.First.Device ?? _first!.Points!.Device;

    public GromovOperands<T> Prepare(GromovLoss loss, DeviceSpan<double> p, DeviceSpan<double> q) => Costs is { } costs
        ? GromovProduct.Prepare(loss, costs.First.View, costs.Second.View, p, q)
        : GromovProduct.PreparePoints<T>(_first!.Points!.View, _first.Divisor, _second!.Points!.View, _second.Divisor, p, q);
}

/// <summary>The parts of the tensor product that the coupling's own marginals make, where these are not the masses.</summary>
internal sealed class MovingTerms<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly GromovTermCosts<T> _costs;
    private readonly DeviceBuffer<double> _rowSums, _columnSums;

    public MovingTerms(GromovLoss loss, (Matrix<T> First, Matrix<T> Second) costs)
    {
        ComputeDevice device = costs.First.Device;
        _costs = GromovProduct.PrepareTerms(loss, costs.First.View, costs.Second.View);
        _rowSums = device.Allocate<double>(costs.First.Rows);
        _columnSums = device.Allocate<double>(costs.Second.Rows);
    }

    public DeviceSpan<double> RowSums => _rowSums.View;
    public DeviceSpan<double> ColumnSums => _columnSums.View;

    public void Follow(GromovOperands<T> operands, MatrixView<T> coupling)
    {
        Reductions.RowSums(coupling, _rowSums.View);
        Reductions.ColumnSums(coupling, _columnSums.View);
        GromovProduct.UpdateTerms(_costs, operands, _rowSums.View, _columnSums.View);
    }

    public void Dispose()
    {
        _costs.Dispose();
        _rowSums.Dispose();
        _columnSums.Dispose();
    }
}

/// <summary>
/// The outer iteration with its memory. In double precision the tensor product follows the coupling by the product of its change, computed in single
/// precision: the rounding is relative to the change, so it vanishes as the iteration converges, and full products at intervals bound the sum.
/// </summary>
internal sealed class GromovIteration<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int FullProductsAtStart = 3;
    private const int FullProductEvery = 50;

    /// <summary>Share of the last change of the coupling to which the next transport problem is solved: what is left of it is then no part of the next change.</summary>
    private const double InexactShare = 1e-3;

    /// <summary>Changes within this many times the outer tolerance are those of problems solved in full.</summary>
    private const double NearTheEnd = 10;

    /// <summary>A change between two couplings counts where both were solved for in full.</summary>
    private const int FullSolvesAtEnd = 2;
    private readonly ComputeDevice _device;
    private readonly GromovOptions _options;
    private readonly Matrix<T>? _fused;
    private readonly int _n, _m;
    private readonly (double[] P, double[] Q) _masses;
    private readonly List<IDisposable> _owned = [];
    private readonly GromovOperands<T> _operands;
    private readonly GromovOperands<float>? _singleOperands;
    private readonly Matrix<float>? _change, _changeProduct;
    private readonly bool _startsAtMasses;
    private readonly Matrix<T> _coupling, _product, _cost;
    private readonly DeviceBuffer<double> _p, _q, _f, _g, _rowChange;
    private readonly SinkhornWorkspace<T> _sinkhorn;
    private readonly LinearProblem<T> _linear;
    private readonly MovingTerms<T>? _terms;
    private readonly double[] _hostF, _hostG;
    private double _lastChange;

    /// <summary>Couplings in a row that are as they were asked for: solved for in full, or the start.</summary>
    private int _fullSolves = 1;
    private long _productTicks, _lineariseTicks, _sinkhornTicks, _couplingTicks;
    private long _innerIterations;
    private int _innerNotConverged;
    private double _lastInnerError;

    public GromovIteration(GromovIterationInput<T> input, GromovOptions options, Matrix<T>? fused, Matrix<T>? initial, double[] p, double[] q)
    {
        (_device, _options, _fused, _n, _m) = (input.Device, options, fused, p.Length, q.Length);
        _masses = (p, q);
        (_hostF, _hostG) = (new double[_n], new double[_m]);
        _p = Own(_device.Allocate<double>(_n));
        _q = Own(_device.Allocate<double>(_m));
        _p.CopyFrom(p);
        _q.CopyFrom(q);
        _operands = Own(input.Prepare(options.Loss, _p.View, _q.View));
        _coupling = Own(_device.AllocateMatrix<T>(_n, _m));
        _product = Own(_device.AllocateMatrix<T>(_n, _m));
        _cost = Own(_device.AllocateMatrix<T>(_n, _m));
        _f = Own(_device.Allocate<double>(_n));
        _g = Own(_device.Allocate<double>(_m));
        _rowChange = Own(_device.Allocate<double>(_n));
        _sinkhorn = Own(new SinkhornWorkspace<T>(_device, _n, _m));
        _linear = Own(LinearProblem<T>.Create(new LinearContext<T>(options, options.EffectiveInner, _sinkhorn, _p, _q)));
        if (_linear.TermsFollowCoupling) _terms = Own(new MovingTerms<T>(options.Loss, input.Costs ?? throw new ArgumentException("Free marginals need the costs themselves.", nameof(input))));
        // Products of thin factors are cheap as they are.
        else if (typeof(T) == typeof(double) && !options.ExactProducts && input.Costs is { } costs)
        {
            _singleOperands = Own(PrepareSingle(costs.First, costs.Second));
            _change = Own(_device.AllocateMatrix<float>(_n, _m));
            _changeProduct = Own(_device.AllocateMatrix<float>(_n, _m));
        }
        // A start that is given may be the solution; the product of the masses is the coupling of the smallest norm, and what is found from there is about that far away.
        _lastChange = initial is null ? TensorPrimitives.Norm<double>(p) * TensorPrimitives.Norm<double>(q) : 0;
        _startsAtMasses = initial is null;
        if (_startsAtMasses) MatrixElements.OuterProduct(_p.View, _q.View, _coupling.View);
        else _device.Copy(initial!.Buffer.View.Slice(0, (long)_n * _m), _coupling.Buffer.View);
    }

    public GromovResult Run(IProgressReporter progress, CancellationToken cancellation)
    {
        List<double> trace = new(_options.MaxIterations / _options.CheckEvery + 1);
        OuterStop stop = OuterStop.Of(_options);
        int iteration = 0;
        while (!stop.Met && iteration < _options.MaxIterations)
        {
            cancellation.ThrowIfCancellationRequested();
            double change = Step(iteration);
            if (!double.IsFinite(change)) throw new ConvergenceException($"The coupling became non-finite at outer iteration {iteration}; raise epsilon or scale the costs.");
            stop.Observe(iteration, change, _options.Stop == StoppingRule.Ott ? RegularisedCost() : double.NaN, _fullSolves >= FullSolvesAtEnd);
            if (iteration % _options.CheckEvery == 0)
            {
                trace.Add(change);
                progress.Report("aligning", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"change of the coupling {change:e3}"));
            }
            iteration++;
        }
        return Finish(trace, stop, iteration);
    }

    /// <summary>One outer iteration; returns the Frobenius norm of the change of the coupling.</summary>
    internal double Step(int iteration)
    {
        long start = Stopwatch.GetTimestamp();
        UpdateProduct(iteration);
        long productEnd = Stopwatch.GetTimestamp();
        UpdateCost();
        long lineariseEnd = Stopwatch.GetTimestamp();
        double tolerance = InnerTolerance(iteration);
        _fullSolves = tolerance > _options.Inner.Tolerance ? 0 : _fullSolves + 1;
        LinearisationPoint<T> point = new(_coupling.View, _terms is null ? default : _terms.RowSums, _terms is null ? default : _terms.ColumnSums);
        SinkhornResult inner = _linear.Solve(_cost, point, _f, _g, tolerance, cold: _options.InnerSolve == InnerSolve.PotIterates || iteration == 0);
        _innerIterations += inner.Iterations;
        if (!inner.Converged) _innerNotConverged++;
        _lastInnerError = inner.MarginalError;
        long sinkhornEnd = Stopwatch.GetTimestamp();
        double change = SinkhornScaling.UpdateCoupling(_cost.View, _f.View, _g.View, _linear.Epsilon, _coupling.View, _rowChange.View, _change is null ? default : _change.View);
        _lastChange = change;
        long end = Stopwatch.GetTimestamp();
        _productTicks += productEnd - start;
        _lineariseTicks += lineariseEnd - productEnd;
        _sinkhornTicks += sinkhornEnd - lineariseEnd;
        _couplingTicks += end - sinkhornEnd;
        return change;
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    /// <summary>How well the next transport problem is solved. Iterates that are compared with another tool's one by one, and steps whose remainder stays (proximal ones), take no less than all of it.</summary>
    private double InnerTolerance(int iteration)
    {
        double full = _options.Inner.Tolerance;
        bool every = _options.InnerSolve == InnerSolve.PotIterates || _options.Stop == StoppingRule.Ott || _options.Solver == GromovSolverKind.Ppa || _options.Marginals != MarginalConstraint.Balanced;
        bool last = _lastChange <= NearTheEnd * _options.Tolerance || iteration >= _options.MaxIterations - FullSolvesAtEnd;
        return every || last ? full : Math.Max(full, InexactShare * _lastChange);
    }

    private void UpdateProduct(int iteration)
    {
        _terms?.Follow(_operands, _coupling.View);
        if (iteration == 0 && _startsAtMasses && _singleOperands is not null && _operands is GromovOperands<double> { Symmetric: true } operands)
        {
            GromovProduct.MultiplyMasses(operands, _p.View, _q.View, ((Matrix<double>)(object)_product).View);
            return;
        }
        if (_singleOperands is null || iteration <= FullProductsAtStart || iteration % FullProductEvery == 0)
        {
            GromovProduct.Multiply(_operands, _coupling.View, _product.View);
            return;
        }
        GromovProduct.Multiply(_singleOperands, _change!.View, _changeProduct!.View);
        GromovProduct.Accumulate(_changeProduct.View, ((Matrix<double>)(object)_product).View);
    }

    private void UpdateCost()
    {
        double structure = _options.LinearScale * _options.Alpha;
        bool proximal = _options.Solver == GromovSolverKind.Ppa;
        if (_fused is null && !proximal)
        {
            GromovProduct.Linearise(_operands, _product.View, structure, _cost.View);
            return;
        }
        double between = 0.5 * _options.LinearScale * (1 - _options.Alpha);
        GromovProduct.LineariseGeneral(_operands, _product.View, structure, _fused is null ? default : _fused.View, between,
            proximal ? _coupling.View : default, _options.Epsilon, _cost.View);
    }

    /// <summary>The dual objective of the balanced problem solved last: sum f p + sum g q.</summary>
    private double RegularisedCost()
    {
        _f.CopyTo(_hostF);
        _g.CopyTo(_hostG);
        double sum = 0;
        for (int i = 0; i < _n; i++) sum += _masses.P[i] * _hostF[i];
        for (int j = 0; j < _m; j++) sum += _masses.Q[j] * _hostG[j];
        return sum;
    }

    private GromovResult Finish(List<double> trace, OuterStop stop, int iterations)
    {
        _terms?.Follow(_operands, _coupling.View);
        GromovProduct.Multiply(_operands, _coupling.View, _product.View);
        double loss = GromovProduct.Objective(_operands, _product.View, _coupling.View);
        double between = _fused is null ? 0 : GromovProduct.InnerProduct(_fused.View, _coupling.View);
        Matrix<double> coupling = HandOver();
        CouplingSums sums = CouplingSums.Of(coupling);
        (double Rows, double Columns) violation = _linear.Violation(sums, _masses.P, _masses.Q);
        double total = _options.Alpha * loss + (1 - _options.Alpha) * between;
        double ticks = Stopwatch.Frequency;
        GromovResult result = new()
        {
            Coupling = coupling,
            Mass = sums.Mass,
            Loss = loss,
            FusedLoss = total,
            Entropy = sums.Entropy,
            RegularisedObjective = _linear.RegularisedObjective(total, sums, _masses.P, _masses.Q),
            RowError = violation.Rows,
            ColumnError = violation.Columns,
            RowDeviation = CouplingSums.Distance(sums.Rows, _masses.P),
            ColumnDeviation = CouplingSums.Distance(sums.Columns, _masses.Q),
            Symmetric = _operands.Symmetric,
            ErrorTrace = trace,
            CostTrace = stop.Costs,
            Converged = stop.Met,
            Iterations = iterations,
            InnerIterations = _innerIterations,
            InnerNotConverged = _innerNotConverged,
            LastInnerError = _lastInnerError,
            KernelFill = _sinkhorn.Fill,
            Timing = new GromovTiming(_productTicks / ticks, _lineariseTicks / ticks, _sinkhornTicks / ticks, _couplingTicks / ticks),
            Warnings = ResultWarnings.For(_options, stop.Met, iterations, _innerNotConverged, _lastInnerError, loss, sums.Mass, violation),
        };
        return result;
    }

    /// <summary>The coupling in double precision on the host; where it is that already, this object gives it away.</summary>
    private Matrix<double> HandOver()
    {
        if (typeof(T) != typeof(double)) return Elementwise.Converted<T, double>(_coupling.View).MoveToHost();
        _owned.Remove(_coupling);
        return ((Matrix<double>)(object)_coupling).MoveToHost();
    }

    private GromovOperands<float> PrepareSingle(Matrix<T> c1, Matrix<T> c2)
    {
        using Matrix<float> first = Elementwise.Converted<T, float>(c1.View), second = Elementwise.Converted<T, float>(c2.View);
        return GromovProduct.Prepare(_options.Loss, first.View, second.View, _p.View, _q.View);
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
