using System.Globalization;

namespace BioSup.Analysis.Alignment;

/// <summary>The native memory a solve will hold, known before it starts.</summary>
/// <param name="Items">What and how many bytes.</param>
public sealed record MemoryPlan(IReadOnlyList<(string Item, long Bytes)> Items)
{
    public long TotalBytes => Items.Sum(item => item.Bytes);

    /// <summary>Plan of an alignment of two domains of this many points and coordinates.</summary>
    public static MemoryPlan For(AlignmentOptions options, (int Rows, int Columns) first, (int Rows, int Columns) second, bool fused)
    {
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
        ];
        if (freeMarginals) items.Add(("costs of the moving marginals", squares * element));
        if (precision == GromovPrecision.Double && !exactProducts && !freeMarginals) items.Add(("single-precision products of changes", squares * 4 + 3 * nm * 4));
        if (precision == GromovPrecision.Single) items.Add(("costs in single precision", squares * 4));
        if (fused) items.Add(("fused cost", nm * 8));
        return new MemoryPlan(items);
    }

    /// <summary>One line for a person: the total and the largest items.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{TotalBytes / 1048576.0:F1} MiB: ") +
        string.Join(", ", Items.Select(item => string.Create(CultureInfo.InvariantCulture, $"{item.Item} {item.Bytes / 1048576.0:F1}")));
}
