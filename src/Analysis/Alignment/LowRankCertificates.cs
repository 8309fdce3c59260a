using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// What can be proved about a low-rank coupling. Its gap is that of the loss among couplings of any rank: what the rank holds back, as epsilon does in an entropic coupling. Between squared distances
/// of points the linear problem has costs -4 s_i t_j - 16 x_iᵀ Γ y_j of rank d + 1 (up to terms of a row or column alone), so that it is enclosed in memory linear in the points.
/// </summary>
internal static class LowRankCertificates
{
    /// <summary>Pairs up to which the linear problem between points is enclosed: it takes a few hundred passes over them.</summary>
    public const long MostPairs = 25_000_000;

    private const int Iterations = 200;

    /// <summary>Regularisation as shares of the spread of the costs, each solve starting from the potentials of the one before.</summary>
    private static readonly double[] s_shares = [0.05, 0.01, 0.002, 0.0005];

    /// <param name="c1">Cost within the first domain.</param>
    /// <param name="c2">Cost within the second domain.</param>
    /// <param name="result">The coupling.</param>
    /// <param name="missing">Receives what is not measured; goes into the result.</param>
    /// <param name="cancellation">Stops between the steps.</param>
    public static AlignmentCertificates Of(DomainCostResult c1, DomainCostResult c2, LowRankResult result, List<string> missing, CancellationToken cancellation)
    {
        SolveState state = AlignmentCertificates.StateOf(result.Loss, result.RowError + result.ColumnError, result.Converged);
        return c1.Points is null || c2.Points is null ? OfCosts(c1, c2, result, state, missing, cancellation) : OfPoints(c1, c2, result, state, missing, cancellation);
    }

    private static AlignmentCertificates OfCosts(DomainCostResult c1, DomainCostResult c2, LowRankResult result, SolveState state, List<string> missing, CancellationToken cancellation)
    {
        StationarityGap? gap = null;
        if (Math.Max(c1.Count, c2.Count) > StationarityGap.MostPoints) missing.Add(Text($"The stationarity gap takes dense transport problems and is measured up to {StationarityGap.MostPoints} points."));
        else
        {
            using Matrix<double> dense = result.Coupling.ToMatrix();
            // The gap of the loss alone: no epsilon enters it.
            gap = StationarityGap.Of(c1, c2, dense, new GromovOptions { Solver = GromovSolverKind.Ppa }, null, cancellation);
        }
        LowerBounds bounds = LowerBounds.Of(c1.Cost, c2.Cost, cancellation);
        if (bounds.Third is null) missing.Add(Text($"The second and third lower bound sort all distances and are computed up to {LowerBounds.MostPoints} points."));
        return new AlignmentCertificates(state, gap, bounds, missing);
    }

    private static AlignmentCertificates OfPoints(DomainCostResult c1, DomainCostResult c2, LowRankResult result, SolveState state, List<string> missing, CancellationToken cancellation)
    {
        using SquaredDistanceDomain x = new(c1.Points!, c1.Divisor, "first domain"), y = new(c2.Points!, c2.Divisor, "second domain");
        StationarityGap? gap = null;
        if ((long)x.Count * y.Count <= MostPairs) gap = Gap(x, y, result.Coupling, cancellation);
        else missing.Add(Text($"The stationarity gap takes some hundred passes over all pairs and is measured up to {MostPairs} of them."));
        LowerBounds bounds = new(LowerBounds.Quantiles(Eccentricities(x), Eccentricities(y)), null, null, 0);
        missing.Add("The second and third lower bound need the costs, which were not formed.");
        return new AlignmentCertificates(state, gap, bounds, missing);
    }

    /// <summary>Native memory of the certificates between points.</summary>
    internal static long Bytes((int Rows, int Columns) first, (int Rows, int Columns) second, int threads)
    {
        long points = 8 * ((long)first.Rows * first.Columns + (long)second.Rows * second.Columns);
        if ((long)first.Rows * second.Rows > MostPairs) return points;
        int rank = second.Columns + 1;
        return points + FactoredPlan<double>.BytesFor(first.Rows, second.Rows, rank, threads) + FactoredPlan<double>.BytesFor(second.Rows, first.Rows, rank, threads) + 8 * (3L * first.Rows + second.Rows) * (rank + 2L);
    }

