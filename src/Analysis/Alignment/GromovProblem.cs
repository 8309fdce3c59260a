using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>One of many balanced problems of an alignment, with uniform masses.</summary>
/// <param name="First">Cost within the first domain [n, n].</param>
/// <param name="Second">Cost within the second domain [m, m], in the same memory.</param>
/// <param name="Fused">Cost between the domains [n, m] in any memory, or null.</param>
/// <param name="Initial">Starting coupling [n, m] in any memory, or null for the product of the masses.</param>
/// <param name="Owned">What is this problem's alone and goes with it.</param>
internal sealed record GromovProblem(Matrix<double> First, Matrix<double> Second, Matrix<double>? Fused = null, Matrix<double>? Initial = null, IDisposable? Owned = null) : IDisposable
{
    /// <summary>The domains whose costs these are, where solving by their points may be cheaper.</summary>
    public (DomainCostResult First, DomainCostResult Second)? Domains { get; init; }

    /// <summary>Labels that the coupling is restricted to, or null.</summary>
    public BlockLabels? Blocks { get; init; }

    /// <summary>Solves it by itself.</summary>
    public GromovResult Solve(GromovOptions options, CancellationToken cancellation) => Domains is { } domains
        ? StoredSolver.Solve(domains.First, domains.Second, options, Blocks, Fused, Initial, cancellation: cancellation)
        : StoredSolver.Solve(First, Second, options, Blocks, Fused, Initial, cancellation: cancellation);

    public void Dispose() => Owned?.Dispose();
}
