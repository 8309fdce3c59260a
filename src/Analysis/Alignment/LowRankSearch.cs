using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The solves of one low-rank alignment: from clusters, from their mirrored alignment, and from other clusters aligned at random. Of a start only its loss and partners are kept.</summary>
internal sealed class LowRankSearch(DomainCostResult c1, DomainCostResult c2, LowRankOptions options, int starts, IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels,
    IProgressReporter progress, CancellationToken cancellation)
{
    /// <summary>Cells of the first domain whose partners tell two starts apart; of more every second, third, ... one.</summary>
    private const int MostCells = 2000;

    private sealed record Found(string Kind, double Loss, bool Converged, int[] Partners, double? Accuracy);

    public string Selected { get; private set; } = Kind(0);
    public IReadOnlyList<StartOutcome> Outcomes { get; private set; } = [];
    public DistinctOptima? Optima { get; private set; }

    /// <summary>Loss of the coupling returned; null with one start.</summary>
    public double? SelectedLoss { get; private set; }

    public LowRankResult Run()
    {
        LowRankResult best = Solve(0);
        if (starts == 1) return best;
        int chosen = 0;
        List<Found> found = [Keep(0, best)];
        try
        {
            for (int start = 1; start < starts; start++)
            {
                progress.Report("trying other starts", start, starts);
                LowRankResult other = Solve(start);
                found.Add(Keep(start, other));
                (LowRankResult kept, LowRankResult dropped) = other.Loss < best.Loss * (1 - AlignmentSearch.WorthwhileGain) ? (other, best) : (best, other);
                if (kept == other) chosen = start;
                dropped.Dispose();
                best = kept;
            }
            Compare(found, chosen);
            return best;
        }
        catch
        {
            best.Dispose();
            throw;
        }
    }

    private void Compare(List<Found> found, int chosen)
    {
        (Selected, SelectedLoss) = (found[chosen].Kind, found[chosen].Loss);
        if (c2.Points is { } points)
        {
            using SquaredDistanceDomain domain = new(points, c2.Divisor, "second domain");
            Compare(found, chosen, domain.Distance, domain.MeanDistance);
            return;
        }
        using PlacedMatrix<double> cost = c2.Cost.OnHost();
        Compare(found, chosen, (j, l) => cost.Matrix.Row(j)[l], Kernels.MatrixElements.Summarise(c2.Cost.View).Sum / ((double)c2.Count * c2.Count));
    }

    private void Compare(List<Found> found, int chosen, Func<int, int, double> cost, double mean)
    {
        Outcomes = [.. found.Select(f => new StartOutcome(f.Kind, f.Loss, f.Converged, DistinctOptima.Between(f.Partners, found[chosen].Partners, cost, mean), f.Accuracy))];
        Optima = DistinctOptima.Of([.. found.Select(f => f.Loss)], [.. found.Select(f => f.Partners)], cost, mean);
    }

    private Found Keep(int start, LowRankResult result)
    {
        int every = (result.Coupling.Rows + MostCells - 1) / MostCells;
        double? accuracy = firstLabels is null || secondLabels is null ? null : LabelTransfer.Barycentric(result.Coupling, firstLabels, secondLabels).Accuracy;
        return new Found(Kind(start), result.Loss, result.Converged, result.Coupling.Scan(every, cancellation).Best, accuracy);
    }

    private LowRankResult Solve(int start) => LowRankGromovWasserstein.Solve(c1, c2, options with { Variant = start }, progress, cancellation);

    private static string Kind(int start) => start switch { 0 => "clusters", 1 => "mirrored", _ => "random" };
}
