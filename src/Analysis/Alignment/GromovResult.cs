using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Where the time of a solve went, in seconds.</summary>
/// <param name="Products">Tensor products.</param>
/// <param name="Linearise">Assembling the linear costs.</param>
/// <param name="Sinkhorn">Inner solves.</param>
/// <param name="Coupling">Forming the coupling and measuring its change.</param>
public readonly record struct GromovTiming(double Products, double Linearise, double Sinkhorn, double Coupling)
{
    public double Total => Products + Linearise + Sinkhorn + Coupling;
}

/// <summary>
/// A change of the coupling that stopped falling above the tolerance, as in single precision every change does: scores are rounded to 24 bits, so that entries of the plan move by
/// their magnitude times 6e-8 whatever the iteration does.
/// </summary>
/// <param name="Change">Frobenius norm of the last change.</param>
/// <param name="Floor">Norm up to which a change is what that rounding explains.</param>
public sealed record SettledChange(double Change, double Floor)
{
    /// <summary>Relative change of a plan that rounding explains: half a unit in the last of 24 bits of scores up to 1,700.</summary>
    public const double RelativeFloor = 1e-4;

    /// <summary>True where nothing but the precision keeps the change above the tolerance: the coupling is as settled as it can be.</summary>
    public bool WithinFloor => Change <= Floor;

    /// <summary>The floor for a plan of this entropy, whose norm is at least exp(-entropy / 2) since sum T² is no less than exp(sum T log T).</summary>
    internal static SettledChange Of(double change, double entropy) => new(change, RelativeFloor * Math.Exp(-0.5 * entropy));

    internal string Sentence(double tolerance) => string.Create(CultureInfo.InvariantCulture,
        $"The change of the coupling settled at {Change:e1}, above the tolerance of {tolerance:g3}: {(WithinFloor ? "the resolution of single precision, which" : "more than the resolution of single precision, which")} explains up to {Floor:e1} here; double precision goes on.");
}

/// <summary>An entropic Gromov-Wasserstein coupling with everything needed to judge it. Owns the coupling.</summary>
public sealed class GromovResult : IDisposable
{
    private readonly Matrix<double>? _coupling;

    /// <summary>The coupling [n, m], of non-negative entries; for balanced and semi-relaxed problems they sum to 1 up to <see cref="RowError"/> and <see cref="ColumnError"/>.</summary>
    /// <exception cref="InvalidOperationException">The coupling is not stored: ask <see cref="Implicit"/>.</exception>
    public Matrix<double> Coupling
    {
        get => _coupling ?? throw new InvalidOperationException("This coupling is not stored; its rows, blocks and products come from the implicit coupling.");
        init => _coupling = value;
    }

    /// <summary>The coupling where it is known by factors and potentials alone; null where it is stored.</summary>
    public ImplicitCoupling? Implicit { get; init; }

    /// <summary>Sum of the coupling: 1 unless the problem is unbalanced or partial.</summary>
    public double Mass { get; init; } = 1;

    /// <summary>sum L(C1_ik, C2_jl) T_ij T_kl, with the marginals' constant terms as POT's gw_dist; no entropy term. In a fused problem the structure part alone.</summary>
    public required double Loss { get; init; }

    /// <summary>(1 - alpha) sum M T + alpha <see cref="Loss"/>; equal to <see cref="Loss"/> when nothing is fused.</summary>
    public required double FusedLoss { get; init; }

    /// <summary>The minimised objective: <see cref="FusedLoss"/> + epsilon sum T (log T - 1), epsilon in POT's convention. For unbalanced problems
    /// <see cref="FusedLoss"/> and the three quadratic divergences of Séjourné, Vialard and Peyré 2021, equation 7, in their units.</summary>
    public required double RegularisedObjective { get; init; }

    /// <summary>-sum T log T in nats; log(n m) for the product coupling, log(n) for a matching.</summary>
    public required double Entropy { get; init; }

    /// <summary>L1 norm by which the row sums violate what the problem asks of them: to be the masses, not to exceed them (partial), or nothing (unbalanced).</summary>
    public required double RowError { get; init; }

    /// <summary>L1 norm by which the column sums violate what the problem asks of them; nothing when semi-relaxed or unbalanced.</summary>
    public required double ColumnError { get; init; }

    /// <summary>L1 distance of the row sums from the masses, whether or not the problem asks for them.</summary>
    public double RowDeviation { get; init; }

    /// <summary>L1 distance of the column sums from the masses, whether or not the problem asks for them.</summary>
    public double ColumnDeviation { get; init; }

    /// <summary>True when both costs are symmetric (to 1e-10); otherwise the tensors of the costs and of their transposes were averaged.</summary>
    public bool Symmetric { get; init; } = true;

    /// <summary>Frobenius norm of the change of the coupling at iterations 0, 10, 20, ... (POT's log["err"]).</summary>
    public required IReadOnlyList<double> ErrorTrace { get; init; }

    /// <summary>Regularised costs of the linear problems that OTT's stopping rule compares; empty under POT's rule.</summary>
    public IReadOnlyList<double> CostTrace { get; init; } = [];

    /// <summary>True when the stopping rule was met.</summary>
    public required bool Converged { get; init; }

    /// <summary>Where the change of the coupling stopped falling above the tolerance; null where the rule was met or the iterations were used up.</summary>
    public SettledChange? Settled { get; init; }
    public required int Iterations { get; init; }

    /// <summary>Sinkhorn iterations over all outer iterations.</summary>
    public required long InnerIterations { get; init; }

    /// <summary>Outer iterations whose Sinkhorn stopped at its limit above its tolerance.</summary>
    public required int InnerNotConverged { get; init; }

    /// <summary>Column-marginal violation (Euclidean) of the last Sinkhorn.</summary>
    public required double LastInnerError { get; init; }

    /// <summary>Share of the kernel the last Sinkhorn iterations touched.</summary>
    public required double KernelFill { get; init; }
    public required GromovTiming Timing { get; init; }

    /// <summary>What a user must know about the numbers, one sentence each; empty when all is well.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    public void Dispose()
    {
        _coupling?.Dispose();
        Implicit?.Dispose();
    }
}