    /// <summary>The gap of the loss, in POT's convention.</summary>
    internal static StationarityGap Gap(SquaredDistanceDomain x, SquaredDistanceDomain y, LowRankCoupling coupling, CancellationToken cancellation)
    {
        ComputeDevice device = x.Points.Device;
        int n = x.Count, m = y.Count, rank = y.Dimensions + 1;
        // cost_ij = -a_i · b_j with b_j = (t_j, y_j) and a_i = (4 s_i, 16 Γᵀ x_i).
        using Matrix<double> a = device.AllocateMatrix<double>(n, rank), b = device.AllocateMatrix<double>(m, rank);
        for (int j = 0; j < m; j++)
        {
            b.Row(j)[0] = y.Norms[j];
            y.Points.Row(j).CopyTo(b.Row(j)[1..]);
        }
        using Matrix<double> moved = coupling.Multiply(b.View), gamma = device.AllocateMatrix<double>(x.Dimensions, y.Dimensions);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, x.Points.View, moved.View.ColumnBlock(1, rank - 1), 0, gamma.View);
        Gemm.Multiply(Transpose.No, Transpose.No, 16, x.Points.View, gamma.View, 0, a.View.ColumnBlock(1, rank - 1));
        for (int i = 0; i < n; i++) a.Row(i)[0] = 4 * x.Norms[i];
        double here = -TensorPrimitives.Dot<double>(a.Buffer.View.Host[..(n * rank)], moved.Buffer.View.Host[..(n * rank)]);
        TransportBounds least = Enclose(a, b, cancellation);
        double[] p = EntropicGromovWasserstein.Uniform(n), q = EntropicGromovWasserstein.Uniform(m);
        double scale = x.QuarticMoment(p, p) + y.QuarticMoment(q, q) - 2 * x.MeanDistance * y.MeanDistance, gap = Math.Max(0, here - least.Lower);
        return new StationarityGap(gap, gap, least.Upper - least.Lower, scale);
    }

    /// <summary>Encloses min over couplings of uniform masses of -sum a_i · b_j T_ij between the value of a feasible dual and the cost of a coupling.</summary>
    private static TransportBounds Enclose(Matrix<double> a, Matrix<double> b, CancellationToken cancellation)
    {
        ComputeDevice device = a.Device;
        (int n, int m) = (a.Rows, b.Rows);
        using FactoredPlan<double> plan = new(device, n, m, a.Columns), exchanged = new(device, m, n, a.Columns);
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m), u = device.Allocate<double>(n), v = device.Allocate<double>(m), sums = device.Allocate<double>(m);
        p.View.Host.Fill(1.0 / n);
        q.View.Host.Fill(1.0 / m);
        plan.SetRight(b.View);
        exchanged.SetRight(a.View);
        v.Clear();
        // Without potentials the largest score of a row is the negative of its least cost.
        Scale(a, 1, plan.Left);
        double smallest = -Largest(plan, b, v).Max();
        Scale(a, -1, plan.Left);
        double spread = Largest(plan, b, v).Max() - smallest;
        if (!(spread > 0)) return new TransportBounds(smallest, smallest);
        SinkhornOptions settings = SinkhornOptions.Pot with { MaxIterations = Iterations, Tolerance = 1e-7, CheckEvery = 1, Accelerate = true };
        double last = s_shares[0] * spread, upper;
        v.View.Host.Fill(-Math.Log(m));
        foreach (double share in s_shares)
        {
            double epsilon = share * spread;
            TensorPrimitives.Multiply(v.View.Host, last / epsilon, v.View.Host);
            Scale(a, 1 / epsilon, plan.Left);
            FactoredTransport.Solve(plan, p.View, q.View, u.View, v.View, sums.View, settings, cancellation);
            last = epsilon;
        }
        using (Matrix<double> image = device.AllocateMatrix<double>(n, a.Columns))
        {
            FactoredTransport.Apply(plan, u.View, v.View, b.View, image.View);
            double missed = 0;
            foreach (double sum in sums.View.Host) missed += Math.Abs(sum - 1.0 / m);
            // Rows are met; moving what columns miss onto them changes the cost by no more than that mass times the spread (Altschuler, Weed and Rigollet 2017, lemma 7).
            upper = missed * spread - TensorPrimitives.Dot<double>(a.Buffer.View.Host[..(n * a.Columns)], image.Buffer.View.Host[..(n * a.Columns)]);
        }
        // The largest row prices that the column prices allow, then the largest column prices.
        double[] rows = Largest(plan, b, v);
        Scale(b, 1 / last, exchanged.Left);
        for (int i = 0; i < n; i++) u.View.Host[i] = -rows[i];
        double[] columns = Largest(exchanged, a, u);
        double lower = -last * (TensorPrimitives.Sum<double>(rows) / n + TensorPrimitives.Sum<double>(columns) / m);
        return new TransportBounds(Math.Min(lower, upper), upper);
    }

    /// <summary>max_j v_j + left_i · right_j of every row.</summary>
    private static double[] Largest(FactoredPlan<double> plan, Matrix<double> right, DeviceBuffer<double> v)
    {
        using DeviceBuffer<int> best = right.Device.Allocate<int>(plan.Rows);
        FactoredTransport.BestColumns(plan, v.View, best.View);
        double[] largest = new double[plan.Rows];
        for (int i = 0; i < largest.Length; i++) largest[i] = v.View.Host[best.View.Host[i]] + TensorPrimitives.Dot<double>(plan.Left.Row(i), right.Row(best.View.Host[i]));
        return largest;
    }

    private static void Scale(Matrix<double> from, double by, Matrix<double> to) => TensorPrimitives.Multiply(from.Buffer.View.Host[..(from.Rows * from.Columns)], by, to.Buffer.View.Host);

    /// <summary>Root mean square costs of every point to all, sorted.</summary>
    private static double[] Eccentricities(SquaredDistanceDomain points)
    {
        double[] squares = points.QuarticRows(EntropicGromovWasserstein.Uniform(points.Count));
        for (int i = 0; i < squares.Length; i++) squares[i] = Math.Sqrt(Math.Max(0, squares[i]));
        Array.Sort(squares);
        return squares;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
