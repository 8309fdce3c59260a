using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// Sinkhorn in scaling form with absorption. The kernel is kept relative to base potentials (alpha, beta); u and v are the small corrections.
/// When a correction leaves [e^-drift, e^drift] one iteration is done in the log domain and its potentials become the new base, so nothing
/// under- or overflows. A strip is dropped only when it cannot change any sum by more than rounding for every u and v inside the drift range.
/// </summary>
internal unsafe ref struct ScalingSolver<TLanes, TVector, T>
    where TLanes : struct, ISimd<TVector, T> where TVector : unmanaged where T : unmanaged, IFloatingPointIeee754<T>
{
    private const double SmallestSingleExponent = -85;
    private const double TightestCompactTolerance = 1e-10;
    private const int PruneEvery = 10;

    /// <summary>Plain iterations between two mixings: they damp what the mixing excites, and each mixing costs one more reading of the kernel.</summary>
    private const int MixEvery = 4;

    /// <summary>Largest change of a potential, in units of epsilon, that the first mixing may make; later ones by how the earlier ones went.</summary>
    private const double FirstRadius = 4;
    private const double MeritRounding = 1e-12;

    /// <summary>A mixing close to the solution that lets the residual grow by more than this is taken back.</summary>
    private const double WorstGrowth = 10;
    private readonly SinkhornWorkspace<T> _workspace;
    private readonly SinkhornPointers<T> _pointers;
    private readonly MatrixView<T> _cost;
    private readonly double* _a, _b, _f, _g;
    private readonly double _epsilon;
    private readonly double _margin;
    private readonly double _driftLimit;
    private double _drift, _low, _high;
    private int _absorptions;
    private bool _wantCompact, _compact;
    private double _plainMerit, _plainResidual, _stepLength, _radius;
    private int _sinceMixing;
    private bool _mixed, _leftRange;

    public ScalingSolver(SinkhornWorkspace<T> workspace, MatrixView<T> cost, double* a, double* b, double epsilon, double* f, double* g)
    {
        _workspace = workspace;
        _pointers = new SinkhornPointers<T>(workspace);
        _cost = cost;
        _a = a;
        _b = b;
        _epsilon = epsilon;
        _f = f;
        _g = g;
        // A kept sum is at least (1/n) e^-drift; all dropped terms together are below m e^(2 drift - cut): the margin makes the ratio a rounding error.
        double size = Math.Log((double)workspace.Rows * workspace.Columns);
        _margin = size + (sizeof(T) == 8 ? 32 : 16);
        _driftLimit = ((sizeof(T) == 8 ? 700 : 85) - _margin) / 2;
    }

    public SinkhornResult Solve(in SinkhornOptions options)
    {
        _workspace.FirstPass = _workspace.Pass;
        double tolerance = options.Accelerate ? Math.Max(options.Tolerance, ReachableError()) : options.Tolerance;
        _wantCompact = options.CompactKernel && sizeof(T) == 8 && options.Tolerance >= TightestCompactTolerance;
        int iteration = 0;
        double error = double.PositiveInfinity;
        bool fresh = !TryStartOnKnownBase();
        if (options.Accelerate) StartMixing();
        while (iteration < options.MaxIterations)
        {
            if (fresh || !Iterate())
            {
                if (!fresh) StoreF();
                RestartInLogDomain(iteration);
            }
            fresh = false;
            if (iteration % options.CheckEvery == 0)
            {
                error = MarginalError();
                if (error < tolerance) return Finish(iteration + 1, error, converged: true);
            }
            if (iteration % PruneEvery == 0) PruneIfSettled();
            iteration++;
            // The last iterate stays plain: a mixed u has no v yet, and the two together would be no plan.
            if (!options.Accelerate || iteration == options.MaxIterations) continue;
            Accelerate();
            (fresh, _leftRange) = (_leftRange, false);
        }
        return Finish(iteration, error, converged: false);
    }

    private void StartMixing()
    {
        _workspace.Mixing.Clear();
        _radius = FirstRadius;
        for (int i = 0; i < _workspace.Rows; i++) Potential()[i] = _f[_workspace.RowOrder[i]] / _epsilon;
    }

    /// <summary>After an iteration: remembers it, takes a bad mixing back, and now and then replaces u by the combination of the last iterations.</summary>
    private void Accelerate()
    {
        AndersonMixing mixing = _workspace.Mixing;
        Potential().CopyTo(PreviousPotential());
        double merit = UpdatePotential();
        double residual = mixing.Record(PreviousPotential(), Potential());
        if (_mixed && !IsImproved(merit, residual))
        {
            // Go on from the plain iterate that the mixing had replaced, without the pairs that misled it.
            _radius = _stepLength / 4;
            mixing.CopyImageBeforeLast(Potential());
            mixing.Clear();
            (_mixed, _sinceMixing) = (false, 0);
            Restart();
            return;
        }
        if (_mixed && _stepLength == _radius) _radius *= 4;
        _mixed = false;
        if (++_sinceMixing < MixEvery) return;
        _sinceMixing = 0;
        Span<double> step = PreviousPotential();
        if (!mixing.Extrapolate(step)) return;
        TensorPrimitives.Subtract(step, Potential(), step);
        double length = TensorPrimitives.MaxMagnitude(step), taken = Math.Min(Math.Abs(length), _radius);
        if (taken == 0) return;
        TensorPrimitives.MultiplyAdd(step, taken / Math.Abs(length), Potential(), Potential());
        (_mixed, _plainMerit, _plainResidual, _stepLength) = (true, merit, residual, taken);
        Restart();
    }

    /// <summary>
    /// The dual objective decides, which plain iterations never lower; so close to the solution that its change is rounding, the residual does.
    /// </summary>
    private readonly bool IsImproved(double merit, double residual)
    {
        double noise = MeritRounding * Math.Max(1, Math.Abs(merit));
        if (merit > _plainMerit + noise) return true;
        return merit > _plainMerit - noise && residual <= WorstGrowth * _plainResidual;
    }

    /// <summary>Row potentials over epsilon in the workspace's order: base and correction together, so that they outlive a change of the base.</summary>
    private readonly Span<double> Potential() => new(_workspace.LogU, _workspace.Rows);
    private readonly Span<double> PreviousPotential() => new(_workspace.LogU + _workspace.Rows, _workspace.Rows);

    /// <summary>Reads the potential off u; returns the dual objective over epsilon, up to a constant, at u and v.</summary>
    private readonly double UpdatePotential()
    {
        Span<double> potential = Potential();
        for (int i = 0; i < potential.Length; i++) potential[i] = double.CreateTruncating(_workspace.U[i]);
        TensorPrimitives.Log(potential, potential);
        double merit = 0;
        for (int i = 0; i < potential.Length; i++)
        {
            potential[i] += _workspace.Alpha[i] / _epsilon;
            merit += potential[i] * double.CreateTruncating(_workspace.RowMass[i]);
        }
        Span<double> logarithm = new(_workspace.LogV, _workspace.Columns);
        for (int j = 0; j < logarithm.Length; j++) logarithm[j] = double.CreateTruncating(_workspace.V[j]);
        TensorPrimitives.Log(logarithm, logarithm);
        for (int j = 0; j < logarithm.Length; j++) merit += (logarithm[j] + _workspace.Beta[j] / _epsilon) * double.CreateTruncating(_workspace.ColumnMass[j]);
        return merit;
    }

    /// <summary>Goes on from the potential: relative to the base, or, where it is too far from that, through the log domain.</summary>
    private void Restart()
    {
        ReadOnlySpan<double> potential = Potential();
        bool inside = true;
        for (int i = 0; i < potential.Length && inside; i++) inside = Math.Abs(potential[i] - _workspace.Alpha[i] / _epsilon) < _drift;
        if (!inside)
        {
            for (int i = 0; i < potential.Length; i++) _f[_workspace.RowOrder[i]] = potential[i] * _epsilon;
            _leftRange = true;
            return;
        }
        for (int i = 0; i < potential.Length; i++) _workspace.U[i] = T.CreateTruncating(Math.Exp(potential[i] - _workspace.Alpha[i] / _epsilon));
        RunPass(_workspace.U, PassMode.ColumnSumsOnly);
    }

    private void SetMasses()
    {
        for (int i = 0; i < _workspace.Rows; i++) _workspace.RowMass[i] = T.CreateTruncating(_a[_workspace.RowOrder[i]]);
        for (int j = 0; j < _workspace.Columns; j++) _workspace.ColumnMass[j] = T.CreateTruncating(_b[_workspace.ColumnOrder[j]]);
    }

    /// <summary>Starts from f relative to the potentials of the workspace's last solve, unless they are too far away to be of use.</summary>
    private bool TryStartOnKnownBase()
    {
        if (!_workspace.HasBase) return false;
        double most = 0;
        for (int i = 0; i < _workspace.Rows; i++) most = Math.Max(most, Math.Abs(_f[i] - _workspace.BaseF[i]));
        most /= _epsilon;
        if (!(most + 8 < _driftLimit)) return false;
        GatherBase(_workspace.BaseF, _workspace.BaseG);
        for (int i = 0; i < _workspace.Rows; i++)
            _workspace.U[i] = T.CreateTruncating(Math.Exp((_f[_workspace.RowOrder[i]] - _workspace.Alpha[i]) / _epsilon));
        SetDrift(1.25 * most + 8);
        Build();
        return true;
    }

    private void GatherBase(double* f, double* g)
    {
        for (int i = 0; i < _workspace.Rows; i++) _workspace.Alpha[i] = f[_workspace.RowOrder[i]];
        for (int j = 0; j < _workspace.Columns; j++) _workspace.Beta[j] = g[_workspace.ColumnOrder[j]];
    }

    private void SetDrift(double drift)
    {
        _drift = Math.Min(drift, _driftLimit);
        _low = Math.Exp(-_drift);
        _high = Math.Exp(_drift);
    }

    /// <summary>v = b / K^T u, then u = a / K v. False, with u as it was, when a correction left the drift range.</summary>
    private bool Iterate()
    {
        T* v = _workspace.V;
        int whole = _workspace.Columns / TLanes.Count * TLanes.Count;
        for (int j = 0; j < whole; j += TLanes.Count)
            TLanes.Store(v + j, TLanes.Divide(TLanes.Load(_workspace.ColumnMass + j), TLanes.Load(_workspace.ColumnSums + j)));
        for (int j = whole; j < _workspace.Columns; j++) v[j] = _workspace.ColumnMass[j] / _workspace.ColumnSums[j];
        if (!Inside(v, _workspace.Columns)) return false;

        T* next = _workspace.PreviousU;
        RunPass(next, PassMode.Scale);
        double least = double.PositiveInfinity, most = 0;
        for (int block = 0; block < _workspace.Blocks; block++)
        {
            least = Math.Min(least, _workspace.BlockLow[block]);
            most = Math.Max(most, _workspace.BlockHigh[block]);
        }
        if (!(least >= _low && most <= _high)) return false;
        _workspace.PreviousU = _workspace.U;
        _workspace.U = next;
        return true;
    }

    private readonly bool Inside(T* values, int count)
    {
        T low = T.CreateTruncating(_low), high = T.CreateTruncating(_high);
        int whole = count / TLanes.Count * TLanes.Count;
        TVector most = TLanes.Broadcast(values[0]), least = TLanes.Subtract(TLanes.Zero, most);
        for (int j = 0; j < whole; j += TLanes.Count)
        {
            TVector x = TLanes.Load(values + j);
            most = TLanes.Max(most, x);
            least = TLanes.Max(least, TLanes.Subtract(TLanes.Zero, x));
        }
        T largest = TLanes.MaxAcross(most), smallest = -TLanes.MaxAcross(least);
        for (int j = whole; j < count; j++)
        {
            largest = T.Max(largest, values[j]);
            smallest = T.Min(smallest, values[j]);
        }
        return smallest >= low && largest <= high;
    }

    private void RestartInLogDomain(int iteration)
    {
        LogDomainSolver<TLanes, TVector, T>.Iterate(_workspace, _cost, _a, _b, _epsilon, _f, _g);
        GatherBase(_f, _g);
        for (int i = 0; i < _workspace.Rows; i++) _workspace.U[i] = T.One;
        for (int j = 0; j < _workspace.Columns; j++) _workspace.V[j] = T.One;
        // Early potentials move by whole orders of magnitude: keep the range wide until they settle.
        SetDrift(iteration < 20 ? _driftLimit : Math.Max(12, 2 * _drift));
        Build();
        _absorptions++;
    }

    private void StoreF()
    {
        for (int i = 0; i < _workspace.Rows; i++)
            _f[_workspace.RowOrder[i]] = _workspace.Alpha[i] + _epsilon * Math.Log(double.CreateTruncating(_workspace.U[i]));
    }

    private void Build()
    {
        _compact = false;
        BuildStripsJob<TLanes, TVector, T> job = new()
        {
            W = _pointers, Cost = _cost.Pointer, CostStride = _cost.Stride, InverseEpsilon = 1 / _epsilon, Cut = 2 * _drift + _margin,
        };
        _workspace.Device.Pool.Run(_workspace.Blocks, ref job);
        SetMasses();
        StripPlan.Partition(_workspace);
        RunPass(_workspace.U, PassMode.ColumnSumsOnly);
    }

    /// <summary>Narrows the drift range, and with it the set of strips, once the corrections have become small.</summary>
    private void PruneIfSettled()
    {
        T low = T.PositiveInfinity, high = T.Zero;
        for (int i = 0; i < _workspace.Rows; i++)
        {
            low = T.Min(low, _workspace.U[i]);
            high = T.Max(high, _workspace.U[i]);
        }
        for (int j = 0; j < _workspace.Columns; j++)
        {
            low = T.Min(low, _workspace.V[j]);
            high = T.Max(high, _workspace.V[j]);
        }
        double largest = Math.Max(-Math.Log(double.CreateTruncating(low)), Math.Log(double.CreateTruncating(high)));
        double wanted = 1.25 * largest + 3;
        if (wanted > 0.7 * _drift) return;
        SetDrift(wanted);
        double least = -(2 * _drift + _margin);
        if (_compact) StripPlan.Prune<T, float>(_workspace, least);
        else StripPlan.Prune<T, T>(_workspace, least);
        // Single precision has no room for a wide drift range, so the kernel becomes compact only now.
        if (_wantCompact && !_compact && least > SmallestSingleExponent)
        {
            StripPlan.Compact(_workspace);
            _compact = true;
        }
        StripPlan.Partition(_workspace);
    }

    private readonly void RunPass(T* u, PassMode mode)
    {
        if (_compact) ScalingPass<TLanes, TVector, T, float>.Run(_workspace, u, mode);
        else ScalingPass<TLanes, TVector, T, T>.Run(_workspace, u, mode);
    }

    private readonly void UpdateOrder()
    {
        double threshold = Math.Exp(-_margin);
        if (_compact) SpectralOrder<TLanes, TVector, T, float>.Update(_workspace, threshold);
        else SpectralOrder<TLanes, TVector, T, T>.Update(_workspace, threshold);
    }

    /// <summary>Rounding of the column sums in T: no iterate of an accelerated solve comes closer, so none is asked to.</summary>
    private readonly double ReachableError()
    {
        double squares = 0;
        for (int j = 0; j < _workspace.Columns; j++) squares += _b[j] * _b[j];
        return 4 * (sizeof(T) == 8 ? double.BitIncrement(1) - 1 : MathF.BitIncrement(1) - 1) * Math.Sqrt(squares);
    }

    private readonly double MarginalError()
    {
        double sum = 0;
        for (int j = 0; j < _workspace.Columns; j++)
        {
            double violation = double.CreateTruncating(_workspace.V[j]) * double.CreateTruncating(_workspace.ColumnSums[j])
                - double.CreateTruncating(_workspace.ColumnMass[j]);
            sum += violation * violation;
        }
        return Math.Sqrt(sum);
    }

    private SinkhornResult Finish(int iterations, double error, bool converged)
    {
        for (int i = 0; i < _workspace.Rows; i++)
            _f[_workspace.RowOrder[i]] = _workspace.Alpha[i] + _epsilon * Math.Log(double.CreateTruncating(_workspace.U[i]));
        for (int j = 0; j < _workspace.Columns; j++)
            _g[_workspace.ColumnOrder[j]] = _workspace.Beta[j] + _epsilon * Math.Log(double.CreateTruncating(_workspace.V[j]));
        new ReadOnlySpan<double>(_f, _workspace.Rows).CopyTo(new Span<double>(_workspace.BaseF, _workspace.Rows));
        new ReadOnlySpan<double>(_g, _workspace.Columns).CopyTo(new Span<double>(_workspace.BaseG, _workspace.Columns));
        _workspace.HasBase = true;
        // Plans of an outer iteration change less and less: look again after solves 1, 2, 4, 8, ...
        if (BitOperations.IsPow2(++_workspace.Solves)) UpdateOrder();
        return new SinkhornResult(iterations, error, converged, _absorptions);
    }
}
