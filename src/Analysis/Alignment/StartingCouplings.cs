using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Smooth starting couplings, made from the costs alone. Rough random ones all fall back to the product coupling's optimum in one step.</summary>
internal static class StartingCouplings
{
    private const int Landmarks = 3;
    private const int PowerIterations = 60;

    /// <summary>Random stream of the first random start, less one.</summary>
    internal const ulong RandomStream = 0x73746172UL;

    /// <summary>Epsilon of a start's own transport problem, as a share of its mean cost.</summary>
    internal const double EpsilonShare = 0.1;

    /// <summary>Directions that are flipped one at a time. Two flips together turn the domain by half a circle, which random starts and rotated targets cover.</summary>
    public const int FlippedDirections = 3;

    /// <summary>Variance along a direction, as a share of that along the widest, from which flipping it makes another alignment.</summary>
    private const double LeastExtent = 0.05;

    /// <summary>
    /// Both domains ordered along their widest direction (first coordinate of classical scaling) and matched in the order opposite to the
    /// one <paramref name="found"/> uses: where a mirrored optimum would be.
    /// </summary>
    public static Matrix<double> Mirrored(Matrix<double> c1, Matrix<double> c2, Matrix<double> found)
    {
        double[] x = Ranks(WidestDirections(c1, 1)[0]), y = Ranks(WidestDirections(c2, 1)[0]);
        using PlacedMatrix<double> readable = found.OnHost();
        double covariance = 0, mass = 0;
        for (int i = 0; i < found.Rows; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                covariance += row[j] * (x[i] - 0.5) * (y[j] - 0.5);
                mass += row[j];
            }
        }
        bool sameDirection = covariance / mass > 0;
        return FromFeatures(c1.Device, x.Length, y.Length, 1, (_, i) => x[i], (_, j) => sameDirection ? 1 - y[j] : y[j]);
    }

    /// <summary>
    /// The coupling found, followed by the mirror image of the second domain along one of its leading directions: where an optimum would be that differs by that flip alone.
    /// Points of the first domain stand where their partners are on average. The widest direction is <see cref="Mirrored"/>'s, which needs no coupling that tells sides apart.
    /// </summary>
    /// <param name="found">[n, m].</param>
    /// <param name="direction">Which direction, from 0 for the widest, below <see cref="FlippedDirections"/>.</param>
    /// <returns>Null where the domain has no such direction: its extent is below a twentieth of the widest one's.</returns>
    public static Matrix<double>? MirroredAlong(Matrix<double> c1, Matrix<double> c2, Matrix<double> found, int direction)
    {
        (double[][] y, double[] extents) = LeadingDirections(c2, FlippedDirections);
        if (!(extents[direction] >= LeastExtent * extents[0])) return null;
        using PlacedMatrix<double> readable = found.OnHost();
        double[][] x = new double[FlippedDirections][];
        for (int d = 0; d < FlippedDirections; d++)
        {
            double extent = Math.Sqrt(Math.Max(0, extents[d])), side = d == direction ? -1 : 1;
            for (int j = 0; j < y[d].Length; j++) y[d][j] *= extent;
            x[d] = new double[found.Rows];
            for (int i = 0; i < found.Rows; i++)
            {
                ReadOnlySpan<double> row = readable.Matrix.Row(i);
                double mass = 0, sum = 0;
                for (int j = 0; j < row.Length; j++) (mass, sum) = (mass + row[j], sum + row[j] * y[d][j]);
                x[d][i] = mass > 0 ? side * sum / mass : 0;
            }
        }
        return FromFeatures(c1.Device, found.Rows, found.Columns, FlippedDirections, (d, i) => x[d][i], (d, j) => y[d][j]);
    }

    /// <summary>Points described by their distances to a few random landmarks; landmark l of one domain is paired with landmark l of the other.</summary>
    public static Matrix<double> Random(Matrix<double> c1, Matrix<double> c2, ulong seed, int start)
    {
        CounterRandom random = new(seed, stream: RandomStream + (ulong)start);
        int[] first = new int[Landmarks], second = new int[Landmarks];
        for (int l = 0; l < Landmarks; l++)
        {
            first[l] = random.NextInt32(c1.Rows);
            second[l] = random.NextInt32(c2.Rows);
        }
        double[][] x = [.. first.Select(l => Ranks(Row(c1, l)))], y = [.. second.Select(l => Ranks(Row(c2, l)))];
        return FromFeatures(c1.Device, c1.Rows, c2.Rows, Landmarks, (l, i) => x[l][i], (l, j) => y[l][j]);
    }

    /// <summary>Entropic transport with cost sum_l (x_il - y_jl)², which is smooth in both domains.</summary>
    private static Matrix<double> FromFeatures(ComputeDevice device, int n, int m, int features, Func<int, int, double> x, Func<int, int, double> y)
    {
        using Matrix<double> costs = device.Host.AllocateMatrix<double>(n, m);
        double sum = 0;
        for (int i = 0; i < n; i++)
        {
            Span<double> row = costs.Row(i);
            for (int j = 0; j < m; j++)
            {
                for (int l = 0; l < features; l++)
                {
                    double difference = x(l, i) - y(l, j);
                    row[j] += difference * difference;
                }
                sum += row[j];
            }
        }
        using PlacedMatrix<double> there = costs.At(device);
        MatrixView<double> cost = there.Matrix.View;
        double epsilon = EpsilonShare * Math.Max(sum / ((double)n * m), 1e-12);
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m), f = device.Allocate<double>(n), g = device.Allocate<double>(m), change = device.Allocate<double>(n);
        p.CopyFrom(EntropicGromovWasserstein.Uniform(n));
        q.CopyFrom(EntropicGromovWasserstein.Uniform(m));
        using SinkhornWorkspace<double> workspace = new(device, n, m);
        SinkhornScaling.Solve(workspace, cost, p.View, q.View, epsilon, f.View, g.View, SinkhornOptions.Pot with { Tolerance = 1e-7 });
        Matrix<double> coupling = device.AllocateMatrix<double>(n, m);
        SinkhornScaling.UpdateCoupling(cost, f.View, g.View, epsilon, coupling.View, change.View, default);
        return coupling;
    }

    /// <summary>First coordinates of classical multidimensional scaling, each of length one, by power iteration on the doubly centred squared cost.</summary>
    internal static double[][] WidestDirections(Matrix<double> cost, int count) => LeadingDirections(cost, count).Directions;

    /// <summary>The same with the eigenvalues that belong to them.</summary>
    private static (double[][] Directions, double[] Extents) LeadingDirections(Matrix<double> cost, int count)
    {
        double[] extents = new double[count];
        int n = cost.Rows;
        double[] uniform = EntropicGromovWasserstein.Uniform(n);
        double[] rowMean = DistanceCorrelation.RowMoments(cost, uniform).Squares;
        double mean = rowMean.Sum() / n;
        double[][] directions = new double[count][];
        for (int d = 0; d < count; d++)
        {
            // A start without structure that needs no generator.
            double[] x = [.. Enumerable.Range(0, n).Select(i => i * 0.6180339887498949 % 1 - 0.5)];
            for (int iteration = 0; iteration < PowerIterations; iteration++)
            {
                double total = x.Sum(), weighted = 0, squares = 0;
                for (int j = 0; j < n; j++) weighted += rowMean[j] * x[j];
                double[] next = DistanceCorrelation.RowMoments(cost, x).Squares;
                for (int i = 0; i < n; i++) next[i] = -0.5 * (next[i] - rowMean[i] * total - weighted + mean * total);
                for (int earlier = 0; earlier < d; earlier++)
                {
                    double along = 0;
                    for (int i = 0; i < n; i++) along += next[i] * directions[earlier][i];
                    for (int i = 0; i < n; i++) next[i] -= along * directions[earlier][i];
                }
                foreach (double value in next) squares += value * value;
                double scale = squares > 0 ? 1 / Math.Sqrt(squares) : 0;
                extents[d] = 0;
                for (int i = 0; i < n; i++)
                {
                    extents[d] += next[i] * x[i];
                    x[i] = next[i] * scale;
                }
            }
            directions[d] = x;
        }
        return (directions, extents);
    }

    private static double[] Row(Matrix<double> cost, int row)
    {
        double[] values = new double[cost.Columns];
        cost.View.RowBlock(row, 1).CopyTo(values);
        return values;
    }

    /// <summary>Ranks scaled to [0, 1].</summary>
    internal static double[] Ranks(double[] values)
    {
        int[] order = [.. Enumerable.Range(0, values.Length).OrderBy(i => values[i]).ThenBy(i => i)];
        double[] ranks = new double[values.Length];
        for (int r = 0; r < order.Length; r++) ranks[order[r]] = r / (double)Math.Max(1, values.Length - 1);
        return ranks;
    }
}
