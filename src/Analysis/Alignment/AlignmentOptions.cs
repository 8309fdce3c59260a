using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Where the first solve of an alignment starts.</summary>
public enum FirstStart
{
    /// <summary>The product of the masses.</summary>
    Product,

    /// <summary>The best coupling of a few landmarks of both domains, spread over the points that belong to them: balanced problems without a fused cost.</summary>
    Quantised,
}

/// <summary>Everything an alignment of two data sets needs to know.</summary>
public sealed record AlignmentOptions
{
    public DomainCostOptions FirstCost { get; init; } = DomainCostOptions.Scot(30);
    public DomainCostOptions SecondCost { get; init; } = DomainCostOptions.Scot(30);
    public GromovOptions Gromov { get; init; } = new();

    /// <summary>Where the first solve starts, unless a coupling is given.</summary>
    public FirstStart FirstStart { get; init; } = FirstStart.Product;

    /// <summary>Starting couplings: the first one (<see cref="FirstStart"/>, or the one given), a mirrored one, a random one, flips of the second and third direction, then random ones.</summary>
    public int Starts { get; init; } = 1;

    /// <summary>Decoy targets for the null distribution of the loss.</summary>
    public int Decoys { get; init; }
    public ulong Seed { get; init; }

    /// <summary>Whether the coupling is stored. <see cref="GromovResult.Coupling"/> exists only where it is.</summary>
    public CouplingForm Coupling { get; init; } = CouplingForm.Stored;

    /// <summary>Bytes that <see cref="CouplingForm.Auto"/> may plan with; 0 for four fifths of the memory of the device that the points lie on.</summary>
    public long MemoryLimit { get; init; }

    /// <summary>Bootstrap replicates for the stability of every cell's partner; 0 for none.</summary>
    public int Replicates { get; init; }

    /// <summary>Labels that the coupling is restricted to (<see cref="LabelBlockGromovWasserstein"/>, joint); null for none.</summary>
    public BlockLabels? Blocks { get; init; }

    /// <summary>Row i of the first domain is row i of the second: scores FOSCTTM.</summary>
    public bool TruthIsIdentity { get; init; }

    /// <summary>SCOT's recipe (src/scotv1.py): k neighbours and epsilon are the two numbers it is tuned by.</summary>
    public static AlignmentOptions Scot(int neighbours, double epsilon) => new()
    {
        FirstCost = DomainCostOptions.Scot(neighbours), SecondCost = DomainCostOptions.Scot(neighbours), Gromov = new GromovOptions { Epsilon = epsilon },
    };

    /// <summary>GW-map's recipe: k = 60, mean-scaled geodesics, epsilon 0.0015 in OTT's convention.</summary>
    public static AlignmentOptions GwMap(int neighbours = 60, double epsilon = 0.0015) => new()
    {
        FirstCost = DomainCostOptions.GwMap(neighbours), SecondCost = DomainCostOptions.GwMap(neighbours),
        Gromov = new GromovOptions { Epsilon = epsilon, Convention = EpsilonConvention.Ott },
    };

    /// <summary>
    /// Settings of the extra solves (starts and decoys), which are compared with each other only: converged inner solves and looser tolerances.
    /// </summary>
    internal GromovOptions Screening => Gromov with
    {
        InnerSolve = InnerSolve.Converged,
        Tolerance = Math.Max(Gromov.Tolerance, 1e-6),
        MaxIterations = Math.Min(Gromov.MaxIterations, 200),
        Inner = Gromov.Inner with { MaxIterations = 100, Tolerance = Math.Max(Gromov.Inner.Tolerance, 1e-7) },
    };
}

/// <summary>One extra start.</summary>
/// <param name="Kind">"product" ("quantised", "given"), "mirrored", "mirrored along the second direction", "mirrored along the third direction" or "random".</param>
/// <param name="Loss">Loss it reached with the screening settings; the whole objective where marginals are priced, since losing mass lowers the loss.</param>
/// <param name="Converged">Whether it reached the screening tolerance.</param>
/// <param name="Displacement">Mean distance in the second domain between its matches and the returned coupling's, over the mean distance there: 0 the same, 1 unrelated.</param>
/// <param name="BarycentricAccuracy">Label accuracy where labels are known.</param>
public sealed record StartOutcome(string Kind, double Loss, bool Converged, double Displacement, double? BarycentricAccuracy);

