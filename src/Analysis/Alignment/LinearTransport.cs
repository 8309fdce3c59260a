using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Enclosure of the least cost of any coupling of uniform masses.</summary>
/// <param name="Lower">Value of a feasible dual: no coupling costs less.</param>
/// <param name="Upper">Cost of a coupling that was found.</param>
internal readonly record struct TransportBounds(double Lower, double Upper);

/// <summary>min over couplings T of uniform masses of sum C_ij T_ij: exact as an assignment where that is affordable, else enclosed by an entropic solve.</summary>
internal static class LinearTransport
{
    /// <summary>Largest square assignment that is solved exactly; its work grows with the third power.</summary>
    public const int LargestAssignment = 1500;

    private const int SinkhornIterations = 500;
    private const double SinkhornTolerance = 1e-7;

    /// <summary>Regularisation as shares of the spread of the costs, each solve starting from the potentials of the one before.</summary>
    private static readonly double[] s_shares = [0.05, 0.01, 0.002, 0.0005];

    /// <summary>Encloses the least cost.</summary>
    /// <param name="cost">[n, m], finite, in any memory; looked at on the host.</param>
    /// <param name="cancellation">Stops between rows and between solves.</param>
    public static TransportBounds Minimise(Matrix<double> cost, CancellationToken cancellation = default)
    {
        using PlacedMatrix<double> readable = cost.OnHost();
        long size = ExactSize(cost.Rows, cost.Columns);
        return size <= LargestAssignment ? Assign(readable.Matrix, (int)size, cancellation) : Entropic(readable.Matrix, cancellation);
    }

    /// <summary>Moves a coupling onto uniform masses (Altschuler, Weed and Rigollet 2017, algorithm 2): too full rows and columns shrink, what is missing is spread by deficit.</summary>
    public static void Round(Matrix<double> coupling) => Round(coupling, EntropicGromovWasserstein.Uniform(coupling.Rows), EntropicGromovWasserstein.Uniform(coupling.Columns));

    /// <summary>The same onto the masses p and q.</summary>
    public static void Round(Matrix<double> coupling, double[] p, double[] q)
    {
        int n = coupling.Rows, m = coupling.Columns;
        double[] rowDeficit = new double[n], columnDeficit = new double[m];
        for (int i = 0; i < n; i++)
        {
            Span<double> row = coupling.Row(i);
            double sum = 0;
            foreach (double t in row) sum += t;
            double scale = sum > p[i] ? p[i] / sum : 1;
            for (int j = 0; j < m; j++) columnDeficit[j] += row[j] *= scale;
        }
        for (int j = 0; j < m; j++) columnDeficit[j] = columnDeficit[j] > q[j] ? q[j] / columnDeficit[j] : 1;
        double missing = 0;
        double[] columnSum = new double[m];
        for (int i = 0; i < n; i++)
        {
            Span<double> row = coupling.Row(i);
            double sum = 0;
            for (int j = 0; j < m; j++)
            {
                row[j] *= columnDeficit[j];
                sum += row[j];
                columnSum[j] += row[j];
            }
            missing += rowDeficit[i] = Math.Max(0, p[i] - sum);
        }
        if (missing == 0) return;
        for (int j = 0; j < m; j++) columnDeficit[j] = Math.Max(0, q[j] - columnSum[j]) / missing;
        for (int i = 0; i < n; i++)
        {
            Span<double> row = coupling.Row(i);
            for (int j = 0; j < m; j++) row[j] += rowDeficit[i] * columnDeficit[j];
        }
    }

    /// <summary>Points are split into equal parts until both sides have as many: a vertex of the couplings is then an assignment (Birkhoff).</summary>
    private static TransportBounds Assign(Matrix<double> cost, int size, CancellationToken cancellation)
    {
        int rowParts = size / cost.Rows, columnParts = size / cost.Columns;
        double[] costs = new double[(long)size * size];
        for (int i = 0; i < size; i++)
        {
            ReadOnlySpan<double> row = cost.Row(i / rowParts);
            for (int j = 0; j < size; j++) costs[(long)i * size + j] = row[j / columnParts];
        }
        int[] columns = LinearAssignment.Minimise<double>(costs, size, size, cancellation);
        double sum = 0;
        for (int i = 0; i < size; i++) sum += costs[(long)i * size + columns[i]];
        return new TransportBounds(sum / size, sum / size);
    }

    private static TransportBounds Entropic(Matrix<double> cost, CancellationToken cancellation)
    {
        CpuDevice device = cost.Device.Host;
        int n = cost.Rows, m = cost.Columns;
        MatrixSummary summary = MatrixElements.Summarise(cost.View);
        double spread = summary.Largest - summary.Smallest;
        if (spread == 0) return new TransportBounds(summary.Smallest, summary.Smallest);
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m), f = device.Allocate<double>(n), g = device.Allocate<double>(m), change = device.Allocate<double>(n);
        p.CopyFrom(EntropicGromovWasserstein.Uniform(n));
        q.CopyFrom(EntropicGromovWasserstein.Uniform(m));
        using SinkhornWorkspace<double> workspace = new(device, n, m);
        SinkhornOptions settings = new(SinkhornIterations, SinkhornTolerance, 1, SinkhornForm.Scaling, CompactKernel: true, Accelerate: true);
        foreach (double share in s_shares)
        {
            cancellation.ThrowIfCancellationRequested();
            SinkhornScaling.Solve(workspace, cost.View, p.View, q.View, share * spread, f.View, g.View, settings);
        }
        double[] rows = new double[n];
        f.CopyTo(rows);
        double lower = DualValue(cost, rows);
        using Matrix<double> coupling = device.AllocateMatrix<double>(n, m);
        SinkhornScaling.UpdateCoupling(cost.View, f.View, g.View, s_shares[^1] * spread, coupling.View, change.View, default);
        Round(coupling);
        return new TransportBounds(lower, GromovProduct.InnerProduct(cost.View, coupling.View));
    }

    /// <summary>The largest column prices that row prices allow, and then the largest row prices: what they add up to bounds every coupling's cost from below.</summary>
    private static double DualValue(Matrix<double> cost, double[] rows)
    {
        int n = cost.Rows, m = cost.Columns;
        double[] columns = new double[m];
        Array.Fill(columns, double.PositiveInfinity);
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = cost.Row(i);
            for (int j = 0; j < m; j++) columns[j] = Math.Min(columns[j], row[j] - rows[i]);
        }
        double value = 0;
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = cost.Row(i);
            double least = double.PositiveInfinity;
            for (int j = 0; j < m; j++) least = Math.Min(least, row[j] - columns[j]);
            value += least / n;
        }
        foreach (double price in columns) value += price / m;
        return value;
    }

    /// <summary>Rows of the assignment that solves a transport exactly: the least common multiple of the points.</summary>
    internal static long ExactSize(int a, int b)
    {
        (int x, int y) = (a, b);
        while (y != 0) (x, y) = (y, x % y);
        return (long)a / x * b;
    }
}
