using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Aligns two data sets without shared features and judges the result: costs, coupling, starts, decoys, scores, verdict.</summary>
public static class GromovAlignment
{
    /// <param name="first">Points [n, d1], or their cost [n, n] when precomputed. Not changed.</param>
    /// <param name="second">Points [m, d2], or their cost [m, m]. Not changed.</param>
    /// <param name="options">Parameters.</param>
    /// <param name="firstLabels">Labels of the first domain [n], or null.</param>
    /// <param name="secondLabels">Labels of the second domain [m], or null.</param>
    /// <param name="fused">Cost between the domains [n, m], or null.</param>
    /// <param name="initial">Starting coupling [n, m], or null for the product of the masses.</param>
    /// <param name="progress">Receives the memory plan and the state of the solves.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    /// <returns>The coupling with the lowest loss of all starts, and what is known about it.</returns>
    /// <exception cref="UsageException">An option does not fit the number of points.</exception>
    /// <exception cref="DataException">A matrix, a cost or a list of labels is wrong.</exception>
    /// <exception cref="ConvergenceException">Epsilon is so small that what comes out is no coupling of the masses.</exception>
    public static AlignmentResult Align(Matrix<double> first, Matrix<double> second, AlignmentOptions options, IReadOnlyList<string>? firstLabels = null,
        IReadOnlyList<string>? secondLabels = null, Matrix<double>? fused = null, Matrix<double>? initial = null, IProgressReporter? progress = null,
        CancellationToken cancellation = default)
    {
        progress ??= SilentProgress.Instance;
        Check(first, second, options, firstLabels, secondLabels);
        if (options.FirstStart == FirstStart.Quantised && (fused is not null || initial is not null || options.Gromov.Marginals != MarginalConstraint.Balanced))
            throw new UsageException("A quantised start is that of a balanced problem without a fused cost or a start of its own; leave out one of the two.");
        CouplingChoice choice = CouplingChoice.Decide(options, (first.Rows, first.Columns), (second.Rows, second.Columns), fused is not null, initial is not null, first.Device);
        progress.Report("building costs", 0, 2);
        if (choice.IsImplicit) return ImplicitAlignment.Align(first, second, options, choice, firstLabels, secondLabels, progress, cancellation);
        using DomainCostResult c1 = DomainCosts.Build(first, options.FirstCost, "first domain", cancellation);
        using DomainCostResult c2 = DomainCosts.Build(second, options.SecondCost, "second domain", cancellation);
        MemoryPlan memory = choice.Plan;
        progress.Report("building costs", 2, 2, $"the solve will hold {memory}");

        EpsilonCheck.Try(c1, c2, options.Gromov, options.Blocks, fused, initial, cancellation);
        AlignmentSearch search = new(c1, c2, options, fused, initial, firstLabels, secondLabels, progress, cancellation);
        GromovResult result = EpsilonCheck.Require(search.Run, c1, c2, options.Gromov, options.Blocks, fused, initial, cancellation);
        bool points = options.SecondCost.Cost != DomainCost.Precomputed;
        using Matrix<double>? target = points ? Target(second, options.SecondCost) : null;
        // Cells that the marginals allow to stay without a partner have no label, no projection and no place: the others are scored.
        MatchedCells matched = MatchedCells.Of(result.Coupling);
        using PlacedRows judged = matched.Rows(result.Coupling);
        bool scored = matched.First.Length >= 2;
        using Matrix<double>? projected = target is null || !scored ? null : MatchAccuracy.BarycentricProjection(judged.Matrix, target);
        IReadOnlyList<string>? judgedLabels = matched.Labels(firstLabels);
        LabelTransferResult? labels = judgedLabels is null || secondLabels is null || !scored ? null : LabelTransfer.Evaluate(judged.Matrix, judgedLabels, secondLabels, options.Seed);
        // Within blocks the most frequent label is that of the block: what the blocks know of the labels is no merit of the coupling.
        if (labels is not null && options.Blocks is { } known) labels = labels with { Majority = known.Majority(judgedLabels!) };
        FosctTm? foscttm = options.TruthIsIdentity && scored ? Foscttm(judged.Matrix, matched, projected, target, c2) : null;
        FosctTm? within = foscttm is null || options.Blocks is null ? null : Within(options.Blocks, judged.Matrix, projected, target, c2);
        double partners = MeanPartners(judged.Matrix);
        progress.Report("certifying", 0, 0);
        AlignmentCertificates certificates = AlignmentCertificates.Of(result, c1, c2, options.Gromov, fused, options.Blocks, cancellation);
        if (options.Replicates > 0) progress.Report("drawing cells anew", 0, options.Replicates);
        CellStability? stability = options.Replicates == 0 ? null : CellStability.Of(c1.Cost, c2.Cost, result.Coupling, options.Gromov, fused, options.Replicates, options.Seed, options.Blocks, cancellation);
        if (options.Decoys > 0) progress.Report("turning the target, holding out cells", 0, 0);
        SmoothnessNulls? nulls = options.Decoys == 0 ? null : SmoothnessNulls.Of(c1, c2, result, matched, options, fused, firstLabels, secondLabels, cancellation);
        return new AlignmentResult
        {
            Gromov = result,
            SelectedStart = search.Selected,
            Starts = search.Outcomes,
            Null = search.Null,
            Optima = search.Optima,
            Certificates = certificates,
            Stability = stability,
            SmoothNulls = nulls,
            Labels = labels,
            NeighbourVote = labels is null || projected is null ? null : LabelTransfer.ByNeighbours(projected, judgedLabels!, target!, secondLabels!),
            Foscttm = foscttm,
            FoscttmWithinBlocks = within,
            Blocks = options.Blocks?.Sizes(),
            MeanPartners = partners,
            Matched = matched,
            Verdict = AlignmentVerdict.Judge(result, options.Gromov, matched, partners, labels, options.Blocks is null ? foscttm : within, search.Outcomes, search.SelectedScreeningLoss, search.Null, search.Optima, certificates, stability, nulls, options.Blocks),
            Memory = memory,
            GraphComponents = (c1.Components, c2.Components),
            Embeddings = (c1.Embedding, c2.Embedding),
            Choice = choice,
            Warnings = [.. Warnings("first", c1), .. Warnings("second", c2), .. options.Blocks?.Warnings(labels) ?? [], .. result.Warnings],
        };
    }

