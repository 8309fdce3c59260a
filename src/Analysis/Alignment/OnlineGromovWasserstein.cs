using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Entropic Gromov-Wasserstein between squared Euclidean distances with memory linear in the number of points. For centred points and a coupling T of the masses the
/// linear cost is, up to terms of a row or column alone, -4 |x_i|²|y_j|² - 16 x_iᵀ Γ y_j (POT's scale; OTT's is half) with Γ = Xᵀ T Y (Scetbon, Peyré and Cuturi 2022,
/// section 3): Γ and the potentials are all there is to know, and the coupling is never stored. The iterates are those of <see cref="EntropicGromovWasserstein"/>.
/// </summary>
public static class OnlineGromovWasserstein
{
    /// <summary>Solves for points whose squared distances are the costs; masses are uniform.</summary>
    /// <param name="x">Points of the first domain [n, d1], finite, in any memory.</param>
    /// <param name="y">Points of the second domain [m, d2].</param>
    /// <param name="options">Parameters: square loss, no fused cost, inner problems to their tolerance. Single precision computes scores and exponentials in it; the
    /// result is evaluated in double precision in either case.</param>
    /// <param name="xDivisor">What the squared distances of the first domain are divided by.</param>
    /// <param name="yDivisor">What those of the second are divided by.</param>
    /// <param name="initial">Γ = Xᵀ T Y [d1, d2] of the starting coupling, for the centred and scaled points, in host memory; null for the product of the masses, whose Γ is zero.</param>
    /// <param name="progress">Receives the memory plan and the change after each outer iteration.</param>
    /// <param name="cancellation">Stops between passes over the points.</param>
    /// <exception cref="UsageException">The options ask for what this form does not have.</exception>
    /// <exception cref="DataException">A coordinate is not finite.</exception>
    /// <exception cref="ConvergenceException">Epsilon is so small that exponents overflow.</exception>
    public static OnlineGromovResult Solve(Matrix<double> x, Matrix<double> y, GromovOptions options, double xDivisor = 1, double yDivisor = 1, Matrix<double>? initial = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options.Validate();
        if (options.Loss != GromovLoss.Square) throw new UsageException("Without a stored coupling only the square loss can be solved.");
        if (options.Alpha != 1) throw new UsageException("A fused cost has no low rank: alpha must be 1 where the coupling is not stored.");
        if (options.InnerSolve != InnerSolve.Converged) throw new UsageException("POT's inner iterates need the coupling in memory; use the converged inner solve.");
        if (options.Marginals != MarginalConstraint.Balanced) throw new UsageException("Without a stored coupling only balanced problems can be solved.");
        if (options.Stop != StoppingRule.Pot) throw new UsageException("Without a stored coupling only POT's stopping rule is measured.");
        progress ??= SilentProgress.Instance;
        using SquaredDistanceDomain first = new(x, xDivisor, "first domain"), second = new(y, yDivisor, "second domain");
        if (initial is not null && (initial.Rows != x.Columns || initial.Columns != y.Columns))
            throw new ArgumentException($"The starting moments are {initial.Rows} x {initial.Columns}; expected {x.Columns} x {y.Columns}.", nameof(initial));
        progress.Report("aligning", 0, 0, $"the solve will hold {Plan((x.Rows, x.Columns), (y.Rows, y.Columns), options.Precision, first.Device)}");
        if (options.Precision == GromovPrecision.Single)
        {
            using OnlineGromovIteration<float> single = new(first, second, options, initial);
            return single.Run(progress, cancellation);
        }
        using OnlineGromovIteration<double> iteration = new(first, second, options, initial);
        return iteration.Run(progress, cancellation);
    }

    /// <summary>Solves with the costs of two domains that are squared distances.</summary>
    /// <inheritdoc cref="Solve(Matrix{double}, Matrix{double}, GromovOptions, double, double, Matrix{double}?, IProgressReporter?, CancellationToken)"/>
    public static OnlineGromovResult Solve(DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? initial = null, IProgressReporter? progress = null,
        CancellationToken cancellation = default) =>
        c1.Points is { } x && c2.Points is { } y ? Solve(x, y, options, c1.Divisor, c2.Divisor, initial, progress, cancellation)
            : throw new UsageException("Only squared Euclidean costs, not scaled by their median, are known by points.");

