using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>On which cells the principal components of a sweep are fitted.</summary>
public enum SweepComponents
{
    /// <summary>On the control cells and one mutation, anew for each mutation.</summary>
    PerMutation,

    /// <summary>Once on all cells.</summary>
    Union,
}

/// <summary>Settings of a sweep.</summary>
public sealed record SweepOptions
{
    /// <summary>Numbers of principal components; each is cut to the features and to one less than the cells.</summary>
    public IReadOnlyList<int> Dimensions { get; init; } = [30, 40, 50];

    /// <summary>Neighbours of a cell, itself included; cut to the cells of a pair.</summary>
    public IReadOnlyList<int> Neighbours { get; init; } = [15, 20, 25, 30, 35];

    public SweepComponents Components { get; init; } = SweepComponents.PerMutation;

    /// <summary>Components of the diffusion map, in which the root is found.</summary>
    public int DiffusionComponents { get; init; } = 15;

    /// <summary>Components of the pseudotime.</summary>
    public int PseudotimeComponents { get; init; } = 10;

    public PseudotimeRule Rule { get; init; }

    /// <summary>Of the trend.</summary>
    public EvaluationOptions Evaluation { get; init; } = new();
}

/// <summary>The cells of one mutation.</summary>
/// <param name="Name">For the table.</param>
/// <param name="Cells">Rows of the matrix.</param>
public sealed record MutationCells(string Name, int[] Cells);

/// <summary>One row of the published table.</summary>
/// <param name="Mutation">Name of the mutation.</param>
/// <param name="Dimensions">Principal components as asked for.</param>
/// <param name="Neighbours">Neighbours as asked for.</param>
/// <param name="Root">Row of the matrix that is the root.</param>
/// <param name="Time">Pseudotime from it, for the control cells and then those of the mutation, each in their order.</param>
/// <param name="Evaluation">On the cells of the mutation.</param>
public sealed record SweepPoint(string Mutation, int Dimensions, int Neighbours, int Root, DiffusionPseudotime Time, PseudotimeEvaluation Evaluation);

/// <summary>
/// The published sweep: for control cells with each mutation, over numbers of principal components and of neighbours, the diffusion pseudotime from the control cell
/// nearest to the mean of the control cells, compared with a measured value on the mutant cells. One fit of the components serves all their numbers, because the first 30 of 50 exact components are
/// the 30; one exact search for the most neighbours serves all numbers of neighbours. Points follow one another and each uses all threads, so their number changes no byte.
/// </summary>
public static class PseudotimeSweep
{
    /// <summary>The published least number of cells of a mutation; those with fewer are passed over.</summary>
    public const int FewestCells = 10;

    /// <param name="device">Where components and neighbours are computed.</param>
    /// <param name="x">[cells, features] prepared as the components need them, in memory that the host can read. The rows of one pair are copied, in double precision.</param>
    /// <param name="control">Rows of the control cells.</param>
    /// <param name="mutations">Rows of each mutation.</param>
    /// <param name="value">[cells] measured value, NaN where it is not known.</param>
    /// <param name="options">The grid and the rest.</param>
    /// <param name="progress">Hears of every point.</param>
    /// <param name="cancel">Ends the sweep.</param>
    /// <returns>By mutation, then components, then neighbours, as given.</returns>
    /// <exception cref="UsageException">A setting is out of range, or there are fewer than 2 control cells.</exception>
    public static IReadOnlyList<SweepPoint> Run(ComputeDevice device, Matrix<double> x, int[] control, IReadOnlyList<MutationCells> mutations, double[] value, SweepOptions? options = null, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        options ??= new SweepOptions();
        if (value.Length != x.Rows) throw new ArgumentException($"{value.Length} values do not fit {x.Rows} cells.");
        if (control.Length < 2) throw new UsageException($"A sweep needs at least two control cells; there {(control.Length == 1 ? "is one" : "are none")}.");
        if (options.Dimensions.Count == 0 || options.Neighbours.Count == 0) throw new UsageException("A sweep needs at least one number of principal components and one of neighbours.");
        if (options.Dimensions.Min() < 1) throw new UsageException($"A sweep over {options.Dimensions.Min()} principal components was asked for; 1 is the fewest.");
        if (options.Neighbours.Min() < 2) throw new UsageException($"A sweep over {options.Neighbours.Min()} neighbours was asked for; they count the cell itself, so 2 are the fewest.");
        MutationCells[] taken = [.. mutations.Where(m => m.Cells.Length >= FewestCells)];
        List<SweepPoint> points = [];
        using Matrix<double>? union = options.Components == SweepComponents.Union ? Scores(device, x, options) : null;
        foreach (MutationCells mutation in taken)
        {
            int[] pair = [.. control, .. mutation.Cells];
            using Matrix<double> rows = Rows(union ?? x, pair);
            using Matrix<double>? own = union is null ? Scores(device, rows, options) : null;
            Pair known = new(mutation, pair, control.Length, [.. mutation.Cells.Select(c => value[c])], taken.Length);
            Sweep(device, own ?? rows, known, options, points, progress ?? SilentProgress.Instance, cancel);
        }
        return points;
    }

