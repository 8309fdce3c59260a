using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Whether the coupling is a matrix in memory.</summary>
public enum CouplingForm
{
    /// <summary>Stored where the solve fits into memory, else implicit where the problem allows it.</summary>
    Auto,

    /// <summary>A matrix [n, m].</summary>
    Stored,

    /// <summary>Known by factors and potentials: memory linear in the number of points (<see cref="OnlineGromovWasserstein"/>).</summary>
    Implicit,
}

/// <summary>Which form a coupling takes, why, and what the solve will hold.</summary>
/// <param name="Form"><see cref="CouplingForm.Stored"/> or <see cref="CouplingForm.Implicit"/>.</param>
/// <param name="Reason">One clause for a person.</param>
/// <param name="Plan">Native memory of the solve in that form.</param>
public sealed record CouplingChoice(CouplingForm Form, string Reason, MemoryPlan Plan)
{
    /// <summary>Share of the memory that a plan may take before the coupling is not stored.</summary>
    private const double UsableShare = 0.8;

    public bool IsImplicit => Form == CouplingForm.Implicit;

    /// <summary>"stored" or "implicit".</summary>
    public string Word => IsImplicit ? "implicit" : "stored";

    /// <summary>Decides for two domains of this many rows and columns.</summary>
    /// <param name="options">Parameters.</param>
    /// <param name="first">Shape of the first domain.</param>
    /// <param name="second">Shape of the second domain.</param>
    /// <param name="fused">There is a cost between the domains.</param>
    /// <param name="started">A starting coupling is given.</param>
    /// <param name="device">Where the points lie.</param>
    /// <exception cref="UsageException">The implicit form was asked for and the problem does not have it, or the stored one does not fit and nothing else is possible.</exception>
    public static CouplingChoice Decide(AlignmentOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, bool fused, bool started, ComputeDevice device)
    {
        string? obstacle = Obstacle(options, fused, started);
        (int n, int m) = (first.Rows, second.Rows);
        MemoryPlan Embedding(MemoryPlan plan) => EmbeddingPlan(plan, (options.FirstCost, n), (options.SecondCost, m));
        (first, second) = ((n, options.FirstCost.Coordinates(first.Columns)), (m, options.SecondCost.Coordinates(second.Columns)));
        if (options.Coupling == CouplingForm.Implicit)
            return obstacle is null ? new(CouplingForm.Implicit, "asked for", Embedding(Implicit(options, first, second, device))) : throw new UsageException($"The coupling must be stored: {obstacle}.");
        MemoryPlan stored = MemoryPlan.For(options, first, second, fused, ManyProblems.Room(device));
        if (options.Coupling == CouplingForm.Stored) return new(CouplingForm.Stored, "asked for", stored);
        long limit = options.MemoryLimit > 0 ? options.MemoryLimit : (long)(UsableShare * (device is CudaDevice gpu ? gpu.Info.MemoryBytes : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes));
        string sizes = Text($"{Size(stored.TotalBytes)} with the coupling in memory, of {Size(limit)} that may be used");
        if (stored.TotalBytes <= limit) return new(CouplingForm.Stored, $"it takes {sizes}", stored);
        if (obstacle is not null) throw new UsageException($"The solve does not fit: it takes {sizes}, and the coupling must be stored because {obstacle}. Ask for the stored form to try it all the same.");
        return new(CouplingForm.Implicit, $"it would take {sizes}", Embedding(Implicit(options, first, second, device)));
    }

    /// <summary>Why a problem cannot be solved without the coupling; null where it can.</summary>
    private static string? Obstacle(AlignmentOptions options, bool fused, bool started)
    {
        if (!options.FirstCost.KeepsPoints || !options.SecondCost.KeepsPoints) return "only squared Euclidean costs, not scaled by their median, and embedded ones are known by points alone";
        if (options.Gromov.Loss != GromovLoss.Square) return "the linear cost has a low rank with the square loss only";
        if (fused) return "a fused cost has no low rank";
        if (options.Blocks is not null) return "blocks of labels are matrices";
        if (started) return "a starting coupling is a matrix";
        if (options.Gromov.Marginals != MarginalConstraint.Balanced) return "the implicit form is that of balanced problems";
        if (options.Gromov.Stop != StoppingRule.Pot) return "the implicit form has POT's stopping rule";
        return options.Gromov.InnerSolve != InnerSolve.Converged ? "POT's inner iterates need the kernel in memory" : null;
    }

    private static MemoryPlan Implicit(AlignmentOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, ComputeDevice device)
    {
        int threads = device.Host.Pool.Threads;
        MemoryPlan solve = OnlineGromovWasserstein.Plan(first, second, options.Gromov.Precision, device);
        long points = 8 * ((long)first.Rows * first.Columns + (long)second.Rows * second.Columns);
        List<(string, long)> items = [("points of the costs", points), .. solve.Items, ("scores of the coupling", ImplicitAlignment.ScoringBytes(first, second, threads))];
        if (options.FirstStart == FirstStart.Quantised) items.Add(("quantised start", MemoryPlan.OfCoarseProblem(first.Rows, second.Rows)));
        if (options.Decoys > 0 || options.Replicates > 0)
        {
            int n = Math.Min(first.Rows, SampledChecks.MostCells), m = Math.Min(second.Rows, SampledChecks.MostCells);
            items.Add(("nulls on a sample of the cells", 3 * MemoryPlan.ForDense(n, m, options.Gromov.Precision).TotalBytes));
        }
        return solve with { Items = items };
    }

    /// <summary>Adds what embedding holds before the solve: costs to landmarks, their decomposition, and all shortest paths of a geodesic cost.</summary>
    private static MemoryPlan EmbeddingPlan(MemoryPlan plan, params (DomainCostOptions Cost, int Count)[] domains)
    {
        long bytes = 0;
        foreach ((DomainCostOptions cost, int count) in domains)
        {
            if (cost.EmbeddingRank == 0) continue;
            long landmarks = Math.Min(count, CostEmbedding.MostLandmarks);
            bytes += 8 * (4 * landmarks * landmarks + MatchAccuracy.BlockRows(count, (int)landmarks) * landmarks + (cost.Cost == DomainCost.Geodesic ? (long)count * count : 0));
        }
        return bytes == 0 ? plan : plan with { Items = [.. plan.Items, ("embedding of the costs", bytes)] };
    }

    private static string Size(long bytes) => Text($"{bytes / 1073741824.0:F1} GiB");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
