using System.Diagnostics;
using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Entropic Gromov-Wasserstein between two cost matrices (Peyré, Cuturi and Solomon 2016, algorithm 1; POT's entropic_gromov_wasserstein):
/// linearise the objective at the coupling, solve the entropic transport problem, repeat. Masses are uniform unless given.
/// </summary>
public static class EntropicGromovWasserstein
{
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
        if (fused is not null) InputChecks.RequireShapeFinite(fused, c1.Rows, c2.Rows, "fused cost");
        if (fused is null && options.Alpha != 1) throw new UsageException("alpha has no meaning without a fused cost.");
        if (initial is not null) InputChecks.RequireCoupling(initial, c1.Rows, c2.Rows, "initial coupling");
        p ??= Uniform(c1.Rows);
        q ??= Uniform(c2.Rows);
        using Relocated<double> between = (fused ?? c1).At(c1.Device), from = (initial ?? c1).At(c1.Device);
        (fused, initial) = (fused is null ? null : between.Matrix, initial is null ? null : from.Matrix);
        if (options.Precision == GromovPrecision.Double)
        {
            using GromovIteration<double> iteration = new(c1, c2, options, fused, initial, p, q);
            return iteration.Run(progress ?? SilentProgress.Instance, cancellation);
        }
        using Matrix<float> single1 = MatrixElements.Convert<double, float>(c1.View), single2 = MatrixElements.Convert<double, float>(c2.View);
        using Matrix<float>? singleFused = fused is null ? null : MatrixElements.Convert<double, float>(fused.View);
        using Matrix<float>? singleInitial = initial is null ? null : MatrixElements.Convert<double, float>(initial.View);
        using GromovIteration<float> singleIteration = new(single1, single2, options, singleFused, singleInitial, p, q);
        return singleIteration.Run(progress ?? SilentProgress.Instance, cancellation);
    }

    internal static double[] Uniform(int count)
    {
        double[] mass = new double[count];
        Array.Fill(mass, 1.0 / count);
        return mass;
    }
}
