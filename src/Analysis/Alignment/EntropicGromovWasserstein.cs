using System.Diagnostics;
using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Entropic Gromov-Wasserstein between two cost matrices (Peyré, Cuturi and Solomon 2016, algorithm 1; POT's entropic_gromov_wasserstein):
/// linearise the objective at the coupling, solve the entropic transport problem, repeat. Masses are uniform unless given.
/// What the coupling's marginals must be is <see cref="GromovOptions.Marginals"/>.
/// </summary>
public static class EntropicGromovWasserstein
{
    /// <summary>Points with more coordinates than this are compared by their costs: moments of so many coordinates are as much work.</summary>
    private const int MostCoordinates = 1024;

    /// <summary>Solves.</summary>
    /// <param name="c1">Cost within the first domain [n, n], finite. The solve runs on the device in whose memory it lies.</param>
    /// <param name="c2">Cost within the second domain [m, m], finite, in the same memory.</param>
    /// <param name="options">Parameters.</param>
    /// <param name="fused">Cost between the domains [n, m] for a fused problem (weight 1 - alpha), in any memory, or null.</param>
    /// <param name="initial">Starting coupling [n, m], in any memory, or null for the product of the masses.</param>
    /// <param name="p">Masses of the first domain, positive, or null for uniform.</param>
    /// <param name="q">Masses of the second domain, or null for uniform.</param>
    /// <param name="progress">Receives the change of the coupling at each check.</param>
    /// <param name="cancellation">Stops between outer iterations.</param>
    /// <returns>The coupling, in host memory, and what is known of it.</returns>
    /// <exception cref="DataException">A cost or the start has a value that is not finite, or the shapes do not fit.</exception>
    public static GromovResult Solve(Matrix<double> c1, Matrix<double> c2, GromovOptions options, Matrix<double>? fused = null, Matrix<double>? initial = null,
        double[]? p = null, double[]? q = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options.Validate();
        InputChecks.RequireSquareFinite(c1, "cost of the first domain");
        InputChecks.RequireSquareFinite(c2, "cost of the second domain");
        CheckBetween(c1.Rows, c2.Rows, options, fused, initial);
        p ??= Uniform(c1.Rows);
        q ??= Uniform(c2.Rows);
        using PlacedMatrix<double> between = (fused ?? c1).At(c1.Device), from = (initial ?? c1).At(c1.Device);
        (fused, initial) = (fused is null ? null : between.Matrix, initial is null ? null : from.Matrix);
        if (options.Precision == GromovPrecision.Double)
        {
            using GromovIteration<double> iteration = new(new GromovIterationInput<double>(c1, c2), options, fused, initial, p, q);
            return iteration.Run(progress ?? SilentProgress.Instance, cancellation);
        }
        using Matrix<float> single1 = Elementwise.Converted<double, float>(c1.View), single2 = Elementwise.Converted<double, float>(c2.View);
        return SolveSingle(new GromovIterationInput<float>(single1, single2), options, fused, initial, p, q, progress, cancellation);
    }

    /// <summary>Solves with the costs of two domains, without forming them where they are squared distances of points with few coordinates and the loss is square.</summary>
    /// <inheritdoc cref="Solve(Matrix{double}, Matrix{double}, GromovOptions, Matrix{double}?, Matrix{double}?, double[], double[], IProgressReporter?, CancellationToken)"/>
    public static GromovResult Solve(DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? fused = null, Matrix<double>? initial = null,
        IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        if (!UsesPoints(c1, c2, options)) return Solve(c1.Cost, c2.Cost, options, fused, initial, progress: progress, cancellation: cancellation);
        options.Validate();
        CheckBetween(c1.Count, c2.Count, options, fused, initial);
        Matrix<double> x = c1.Points!;
        using PlacedMatrix<double> between = (fused ?? x).At(x.Device), from = (initial ?? x).At(x.Device);
        (fused, initial) = (fused is null ? null : between.Matrix, initial is null ? null : from.Matrix);
        double[] p = Uniform(c1.Count), q = Uniform(c2.Count);
        if (options.Precision == GromovPrecision.Single) return SolveSingle(new GromovIterationInput<float>(c1, c2), options, fused, initial, p, q, progress, cancellation);
        using GromovIteration<double> iteration = new(new GromovIterationInput<double>(c1, c2), options, fused, initial, p, q);
        return iteration.Run(progress ?? SilentProgress.Instance, cancellation);
    }

    /// <summary>The products then cost n m d operations in place of n m (n + m).</summary>
    private static bool UsesPoints(DomainCostResult c1, DomainCostResult c2, GromovOptions options) => c1.Points is { } x && c2.Points is { } y
        && UsesPoints((x.Rows, x.Columns), (y.Rows, y.Columns), options);

    internal static bool UsesPoints((int Rows, int Columns) x, (int Rows, int Columns) y, GromovOptions options) =>
        options.Loss == GromovLoss.Square && options.Marginals == MarginalConstraint.Balanced && 4L * (Math.Min(x.Columns, y.Columns) + 2) < (long)x.Rows + y.Rows && Math.Max(x.Columns, y.Columns) <= MostCoordinates;

    private static GromovResult SolveSingle(GromovIterationInput<float> input, GromovOptions options, Matrix<double>? fused, Matrix<double>? initial, double[] p, double[] q,
        IProgressReporter? progress, CancellationToken cancellation)
    {
        using Matrix<float>? singleFused = fused is null ? null : Elementwise.Converted<double, float>(fused.View);
        using Matrix<float>? singleInitial = initial is null ? null : Elementwise.Converted<double, float>(initial.View);
        using GromovIteration<float> iteration = new(input, options, singleFused, singleInitial, p, q);
        return iteration.Run(progress ?? SilentProgress.Instance, cancellation);
    }

    internal static void CheckBetween(int n, int m, GromovOptions options, Matrix<double>? fused, Matrix<double>? initial)
    {
        if (fused is not null) InputChecks.RequireShapeFinite(fused, n, m, "fused cost");
        if (fused is null && options.Alpha != 1) throw new UsageException("alpha has no meaning without a fused cost.");
        if (initial is not null) InputChecks.RequireCoupling(initial, n, m, "initial coupling", options.Marginals is MarginalConstraint.Balanced or MarginalConstraint.SemiRelaxed);
    }

    internal static double[] Uniform(int count)
    {
        double[] mass = new double[count];
        Array.Fill(mass, 1.0 / count);
        return mass;
    }
}