    /// <summary>The memory of a solve.</summary>
    /// <param name="x">Points and coordinates of the first domain.</param>
    /// <param name="y">Points and coordinates of the second domain.</param>
    /// <param name="precision">Of scores and exponentials.</param>
    /// <param name="device">What runs the passes over all pairs. Where it is a GPU, factors are on both sides and the scratch of the passes is there alone.</param>
    public static MemoryPlan Plan((int Rows, int Columns) x, (int Rows, int Columns) y, GromovPrecision precision, ComputeDevice device) =>
        device is CudaDevice ? PlanBeside(x, y, precision) : PlanOnHost(x, y, precision, device.Host.Pool.Threads);

    private static MemoryPlan PlanOnHost((int Rows, int Columns) x, (int Rows, int Columns) y, GromovPrecision precision, int threads)
    {
        int rank = OnlineFactors.RankFor(x.Columns, y.Columns);
        long element = precision == GromovPrecision.Double ? 8 : 4, n = x.Rows, m = y.Rows;
        long Bytes<T>() where T : unmanaged, System.Numerics.IFloatingPointIeee754<T> => FactoredPlan<T>.BytesFor(x.Rows, y.Rows, rank, threads);
        long plan = precision == GromovPrecision.Double ? Bytes<double>() : Bytes<float>();
        return new MemoryPlan(
        [
            ("points", 8 * (n * x.Columns + m * y.Columns)),
            ("factors and products with the coupling", 8 * ((n + m) * rank + n * y.Columns) + element * (m + FactoredPlan<double>.MostPadding) * y.Columns),
            ("factors and scores of a few rows", plan),
            ("entries kept between passes", precision == GromovPrecision.Double ? FactoredPlan<double>.KeptBytesFor(x.Rows, y.Rows) : FactoredPlan<float>.KeptBytesFor(x.Rows, y.Rows)),
            ("those of the coupling before", plan),
            ("those of the coupling returned", Bytes<double>() + 8 * (m * rank + (n + 2 * m + FactoredPlan<double>.MostPadding) * (y.Columns + 1L))),
            ("moments and their history", 8L * x.Columns * y.Columns * (5 + MomentExtrapolation.Vectors)),
        ]);
    }

    /// <summary>The host holds points, factors and what comes back; the device its own factors, its vectors and the features that a plan is multiplied with.</summary>
    private static MemoryPlan PlanBeside((int Rows, int Columns) x, (int Rows, int Columns) y, GromovPrecision precision)
    {
        int rank = OnlineFactors.RankFor(x.Columns, y.Columns);
        long element = precision == GromovPrecision.Double ? 8 : 4, n = x.Rows, m = y.Rows, features = y.Columns + 1L;
        long Bytes<T>() where T : unmanaged, System.Numerics.IFloatingPointIeee754<T> => FactoredPlan<T>.DeviceBytesFor(x.Rows, y.Rows, rank);
        long plan = precision == GromovPrecision.Double ? Bytes<double>() : Bytes<float>();
        return new MemoryPlan(
        [
            ("points", 8 * (n * x.Columns + m * y.Columns)),
            ("factors and products with the coupling", 8 * ((n + m) * rank + n * y.Columns + 4 * (n + m)) + element * (2 * n * rank + m * Math.Max(rank, y.Columns))),
            ("those of the coupling returned", 8 * ((n + m) * rank + (n + 2 * m) * features + 2 * (n + m))),
            ("moments and their history", 8L * x.Columns * y.Columns * (5 + MomentExtrapolation.Vectors)),
        ])
        {
            OnDevice =
            [
                ("factors, vectors and partial sums", plan),
                ("those of the coupling before", plan),
                ("those of the coupling returned", Bytes<double>()),
                ("features and products", 8 * (n + m + FactoredPlan<double>.MostPadding) * features),
            ],
        };
    }
}
