using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Decoys, smoothness nulls and stability for couplings that are too large to be stored: of cells drawn at random, aligned once more by themselves with the coupling stored.
/// They say whether data of this kind are aligned by more than smoothness; they do not look at the large coupling.
/// </summary>
internal sealed record SampledChecks(int[] First, int[] Second, NullDistribution? Null, SmoothnessNulls? Nulls, CellStability? Stability, string? Failure)
{
    /// <summary>Cells drawn from a domain, at most.</summary>
    public const int MostCells = 1000;

    /// <param name="first">Points of the first domain [n, d1], as given.</param>
    /// <param name="second">Points of the second domain [m, d2].</param>
    /// <param name="options">Parameters of the whole alignment.</param>
    /// <param name="firstLabels">Labels of all cells, or null.</param>
    /// <param name="secondLabels">Labels of all cells, or null.</param>
    /// <param name="progress">Receives the state of the solves.</param>
    /// <param name="cancellation">Stops between iterations.</param>
    public static SampledChecks Of(Matrix<double> first, Matrix<double> second, AlignmentOptions options, IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels,
        IProgressReporter progress, CancellationToken cancellation)
    {
        int[] x = Draw(first.Rows, options.Seed, 0), y = Draw(second.Rows, options.Seed, 1);
        using Matrix<double> points1 = Rows(first, x), points2 = Rows(second, y);
        using DomainCostResult c1 = DomainCosts.Build(points1, options.FirstCost, "first domain", cancellation), c2 = DomainCosts.Build(points2, options.SecondCost, "second domain", cancellation);
        IReadOnlyList<string>? labels1 = firstLabels is null ? null : [.. x.Select(i => firstLabels[i])], labels2 = secondLabels is null ? null : [.. y.Select(j => secondLabels[j])];
        AlignmentOptions settings = options with { Starts = 1, Coupling = CouplingForm.Stored, TruthIsIdentity = false };
        AlignmentSearch search = new(c1, c2, settings, null, null, labels1, labels2, progress, cancellation);
        try
        {
            using GromovResult result = EpsilonCheck.Require(search.Run, c1, c2, settings.Gromov, null, null, null, cancellation);
            SmoothnessNulls? nulls = options.Decoys == 0 ? null : SmoothnessNulls.Of(c1, c2, result, MatchedCells.Of(result.Coupling), settings, null, labels1, labels2, cancellation);
            CellStability? stability = options.Replicates == 0 ? null : CellStability.Of(c1.Cost, c2.Cost, result.Coupling, settings.Gromov, null, options.Replicates, options.Seed, cancellation: cancellation);
            return new SampledChecks(x, y, search.Null, nulls, stability, null);
        }
        catch (ConvergenceException error)
        {
            return new SampledChecks(x, y, null, null, null, string.Create(CultureInfo.InvariantCulture, $"Nulls and stability: the {x.Length} x {y.Length} cells drawn for them have no coupling ({error.Message})"));
        }
    }

    /// <summary>In ascending order; all where there are few enough.</summary>
    private static int[] Draw(int count, ulong seed, int domain)
    {
        int[] cells = [.. Enumerable.Range(0, count)];
        if (count <= MostCells) return cells;
        new CounterRandom(seed, stream: 0x73616D70UL + (ulong)domain).Shuffle<int>(cells);
        return [.. cells.Take(MostCells).Order()];
    }

    private static Matrix<double> Rows(Matrix<double> points, int[] rows)
    {
        Matrix<double> drawn = points.Device.AllocateMatrix<double>(rows.Length, points.Columns);
        double[] row = new double[points.Columns];
        for (int r = 0; r < rows.Length; r++)
        {
            points.View.RowBlock(rows[r], 1).CopyTo(row);
            drawn.View.RowBlock(r, 1).CopyFrom(row);
        }
        return drawn;
    }
}
