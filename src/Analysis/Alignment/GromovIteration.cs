using System.Diagnostics;
using System.Globalization;
using System.Numerics;
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

/// <summary>
/// The outer iteration with its memory. In double precision the tensor product follows the coupling by the product of its change, computed in single
/// precision: the rounding is relative to the change, so it vanishes as the iteration converges, and full products at intervals bound the sum.
/// </summary>
internal sealed class GromovIteration<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int FullProductsAtStart = 3;
    private const int FullProductEvery = 50;
    private readonly ComputeDevice _device;
    private readonly GromovOptions _options;
    private readonly SinkhornOptions _inner;
    private readonly Matrix<T>? _fused;
    private readonly int _n, _m;
    private readonly (double[] P, double[] Q) _masses;
    private readonly List<IDisposable> _owned = [];
    private readonly GromovOperands<T> _operands;
    private readonly GromovOperands<float>? _singleOperands;
    private readonly Matrix<float>? _change, _changeProduct;
    private readonly Matrix<T> _coupling, _product, _cost;
    private readonly DeviceBuffer<double> _p, _q, _f, _g, _rowChange;
    private readonly SinkhornWorkspace<T> _sinkhorn;
    private long _productTicks, _lineariseTicks, _sinkhornTicks, _couplingTicks;
    private long _innerIterations;
    private int _innerNotConverged;
    private double _lastInnerError;

    public GromovIteration(GromovIterationInput<T> input, GromovOptions options, Matrix<T>? fused, Matrix<T>? initial, double[] p, double[] q)
    {
        (_device, _options, _fused, _n, _m) = (input.Device, options, fused, p.Length, q.Length);
        _inner = options.EffectiveInner;
        _masses = (p, q);
        _p = Own(_device.Allocate<double>(_n));
        _q = Own(_device.Allocate<double>(_m));
        _p.CopyFrom(p);
        _q.CopyFrom(q);
        _operands = Own(input.Prepare(options.Loss, _p.View, _q.View));
        // Products of thin factors are cheap as they are.
        if (typeof(T) == typeof(double) && !options.ExactProducts && input.Costs is { } costs)
        {
            _singleOperands = Own(PrepareSingle(costs.First, costs.Second));
            _change = Own(_device.AllocateMatrix<float>(_n, _m));
            _changeProduct = Own(_device.AllocateMatrix<float>(_n, _m));
        }
        _coupling = Own(_device.AllocateMatrix<T>(_n, _m));
        _product = Own(_device.AllocateMatrix<T>(_n, _m));
        _cost = Own(_device.AllocateMatrix<T>(_n, _m));
        _f = Own(_device.Allocate<double>(_n));
        _g = Own(_device.Allocate<double>(_m));
        _rowChange = Own(_device.Allocate<double>(_n));
        _sinkhorn = Own(new SinkhornWorkspace<T>(_device, _n, _m));
        if (initial is null) MatrixElements.OuterProduct(_p.View, _q.View, _coupling.View);
        else _device.Copy(initial.Buffer.View.Slice(0, (long)_n * _m), _coupling.Buffer.View);
    }

    public GromovResult Run(IProgressReporter progress, CancellationToken cancellation)
    {
        List<double> trace = new(_options.MaxIterations / _options.CheckEvery + 1);
        double error = 1;
        int iteration = 0;
        while (error > _options.Tolerance && iteration < _options.MaxIterations)
        {
            cancellation.ThrowIfCancellationRequested();
            double change = Step(iteration);
            if (!double.IsFinite(change)) throw new ConvergenceException($"The coupling became non-finite at outer iteration {iteration}; raise epsilon or scale the costs.");
            if (iteration % _options.CheckEvery == 0)
            {
                error = change;
                trace.Add(error);
                progress.Report("aligning", iteration, 0, string.Create(CultureInfo.InvariantCulture, $"change of the coupling {error:e3}"));
            }
            iteration++;
        }
        return Finish(trace, iteration, error <= _options.Tolerance);
    }

    /// <summary>One outer iteration; returns the Frobenius norm of the change of the coupling.</summary>
    internal double Step(int iteration)
    {
        long start = Stopwatch.GetTimestamp();
        UpdateProduct(iteration);
        long productEnd = Stopwatch.GetTimestamp();
        UpdateCost();
        long lineariseEnd = Stopwatch.GetTimestamp();
        if (_options.InnerSolve == InnerSolve.PotIterates || iteration == 0) _f.Clear();
        SinkhornResult inner = SolveInner();
        _innerIterations += inner.Iterations;
        if (!inner.Converged) _innerNotConverged++;
        _lastInnerError = inner.MarginalError;
        long sinkhornEnd = Stopwatch.GetTimestamp();
        double change = SinkhornScaling.UpdateCoupling(_cost.View, _f.View, _g.View, _options.Epsilon, _coupling.View, _rowChange.View, _change is null ? default : _change.View);
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

    private void UpdateProduct(int iteration)
    {
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

    private SinkhornResult SolveInner()
    {
        if (typeof(T) == typeof(double))
            return SinkhornScaling.Solve((SinkhornWorkspace<double>)(object)_sinkhorn, ((Matrix<double>)(object)_cost).View, _p.View, _q.View, _options.Epsilon, _f.View, _g.View, _inner);
        return SinkhornScaling.Solve((SinkhornWorkspace<float>)(object)_sinkhorn, ((Matrix<float>)(object)_cost).View, _p.View, _q.View, _options.Epsilon, _f.View, _g.View, _inner);
    }

    private GromovResult Finish(List<double> trace, int iterations, bool converged)
    {
        GromovProduct.Multiply(_operands, _coupling.View, _product.View);
        double loss = GromovProduct.Objective(_operands, _product.View, _coupling.View);
        double between = _fused is null ? 0 : GromovProduct.InnerProduct(_fused.View, _coupling.View);
        Matrix<double> coupling = Elementwise.Converted<T, double>(_coupling.View).MoveToHost();
        CouplingSums sums = CouplingSums.Of(coupling, between, _masses.P, _masses.Q);
        double total = _options.Alpha * loss + (1 - _options.Alpha) * sums.Between;
        double potEpsilon = _options.Convention == EpsilonConvention.Pot ? _options.Epsilon : 2 * _options.Epsilon;
        double ticks = Stopwatch.Frequency;
        GromovResult result = new()
        {
            Coupling = coupling,
            Loss = loss,
            FusedLoss = total,
            Entropy = sums.Entropy,
            RegularisedObjective = total - potEpsilon * (sums.Entropy + sums.Mass),
            RowError = sums.RowError,
            ColumnError = sums.ColumnError,
            ErrorTrace = trace,
            Converged = converged,
            Iterations = iterations,
            InnerIterations = _innerIterations,
            InnerNotConverged = _innerNotConverged,
            LastInnerError = _lastInnerError,
            KernelFill = _sinkhorn.Fill,
            Timing = new GromovTiming(_productTicks / ticks, _lineariseTicks / ticks, _sinkhornTicks / ticks, _couplingTicks / ticks),
            Warnings = ResultWarnings.For(_options, converged, iterations, _innerNotConverged, _lastInnerError, loss, sums),
        };
        return result;
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