    private static void Sweep(ComputeDevice device, Matrix<double> scores, Pair pair, SweepOptions options, List<SweepPoint> points, IProgressReporter progress, CancellationToken cancel)
    {
        int[] control = [.. Enumerable.Range(0, pair.Controls)];
        int most = Math.Min(options.Neighbours.Max(), pair.Rows.Length);
        foreach (int dimensions in options.Dimensions)
        {
            using Matrix<double> first = FirstColumns(scores, Math.Min(dimensions, scores.Columns));
            using PlacedMatrix<double> placed = first.At(device);
            NearestCells nearest = NearestCells.Find(placed.Matrix, most);
            foreach (int neighbours in options.Neighbours)
            {
                progress.Report("sweeping", points.Count, (long)pair.Pairs * options.Dimensions.Count * options.Neighbours.Count, FormattableString.Invariant($"{pair.Mutation.Name}, {dimensions} components, {neighbours} neighbours"));
                using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(nearest.Take(Math.Min(neighbours, most))), options.DiffusionComponents, cancel);
                int root = map.Medoid(control);
                DiffusionPseudotime time = DiffusionPseudotime.Compute(map, root, options.PseudotimeComponents, options.Rule);
                PseudotimeEvaluation evaluation = PseudotimeEvaluation.Compute(time.Values.AsSpan(pair.Controls), pair.Measured, options.Evaluation);
                points.Add(new SweepPoint(pair.Mutation.Name, dimensions, neighbours, pair.Rows[root], time, evaluation));
            }
        }
    }

    /// <summary>Control cells and those of a mutation, as rows of the matrix.</summary>
    private sealed record Pair(MutationCells Mutation, int[] Rows, int Controls, double[] Measured, int Pairs);

    /// <summary>Coordinates along as many exact components as the widest point of the sweep needs.</summary>
    private static Matrix<double> Scores(ComputeDevice device, Matrix<double> x, SweepOptions options)
    {
        using PlacedMatrix<double> placed = x.At(device);
        using Pca pca = Pca.Fit(placed.Matrix, Math.Min(options.Dimensions.Max(), Math.Min(x.Columns, x.Rows - 1)));
        return pca.Transform(placed.Matrix).MoveToHost();
    }

    private static Matrix<double> Rows(Matrix<double> x, int[] rows)
    {
        Matrix<double> taken = x.Device.Host.AllocateMatrix<double>(rows.Length, x.Columns);
        for (int i = 0; i < rows.Length; i++) x.Row(rows[i]).CopyTo(taken.Row(i));
        return taken;
    }

    private static Matrix<double> FirstColumns(Matrix<double> x, int columns)
    {
        Matrix<double> taken = x.Device.Host.AllocateMatrix<double>(x.Rows, columns);
        for (int i = 0; i < x.Rows; i++) x.Row(i)[..columns].CopyTo(taken.Row(i));
        return taken;
    }
}
