using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Factors from which a solve starts, and weights: any positive ones.</summary>
/// <param name="First">Q [n, r].</param>
/// <param name="Second">R [m, r].</param>
/// <param name="Weights">g [r].</param>
public sealed record LowRankFactors(Matrix<double> First, Matrix<double> Second, double[] Weights);

/// <summary>A low-rank coupling with what is needed to judge it. Owns the coupling.</summary>
public sealed class LowRankResult : IDisposable
{
    public required LowRankCoupling Coupling { get; init; }

    /// <summary>sum (C1_ik - C2_jl)² T_ij T_kl, with the coupling's own marginals: never negative.</summary>
    public required double Loss { get; init; }

    /// <summary>L1 distance of the row sums from the masses.</summary>
    public required double RowError { get; init; }
    public required double ColumnError { get; init; }

    /// <summary>Loss before iterations 1, 11, 21, ... and at the end.</summary>
    public required IReadOnlyList<double> LossTrace { get; init; }
    public required bool Converged { get; init; }
    public required int Iterations { get; init; }

    /// <summary>Iterations of all projections.</summary>
    public required long ProjectionIterations { get; init; }

    /// <summary>Projections that stopped at their limit.</summary>
    public required int ProjectionsNotConverged { get; init; }

    /// <summary>Steps taken back because the loss rose.</summary>
    public required int RejectedSteps { get; init; }
    public required double Seconds { get; init; }
    public required IReadOnlyList<string> Warnings { get; init; }

    public void Dispose() => Coupling.Dispose();
}

/// <summary>
/// Gromov-Wasserstein with couplings of low nonnegative rank (Scetbon, Peyré and Cuturi 2022, "Linear-time Gromov Wasserstein distances using low rank couplings and costs"): square loss, balanced,
/// uniform masses, no entropy term - the rank is what smooths. Between squared distances of points time and memory are linear in the number of points; between given costs time is n² r. Host only.
/// </summary>
public static class LowRankGromovWasserstein
{
    /// <summary>Marginal errors above this come with a warning.</summary>
    private const double WorthSaying = 1e-6;

    /// <summary>Solves for points whose squared distances are the costs.</summary>
    /// <param name="x">Points of the first domain [n, d1], finite.</param>
    /// <param name="y">Points of the second domain [m, d2].</param>
    /// <param name="options">Parameters.</param>
    /// <param name="xDivisor">What the squared distances of the first domain are divided by.</param>
    /// <param name="yDivisor">What those of the second are divided by.</param>
    /// <param name="start">Factors to start from instead of <see cref="LowRankOptions.Start"/>, or null.</param>
    /// <param name="progress">Receives the memory plan and the loss every ten iterations.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    /// <exception cref="UsageException">An option has no meaning.</exception>
    /// <exception cref="DataException">A coordinate is not finite.</exception>
    public static LowRankResult Solve(Matrix<double> x, Matrix<double> y, LowRankOptions options, double xDivisor = 1, double yDivisor = 1, LowRankFactors? start = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options.Validate();
        RequireHost(x, y);
        int rank = Math.Min(options.Rank, Math.Min(x.Rows, y.Rows));
        using PointCosts c1 = new(new SquaredDistanceDomain(x, xDivisor, "first domain"), rank), c2 = new(new SquaredDistanceDomain(y, yDivisor, "second domain"), rank);
        progress?.Report("aligning", 0, 0, $"the solve will hold {PlanPoints((x.Rows, x.Columns), (y.Rows, y.Columns), rank)}");
        return Solve(c1, c2, options, start, progress, cancellation);
    }

    /// <summary>Solves between two costs, symmetric and finite.</summary>
    /// <param name="c1">Cost within the first domain [n, n].</param>
    /// <param name="c2">Cost within the second domain [m, m].</param>
    /// <inheritdoc cref="Solve(Matrix{double}, Matrix{double}, LowRankOptions, double, double, LowRankFactors?, IProgressReporter?, CancellationToken)"/>
    public static LowRankResult SolveCosts(Matrix<double> c1, Matrix<double> c2, LowRankOptions options, LowRankFactors? start = null, IProgressReporter? progress = null,
        CancellationToken cancellation = default)
    {
        options.Validate();
        RequireHost(c1, c2);
        InputChecks.RequireSymmetric(c1, "cost of the first domain");
        InputChecks.RequireSymmetric(c2, "cost of the second domain");
        int rank = Math.Min(options.Rank, Math.Min(c1.Rows, c2.Rows));
        using StoredCosts first = new(c1, rank), second = new(c2, rank);
        progress?.Report("aligning", 0, 0, $"the solve will hold {PlanCosts(c1.Rows, c2.Rows, rank)}");
        return Solve(first, second, options, start, progress, cancellation);
    }

    /// <summary>Solves with the costs of two domains, without forming them where they are squared distances.</summary>
    /// <inheritdoc cref="Solve(Matrix{double}, Matrix{double}, LowRankOptions, double, double, LowRankFactors?, IProgressReporter?, CancellationToken)"/>
    public static LowRankResult Solve(DomainCostResult c1, DomainCostResult c2, LowRankOptions options, IProgressReporter? progress = null, CancellationToken cancellation = default) =>
        c1.Points is { } x && c2.Points is { } y ? Solve(x, y, options, c1.Divisor, c2.Divisor, null, progress, cancellation)
            : SolveCosts(c1.Cost, c2.Cost, options, null, progress, cancellation);

