using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// An epsilon far below the resolution of the costs gives no coupling: Sinkhorn does not come near the masses within its iterations, and exponents of
/// the order of cost / epsilon lose every digit. Only balanced problems ask for both masses. Such a solve fails; it must not end as a result with warnings.
/// </summary>
internal static class EpsilonCheck
{
    /// <summary>L1 violation of rows and columns together from which a matrix is no coupling of these masses: a quarter of the mass lies elsewhere.</summary>
    public const double NoCoupling = 0.5;

    /// <summary>Below this share of the product of the largest costs an epsilon is tried with one iteration before all of them are spent on it.</summary>
    private const double SuspiciousShare = 1e-7;
    private const double Smallest = 1e-16;

    /// <summary>Tries a suspiciously small epsilon; others cost nothing here.</summary>
    /// <exception cref="ConvergenceException">It gives no coupling.</exception>
    public static void Try(DomainCostResult c1, DomainCostResult c2, GromovOptions options, BlockLabels? blocks, Matrix<double>? fused, Matrix<double>? initial, CancellationToken cancellation) =>
        Try(c1, c2, options, fused, With(c1, c2, blocks, fused, initial, cancellation));

    /// <summary>The same for a solver that stores no coupling.</summary>
    public static void Try(DomainCostResult c1, DomainCostResult c2, GromovOptions options, CancellationToken cancellation) => Try(c1, c2, options, null, Online(c1, c2, cancellation));

    /// <summary>Runs a search and refuses a result that is no coupling.</summary>
    /// <exception cref="ConvergenceException">It is not.</exception>
    public static GromovResult Require(Func<GromovResult> search, DomainCostResult c1, DomainCostResult c2, GromovOptions options, BlockLabels? blocks, Matrix<double>? fused, Matrix<double>? initial,
        CancellationToken cancellation) => Require(search, c1, c2, options, fused, With(c1, c2, blocks, fused, initial, cancellation));

    /// <summary>The same for a solver that stores no coupling.</summary>
    public static GromovResult Require(Func<GromovResult> search, DomainCostResult c1, DomainCostResult c2, GromovOptions options, CancellationToken cancellation) =>
        Require(search, c1, c2, options, null, Online(c1, c2, cancellation));

    private static void Try(DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? fused, Func<GromovOptions, double> firstError)
    {
        if (options.Marginals != MarginalConstraint.Balanced || !(options.Epsilon > 0) || options.Epsilon >= SuspiciousShare * c1.LargestMagnitude * c2.LargestMagnitude) return;
        double error = MarginalError(options, firstError);
        if (!(error <= NoCoupling)) throw Failure(error, c1, c2, options, fused, firstError);
    }

    private static GromovResult Require(Func<GromovResult> search, DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? fused, Func<GromovOptions, double> firstError)
    {
        GromovResult result;
        try
        {
            result = search();
        }
        catch (ConvergenceException) when (options.Marginals == MarginalConstraint.Balanced)
        {
            throw Failure(double.NaN, c1, c2, options, fused, firstError);
        }
        double error = result.RowError + result.ColumnError;
        if (error <= NoCoupling) return result;
        result.Dispose();
        throw Failure(error, c1, c2, options, fused, firstError);
    }

    private static ConvergenceException Failure(double error, DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? fused, Func<GromovOptions, double> firstError)
    {
        string how = double.IsFinite(error) ? Text($"the masses are missed by {error:g3} in L1") : "the iteration became non-finite";
        string hint = SmallestUseful(c1, c2, options, fused, firstError) is { } useful
            ? Text($"the smallest power of ten whose first iteration meets the masses of these data is {useful:g1}")
            : "no larger power of ten meets the masses of these data either: scale the costs";
        return new ConvergenceException(Text($"epsilon {options.Epsilon:g6} gives no coupling ({how}); {hint}."));
    }

    /// <summary>The smallest power of ten above epsilon whose first iteration meets the masses, found by bisection; null when none up to the costs' own size does.</summary>
    private static double? SmallestUseful(DomainCostResult c1, DomainCostResult c2, GromovOptions options, Matrix<double>? fused, Func<GromovOptions, double> firstError)
    {
        double size = Math.Max(c1.LargestMagnitude * c2.LargestMagnitude, fused is null ? 0 : MatrixElements.Summarise(fused.View).LargestMagnitude);
        int low = (int)Math.Floor(Math.Log10(Math.Max(options.Epsilon, Smallest * size))), high = (int)Math.Ceiling(Math.Log10(size)) + 1;
        if (high <= low || !Useful(high)) return null;
        while (high - low > 1)
        {
            int middle = low + (high - low) / 2;
            if (Useful(middle)) high = middle;
            else low = middle;
        }
        return Math.Pow(10, high);

        bool Useful(int exponent) =>
            MarginalError(options with { Epsilon = Math.Pow(10, exponent) }, firstError) <= AlignmentVerdict.MarginalLimit;
    }

    /// <summary>L1 violation of the masses after one outer iteration; infinite when it became non-finite.</summary>
    private static double MarginalError(GromovOptions options, Func<GromovOptions, double> firstError)
    {
        try
        {
            return firstError(options with { MaxIterations = 1 });
        }
        catch (ConvergenceException)
        {
            return double.PositiveInfinity;
        }
    }

    private static Func<GromovOptions, double> With(DomainCostResult c1, DomainCostResult c2, BlockLabels? blocks, Matrix<double>? fused, Matrix<double>? initial, CancellationToken cancellation) => options =>
    {
        using GromovResult first = StoredSolver.Solve(c1, c2, options, blocks, fused, initial, cancellation: cancellation);
        return first.RowError + first.ColumnError;
    };

    private static Func<GromovOptions, double> Online(DomainCostResult c1, DomainCostResult c2, CancellationToken cancellation) => options =>
    {
        using OnlineGromovResult first = OnlineGromovWasserstein.Solve(c1, c2, options, cancellation: cancellation);
        return first.RowError + first.ColumnError;
    };

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
