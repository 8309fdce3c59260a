using System.Globalization;

namespace BioSup.Analysis.Alignment;

public enum Trust
{
    /// <summary>Nothing speaks against the alignment and something independent of its own loss speaks for it.</summary>
    Reliable,

    /// <summary>At least one check failed.</summary>
    NotReliable,

    /// <summary>No check failed, but none that could have failed was made: give labels, a truth, several starts or decoys.</summary>
    NotAssessed,
}

/// <summary>Whether an alignment may be trusted, and why, in words.</summary>
/// <param name="Trust">The conclusion.</param>
/// <param name="Against">Failed checks, one sentence each.</param>
/// <param name="For">Passed checks, one sentence each.</param>
public sealed record AlignmentVerdict(Trust Trust, IReadOnlyList<string> Against, IReadOnlyList<string> For)
{
    /// <summary>"reliable", "not reliable" or "not assessed".</summary>
    public string Word => Trust switch { Trust.Reliable => "reliable", Trust.NotReliable => "not reliable", _ => "not assessed" };

    /// <summary>Largest L1 violation of the marginals that is still called a coupling of the given masses.</summary>
    public const double MarginalLimit = 0.05;

    /// <summary>A cell whose mass is spread over more than this share of the other domain says nothing about its partner.</summary>
    public const double DiffuseShare = 0.5;

    /// <summary>FOSCTTM above which true partners are not found: chance is 0.5.</summary>
    public const double FoscttmLimit = 0.3;

    /// <summary>Two optima whose losses differ by less than this share are equally good to the objective.</summary>
    public const double EqualLossShare = 0.05;

    /// <summary>Displacement from which two couplings are different alignments: half-way to unrelated.</summary>
    public const double DifferentAlignment = 0.5;

    /// <summary>Renaming the classes must not raise the accuracy by more than this.</summary>
    public const double RenamingGain = 0.05;

    /// <summary>Stationarity gap, as a share of the product coupling's loss, above which a coupling is not at a first-order optimum.</summary>
    public const double GapLimit = 0.01;

    /// <summary>A lower bound at least this share of the loss is worth a sentence: no coupling is much better.</summary>
    public const double TightBound = 0.8;

    /// <summary>Share of held-out cells that must be mapped to the neighbourhood of their partner; also what is called stable under resampling.</summary>
    public const double KeptPartners = 0.5;

    /// <summary>Partners that stay less often than this many times chance are those of the sample, not of the cells.</summary>
    public const double StabilityOverChance = 2;

    /// <summary>An unbalanced coupling that keeps less of the mass says little about most cells.</summary>
    public const double LittleMass = 0.1;

    /// <summary>A semi-relaxed coupling whose mass lies on fewer cells of the second domain than this share of the smaller domain has collapsed.</summary>
    public const double CollapsedShare = 0.1;

    internal static AlignmentVerdict Judge(GromovResult result, GromovOptions options, MatchedCells matched, double meanPartners, LabelTransferResult? labels, FosctTm? foscttm,
        IReadOnlyList<StartOutcome> starts, double? selectedScreeningLoss, NullDistribution? decoys,
        DistinctOptima? optima, AlignmentCertificates certificates, CellStability? stability, SmoothnessNulls? nulls, BlockLabels? blocks = null)
    {
        List<string> against = [], supporting = [];
        // What the precision alone keeps above the tolerance is not held against a coupling.
        JudgeSolve(result.Converged || result.Settled is not null, result.Iterations, result.RowError + result.ColumnError, against);
        if (result.Settled is { WithinFloor: false } settled)
            against.Add(Text($"The coupling still changes by {settled.Change:g2} an iteration, more than the {settled.Floor:g2} that its precision explains, and does not settle further."));
        if (result.Loss < 0) against.Add(Text($"The loss is negative ({result.Loss:g3}), which no coupling of the given masses has."));
        JudgeSpread(meanPartners, matched.Cells.Second, "epsilon is too large for these costs", against);
        JudgeMarginals(result, options, matched, against);
        JudgeCertificates(result, certificates, against, supporting);
        // Labels that follow from the blocks are transferred by every coupling of them.
        if (blocks is not null && labels is { Majority: >= 1 }) labels = null;
        bool evidence = JudgeScores(labels, foscttm, blocks is not null, against, supporting);
        bool startsAgree = JudgeStarts(starts, selectedScreeningLoss, optima, against, supporting);
        bool decoysPassed = JudgeDecoys(decoys, against, supporting);
        if (stability is not null) JudgeStability(stability, against, supporting);
        if (nulls is not null) JudgeNulls(nulls, labels, against, supporting);
        if (against.Count > 0) return new AlignmentVerdict(Trust.NotReliable, against, supporting);
        // Without labels or truth both internal checks are needed: a stable optimum may still be no better than one against a decoy.
        return new AlignmentVerdict(evidence || (startsAgree && decoysPassed) ? Trust.Reliable : Trust.NotAssessed, against, supporting);
    }

