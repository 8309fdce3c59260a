using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The solves of one alignment whose coupling is not stored: the main one and the other starts. Of a start only its score, its partners and its Γ are kept.</summary>
internal sealed class ImplicitSearch(DomainCostResult c1, DomainCostResult c2, AlignmentOptions options, IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels,
    IProgressReporter progress, CancellationToken cancellation)
{
    private sealed record Found(string Kind, double Loss, bool Converged, int[] Partners, double? Accuracy, Matrix<double> Gamma) : IDisposable
    {
        public void Dispose() => Gamma.Dispose();
    }

    private string First => options.FirstStart == FirstStart.Quantised ? "quantised" : "product";

    public string Selected { get; private set; } = "product";
    public IReadOnlyList<StartOutcome> Outcomes { get; private set; } = [];
    public DistinctOptima? Optima { get; private set; }

    /// <summary>Loss of the returned coupling's start; null with one start.</summary>
    public double? SelectedLoss { get; private set; }

    public GromovResult Run()
    {
        Selected = First;
        using Matrix<double>? from = options.FirstStart == FirstStart.Quantised ? Quantised() : null;
        OnlineGromovResult main = Solve(options.Gromov, from);
        try
        {
            if (options.Starts > 1) main = SearchStarts(main);
            main.Gamma.Dispose();
            return main.ToGromovResult();
        }
        catch
        {
            main.Dispose();
            throw;
        }
    }

    private Matrix<double> Quantised()
    {
        progress.Report("aligning landmarks", 0, 0);
        using QuantisedStart start = QuantisedStart.Of(c1, c2, options.Screening, options.Seed, cancellation);
        using ImplicitStarts domains = new(c1, c2);
        return domains.Quantised(start);
    }

    private OnlineGromovResult SearchStarts(OnlineGromovResult main)
    {
        using ImplicitStarts starts = new(c1, c2);
        List<Found> found = [Keep(First, main)];
        try
        {
            for (int start = 1; start < options.Starts; start++)
            {
                progress.Report("trying other starts", start, options.Starts);
                using Matrix<double> from = start == 1 ? starts.Mirrored(main.Coupling) : starts.Random(options.Seed, start);
                found.Add(Screen(start == 1 ? "mirrored" : "random", from));
            }
            Found best = Best(found);
            if (best != found[0] && DistinctOptima.Between(best.Partners, found[0].Partners, starts.Cost, starts.MeanCost) >= AlignmentVerdict.DifferentAlignment)
            {
                // The mirrored start was the mirror image of another coupling (of none, where the first solve stayed on a line of symmetry).
                using OnlineGromovResult again = Solve(options.Screening, best.Gamma);
                using Matrix<double> from = starts.Mirrored(again.Coupling);
                found.Add(Screen("mirrored", from));
                best = Best(found);
            }
            OnlineGromovResult chosen = main;
            if (best != found[0])
            {
                chosen = Solve(options.Gromov, best.Gamma);
                main.Dispose();
            }
            (Selected, SelectedLoss) = (best.Kind, best.Loss);
            int[] partners = best == found[0] ? best.Partners : chosen.Coupling.BestColumns();
            Outcomes = [.. found.Select(f => new StartOutcome(f.Kind, f.Loss, f.Converged, DistinctOptima.Between(f.Partners, partners, starts.Cost, starts.MeanCost), f.Accuracy))];
            Optima = DistinctOptima.Of([.. found.Select(f => f.Loss)], [.. found.Select(f => f.Partners)], starts.Cost, starts.MeanCost);
            return chosen;
        }
        finally
        {
            foreach (Found start in found) start.Dispose();
        }
    }

    /// <summary>The main solve unless another start beats it by more than the screening tolerance.</summary>
    private static Found Best(List<Found> found)
    {
        Found best = found.MinBy(f => f.Loss)!;
        return best.Loss < found[0].Loss * (1 - AlignmentSearch.WorthwhileGain) ? best : found[0];
    }

    private Found Screen(string kind, Matrix<double> from)
    {
        using OnlineGromovResult result = Solve(options.Screening, from);
        return Keep(kind, result);
    }

    private Found Keep(string kind, OnlineGromovResult result)
    {
        double? accuracy = firstLabels is null || secondLabels is null ? null : LabelTransfer.Evaluate(result.Coupling, firstLabels, secondLabels).Barycentric.Accuracy;
        return new Found(kind, result.Loss, result.Converged, result.Coupling.BestColumns(), accuracy, result.Gamma.CopyOnHost());
    }

    private OnlineGromovResult Solve(GromovOptions settings, Matrix<double>? from) => OnlineGromovWasserstein.Solve(c1, c2, settings, from, progress, cancellation);
}
