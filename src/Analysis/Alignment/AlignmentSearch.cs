using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The solves of one alignment: the main one, the other starts, the decoys.</summary>
internal sealed class AlignmentSearch(DomainCostResult c1, DomainCostResult c2, AlignmentOptions options, Matrix<double>? fused, Matrix<double>? initial,
    IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels, IProgressReporter progress, CancellationToken cancellation)
{
    /// <summary>A start must beat the main one by more than the screening tolerance to replace it.</summary>
    internal const double WorthwhileGain = 1e-4;
    private const int DrawsPerDecoy = 4;

    /// <summary>An arrangement that the target fits this share as well as itself is not told from it.</summary>
    private const double SameShape = 0.95;
    private double _selectedCorrelation;
    private string First => initial is not null ? "given" : options.FirstStart == FirstStart.Quantised ? "quantised" : "product";

    public string Selected { get; private set; } = "product";
    public IReadOnlyList<StartOutcome> Outcomes { get; private set; } = [];
    public NullDistribution? Null { get; private set; }
    public DistinctOptima? Optima { get; private set; }

    /// <summary>Loss of the returned coupling's start with the screening settings; null when nothing was screened.</summary>
    public double? SelectedScreeningLoss { get; private set; }

    public GromovResult Run()
    {
        Selected = First;
        using Matrix<double>? quantised = First == "quantised" ? Quantised() : null;
        Matrix<double>? from = initial ?? quantised;
        GromovResult result = Solve(options.Gromov, from);
        if (options.Starts == 1 && options.Decoys == 0) return result;
        // The main solve's coupling under the screening settings: starts and decoys are compared like with like.
        bool same = options.Screening == options.Gromov;
        GromovResult reference = same ? result : Solve(options.Screening, from);
        try
        {
            SelectedScreeningLoss = Comparable(reference);
            _selectedCorrelation = DistanceCorrelation.Of(c1.Cost, c2.Cost, reference.Coupling);
            if (options.Starts > 1) result = SearchStarts(result, reference);
            if (options.Decoys > 0) RunDecoys(_selectedCorrelation);
            return result;
        }
        finally
        {
            if (!same) reference.Dispose();
        }
    }

    private Matrix<double> Quantised()
    {
        progress.Report("aligning landmarks", 0, 0);
        using QuantisedStart start = QuantisedStart.Of(c1, c2, options.Screening, options.Seed, cancellation);
        return start.Expand();
    }

    private GromovResult SearchStarts(GromovResult main, GromovResult reference)
    {
        List<(string Kind, GromovResult Result)> others = [];
        try
        {
            others.AddRange(SolveStarts(main.Coupling));
            (string Kind, GromovResult Result)? best = Better(others, reference);
            if (best is { } found && Displacement(found.Result.Coupling, reference.Coupling, c2.Cost) >= AlignmentVerdict.DifferentAlignment)
            {
                // The mirrored start was the mirror image of another coupling (of none, where the first solve stayed on a line of symmetry).
                using Matrix<double> from = StartingCouplings.Mirrored(c1.Cost, c2.Cost, found.Result.Coupling);
                others.Add(("mirrored", Solve(options.Screening, from)));
                best = Better(others, reference);
            }
            GromovResult chosen = best is { } lowest ? Choose(lowest) : main;
            List<StartOutcome> outcomes = [Describe(First, reference, chosen.Coupling)];
            outcomes.AddRange(others.Select(o => Describe(o.Kind, o.Result, chosen.Coupling)));
            Outcomes = outcomes;
            Optima = DistinctOptima.Of([.. outcomes.Select(o => o.Loss)],
                [DistinctOptima.Partners(reference.Coupling), .. others.Select(o => DistinctOptima.Partners(o.Result.Coupling))], c2.Cost);
            if (chosen != main) main.Dispose();
            return chosen;
        }
        finally
        {
            foreach ((_, GromovResult result) in others) result.Dispose();
        }
    }

    private IEnumerable<(string Kind, GromovResult Result)> SolveStarts(Matrix<double> found)
    {
        int count = options.Starts - 1;
        (string Kind, GromovResult Result)?[] solved = new (string, GromovResult)?[count];
        string[] kinds = new string[count];
        Lock reporting = new();
        int done = 0;
        try
        {
            Together("trying other starts", count, options.Screening, s =>
            {
                (string kind, Matrix<double> from) = Start(s + 1, found);
                kinds[s] = kind;
                return new GromovProblem(c1.Cost, c2.Cost, fused, from, from) { Domains = (c1, c2), Blocks = options.Blocks };
            }, (s, _, result) =>
            {
                solved[s] = (kinds[s], result);
                lock (reporting) progress.Report("trying other starts", ++done, count);
            });
        }
        catch
        {
            foreach ((string Kind, GromovResult Result)? start in solved) start?.Result.Dispose();
            throw;
        }
        return solved.Select(start => start!.Value);
    }

    /// <summary>Flips of the leading directions where the second domain has them, random landmarks between and after them.</summary>
    private (string Kind, Matrix<double> From) Start(int start, Matrix<double> found)
    {
        if (start == 1) return ("mirrored", StartingCouplings.Mirrored(c1.Cost, c2.Cost, found));
        int direction = start - 2;
        if (direction is > 0 and < StartingCouplings.FlippedDirections && StartingCouplings.MirroredAlong(c1.Cost, c2.Cost, found, direction) is { } flipped)
            return (direction == 1 ? "mirrored along the second direction" : "mirrored along the third direction", flipped);
        return ("random", StartingCouplings.Random(c1.Cost, c2.Cost, options.Seed, start));
    }

    /// <summary>Solves independent problems at the same time.</summary>
    private void Together(string stage, int count, GromovOptions settings, Func<int, GromovProblem> pose, Action<int, GromovProblem, GromovResult> found)
    {
        progress.Report(stage, 0, count);
        // Made before threads look at them.
        (ComputeDevice device, Matrix<double> target) = (c1.Cost.Device, c2.Cost);
        ManyProblems.Solve(device, count, MemoryPlan.OfScreening(options, c1.Count, target.Rows), settings, pose, found, cancellation);
    }

    private (string Kind, GromovResult Result)? Better(List<(string Kind, GromovResult Result)> others, GromovResult reference)
    {
        (string Kind, GromovResult Result) best = others.MinBy(o => Comparable(o.Result));
        double main = Comparable(reference);
        return Comparable(best.Result) < main - WorthwhileGain * Math.Abs(main) ? best : null;
    }

    /// <summary>What couplings of one problem are compared by: the loss, or the whole objective where a coupling could lower its loss by losing mass.</summary>
    private double Comparable(GromovResult result) => options.Gromov.Marginals == MarginalConstraint.Unbalanced ? result.RegularisedObjective : result.FusedLoss;

    private GromovResult Choose((string Kind, GromovResult Result) best)
    {
        Selected = best.Kind;
        SelectedScreeningLoss = Comparable(best.Result);
        _selectedCorrelation = DistanceCorrelation.Of(c1.Cost, c2.Cost, best.Result.Coupling);
        return Solve(options.Gromov, best.Result.Coupling);
    }

    private void RunDecoys(double observed)
    {
        List<double> correlations = [];
        // What the target reaches against itself at this epsilon: a decoy that comes close to it is the target again.
        BlockLabels? blocks = options.Blocks, itself = blocks is null ? null : new BlockLabels(blocks.Second, blocks.Second);
        double self = Correlation(c2.Cost, c2.Cost, itself);
        int drawn = 0;
        while (correlations.Count < options.Decoys && drawn < DrawsPerDecoy * options.Decoys)
        {
            // No more than are missing, so that the arrangements drawn are the same whether or not they are solved at the same time.
            int first = drawn, batch = Math.Min(options.Decoys - correlations.Count, DrawsPerDecoy * options.Decoys - drawn);
            // Where clusters are alike, rearranging them gives the target back: whatever fits the target fits such a decoy, and that says nothing.
            double[] own = Correlations(batch, c2.Cost, first, itself, null);
            int[] different = [.. Enumerable.Range(0, batch).Where(b => own[b] <= SameShape * self)];
            double[] found = Correlations(different.Length, c1.Cost, first, blocks, fused, different);
            drawn += batch;
            correlations.AddRange(found);
        }
        Null = new NullDistribution(observed, correlations, drawn - correlations.Count);
    }

    /// <summary>Correlations against decoys: those drawn from the first on, or the listed ones of them.</summary>
    private double[] Correlations(int count, Matrix<double> source, int first, BlockLabels? blocks, Matrix<double>? between, int[]? listed = null)
    {
        double[] correlations = new double[count];
        Together("aligning to decoys", count, Settings(between), d =>
        {
            Matrix<double> decoy = DecoyTargets.ClusterPermuted(c2.Cost, options.Seed, first + (listed is null ? d : listed[d]));
            return new GromovProblem(source, decoy, between, Owned: decoy) { Blocks = blocks };
        }, (d, problem, result) =>
        {
            using (result) correlations[d] = DistanceCorrelation.Of(source, problem.Second, result.Coupling);
        });
        return correlations;
    }

    private double Correlation(Matrix<double> source, Matrix<double> target, BlockLabels? blocks)
    {
        using GromovResult result = StoredSolver.Solve(source, target, Settings(null), blocks, null, cancellation: cancellation);
        return DistanceCorrelation.Of(source, target, result.Coupling);
    }

    private GromovOptions Settings(Matrix<double>? between) => between is null ? options.Screening with { Alpha = 1 } : options.Screening;

    private GromovResult Solve(GromovOptions settings, Matrix<double>? from) =>
        StoredSolver.Solve(c1, c2, settings, options.Blocks, fused, from, progress, cancellation);

    private StartOutcome Describe(string kind, GromovResult result, Matrix<double> chosen)
    {
        double? accuracy = firstLabels is null || secondLabels is null ? null : LabelTransfer.Evaluate(result.Coupling, firstLabels, secondLabels).Barycentric.Accuracy;
        return new StartOutcome(kind, Comparable(result), result.Converged, Displacement(result.Coupling, chosen, c2.Cost), accuracy);
    }

    /// <summary>Mean cost between the two couplings' row-wise best matches, over the mean cost of the domain.</summary>
    internal static double Displacement(Matrix<double> one, Matrix<double> other, Matrix<double> cost)
    {
        double sum = 0;
        Span<double> between = stackalloc double[1];
        for (int i = 0; i < one.Rows; i++)
        {
            cost.View.RowBlock(Best(one.Row(i)), 1).ColumnBlock(Best(other.Row(i)), 1).CopyTo(between);
            sum += between[0];
        }
        double mean = MatrixElements.Summarise(cost.View).Sum / ((double)cost.Rows * cost.Columns);
        return mean > 0 ? sum / one.Rows / mean : 0;
    }

    private static int Best(ReadOnlySpan<double> row)
    {
        int best = 0;
        for (int j = 1; j < row.Length; j++) if (row[j] > row[best]) best = j;
        return best;
    }
}
