using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Many small problems whose costs lie on a GPU, in the same launches (<see cref="GromovBatch{T}"/>).</summary>
internal static class GromovBatchSolver
{
    /// <summary>Whether problems with these options can share launches: balanced ones whose inner solves converge.</summary>
    public static bool Takes(GromovOptions options) => options is { Marginals: MarginalConstraint.Balanced, InnerSolve: InnerSolve.Converged };

    /// <summary>Solves them all, or none where a cost is not symmetric or labels restrict a coupling: null.</summary>
    /// <param name="problems">Problems on one GPU.</param>
    /// <param name="options">Of all of them; see <see cref="Takes"/>. Products are exact whatever <see cref="GromovOptions.ExactProducts"/> says.</param>
    /// <exception cref="ConvergenceException">A coupling became non-finite.</exception>
    public static GromovResult[]? TrySolve(IReadOnlyList<GromovProblem> problems, GromovOptions options, CancellationToken cancellation)
    {
        options.Validate();
        if (problems.Any(problem => problem.Blocks is not null)) return null;
        return options.Precision == GromovPrecision.Double ? TrySolve<double>(problems, options, cancellation) : TrySolve<float>(problems, options, cancellation);
    }

    private static GromovResult[]? TrySolve<T>(IReadOnlyList<GromovProblem> problems, GromovOptions options, CancellationToken cancellation) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using GromovBatchMemory<T> memory = new(problems, options);
        if (!memory.Symmetric) return null;
        double between = 0.5 * options.LinearScale * (1 - options.Alpha);
        GromovBatchSettings settings = new(options.LinearScale * options.Alpha, between, options.Solver == GromovSolverKind.Ppa, options.Epsilon, options.EffectiveInner.Tolerance, options.EffectiveInner.MaxIterations);
        using GromovBatch<T> batch = new(memory.Device, memory.Items, settings);
        Progress[] all = [.. problems.Select(_ => new Progress(options))];
        GromovBatchStep[] steps = new GromovBatchStep[all.Length];
        int running = all.Length;
        for (int iteration = 0; running > 0; iteration++)
        {
            batch.Step(steps, cancellation);
            for (int i = 0; i < all.Length; i++)
            {
                if (all[i].Ended) continue;
                all[i].Observe(iteration, steps[i]);
                if (!all[i].Ended) continue;
                batch.Finish(i);
                running--;
            }
        }
        return Results(memory, all, options);
    }

    private static GromovResult[] Results<T>(GromovBatchMemory<T> memory, Progress[] all, GromovOptions options) where T : unmanaged, IFloatingPointIeee754<T>
    {
        GromovResult[] results = new GromovResult[all.Length];
        int done = 0;
        try
        {
            for (; done < results.Length; done++) results[done] = all[done].Result(memory.Items[done], options);
            return results;
        }
        catch
        {
            for (int i = 0; i < done; i++) results[i].Dispose();
            throw;
        }
    }

    /// <summary>What is known of one problem on its way.</summary>
    private sealed class Progress(GromovOptions options)
    {
        private readonly OuterStop _stop = OuterStop.Of(options);
        private readonly List<double> _trace = [];
        private long _innerIterations;
        private int _iterations, _innerNotConverged;
        private double _lastInnerError;

        public bool Ended => _stop.Met || _iterations == options.MaxIterations;

        public void Observe(int iteration, in GromovBatchStep step)
        {
            if (!double.IsFinite(step.Change)) throw new ConvergenceException($"The coupling became non-finite at outer iteration {iteration}; raise epsilon or scale the costs.");
            _innerIterations += step.Inner.Iterations;
            if (!step.Inner.Converged) _innerNotConverged++;
            _lastInnerError = step.Inner.MarginalError;
            _stop.Observe(iteration, step.Change, options.Stop == StoppingRule.Ott ? step.DualObjective : double.NaN, true);
            if (iteration % options.CheckEvery == 0) _trace.Add(step.Change);
            _iterations++;
        }

        public GromovResult Result<T>(GromovBatchItem<T> item, GromovOptions options) where T : unmanaged, IFloatingPointIeee754<T>
        {
            using Matrix<T> product = item.Coupling.Device.AllocateMatrix<T>(item.Coupling.Rows, item.Coupling.Columns);
            GromovProduct.Multiply(item.Operands, item.Coupling.View, product.View);
            double loss = GromovProduct.Objective(item.Operands, product.View, item.Coupling.View), between = item.Between is null ? 0 : GromovProduct.InnerProduct(item.Between.View, item.Coupling.View);
            double total = options.Alpha * loss + (1 - options.Alpha) * between;
            Matrix<double> coupling = Elementwise.Converted<T, double>(item.Coupling.View).MoveToHost();
            CouplingSums sums = CouplingSums.Of(coupling);
            double[] p = EntropicGromovWasserstein.Uniform(coupling.Rows), q = EntropicGromovWasserstein.Uniform(coupling.Columns);
            (double Rows, double Columns) violation = (CouplingSums.Distance(sums.Rows, p), CouplingSums.Distance(sums.Columns, q));
            return new GromovResult
            {
                Coupling = coupling,
                Mass = sums.Mass,
                Loss = loss,
                FusedLoss = total,
                Entropy = sums.Entropy,
                RegularisedObjective = total - 2 / options.LinearScale * options.Epsilon * (sums.Entropy + sums.Mass),
                RowError = violation.Rows,
                ColumnError = violation.Columns,
                RowDeviation = violation.Rows,
                ColumnDeviation = violation.Columns,
                Symmetric = true,
                ErrorTrace = _trace,
                CostTrace = _stop.Costs,
                Converged = _stop.Met,
                Iterations = _iterations,
                InnerIterations = _innerIterations,
                InnerNotConverged = _innerNotConverged,
                LastInnerError = _lastInnerError,
                KernelFill = 1,
                Timing = default, // Launches are shared: no problem has a time of its own.
                Warnings = ResultWarnings.For(options, _stop.Met, _iterations, _innerNotConverged, _lastInnerError, loss, sums.Mass, violation),
            };
        }
    }
}