    /// <summary>What is asked of every coupling, whatever its form: that the solve ended and the masses are met.</summary>
    internal static void JudgeSolve(bool converged, int iterations, double marginals, List<string> against)
    {
        if (!converged) against.Add(Text($"The solver stopped after {iterations} iterations before the coupling settled."));
        if (marginals > MarginalLimit) against.Add(Text($"The marginals are off by {marginals:F3} in L1: the coupling does not respect the cells' masses."));
    }

    internal static void JudgeSpread(double meanPartners, int columns, string remedy, List<string> against)
    {
        if (meanPartners > DiffuseShare * columns) against.Add(Text($"The coupling is diffuse: a cell has {meanPartners:F0} partners of {columns} on average; {remedy}."));
    }

    /// <summary>Labels and truth where they are known; returns whether either could have spoken against the coupling.</summary>
    internal static bool JudgeScores(LabelTransferResult? labels, FosctTm? foscttm, bool withinBlocks, List<string> against, List<string> supporting)
    {
        if (labels is not null) JudgeLabels(labels, against, supporting);
        if (foscttm is null) return labels is not null;
        string value = Text($"FOSCTTM {(withinBlocks ? "among the cells of a block " : "")}is {foscttm.Average:F3} (0 is perfect, 0.5 is chance)");
        if (foscttm.Average > FoscttmLimit) against.Add($"{value}: true partners are not found.");
        else supporting.Add($"{value}.");
        return true;
    }

    /// <summary>
    /// What a problem leaves free is not held against its coupling: <see cref="GromovResult.RowError"/> and <see cref="GromovResult.ColumnError"/> count violations of what was asked
    /// alone. What the freedom may be misused for is looked at instead: mass that was not carried, mass that was lost, mass on a few cells.
    /// </summary>
    private static void JudgeMarginals(GromovResult result, GromovOptions options, MatchedCells matched, List<string> against)
    {
        switch (options.Marginals)
        {
            case MarginalConstraint.Partial when Math.Abs(result.Mass - options.Mass) > MarginalLimit * options.Mass:
                against.Add(Text($"The coupling carries {result.Mass:F3} of the mass where {options.Mass:F3} was asked for."));
                break;
            case MarginalConstraint.Unbalanced when result.Mass < LittleMass:
                against.Add(Text($"The coupling keeps {result.Mass:g3} of the mass: losing it is cheaper than matching, and most cells have no partner to speak of."));
                break;
            case MarginalConstraint.Unbalanced when matched.First.Length < KeptPartners * matched.Cells.First:
                against.Add(Text($"{matched.LeftOutFirst} of {matched.Cells.First} cells of the first domain have no partner: losing their mass is cheaper than matching."));
                break;
            case MarginalConstraint.SemiRelaxed when matched.ColumnsInUse < CollapsedShare * Math.Min(matched.Cells.First, matched.Cells.Second):
                against.Add(Text($"The coupling has collapsed: its mass lies on {matched.ColumnsInUse:F1} of {matched.Cells.Second} cells of the second domain."));
                break;
        }
    }

    private static void JudgeCertificates(GromovResult result, AlignmentCertificates certificates, List<string> against, List<string> supporting)
    {
        if (certificates.Gap is { } gap)
        {
            if (gap.Relative > GapLimit)
                against.Add(Text($"The coupling is not a first-order optimum: another one lowers the linearised objective by {gap.Objective:g3}, {gap.Relative:P1} of the product coupling's loss."));
            else supporting.Add(Text($"First-order optimum: no coupling lowers the linearised objective by more than {gap.Objective:g2} ({gap.Relative:P2} of the product coupling's loss)."));
        }
        if (certificates.Bounds is { } bounds && result.Loss > 0 && bounds.Best >= TightBound * result.Loss)
            supporting.Add(Text($"No coupling has a loss below {bounds.Best:g4}: the {result.Loss:g4} found is close to the best possible."));
    }

