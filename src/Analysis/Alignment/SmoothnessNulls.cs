using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The coupling found, followed by smooth wrong maps of the second domain onto itself: its leading plane turned or mirrored, cells reassigned one to one.</summary>
/// <param name="Correlations">Correlation of matched distances under each of them; below the coupling's own, which was optimised.</param>
/// <param name="Accuracies">Barycentric label accuracy under each of them; null without labels.</param>
/// <param name="Predictabilities">R² of the soft targets under each of them, as in <see cref="PermutedSoftTargets"/>: a wrong coupling is as predictable.</param>
public sealed record RotatedTargets(IReadOnlyList<double> Correlations, IReadOnlyList<double>? Accuracies, IReadOnlyList<double> Predictabilities);

/// <summary>Cells of the first domain that were left out of a solve and mapped afterwards by <see cref="OutOfSampleMap"/>.</summary>
/// <param name="Cells">How many were left out: every cell once.</param>
/// <param name="Folds">In how many solves.</param>
/// <param name="SamePartner">Share whose best partner lies in the neighbourhood of the one they have in the full coupling.</param>
/// <param name="Chance">Share of the second domain in such a neighbourhood.</param>
/// <param name="Accuracy">Barycentric label accuracy of these cells; null without labels.</param>
/// <param name="InSampleAccuracy">The same cells' accuracy in the full coupling.</param>
public sealed record HeldOutCells(int Cells, int Folds, double SamePartner, double Chance, double? Accuracy, double? InSampleAccuracy);

/// <summary>
/// GW-map's permutation null: how well soft targets follow from a cell's neighbours in the first domain, against soft targets dealt out to other cells.
/// It tests that the coupling is smooth, which every entropic coupling is, wrong ones included; it is no evidence for the alignment.
/// </summary>
/// <param name="Observed">R² of predicting a cell's soft targets (its partners' mean distances to landmarks) by the mean of its neighbours'.</param>
/// <param name="NullMean">Mean R² over the permutations.</param>
/// <param name="NullDeviation">Standard deviation over the permutations.</param>
/// <param name="P">(1 + permutations at or above the observed) / (1 + permutations).</param>
/// <param name="Permutations">How many.</param>
public sealed record PermutedSoftTargets(double Observed, double NullMean, double NullDeviation, double P, int Permutations)
{
    public double ZScore => (Observed - NullMean) / Math.Max(NullDeviation, 1e-6);
}

/// <summary>Nulls that keep the smoothness of a coupling, beside the one that does not.</summary>
/// <param name="Rotated">Null where there are too many cells to reassign.</param>
/// <param name="HeldOut">Null where the solver has no out-of-sample map.</param>
/// <param name="Permuted">The paper's null.</param>
/// <param name="NotMeasured">Why something is missing.</param>
public sealed record SmoothnessNulls(RotatedTargets? Rotated, HeldOutCells? HeldOut, PermutedSoftTargets Permuted, IReadOnlyList<string> NotMeasured)
{
    public const int Permutations = 1000;
    private const int Landmarks = 16;
    private const int Neighbours = 10;
    private const int Folds = 5;