/// <summary>The operands of problems in the type they are solved in; what problems share is there once.</summary>
internal sealed class GromovBatchMemory<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<Matrix<double>, Matrix<T>> _matrices = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<int, DeviceBuffer<double>> _masses = [];
    private readonly Dictionary<(Matrix<double>, Matrix<double>), GromovOperands<T>> _operands = [];

    public GromovBatchMemory(IReadOnlyList<GromovProblem> problems, GromovOptions options)
    {
        Device = problems[0].First.Device as CudaDevice ?? throw new DeviceException($"Problems share launches on a GPU only, not on '{problems[0].First.Device.Name}'.");
        try
        {
            GromovBatchItem<T>[] items = new GromovBatchItem<T>[problems.Count];
            for (int i = 0; i < items.Length; i++) items[i] = Place(problems[i], options);
            Items = items;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public CudaDevice Device { get; }
    public IReadOnlyList<GromovBatchItem<T>> Items { get; }
    public bool Symmetric => _operands.Values.All(operands => operands.Symmetric);

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _owned.Clear();
    }

    private GromovBatchItem<T> Place(GromovProblem problem, GromovOptions options)
    {
        (int n, int m) = (problem.First.Rows, problem.Second.Rows);
        EntropicGromovWasserstein.CheckBetween(n, m, options, problem.Fused, problem.Initial);
        (DeviceBuffer<double> p, DeviceBuffer<double> q) = (Masses(n), Masses(m));
        if (!_operands.TryGetValue((problem.First, problem.Second), out GromovOperands<T>? operands))
        {
            Matrix<T> c1 = Cost(problem.First, "cost of the first domain"), c2 = Cost(problem.Second, "cost of the second domain");
            _operands.Add((problem.First, problem.Second), operands = Own(GromovProduct.Prepare(options.Loss, c1.View, c2.View, p.View, q.View)));
        }
        Matrix<T> coupling;
        if (problem.Initial is { } initial) coupling = Own(Placed(initial));
        else MatrixElements.OuterProduct(p.View, q.View, (coupling = Own(Device.AllocateMatrix<T>(n, m))).View);
        return new GromovBatchItem<T>(operands, p, q, coupling, problem.Fused is { } fused ? Shared(fused) : null);
    }

    private Matrix<T> Cost(Matrix<double> cost, string name)
    {
        if (!_matrices.ContainsKey(cost)) InputChecks.RequireSquareFinite(cost, name);
        return Shared(cost);
    }

    private Matrix<T> Shared(Matrix<double> matrix)
    {
        if (!_matrices.TryGetValue(matrix, out Matrix<T>? placed)) _matrices.Add(matrix, placed = ReferenceEquals(matrix.Device, Device) && (object)matrix is Matrix<T> there ? there : Own(Placed(matrix)));
        return placed;
    }

    private Matrix<T> Placed(Matrix<double> matrix)
    {
        using PlacedMatrix<double> there = matrix.At(Device);
        return Elementwise.Converted<double, T>(there.Matrix.View);
    }

    private DeviceBuffer<double> Masses(int count)
    {
        if (_masses.TryGetValue(count, out DeviceBuffer<double>? masses)) return masses;
        _masses.Add(count, masses = Own(Device.Allocate<double>(count)));
        masses.CopyFrom(EntropicGromovWasserstein.Uniform(count));
        return masses;
    }

    private TOwned Own<TOwned>(TOwned item) where TOwned : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
