using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>A finished alignment by a low-rank coupling. Owns the coupling.</summary>
public sealed class LowRankAlignmentResult : AlignmentReport
{
    public required LowRankResult Solve { get; init; }
    public LowRankCoupling Coupling => Solve.Coupling;

    public override void Dispose() => Solve.Dispose();
}

/// <summary>Aligns two data sets by a low-rank coupling and scores it through its factors.</summary>
public static class LowRankAlignment
{
    /// <summary>FOSCTTM compares all cells with all cells.</summary>
    private const int MostCells = 20_000;

    /// <param name="first">Points [n, d1], or their cost [n, n] when precomputed. Not changed.</param>
    /// <param name="second">Points [m, d2], or their cost [m, m].</param>
    /// <param name="costs">Costs within the domains, the number of starts and whether the truth is the identity; the entropic solver's parameters are not looked at.</param>
    /// <param name="options">Parameters of the solve.</param>
    /// <param name="firstLabels">Labels of the first domain [n], or null.</param>
    /// <param name="secondLabels">Labels of the second domain [m], or null.</param>
    /// <param name="progress">Receives the memory plan and the state of the solve.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    public static LowRankAlignmentResult Align(Matrix<double> first, Matrix<double> second, AlignmentOptions costs, LowRankOptions options, IReadOnlyList<string>? firstLabels = null,
        IReadOnlyList<string>? secondLabels = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        progress ??= SilentProgress.Instance;
        options.Validate();
        GromovAlignment.Check(first, second, costs, firstLabels, secondLabels);
        using DomainCostResult c1 = DomainCosts.Build(first, costs.FirstCost, "first domain", cancellation), c2 = DomainCosts.Build(second, costs.SecondCost, "second domain", cancellation);
        LowRankSearch search = new(c1, c2, options, costs.Starts, firstLabels, secondLabels, progress, cancellation);
        LowRankResult result = search.Run();
        progress.Report("scoring", 0, 0);
        List<string> missing = ["Decoys, bootstrap stability and smoothness-preserving nulls are not run for low-rank couplings."];
        LowRankCoupling coupling = result.Coupling;
        if (coupling.RowStep > 1) missing.Add(Text($"One-to-one accuracy and the number of partners are those of every {coupling.RowStep}th row of the coupling."));
        coupling.Look(cancellation);
        LabelTransferResult? labels = firstLabels is null || secondLabels is null ? null : LabelTransfer.Evaluate(coupling, firstLabels, secondLabels, costs.Seed);
        bool compared = costs.TruthIsIdentity && coupling.Rows <= MostCells;
        if (costs.TruthIsIdentity && !compared) missing.Add($"FOSCTTM compares all cells with all cells and is measured up to {MostCells} of them.");
        using Matrix<double>? target = costs.SecondCost.Cost == DomainCost.Precomputed || (labels is null && !compared) ? null : GromovAlignment.Target(second, costs.SecondCost);
        using Matrix<double>? projected = target is null ? null : coupling.Project(target.View);
        FosctTm? foscttm = !compared ? null : projected is null ? MatchAccuracy.ByMass(coupling) : MatchAccuracy.Foscttm(projected, target!);
        ConfusionMatrix? vote = labels is null || projected is null ? null : LabelTransfer.ByNeighbours(projected, firstLabels!, target!, secondLabels!);
        progress.Report("certifying", 0, 0);
        AlignmentCertificates certificates = LowRankCertificates.Of(c1, c2, result, missing, cancellation);
        return new LowRankAlignmentResult
        {
            Solve = result, SelectedStart = search.Selected, Starts = search.Outcomes, Optima = search.Optima, Certificates = certificates, Labels = labels, NeighbourVote = vote, Foscttm = foscttm,
            MeanPartners = coupling.MeanPartners(), Verdict = Judge(result, search, labels, foscttm), GraphComponents = (c1.Components, c2.Components),
            Memory = Plan(costs, options, (first.Rows, first.Columns), (second.Rows, second.Columns), first.Device.Host.Pool.Threads),
            Warnings = [.. GromovAlignment.Warnings("first", c1), .. GromovAlignment.Warnings("second", c2), .. result.Warnings],
        };
    }

    /// <summary>The native memory of solve, scores and certificates, the points as they were given included.</summary>
    public static MemoryPlan Plan(AlignmentOptions costs, LowRankOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, int threads = 1)
    {
        int rank = Math.Min(options.Rank, Math.Min(first.Rows, second.Rows));
        bool points = costs.FirstCost.KeepsPoints && costs.SecondCost.KeepsPoints;
        MemoryPlan solve = points ? LowRankGromovWasserstein.PlanPoints(first, second, rank) : LowRankGromovWasserstein.PlanCosts(first.Rows, second.Rows, rank);
        long given = 8 * ((long)first.Rows * first.Columns + (long)second.Rows * second.Columns), coupling = 8L * (first.Rows + 2L * second.Rows) * rank;
        // After the solve only the coupling and the costs stay; scores and certificates follow one another.
        long kept = coupling + (points ? given : 8 * ((long)first.Rows * first.Rows + (long)second.Rows * second.Rows));
        long certificates = points ? LowRankCertificates.Bytes(first, second, threads)
            : Math.Max(first.Rows, second.Rows) <= StationarityGap.MostPoints ? MemoryPlan.OfCertificates(costs.Gromov with { Solver = GromovSolverKind.Ppa }, first.Rows, second.Rows) + 8L * first.Rows * second.Rows : 0;
        long after = Math.Max(LowRankCoupling.ScoringBytes(first.Rows, second.Rows, second.Columns), certificates) + kept + (costs.Starts > 1 ? coupling : 0) - solve.TotalBytes;
        List<(string, long)> items = [.. solve.Items];
        if (costs.FirstCost.Cost != DomainCost.Precomputed) items.Add((points ? "points as given and as costs" : "points as given", points ? 2 * given : given));
        if (costs.Starts > 1) items.Add(("the coupling of the best other start", coupling));
        if (after > 0) items.Add(("scores and certificates, beyond what the solve gives back", after));
        return new MemoryPlan(items);
    }

    private static AlignmentVerdict Judge(LowRankResult result, LowRankSearch search, LabelTransferResult? labels, FosctTm? foscttm)
    {
        List<string> against = [], supporting = [];
        AlignmentVerdict.JudgeSolve(result.Converged, result.Iterations, result.RowError + result.ColumnError, against);
        AlignmentVerdict.JudgeSpread(result.Coupling.MeanPartners(), result.Coupling.Columns, "raise the rank", against);
        bool evidence = AlignmentVerdict.JudgeScores(labels, foscttm, withinBlocks: false, against, supporting);
        AlignmentVerdict.JudgeStarts(search.Outcomes, search.SelectedLoss, search.Optima, against, supporting);
        return new AlignmentVerdict(against.Count > 0 ? Trust.NotReliable : evidence ? Trust.Reliable : Trust.NotAssessed, against, supporting);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