    internal static IEnumerable<string> Warnings(string domain, DomainCostResult cost)
    {
        if (cost.Embedding is { } embedding) yield return embedding.Sentence(domain);
        if (cost.Bridges > 0)
            yield return string.Create(CultureInfo.InvariantCulture, $"The neighbour graph of the {domain} domain has {cost.Components} components, joined by {cost.Bridges} edges between their nearest points.");
        else if (cost.Components > 1)
            yield return string.Create(CultureInfo.InvariantCulture, $"The neighbour graph of the {domain} domain has {cost.Components} components; {cost.UnreachablePairs} pairs without a path got the largest finite distance.");
        if (cost.DirectionlessRows > 0)
            yield return string.Create(CultureInfo.InvariantCulture, $"{cost.DirectionlessRows} rows of the {domain} domain have no direction (all zero or constant) and count as distance 1 from every other row.");
    }

    /// <summary>exp of the mean entropy of the rows, each normalised to 1.</summary>
    public static double MeanPartners(Matrix<double> coupling)
    {
        using PlacedMatrix<double> readable = coupling.OnHost();
        double entropy = 0;
        for (int i = 0; i < coupling.Rows; i++)
        {
            double mass = 0, sum = 0;
            foreach (double t in readable.Matrix.Row(i))
            {
                mass += t;
                if (t > 0) sum -= t * Math.Log(t);
            }
            if (mass > 0) entropy += sum / mass + Math.Log(mass);
        }
        return Math.Exp(entropy / coupling.Rows);
    }

    /// <summary>FOSCTTM after projection into the second domain; where that has no coordinates, projections are compared through its cost.</summary>
    /// <param name="coupling">Rows of the cells that have a partner.</param>
    private static FosctTm Foscttm(Matrix<double> coupling, MatchedCells matched, Matrix<double>? projected, Matrix<double>? target, DomainCostResult cost)
    {
        using Matrix<double>? byCost = projected is null ? MatchAccuracy.BarycentricProjection(coupling, cost.Cost) : null;
        Matrix<double> first = projected ?? byCost!, second = target ?? cost.Cost;
        if (matched.LeftOutFirst == 0) return MatchAccuracy.Foscttm(first, second);
        using PlacedMatrix<double> there = second.OnHost();
        using PlacedRows partners = matched.Rows(there.Matrix);
        return MatchAccuracy.Foscttm(first, partners.Matrix);
    }

    /// <summary>The same among the cells of each block.</summary>
    private static FosctTm? Within(BlockLabels blocks, Matrix<double> coupling, Matrix<double>? projected, Matrix<double>? target, DomainCostResult cost)
    {
        using Matrix<double>? byCost = projected is null ? MatchAccuracy.BarycentricProjection(coupling, cost.Cost) : null;
        return blocks.Within(projected ?? byCost!, target ?? cost.Cost);
    }

    internal static Matrix<double> Target(Matrix<double> second, DomainCostOptions options) =>
        options.RowNormalisation == RowNormalisation.L2 ? DomainCosts.NormalisedRows(second) : DomainCosts.Copy(second);

    internal static void Check(Matrix<double> first, Matrix<double> second, AlignmentOptions options, IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels)
    {
        if (options.Starts < 1) throw new UsageException($"starts is {options.Starts}; at least one start is needed.");
        if (options.Decoys < 0) throw new UsageException($"null is {options.Decoys}; the number of decoys must not be negative.");
        if (options.Replicates < 0) throw new UsageException($"stability is {options.Replicates}; the number of bootstrap replicates must not be negative.");
        if (options.Replicates > 0 && options.Gromov.Marginals != MarginalConstraint.Balanced)
            throw new UsageException("Bootstrap stability counts cells as masses that the coupling keeps; it needs balanced marginals.");
        options.Blocks?.Require(first.Rows, second.Rows, options);
        options.FirstCost.RequirePoints(first.Rows, "the first domain");
        options.SecondCost.RequirePoints(second.Rows, "the second domain");
        if (firstLabels is not null && firstLabels.Count != first.Rows)
            throw new DataException("labels of the first domain", null, $"{firstLabels.Count} labels were given for {first.Rows} rows.");
        if (secondLabels is not null && secondLabels.Count != second.Rows)
            throw new DataException("labels of the second domain", null, $"{secondLabels.Count} labels were given for {second.Rows} rows.");
        if (options.TruthIsIdentity && first.Rows != second.Rows)
            throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The truth cannot be the identity: the domains have {first.Rows} and {second.Rows} rows."));
    }
}
