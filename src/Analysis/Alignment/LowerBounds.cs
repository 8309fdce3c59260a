using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Mémoli's lower bounds of the Gromov-Wasserstein loss (2011, section 6), for the square loss and in the units of <see cref="GromovResult.Loss"/>
/// (his bounds are half the square roots of these): no coupling of the masses has a smaller loss.
/// </summary>
/// <param name="First">FLB: transport between the points' eccentricities (root mean square distances to the others).</param>
/// <param name="Second">SLB: transport between the two distributions of all distances; null where there are too many points.</param>
/// <param name="Third">TLB: transport between points by how different their distributions of distances are; at least as large as both others. Null where there are too many points.</param>
/// <param name="ThirdSlack">By how much the third bound may fall short of the transport it stands for: 0 where that was solved exactly.</param>
public sealed record LowerBounds(double First, double? Second, double? Third, double ThirdSlack)
{
    /// <summary>Most points a domain may have for the second and third bound, which sort all distances.</summary>
    public const int MostPoints = 3000;

    /// <summary>The largest of the bounds there are.</summary>
    public double Best => Math.Max(First, Math.Max(Second ?? 0, Third ?? 0));

    /// <summary>The bounds of two costs with uniform masses.</summary>
    /// <param name="c1">Cost within the first domain [n, n], finite, in any memory.</param>
    /// <param name="c2">Cost within the second domain [m, m], finite.</param>
    /// <param name="cancellation">Stops between the steps.</param>
    public static LowerBounds Of(Matrix<double> c1, Matrix<double> c2, CancellationToken cancellation = default)
    {
        double first = Quantiles(Eccentricities(c1), Eccentricities(c2));
        if (Math.Max(c1.Rows, c2.Rows) > MostPoints) return new LowerBounds(first, null, null, 0);
        cancellation.ThrowIfCancellationRequested();
        double[] x = SortedRows(c1), y = SortedRows(c2);
        TransportBounds third = LocalDistributions(c1.Device.Host, x, c1.Rows, y, c2.Rows, cancellation);
        cancellation.ThrowIfCancellationRequested();
        Array.Sort(x);
        Array.Sort(y);
        double second = Quantiles(x, y);
        // The dual value of the third may fall below the second, which it bounds in exact arithmetic.
        return new LowerBounds(first, second, Math.Max(0, third.Lower), third.Upper - third.Lower);
    }

    /// <summary>Squared 2-Wasserstein distance between two samples, each sorted and of equal masses: quantiles are matched.</summary>
    internal static double Quantiles(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        // Masses in units of 1 / (n m), so that whole numbers tell where one sample ends and the other goes on.
        long leftA = b.Length, leftB = a.Length;
        double sum = 0;
        for (int i = 0, j = 0; i < a.Length && j < b.Length;)
        {
            long step = Math.Min(leftA, leftB);
            double difference = a[i] - b[j];
            sum += step * difference * difference;
            leftA -= step;
            leftB -= step;
            if (leftA == 0) (i, leftA) = (i + 1, b.Length);
            if (leftB == 0) (j, leftB) = (j + 1, a.Length);
        }
        return sum / ((double)a.Length * b.Length);
    }

    private static double[] Eccentricities(Matrix<double> cost)
    {
        double[] squares = DistanceCorrelation.RowMoments(cost, EntropicGromovWasserstein.Uniform(cost.Rows)).Squares;
        for (int i = 0; i < squares.Length; i++) squares[i] = Math.Sqrt(squares[i]);
        Array.Sort(squares);
        return squares;
    }

    private static double[] SortedRows(Matrix<double> cost)
    {
        int n = cost.Rows;
        double[] values = new double[n * n];
        cost.View.CopyTo(values);
        for (int i = 0; i < n; i++) values.AsSpan(i * n, n).Sort();
        return values;
    }

    private static TransportBounds LocalDistributions(CpuDevice device, double[] x, int n, double[] y, int m, CancellationToken cancellation)
    {
        // On the common grid of quantiles the distance between two rows' distributions is Euclidean.
        List<(int First, int Second, double Weight)> grid = [];
        long leftA = m, leftB = n;
        for (int i = 0, j = 0; i < n && j < m;)
        {
            long step = Math.Min(leftA, leftB);
            grid.Add((i, j, Math.Sqrt(step / ((double)n * m))));
            leftA -= step;
            leftB -= step;
            if (leftA == 0) (i, leftA) = (i + 1, m);
            if (leftB == 0) (j, leftB) = (j + 1, n);
        }
        using Matrix<double> first = device.AllocateMatrix<double>(n, grid.Count), second = device.AllocateMatrix<double>(m, grid.Count), between = device.AllocateMatrix<double>(n, m);
        for (int i = 0; i < n; i++)
            for (int l = 0; l < grid.Count; l++) first.Row(i)[l] = grid[l].Weight * x[i * n + grid[l].First];
        for (int j = 0; j < m; j++)
            for (int l = 0; l < grid.Count; l++) second.Row(j)[l] = grid[l].Weight * y[j * m + grid[l].Second];
        PairwiseDistance.Compute(DistanceMetric.SquaredEuclidean, first.View, second.View, between.View, DistanceForm.Direct);
        return LinearTransport.Minimise(between, cancellation);
    }
}
