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

/// <summary>What the marginals of the coupling must be.</summary>
public enum MarginalConstraint
{
    /// <summary>Rows sum to the masses p and columns to q.</summary>
    Balanced,

    /// <summary>Rows sum to p; columns are free (Vincent-Cuaz et al. 2022; POT's entropic_semirelaxed_gromov_wasserstein).</summary>
    SemiRelaxed,

    /// <summary>Departures of both marginals cost <see cref="GromovOptions.Rho"/> times a quadratic Kullback-Leibler divergence (Séjourné, Vialard and Peyré 2021; SCOT v2).</summary>
    Unbalanced,

    /// <summary>Rows sum to at most p, columns to at most q, everything to <see cref="GromovOptions.Mass"/> (Chapel, Alaya and Gasso 2020; POT's entropic_partial_gromov_wasserstein).</summary>
    Partial,
}

/// <summary>When the outer iteration ends.</summary>
public enum StoppingRule
{
    /// <summary>The Frobenius norm of the change of the coupling, looked at every <see cref="GromovOptions.CheckEvery"/> iterations, is at or below the tolerance.</summary>
    Pot,

    /// <summary>Two successive regularised costs of the linear problem differ by less than the tolerance, relatively, after at least five comparisons' worth of iterations.</summary>
    Ott,
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

    /// <summary>What the marginals must be.</summary>
    public MarginalConstraint Marginals { get; init; } = MarginalConstraint.Balanced;

    /// <summary>Mass that a partial coupling carries, in (0, 1].</summary>
    public double Mass { get; init; } = 1;

    /// <summary>Price of departing from the masses in an unbalanced problem, positive, in the units of <see cref="Epsilon"/> (Séjourné's and SCOT v2's numbers in OTT's convention).</summary>
    public double Rho { get; init; } = 1;

    /// <summary>Outer tolerance, of what <see cref="Stop"/> looks at. OTT's own is 1e-3.</summary>
    public double Tolerance { get; init; } = 1e-9;
    public StoppingRule Stop { get; init; } = StoppingRule.Pot;

    /// <summary>Most outer iterations. OTT's own limit is 51: fifty, and the solve before them.</summary>
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

    /// <summary>
    /// Where the coupling is not stored and the solver is pgd: combines the last outer iterations (Anderson acceleration with a safeguard) instead of taking every one as it
    /// comes. The coupling is the same; it takes fewer iterations, whose plans are no longer POT's one by one.
    /// </summary>
    public bool Extrapolate { get; init; } = true;

    internal SinkhornOptions EffectiveInner => InnerSolve == InnerSolve.Converged ? Inner with { Accelerate = true, CheckEvery = 1 } : Inner;

    internal double LinearScale => Convention == EpsilonConvention.Pot ? 2 : 1;

    /// <summary>Refuses parameters without a meaning, alone or together.</summary>
    /// <exception cref="UsageException">With what is wrong.</exception>
    public void Validate()
    {
        if (!(Epsilon > 0) || !double.IsFinite(Epsilon)) throw new UsageException($"epsilon is {Epsilon}; it must be a positive number.");
        if (!(Tolerance >= 0)) throw new UsageException($"The tolerance is {Tolerance}; it must not be negative.");
        if (MaxIterations < 1) throw new UsageException($"max-iter is {MaxIterations}; at least one iteration is needed.");
        if (CheckEvery < 1) throw new UsageException($"The check interval is {CheckEvery}; it must be at least 1.");
        if (!(Alpha > 0 && Alpha <= 1)) throw new UsageException($"alpha is {Alpha}; it must lie in (0, 1] (1 is pure Gromov-Wasserstein).");
        ValidateMarginals();
        if (Stop == StoppingRule.Ott && Solver == GromovSolverKind.Ppa)
            throw new UsageException("OTT's stopping rule compares the regularised costs of linear problems, which a proximal step changes by its own term; use pgd, or POT's rule.");
    }

    private void ValidateMarginals()
    {
        if (Marginals == MarginalConstraint.Balanced) return;
        if (Marginals == MarginalConstraint.SemiRelaxed && Solver != GromovSolverKind.Ppa)
            throw new UsageException("A semi-relaxed problem is solved by proximal steps (ppa), each in closed form; pgd has no meaning for it.");
        if (Marginals != MarginalConstraint.SemiRelaxed && Solver == GromovSolverKind.Ppa)
            throw new UsageException("Proximal steps (ppa) are defined for balanced and semi-relaxed marginals; unbalanced and partial problems are solved by pgd.");
        if (Marginals != MarginalConstraint.Partial && InnerSolve == InnerSolve.PotIterates)
            throw new UsageException("POT's inner iterates exist for balanced and partial marginals only.");
        if (Stop == StoppingRule.Ott) throw new UsageException("OTT's stopping rule compares costs of balanced problems; use POT's rule with other marginals.");
        if (Marginals == MarginalConstraint.Partial && !(Mass > 0 && Mass <= 1)) throw new UsageException($"mass is {Mass}; a partial coupling carries a mass in (0, 1], and both domains have mass 1.");
        if (Marginals != MarginalConstraint.Unbalanced) return;
        if (!(Rho > 0) || !double.IsFinite(Rho)) throw new UsageException($"rho is {Rho}; it must be a positive number (large for masses that are nearly kept).");
    }
}