    internal static SmoothnessNulls Of(DomainCostResult first, DomainCostResult second, GromovResult result, MatchedCells matched, AlignmentOptions options, Matrix<double>? fused,
        IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels, CancellationToken cancellation)
    {
        using PlacedMatrix<double> whole = first.Cost.OnHost(), c2 = second.Cost.OnHost(), between = (fused ?? result.Coupling).OnHost();
        // Cells without a partner have no soft targets.
        using PlacedRows rows = matched.Rows(result.Coupling), c1 = matched.LeftOutFirst == 0 ? new PlacedRows(whole.Matrix, null)
            : new PlacedRows(null, CellStability.Part(whole.Matrix.Device.Host, whole.Matrix, matched.First, matched.First));
        firstLabels = matched.Labels(firstLabels);
        List<string> missing = [];
        SoftTargets targets = new(c1.Matrix, c2.Matrix, rows.Matrix, Landmarks, Neighbours);
        RotatedTargets? rotated = null;
        if (c2.Matrix.Rows > LinearTransport.LargestAssignment) missing.Add($"Rotated targets reassign cells one to one and are made up to {LinearTransport.LargestAssignment} cells.");
        else rotated = Rotate(c1.Matrix, c2.Matrix, rows.Matrix, options, targets, firstLabels, secondLabels, cancellation);
        HeldOutCells? held = null;
        if (options.Gromov.Solver == GromovSolverKind.Ppa) missing.Add("A coupling found by ppa has no out-of-sample map, so no cells were held out.");
        else if (options.Gromov.Marginals != MarginalConstraint.Balanced) missing.Add("The out-of-sample map is that of balanced problems, so no cells were held out.");
        else if (options.Blocks is not null) missing.Add("The out-of-sample map is that of couplings that are not restricted to blocks, so no cells were held out.");
        else if (!OutOfSampleMap.IsSymmetric(c1.Matrix) || !OutOfSampleMap.IsSymmetric(c2.Matrix)) missing.Add("The out-of-sample map is that of symmetric costs, so no cells were held out.");
        else if (c1.Matrix.Rows < 2 * Folds) missing.Add("There are too few cells to hold some out.");
        else held = HoldOut(c1.Matrix, c2.Matrix, result.Coupling, options, fused is null ? null : between.Matrix, firstLabels, secondLabels, cancellation);
        return new SmoothnessNulls(rotated, held, targets.PermutationNull(options.Seed, Permutations), missing);
    }

    private static RotatedTargets Rotate(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling, AlignmentOptions options, SoftTargets targets,
        IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels, CancellationToken cancellation)
    {
        double[][] plane = StartingCouplings.WidestDirections(c2, 2);
        double[] correlations = new double[options.Decoys], predictabilities = new double[options.Decoys];
        double[]? accuracies = firstLabels is null || secondLabels is null ? null : new double[options.Decoys];
        CpuDevice device = c2.Device.Host;
        // An assignment holds a matrix of distances, and so does the turned target.
        long each = 16L * c2.Rows * c2.Rows + 16L * c1.Rows * c2.Rows;
        ManyProblems.Run(device, options.Decoys, ManyProblems.AtOnce(device.Pool.Threads, options.Decoys, each), r =>
        {
            cancellation.ThrowIfCancellationRequested();
            int[] image = Turn(plane, options.Seed, r);
            using Matrix<double> turned = CellStability.Part(device, c2, image, image);
            correlations[r] = DistanceCorrelation.Of(c1, turned, coupling);
            predictabilities[r] = targets.Predictability(image);
            if (accuracies is not null) accuracies[r] = LabelTransfer.Evaluate(coupling, firstLabels!, [.. image.Select(j => secondLabels![j])]).Barycentric.Accuracy;
        });
        return new RotatedTargets(correlations, accuracies, predictabilities);
    }

    /// <summary>
    /// The cell that takes each cell's place under a turn of at least an eighth, every other one a mirror image as well: turned points are assigned one to one to points,
    /// at the least sum of squared distances in the plane.
    /// </summary>
    internal static int[] Turn(double[][] plane, ulong seed, int number)
    {
        CounterRandom random = new(seed, stream: 0x726F7461UL + (ulong)number);
        double angle = Math.PI * (0.25 + 1.5 * random.NextDouble()), side = number % 2 == 0 ? 1 : -1;
        int m = plane[0].Length;
        double[] costs = new double[m * m];
        for (int i = 0; i < m; i++)
        {
            double x = Math.Cos(angle) * plane[0][i] - Math.Sin(angle) * plane[1][i], y = side * (Math.Sin(angle) * plane[0][i] + Math.Cos(angle) * plane[1][i]);
            for (int j = 0; j < m; j++)
            {
                double dx = x - plane[0][j], dy = y - plane[1][j];
                costs[i * m + j] = dx * dx + dy * dy;
            }
        }
        return LinearAssignment.Minimise<double>(costs, m, m);
    }

