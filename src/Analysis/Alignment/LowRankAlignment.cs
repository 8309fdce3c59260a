using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>A finished alignment by a low-rank coupling. Owns the coupling.</summary>
public sealed class LowRankAlignmentResult : IDisposable
{
    public required LowRankResult Solve { get; init; }
    public required LabelTransferResult? Labels { get; init; }
    public required ConfusionMatrix? NeighbourVote { get; init; }
    public required FosctTm? Foscttm { get; init; }

    /// <summary>exp of the mean row entropy.</summary>
    public required double MeanPartners { get; init; }
    public required AlignmentVerdict Verdict { get; init; }

    /// <summary>What the verdict does not look at, and why, one sentence each.</summary>
    public required IReadOnlyList<string> NotMeasured { get; init; }
    public required MemoryPlan Memory { get; init; }
    public required (int First, int Second) GraphComponents { get; init; }
    public required IReadOnlyList<string> Warnings { get; init; }
    public LowRankCoupling Coupling => Solve.Coupling;

    public void Dispose() => Solve.Dispose();
}

/// <summary>Aligns two data sets by a low-rank coupling and scores it through its factors.</summary>
public static class LowRankAlignment
{
    /// <summary>Entries of the coupling that are looked at one by one; of larger ones every second, third, ... row.</summary>
    private const long MostEntries = 4_000_000_000;

    /// <summary>FOSCTTM compares all cells with all cells.</summary>
    private const int MostCells = 20_000;

    /// <param name="first">Points [n, d1], or their cost [n, n] when precomputed. Not changed.</param>
    /// <param name="second">Points [m, d2], or their cost [m, m].</param>
    /// <param name="costs">Costs within the domains and whether the truth is the identity; the solver's parameters are not looked at.</param>
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
        LowRankResult result = LowRankGromovWasserstein.Solve(c1, c2, options, progress, cancellation);
        progress.Report("scoring", 0, 0);
        List<string> missing =
        [
            "Stationarity gap and lower bounds are those of couplings of any rank.",
            "Starts, decoys, bootstrap stability and smoothness-preserving nulls are not run for low-rank couplings.",
        ];
        LowRankCoupling coupling = result.Coupling;
        int every = (int)((MostEntries - 1 + (long)coupling.Rows * coupling.Columns) / MostEntries);
        if (every > 1) missing.Add(Text($"One-to-one accuracy and the number of partners are those of every {every}th row of the coupling."));
        (int[] best, double[] entropies) = coupling.Scan(every, cancellation);
        double partners = Math.Exp(entropies.Average());
        LabelTransferResult? labels = firstLabels is null || secondLabels is null ? null : Labels(coupling, best, every, firstLabels, secondLabels, costs.Seed);
        using Matrix<double>? target = costs.SecondCost.Cost == DomainCost.Precomputed ? null
            : costs.SecondCost.RowNormalisation == RowNormalisation.L2 ? DomainCosts.NormalisedRows(second) : DomainCosts.Copy(second);
        using Matrix<double>? projected = target is null ? null : coupling.Project(target.View);
        FosctTm? foscttm = null;
        if (costs.TruthIsIdentity && projected is null) missing.Add("FOSCTTM of a low-rank coupling needs the points of the second domain.");
        else if (costs.TruthIsIdentity && coupling.Rows > MostCells) missing.Add($"FOSCTTM compares all cells with all cells and is measured up to {MostCells} of them.");
        else if (costs.TruthIsIdentity) foscttm = MatchAccuracy.Foscttm(projected!, target!);
        return new LowRankAlignmentResult
        {
            Solve = result, Labels = labels, Foscttm = foscttm, MeanPartners = partners, NotMeasured = missing,
            NeighbourVote = labels is null || projected is null ? null : LabelTransfer.ByNeighbours(projected, firstLabels!, target!, secondLabels!),
            Verdict = Judge(result, partners, labels, foscttm), GraphComponents = (c1.Components, c2.Components), Memory = Plan(costs, options, (first.Rows, first.Columns), (second.Rows, second.Columns)),
            Warnings = [.. GromovAlignment.Warnings("first", c1), .. GromovAlignment.Warnings("second", c2), .. result.Warnings],
        };
    }

    /// <summary>The native memory of the solve.</summary>
    public static MemoryPlan Plan(AlignmentOptions costs, LowRankOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second)
    {
        int rank = Math.Min(options.Rank, Math.Min(first.Rows, second.Rows));
        return costs.FirstCost.KeepsPoints && costs.SecondCost.KeepsPoints ? LowRankGromovWasserstein.PlanPoints(first, second, rank) : LowRankGromovWasserstein.PlanCosts(first.Rows, second.Rows, rank);
    }

    /// <summary>Label transfer from the mass of every class, and from the best partners of the rows that were looked at.</summary>
    private static LabelTransferResult Labels(LowRankCoupling coupling, int[] best, int every, IReadOnlyList<string> first, IReadOnlyList<string> second, ulong seed)
    {
        string[] classes = [.. first.Concat(second).Distinct().Order(StringComparer.Ordinal)];
        int[] y = [.. second.Select(label => Array.BinarySearch(classes, label, StringComparer.Ordinal))];
        using Matrix<double> masses = coupling.LabelSums(y, classes.Length), chosen = masses.Device.AllocateMatrix<double>(best.Length, classes.Length);
        chosen.Buffer.Clear();
        string[] seen = new string[best.Length];
        for (int i = 0; i < best.Length; i++)
        {
            chosen.Row(i)[y[best[i]]] = 1;
            seen[i] = first[i * every];
        }
        // To the transfer a class is a column here, so what depends on how often each class occurs in the second domain is put right.
        double chance = 0;
        foreach (string name in classes) chance += first.Count(l => l == name) / (double)first.Count * second.Count(l => l == name) / second.Count;
        return LabelTransfer.Evaluate(masses, first, classes, seed) with { OneToOne = LabelTransfer.Evaluate(chosen, seen, classes, seed).OneToOne, Chance = chance };
    }

    private static AlignmentVerdict Judge(LowRankResult result, double partners, LabelTransferResult? labels, FosctTm? foscttm)
    {
        List<string> against = [], supporting = [];
        if (!result.Converged) against.Add(Text($"The solver stopped after {result.Iterations} iterations before the loss settled."));
        double marginals = result.RowError + result.ColumnError;
        if (marginals > AlignmentVerdict.MarginalLimit) against.Add(Text($"The marginals are off by {marginals:F3} in L1: the coupling does not respect the cells' masses."));
        if (partners > AlignmentVerdict.DiffuseShare * result.Coupling.Columns)
            against.Add(Text($"The coupling is diffuse: a cell has {partners:F0} partners of {result.Coupling.Columns} on average; raise the rank."));
        if (labels is not null) AlignmentVerdict.JudgeLabels(labels, against, supporting);
        if (foscttm is not null)
        {
            string value = Text($"FOSCTTM is {foscttm.Average:F3} (0 is perfect, 0.5 is chance)");
            if (foscttm.Average > AlignmentVerdict.FoscttmLimit) against.Add($"{value}: true partners are not found.");
            else supporting.Add($"{value}.");
        }
        Trust trust = against.Count > 0 ? Trust.NotReliable : labels is not null || foscttm is not null ? Trust.Reliable : Trust.NotAssessed;
        return new AlignmentVerdict(trust, against, supporting);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
