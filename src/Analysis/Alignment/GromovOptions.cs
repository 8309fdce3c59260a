using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Whose epsilon it is. POT linearises the objective with 2 L ⊗ T, OTT with L ⊗ T, so POT(epsilon) and OTT(epsilon / 2) have the same plans.</summary>
public enum EpsilonConvention
{
    Pot,
    Ott,
}

/// <summary>The outer iteration.</summary>
public enum GromovSolverKind
{
    /// <summary>Projected gradient descent in the KL geometry: minimises the objective with an entropy term (Peyré, Cuturi and Solomon 2016).</summary>
    Pgd,

    /// <summary>Proximal point: epsilon is a step size and the plan is sharp (Xu et al. 2019); adds -epsilon log T to the linear cost.</summary>
    Ppa,
}

/// <summary>How each inner transport problem is solved.</summary>
public enum InnerSolve
{
    /// <summary>To its tolerance: from the potentials of the previous outer iteration, with Anderson acceleration. POT's plan wherever POT's inner solver converges.</summary>
    Converged,

    /// <summary>POT's own iterates from zero potentials, stopped at its limit whether or not they have converged. Reproduces POT's couplings and traces number by number.</summary>
    PotIterates,
}

/// <summary>Element type of costs, kernel and coupling. Potentials, marginals and the objective are double in both.</summary>
public enum GromovPrecision
{
    Double,
    Single,
}

/// <summary>Parameters of an entropic Gromov-Wasserstein solve; the defaults are POT's.</summary>
public sealed record GromovOptions
{
    /// <summary>Entropic regularisation in the units of <see cref="Convention"/>, after the costs were scaled.</summary>
    public double Epsilon { get; init; } = 1e-3;
    public EpsilonConvention Convention { get; init; } = EpsilonConvention.Pot;
    public GromovLoss Loss { get; init; } = GromovLoss.Square;
    public GromovSolverKind Solver { get; init; } = GromovSolverKind.Pgd;

    /// <summary>Outer tolerance on the Frobenius norm of the change of the coupling, measured every <see cref="CheckEvery"/> iterations.</summary>
    public double Tolerance { get; init; } = 1e-9;
    public int MaxIterations { get; init; } = 1000;
    public int CheckEvery { get; init; } = 10;

    /// <summary>Stopping rule of the inner solver.</summary>
    public SinkhornOptions Inner { get; init; } = SinkhornOptions.Pot with { CompactKernel = true };
    public InnerSolve InnerSolve { get; init; } = InnerSolve.Converged;
    public GromovPrecision Precision { get; init; } = GromovPrecision.Double;

    /// <summary>Weight of the structure term in a fused problem (POT's alpha); 1 is pure Gromov-Wasserstein.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Computes every tensor product in full instead of updating the last one by the (single-precision) product of the change.</summary>
    public bool ExactProducts { get; init; }

    internal SinkhornOptions EffectiveInner => InnerSolve == InnerSolve.Converged ? Inner with { Accelerate = true, CheckEvery = 1 } : Inner;

    internal double LinearScale => Convention == EpsilonConvention.Pot ? 2 : 1;

    internal void Validate()
    {
        if (!(Epsilon > 0) || !double.IsFinite(Epsilon)) throw new UsageException($"epsilon is {Epsilon}; it must be a positive number.");
        if (!(Tolerance >= 0)) throw new UsageException($"The tolerance is {Tolerance}; it must not be negative.");
        if (MaxIterations < 1) throw new UsageException($"max-iter is {MaxIterations}; at least one iteration is needed.");
        if (CheckEvery < 1) throw new UsageException($"The check interval is {CheckEvery}; it must be at least 1.");
        if (!(Alpha > 0 && Alpha <= 1)) throw new UsageException($"alpha is {Alpha}; it must lie in (0, 1] (1 is pure Gromov-Wasserstein).");
    }
}
