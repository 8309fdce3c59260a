using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>An entropic Gromov-Wasserstein coupling that is not stored, with everything needed to judge it. Owns the coupling and Γ.</summary>
public sealed class OnlineGromovResult : IDisposable
{
    /// <summary>Answers rows, columns, blocks and products of the coupling. Row masses are exact.</summary>
    public required ImplicitCoupling Coupling { get; init; }

    /// <summary>Xᵀ T Y [d1, d2] of the centred, scaled points.</summary>
    public required Matrix<double> Gamma { get; init; }

    /// <summary>sum L(C1_ik, C2_jl) T_ij T_kl without entropy, as <see cref="GromovResult.Loss"/>.</summary>
    public required double Loss { get; init; }

    /// <summary>-sum T log T in nats.</summary>
    public required double Entropy { get; init; }

    /// <summary><see cref="Loss"/> + epsilon sum T (log T - 1), epsilon in POT's convention.</summary>
    public required double RegularisedObjective { get; init; }

    /// <summary>L1 norm of the violation of the row masses, which are balanced last: rounding.</summary>
    public required double RowError { get; init; }

    /// <summary>L1 norm of the violation of the column masses, in double precision also where the solve was in single.</summary>
    public required double ColumnError { get; init; }

    /// <summary>Frobenius norm of the change of the coupling at iterations 0, 10, 20, ...</summary>
    public required IReadOnlyList<double> ErrorTrace { get; init; }

    /// <summary>True when the change of the coupling came to the tolerance.</summary>
    public required bool Converged { get; init; }

    /// <summary>Where it stopped falling above the tolerance, which happens in single precision; null otherwise.</summary>
    public required SettledChange? Settled { get; init; }
    public required int Iterations { get; init; }

    /// <summary>Passes over all pairs of points in the inner solves.</summary>
    public required long InnerIterations { get; init; }
    public required int InnerNotConverged { get; init; }
    public required double LastInnerError { get; init; }

    /// <summary>Products: Γ; Coupling: measuring the change.</summary>
    public required GromovTiming Timing { get; init; }

    /// <summary>What a user must know about the numbers, one sentence each; empty when all is well.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>The same result in the form that couplings in memory have. The coupling passes to it; Γ stays here.</summary>
    internal GromovResult ToGromovResult() => new()
    {
        Implicit = Coupling,
        Loss = Loss,
        FusedLoss = Loss,
        RegularisedObjective = RegularisedObjective,
        Entropy = Entropy,
        RowError = RowError,
        ColumnError = ColumnError,
        RowDeviation = RowError,
        ColumnDeviation = ColumnError,
        ErrorTrace = ErrorTrace,
        Converged = Converged,
        Settled = Settled,
        Iterations = Iterations,
        InnerIterations = InnerIterations,
        InnerNotConverged = InnerNotConverged,
        LastInnerError = LastInnerError,
        KernelFill = 1,
        Timing = Timing,
        Warnings = Warnings,
    };

    public void Dispose()
    {
        Coupling.Dispose();
        Gamma.Dispose();
    }
}