/// <summary>Correlations of matched distances against decoy targets.</summary>
/// <param name="Observed">Correlation against the real target, with the same screening settings.</param>
/// <param name="Decoys">Correlation against each cluster-permuted decoy; fewer than asked for where no arrangement differs enough from the target.</param>
/// <param name="Rejected">Arrangements drawn but not used because the target fits them almost as well as itself.</param>
public sealed record NullDistribution(double Observed, IReadOnlyList<double> Decoys, int Rejected)
{
    /// <summary>(1 + decoys with a correlation at or above the observed) / (1 + decoys).</summary>
    public double P => (1 + Decoys.Count(correlation => correlation >= Observed)) / (1.0 + Decoys.Count);
}

/// <summary>What is known of a finished alignment, whatever the form of its coupling.</summary>
public abstract class AlignmentReport : IDisposable
{
    /// <summary>Which start the coupling came from.</summary>
    public required string SelectedStart { get; init; }
    public required IReadOnlyList<StartOutcome> Starts { get; init; }

    /// <summary>Which starts ended in the same optimum; null with one start.</summary>
    public required DistinctOptima? Optima { get; init; }

    /// <summary>State of the solve, stationarity gap and lower bounds.</summary>
    public required AlignmentCertificates Certificates { get; init; }
    public required LabelTransferResult? Labels { get; init; }

    /// <summary>SCOT's vote of 5 neighbours at the barycentric projection; null without labels or without points in the second domain.</summary>
    public required ConfusionMatrix? NeighbourVote { get; init; }
    public required FosctTm? Foscttm { get; init; }

    /// <summary>exp of the mean row entropy: how many partners a cell has on average.</summary>
    public required double MeanPartners { get; init; }
    public required AlignmentVerdict Verdict { get; init; }
    public required MemoryPlan Memory { get; init; }
    public required (int First, int Second) GraphComponents { get; init; }

    /// <summary>What a user must know about the input and the solve, one sentence each; empty when all is well.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    public abstract void Dispose();
}

/// <summary>A finished alignment by an entropic coupling, stored or implicit. Owns its coupling.</summary>
public sealed class AlignmentResult : AlignmentReport
{
    public required GromovResult Gromov { get; init; }
    public required NullDistribution? Null { get; init; }

    /// <summary>Nulls beside the decoys; null without decoys.</summary>
    public required SmoothnessNulls? SmoothNulls { get; init; }

    /// <summary>Bootstrap stability of the cells' partners; null without replicates.</summary>
    public required CellStability? Stability { get; init; }

    /// <summary>FOSCTTM among the cells of each block, what the verdict looks at; null without blocks or truth.</summary>
    public FosctTm? FoscttmWithinBlocks { get; init; }

    /// <summary>The labels that the coupling was restricted to, in ordinal order, with the cells of both domains and the mass of each; null without blocks.</summary>
    public IReadOnlyList<(string Label, int First, int Second, double Mass)>? Blocks { get; init; }

    /// <summary>Cells that have a partner at all; scores are those of them.</summary>
    public required MatchedCells Matched { get; init; }

    /// <summary>How well embedded points stand for the costs; null where they were not embedded.</summary>
    public (EmbeddingReport? First, EmbeddingReport? Second) Embeddings { get; init; }

    /// <summary>Whether the coupling is stored, and why.</summary>
    public CouplingChoice? Choice { get; init; }

    /// <summary>Cells of both domains that decoys, smoothness nulls and stability were measured on; null where all of them were.</summary>
    public (int[] First, int[] Second)? SampledCells { get; init; }
    public Matrix<double> Coupling => Gromov.Coupling;

    public override void Dispose() => Gromov.Dispose();
}