    /// <summary>The native memory of a solve between points.</summary>
    public static MemoryPlan PlanPoints((int Rows, int Columns) x, (int Rows, int Columns) y, int rank) => new(
    [
        ("points and factors of their costs", 8 * (x.Rows * (2L * x.Columns + 2) + y.Rows * (2L * y.Columns + 2))),
        .. Factors(x.Rows, y.Rows, rank),
    ]);

    /// <summary>The native memory of a solve between costs, these included.</summary>
    public static MemoryPlan PlanCosts(int n, int m, int rank) => new(
    [
        ("costs within the domains", 8 * ((long)n * n + (long)m * m)),
        ("products with the costs", 8L * ((long)n + m) * rank),
        .. Factors(n, m, rank),
    ]);

    private static (string, long)[] Factors(long n, long m, int rank) =>
    [
        ("factors, gradients and kernels", LowRankFactor.BytesFor(n, rank) + LowRankFactor.BytesFor(m, rank)),
        ("the coupling returned", 8 * (n + 2 * m) * rank),
        ("vectors", 16 * (n + m)),
    ];

    private static LowRankResult Solve(LowRankCosts c1, LowRankCosts c2, LowRankOptions options, LowRankFactors? start, IProgressReporter? progress, CancellationToken cancellation)
    {
        long begin = Stopwatch.GetTimestamp();
        CpuDevice device = (CpuDevice)c1.Device.Host;
        using LowRankFactor q = new(device, c1.Count, c1.Rank), r = new(device, c2.Count, c2.Rank);
        double[] weights = new double[c1.Rank];
        if (start is null) LowRankStarts.Fill(c1, c2, options, q, r, weights, cancellation);
        else Begin(start, q, r, weights);
        using LowRankIteration iteration = new(c1, c2, options, q, r, weights);
        if (options.Step == LowRankStep.Safeguarded) iteration.Settle();
        List<double> trace = iteration.Run(progress ?? SilentProgress.Instance, cancellation);
        (bool settled, int projections) = iteration.Settle();
        LowRankCoupling coupling = new(q.Values.CopyOnHost(), r.Values.CopyOnHost(), weights);
        double loss = Loss(c1, c2, coupling);
        (double rows, double columns) = (Distance(coupling.RowMasses), Distance(coupling.ColumnMasses));
        if (!double.IsFinite(loss)) throw new ConvergenceException("The factors of the coupling became non-finite; scale the costs or lower the rank.");
        List<string> warnings = [];
        if (!iteration.Converged) warnings.Add(Text($"The factors did not converge: after {iteration.Iterations} iterations the loss still falls by more than a share of {options.Tolerance:g3} in ten."));
        if (!settled || rows + columns > WorthSaying) warnings.Add(Text($"The last projection stopped after {projections} iterations: the marginals are off by {rows:e2} (rows) and {columns:e2} (columns) in L1."));
        return new LowRankResult
        {
            Coupling = coupling, Loss = loss, RowError = rows, ColumnError = columns, LossTrace = trace, Converged = iteration.Converged, Iterations = iteration.Iterations,
            ProjectionIterations = iteration.ProjectionIterations, ProjectionsNotConverged = iteration.ProjectionsNotConverged, RejectedSteps = iteration.RejectedSteps,
            Seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds, Warnings = warnings,
        };
    }

    private static void Begin(LowRankFactors start, LowRankFactor q, LowRankFactor r, double[] weights)
    {
        InputChecks.RequireShapeFinite(start.First, q.Rows, q.Rank, "first factor of the start");
        InputChecks.RequireShapeFinite(start.Second, r.Rows, r.Rank, "second factor of the start");
        if (start.Weights.Length != weights.Length) throw new ArgumentException($"There are {start.Weights.Length} weights for rank {weights.Length}.", nameof(start));
        start.First.View.CopyTo(q.Values.Buffer.View.Host);
        start.Second.View.CopyTo(r.Values.Buffer.View.Host);
        start.Weights.CopyTo(weights, 0);
    }

    /// <summary>The loss with the coupling's own marginals, through the factors.</summary>
    internal static double Loss(LowRankCosts c1, LowRankCosts c2, LowRankCoupling coupling)
    {
        int rank = coupling.Rank;
        using Matrix<double> p = c1.Device.AllocateMatrix<double>(rank, rank), s = c1.Device.AllocateMatrix<double>(rank, rank);
        c1.Products(coupling.First.View, p.View);
        c2.Products(coupling.Second.View, s.View);
        double cross = 0;
        for (int k = 0; k < rank; k++)
            for (int l = 0; l < rank; l++) cross += s.Row(k)[l] * p.Row(l)[k] / (coupling.Weights[k] * coupling.Weights[l]);
        double constant = TensorPrimitives.Dot<double>(c1.SquaredRows(coupling.RowMasses), coupling.RowMasses) + TensorPrimitives.Dot<double>(c2.SquaredRows(coupling.ColumnMasses), coupling.ColumnMasses);
        double loss = constant - 2 * cross;
        // A sum of squares: what is negative is the rounding of the difference.
        return loss < 0 && loss > -1e-12 * constant ? 0 : loss;
    }

    private static double Distance(double[] masses)
    {
        double distance = 0;
        foreach (double mass in masses) distance += Math.Abs(mass - 1.0 / masses.Length);
        return distance;
    }

    private static void RequireHost(Matrix<double> first, Matrix<double> second)
    {
        if (!first.Device.IsHost || !second.Device.IsHost) throw new DeviceException("Low-rank couplings are computed on the host only; choose --device cpu.");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
