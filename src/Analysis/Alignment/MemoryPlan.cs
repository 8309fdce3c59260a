using System.Globalization;

namespace BioSup.Analysis.Alignment;

/// <summary>The memory a solve will hold, known before it starts.</summary>
/// <param name="Items">What and how many bytes.</param>
public sealed record MemoryPlan(IReadOnlyList<(string Item, long Bytes)> Items)
{
    public long TotalBytes => Items.Sum(item => item.Bytes);

    /// <summary>What lies in a GPU's memory besides, where host and device both hold a part of the solve.</summary>
    public IReadOnlyList<(string Item, long Bytes)> OnDevice { get; init; } = [];

    /// <summary>Bytes of <see cref="OnDevice"/>.</summary>
    public long DeviceBytes => OnDevice.Sum(item => item.Bytes);

    /// <summary>Plan of an alignment of two domains of this many points and coordinates.</summary>
    /// <param name="threads">Threads of the host, on which independent small problems are solved at the same time, or <see cref="ManyProblems.Room"/> of a device.</param>
    public static MemoryPlan For(AlignmentOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, bool fused, int threads = 1)
    {
        MemoryPlan solve = ForSolve(options, first, second, fused);
        List<(string, long)> items = [.. solve.Items];
        long nm = (long)first.Rows * second.Rows, each = OfScreening(options, first.Rows, second.Rows);
        if (options.FirstStart == FirstStart.Quantised) items.Add(("quantised start", nm * 8 + OfCoarseProblem(first.Rows, second.Rows)));
        if (options.Starts > 1) items.Add(("couplings of the other starts", (options.Starts + 1L) * nm * 8));
        if (options.Decoys > 0) items.Add(("decoy target", (long)second.Rows * second.Rows * 8));
        int atOnce = ManyProblems.AtOnce(threads, Math.Max(options.Starts - 1, options.Decoys), each);
        if (atOnce > 1) items.Add(("problems solved at the same time", (atOnce - 1) * each));
        long certificates = OfCertificates(options.Gromov, first.Rows, second.Rows) - (solve.TotalBytes - ((long)first.Rows * first.Rows + (long)second.Rows * second.Rows + nm) * 8);
        if (certificates > 0) items.Add(("certificates, beyond what the solve gives back", certificates));
        return new MemoryPlan(items);
    }

    /// <summary>What one further start or decoy holds beside the costs.</summary>
    internal static long OfScreening(AlignmentOptions options, int n, int m) =>
        ForDense(n, m, options.Gromov.Precision, fused: false, options.Gromov.ExactProducts, options.Gromov.Marginals != MarginalConstraint.Balanced).TotalBytes - (long)n * n * 8;

    /// <summary>What aligning the clusters of a quantised start holds.</summary>
    internal static long OfCoarseProblem(int n, int m) => 2 * ForDense(Quantisation.Count(n), Quantisation.Count(m), GromovPrecision.Double).TotalBytes;

    /// <summary>Vectors of a stored solve, the history of the acceleration and partial sums.</summary>
    private static (string, long) Vectors(long n, long m) =>
        ("vectors and the history of the acceleration", 8 * ((3 * Kernels.AndersonMixing.Depth + 22) * n + (26 + 2 * Math.Clamp(n * m / 131072, 1, 64)) * m));

    /// <summary>What the stationarity gap and the lower bounds hold beside the costs and the coupling, one after the other; managed memory too.</summary>
    internal static long OfCertificates(GromovOptions options, int n, int m)
    {
        if (options.Marginals != MarginalConstraint.Balanced) return 0;
        long nm = (long)n * m, squares = (long)n * n + (long)m * m, parts = LinearTransport.ExactSize(n, m), largest = Math.Max(n, m);
        long linear = parts <= LinearTransport.LargestAssignment ? 8 * parts * parts : nm * 17;
        long gap = largest <= StationarityGap.MostPoints ? squares * 8 + nm * 32 + linear : 0;
        long bounds = options.Loss == Kernels.GromovLoss.Square && largest <= LowerBounds.MostPoints ? squares * 8 + (n + m) * (n + m - 1L) * 8 + nm * 8 + linear : 0;
        return Math.Max(gap, bounds);
    }

    private static MemoryPlan ForSolve(AlignmentOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, bool fused)
    {
        if (options.Blocks is { } blocks) return LabelBlockGromovWasserstein.Plan(blocks);
        bool points = options.FirstCost.KeepsPoints && options.SecondCost.KeepsPoints && options.Starts == 1 && options.Decoys == 0
            && EntropicGromovWasserstein.UsesPoints(first, second, options.Gromov);
        return points ? ForPoints(first, second, options.Gromov.Precision, fused) : ForDense(first.Rows, second.Rows, options.Gromov.Precision, fused, options.Gromov.ExactProducts, options.Gromov.Marginals != MarginalConstraint.Balanced);
    }

    /// <summary>Plan of a solve whose costs are squared distances of points and are never formed.</summary>
    private static MemoryPlan ForPoints((int Rows, int Columns) first, (int Rows, int Columns) second, GromovPrecision precision, bool fused)
    {
        long element = precision == GromovPrecision.Double ? 8 : 4, nm = (long)first.Rows * second.Rows;
        long factors = first.Rows * (first.Columns + 2L) + second.Rows * (second.Columns + 2L);
        List<(string, long)> items =
        [
            ("points and factors", factors * (8 + 3 * element)),
            ("coupling", nm * (8 + element)),
            ("tensor product", nm * element),
            ("linear cost", nm * element),
            ("Sinkhorn kernel and support", nm * element + nm * 8 / 32 + nm / 8),
            Vectors(first.Rows, second.Rows),
        ];
        if (fused) items.Add(("fused cost", nm * 8));
        return new MemoryPlan(items);
    }

    /// <summary>Plan of a dense solve of n by m points.</summary>
    public static MemoryPlan ForDense(int n, int m, GromovPrecision precision, bool fused = false, bool exactProducts = false, bool freeMarginals = false)
    {
        long element = precision == GromovPrecision.Double ? 8 : 4, nm = (long)n * m, squares = (long)n * n + (long)m * m;
        List<(string, long)> items =
        [
            ("costs within the domains", squares * 8),
            ("transformed costs", squares * element),
            ("coupling", nm * (8 + (precision == GromovPrecision.Single ? 4 : 0))),
            ("tensor product and its scratch", 2 * nm * element),
            ("linear cost", nm * element),
            ("Sinkhorn kernel and support", nm * element + nm * 8 / 32 + nm / 8),
            Vectors(n, m),
        ];
        if (freeMarginals) items.Add(("costs of the moving marginals", squares * element));
        if (precision == GromovPrecision.Double && !exactProducts && !freeMarginals) items.Add(("single-precision products of changes", squares * 4 + 3 * nm * 4));
        if (precision == GromovPrecision.Single) items.Add(("costs in single precision", squares * 4));
        if (fused) items.Add(("fused cost", nm * 8));
        return new MemoryPlan(items);
    }

    /// <summary>One line for a person: the total and the largest items, of host and device where both hold something.</summary>
    public override string ToString() => OnDevice.Count == 0 ? Line(TotalBytes, Items) : $"{Line(TotalBytes, Items)}; on the device {Line(DeviceBytes, OnDevice)}";

    private static string Line(long total, IReadOnlyList<(string Item, long Bytes)> items) =>
        string.Create(CultureInfo.InvariantCulture, $"{total / 1048576.0:F1} MiB: ") +
        string.Join(", ", items.Select(item => string.Create(CultureInfo.InvariantCulture, $"{item.Item} {item.Bytes / 1048576.0:F1}")));
}