    /// <summary>Every cell is left out once: the cells are cut into folds at random, and each fold is mapped by the solve of the others.</summary>
    private static HeldOutCells HoldOut(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling, AlignmentOptions options, Matrix<double>? fused,
        IReadOnlyList<string>? firstLabels, IReadOnlyList<string>? secondLabels, CancellationToken cancellation)
    {
        CpuDevice device = c1.Device.Host;
        int[] order = [.. Enumerable.Range(0, c1.Rows)];
        new CounterRandom(options.Seed, stream: 0x68656C64UL).Shuffle<int>(order);
        using Matrix<double> mapped = device.AllocateMatrix<double>(c1.Rows, c2.Rows);
        ManyProblems.Run(device, Folds, ManyProblems.AtOnce(device.Pool.Threads, Folds, MemoryPlan.OfScreening(options, c1.Rows, c2.Rows) + 8L * c1.Rows * c1.Rows), fold =>
        {
            cancellation.ThrowIfCancellationRequested();
            int[] held = [.. order.Where((_, place) => place % Folds == fold).Order()], kept = [.. order.Where((_, place) => place % Folds != fold).Order()];
            MapFold(c1, c2, coupling, options, fused, held, kept, mapped, cancellation);
        });
        int[] partners = DistinctOptima.Partners(mapped), usual = DistinctOptima.Partners(coupling);
        double[] radii = CellStability.Radii(c2);
        double same = 0, near = 0;
        for (int i = 0; i < usual.Length; i++)
        {
            ReadOnlySpan<double> row = c2.Row(usual[i]);
            if (row[partners[i]] <= radii[usual[i]]) same++;
            foreach (double distance in row) if (distance <= radii[usual[i]]) near++;
        }
        bool labelled = firstLabels is not null && secondLabels is not null;
        return new HeldOutCells(usual.Length, Folds, same / usual.Length, near / usual.Length / c2.Rows,
            labelled ? LabelTransfer.Evaluate(mapped, firstLabels!, secondLabels!).Barycentric.Accuracy : null,
            labelled ? LabelTransfer.Evaluate(coupling, firstLabels!, secondLabels!).Barycentric.Accuracy : null);
    }

    private static void MapFold(Matrix<double> c1, Matrix<double> c2, Matrix<double> coupling, AlignmentOptions options, Matrix<double>? fused, int[] held, int[] kept,
        Matrix<double> mapped, CancellationToken cancellation)
    {
        CpuDevice device = c1.Device.Host;
        int[] all = [.. Enumerable.Range(0, c2.Rows)];
        using Matrix<double> keptCost = CellStability.Part(device, c1, kept, kept), distances = CellStability.Part(device, c1, held, kept), start = CellStability.Part(device, coupling, kept, all);
        using Matrix<double>? keptFused = fused is null ? null : CellStability.Part(device, fused, kept, all), heldFused = fused is null ? null : CellStability.Part(device, fused, held, all);
        double mass = MatrixElements.Summarise(start.View).Sum;
        for (int i = 0; i < start.Rows; i++)
            foreach (ref double t in start.Row(i)) t /= mass;
        using GromovResult solved = EntropicGromovWasserstein.Solve(keptCost, c2, options.Screening, keptFused, start, cancellation: cancellation);
        using OutOfSampleMap map = OutOfSampleMap.Fit(keptCost, c2, solved.Coupling, options.Screening, keptFused);
        using Matrix<double> rows = map.Map(distances, heldFused);
        for (int k = 0; k < held.Length; k++) rows.Row(k).CopyTo(mapped.Row(held[k]));
    }
}