    private static void JudgeStability(CellStability stability, List<string> against, List<string> supporting)
    {
        if (stability.Replicates == 0)
        {
            against.Add(Text($"None of {stability.Failed} bootstrap replicates ended in a coupling."));
            return;
        }
        string kept = Text($"cells keep a partner in the same neighbourhood in {stability.Mean:P0} of {stability.Replicates} bootstrap replicates (chance {stability.Chance:P0})");
        if (stability.Mean < Math.Min(KeptPartners, StabilityOverChance * stability.Chance)) against.Add($"Partners depend on which cells were sampled: {kept}.");
        else if (stability.Mean >= KeptPartners && stability.Chance < KeptPartners) supporting.Add($"Stable under resampling: {kept}.");
    }

    private static void JudgeNulls(SmoothnessNulls nulls, LabelTransferResult? labels, List<string> against, List<string> supporting)
    {
        if (nulls.HeldOut is { } held && held.Chance < KeptPartners)
        {
            string share = Text($"{held.SamePartner:P0} of {held.Cells} held-out cells are mapped to where the full coupling has them (chance {held.Chance:P0})");
            if (held.SamePartner < KeptPartners) against.Add($"The coupling does not predict: {share}.");
            else supporting.Add($"Held out: {share}.");
        }
        if (labels is null || nulls.Rotated?.Accuracies is not { Count: > 0 } accuracies) return;
        double highest = accuracies.Max();
        if (labels.Barycentric.Accuracy <= highest)
            against.Add(Text($"A coupling as smooth onto a rotated target transfers labels as well ({highest:F3} against {labels.Barycentric.Accuracy:F3})."));
        else supporting.Add(Text($"Labels are transferred better than through all {accuracies.Count} rotated targets (highest {highest:F3})."));
    }

    private static void JudgeLabels(LabelTransferResult labels, List<string> against, List<string> supporting)
    {
        double accuracy = labels.Barycentric.Accuracy, baseline = Math.Max(labels.Majority, labels.Chance);
        double error = Math.Sqrt(baseline * (1 - baseline) / Math.Max(1, labels.Barycentric.Total));
        if (accuracy < baseline + 3 * error)
            against.Add(Text($"Labels are transferred with accuracy {accuracy:F3}, not above the {baseline:F3} of giving every cell the most frequent label."));
        else supporting.Add(Text($"Labels are transferred with accuracy {accuracy:F3} (one-to-one {labels.OneToOne.Accuracy:F3}; most frequent label {baseline:F3})."));
        if (labels.BestRenamedAccuracy > accuracy + RenamingGain)
            against.Add(Text($"Exchanging the names of classes would raise the accuracy from {accuracy:F3} to {labels.BestRenamedAccuracy:F3}: classes are matched to wrong ones, as in a mirrored optimum."));
    }

    internal static bool JudgeStarts(IReadOnlyList<StartOutcome> starts, double? selected, DistinctOptima? optima, List<string> against, List<string> supporting)
    {
        if (starts.Count < 2 || selected is not { } best) return false;
        StartOutcome? rival = null;
        foreach (StartOutcome start in starts)
        {
            if (start.Displacement < DifferentAlignment || start.Loss > best + EqualLossShare * Math.Abs(best)) continue;
            if (rival is null || start.Loss < rival.Loss) rival = start;
        }
        string count = optima is null ? "" : Text($"; {starts.Count} starts, {optima.Optima.Count} distinct optima, {optima.EquallyGood} equally good");
        if (rival is not null)
        {
            against.Add(Text($"A {rival.Kind} start ends in a different alignment (displacement {rival.Displacement:F2} of 1) with about the same loss ({rival.Loss:g4} against {best:g4}): the objective does not single one out{count}."));
            return false;
        }
        supporting.Add(Text($"{starts.Count} starts: none ends in a different alignment with a loss within {EqualLossShare:P0} of the best{count}."));
        return true;
    }

    private static bool JudgeDecoys(NullDistribution? decoys, List<string> against, List<string> supporting)
    {
        if (decoys is null) return false;
        if (decoys.Decoys.Count == 0)
        {
            supporting.Add(Text($"No decoys: all {decoys.Rejected} rearrangements of the second domain's clusters are the same shape again."));
            return false;
        }
        double highest = decoys.Decoys.Max();
        if (decoys.Observed <= highest)
        {
            against.Add(Text($"Matched distances correlate with {decoys.Observed:F3}, no better than against decoy targets with rearranged clusters (highest of {decoys.Decoys.Count}: {highest:F3})."));
            return false;
        }
        supporting.Add(Text($"Matched distances correlate with {decoys.Observed:F3}, better than against all {decoys.Decoys.Count} decoy targets with rearranged clusters (highest {highest:F3}, p = {decoys.P:g2})."));
        return true;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
