using System.Globalization;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>An alignment whose coupling is never stored: the solve, the starts, the scores and the verdict, in memory linear in the number of points.</summary>
internal static class ImplicitAlignment
{
    public static AlignmentResult Align(Matrix<double> first, Matrix<double> second, AlignmentOptions options, CouplingChoice choice, IReadOnlyList<string>? firstLabels,
        IReadOnlyList<string>? secondLabels, IProgressReporter progress, CancellationToken cancellation)
    {
        using DomainCostResult c1 = DomainCosts.Build(first, options.FirstCost, "first domain", cancellation);
        using DomainCostResult c2 = DomainCosts.Build(second, options.SecondCost, "second domain", cancellation);
        progress.Report("building costs", 2, 2, $"the solve will hold {choice.Plan}");
        EpsilonCheck.Try(c1, c2, options.Gromov, cancellation);
        ImplicitSearch search = new(c1, c2, options, firstLabels, secondLabels, progress, cancellation);
        GromovResult result = EpsilonCheck.Require(search.Run, c1, c2, options.Gromov, cancellation);
        try
        {
            ImplicitCoupling coupling = result.Implicit!;
            progress.Report("scoring", 0, 0);
            LabelTransferResult? labels = firstLabels is null || secondLabels is null ? null : LabelTransfer.Evaluate(coupling, firstLabels, secondLabels, options.Seed);
            (ConfusionMatrix? vote, FosctTm? foscttm) = Projected(coupling, second, options, firstLabels, secondLabels);
            double partners = coupling.MeanPartners();
            // Balanced masses are kept, so every cell has a partner.
            MatchedCells matched = MatchedCells.All(first.Rows, second.Rows);
            SampledChecks? sampled = options.Decoys == 0 && options.Replicates == 0 ? null
                : SampledChecks.Of(first, second, options, firstLabels, secondLabels, progress, cancellation);
            AlignmentCertificates certificates = Certificates(result, sampled);
            return new AlignmentResult
            {
                Gromov = result,
                SelectedStart = search.Selected,
                Starts = search.Outcomes,
                Null = sampled?.Null,
                Optima = search.Optima,
                Certificates = certificates,
                Stability = sampled?.Stability,
                SmoothNulls = sampled?.Nulls,
                Labels = labels,
                NeighbourVote = vote,
                Foscttm = foscttm,
                MeanPartners = partners,
                Matched = matched,
                Verdict = AlignmentVerdict.Judge(result, options.Gromov, matched, partners, labels, foscttm, search.Outcomes, search.SelectedLoss, sampled?.Null, search.Optima, certificates, sampled?.Stability, sampled?.Nulls),
                Memory = choice.Plan,
                GraphComponents = (c1.Components, c2.Components),
                Embeddings = (c1.Embedding, c2.Embedding),
                Warnings = [.. GromovAlignment.Warnings("first", c1), .. GromovAlignment.Warnings("second", c2), .. result.Warnings],
                Choice = choice,
                SampledCells = sampled is null ? null : (sampled.First, sampled.Second),
            };
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>Native bytes that scoring holds besides the coupling: the plan with rows and columns exchanged, projections, and blocks of distances.</summary>
    internal static long ScoringBytes((int Rows, int Columns) first, (int Rows, int Columns) second, int threads)
    {
        int rank = second.Columns + 1;
        long blocks = (long)MatchAccuracy.BlockRows(first.Rows, first.Rows) * first.Rows + (long)MatchAccuracy.BlockRows(second.Rows, second.Rows) * second.Rows;
        return FactoredPlan<double>.BytesFor(second.Rows, first.Rows, rank, threads) + 8 * ((3L * first.Rows + 4L * second.Rows) * (rank + 2L) + blocks);
    }

    private static (ConfusionMatrix? Vote, FosctTm? Foscttm) Projected(ImplicitCoupling coupling, Matrix<double> second, AlignmentOptions options, IReadOnlyList<string>? firstLabels,
        IReadOnlyList<string>? secondLabels)
    {
        bool labelled = firstLabels is not null && secondLabels is not null;
        if (!labelled && !options.TruthIsIdentity) return (null, null);
        using Matrix<double> target = GromovAlignment.Target(second, options.SecondCost).MoveToHost(), projected = coupling.Project(target.View);
        return (labelled ? LabelTransfer.ByNeighbours(projected, firstLabels!, target, secondLabels!) : null, options.TruthIsIdentity ? MatchAccuracy.Foscttm(projected, target) : null);
    }

    private static AlignmentCertificates Certificates(GromovResult result, SampledChecks? sampled)
    {
        List<string> missing =
        [
            "The stationarity gap is measured by linear problems on a stored coupling.",
            "The lower bounds need the costs, which were not formed.",
        ];
        if (sampled?.Failure is { } failure) missing.Add(failure);
        else if (sampled is not null)
            missing.Add(string.Create(CultureInfo.InvariantCulture,
                $"Decoys, smoothness nulls and stability are those of {sampled.First.Length} x {sampled.Second.Length} cells drawn at random and aligned by themselves, not of the coupling returned."));
        return new AlignmentCertificates(AlignmentCertificates.StateOf(result), null, null, missing);
    }
}
