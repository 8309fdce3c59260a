using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// The starts of <see cref="StartingCouplings"/> for couplings that are not stored. Each is an entropic plan whose cost is the squared distance of a few features, so its
/// scores have their rank; of the plan only Γ = Xᵀ T Y is kept, which is all that the iteration needs of a start.
/// </summary>
internal sealed class ImplicitStarts : IDisposable
{
    private const int Landmarks = 3;
    private const int PowerIterations = 60;
    private readonly SquaredDistanceDomain _x, _y;

    public ImplicitStarts(DomainCostResult c1, DomainCostResult c2)
    {
        _x = new SquaredDistanceDomain(c1.Points!, c1.Divisor, "first domain");
        _y = new SquaredDistanceDomain(c2.Points!, c2.Divisor, "second domain");
    }

    /// <summary>Cost of two cells of the second domain.</summary>
    public double Cost(int one, int other) => _y.Distance(one, other);

    /// <summary>Mean cost over all pairs of the second domain.</summary>
    public double MeanCost => _y.MeanDistance;

    /// <summary>Both domains ordered along their first principal axis and matched in the order opposite to the one <paramref name="found"/> uses.</summary>
    public Matrix<double> Mirrored(ImplicitCoupling found)
    {
        double[] x = StartingCouplings.Ranks(WidestDirection(_x)), y = StartingCouplings.Ranks(WidestDirection(_y));
        using Matrix<double> ranks = Column(y.Length, j => y[j] - 0.5), matched = found.Multiply(ranks.View);
        double covariance = 0;
        for (int i = 0; i < x.Length; i++) covariance += matched.Row(i)[0] * (x[i] - 0.5);
        using Matrix<double> first = Column(x.Length, i => x[i]), second = Column(y.Length, j => covariance > 0 ? 1 - y[j] : y[j]);
        return Moments(first, second);
    }

    /// <summary>Points described by their distances to a few random landmarks; the same landmarks as of the stored form.</summary>
    public Matrix<double> Random(ulong seed, int start)
    {
        CounterRandom random = new(seed, stream: StartingCouplings.RandomStream + (ulong)start);
        int[] first = new int[Landmarks], second = new int[Landmarks];
        for (int l = 0; l < Landmarks; l++)
        {
            first[l] = random.NextInt32(_x.Count);
            second[l] = random.NextInt32(_y.Count);
        }
        using Matrix<double> x = Features(_x, first), y = Features(_y, second);
        return Moments(x, y);
    }

    /// <summary>Γ of a coupling of landmarks spread over the points.</summary>
    public Matrix<double> Quantised(QuantisedStart start) => start.Moments(_x, _y);

    public void Dispose()
    {
        _x.Dispose();
        _y.Dispose();
    }

    /// <summary>Γ of the entropic plan with cost |x_i - y_j|² of the features, epsilon a tenth of its mean.</summary>
    private unsafe Matrix<double> Moments(Matrix<double> x, Matrix<double> y)
    {
        ComputeDevice device = x.Device;
        int n = x.Rows, m = y.Rows;
        double[] xMean = Means(x), yMean = Means(y);
        double mean = TensorPrimitives.SumOfSquares<double>(x.Buffer.View.Host) / n + TensorPrimitives.SumOfSquares<double>(y.Buffer.View.Host) / m
            - 2 * TensorPrimitives.Dot<double>(xMean, yMean);
        double epsilon = StartingCouplings.EpsilonShare * Math.Max(mean, 1e-12);
        using FactoredPlan<double> plan = new(device, n, m, x.Columns);
        plan.SetRight(y.View);
        TensorPrimitives.Multiply(x.Buffer.View.Host, 2 / epsilon, plan.Left.Buffer.View.Host);
        using DeviceBuffer<double> p = device.Allocate<double>(n), q = device.Allocate<double>(m), u = device.Allocate<double>(n), v = device.Allocate<double>(m), sums = device.Allocate<double>(m);
        p.View.Host.Fill(1.0 / n);
        q.View.Host.Fill(1.0 / m);
        v.View.Host.Fill(-Math.Log(m));
        FactoredTransport.Solve(plan, p.View, q.View, u.View, v.View, sums.View, SinkhornOptions.Pot with { Tolerance = 1e-7, CheckEvery = 1, Accelerate = true });
        using Matrix<double> moved = device.AllocateMatrix<double>(n, _y.Dimensions);
        FactoredTransport.Apply(plan, u.View, v.View, _y.Points.View, moved.View);
        Matrix<double> gamma = device.AllocateMatrix<double>(_x.Dimensions, _y.Dimensions);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, _x.Points.View, moved.View, 0, gamma.View);
        return gamma;
    }

    private static double[] Means(Matrix<double> features)
    {
        double[] mean = new double[features.Columns];
        for (int i = 0; i < features.Rows; i++) TensorPrimitives.Add(mean, features.Row(i), mean);
        TensorPrimitives.Divide(mean, features.Rows, mean);
        return mean;
    }

    private static Matrix<double> Features(SquaredDistanceDomain domain, int[] landmarks)
    {
        double[][] ranks = [.. landmarks.Select(l => StartingCouplings.Ranks([.. Enumerable.Range(0, domain.Count).Select(i => domain.Distance(l, i))]))];
        Matrix<double> features = domain.Points.Device.AllocateMatrix<double>(domain.Count, landmarks.Length);
        for (int i = 0; i < domain.Count; i++)
            for (int l = 0; l < landmarks.Length; l++) features.Row(i)[l] = ranks[l][i];
        return features;
    }

    private Matrix<double> Column(int count, Func<int, double> value)
    {
        Matrix<double> column = _x.Points.Device.AllocateMatrix<double>(count, 1);
        for (int i = 0; i < count; i++) column.Row(i)[0] = value(i);
        return column;
    }

    /// <summary>Coordinates along the first principal axis, by power iteration on the points: no covariance of many coordinates is formed.</summary>
    private static double[] WidestDirection(SquaredDistanceDomain domain)
    {
        // A start without structure that needs no generator.
        double[] x = [.. Enumerable.Range(0, domain.Count).Select(i => i * 0.6180339887498949 % 1 - 0.5)], axis = new double[domain.Dimensions];
        for (int iteration = 0; iteration < PowerIterations; iteration++)
        {
            Array.Clear(axis);
            for (int i = 0; i < x.Length; i++) TensorPrimitives.MultiplyAdd(domain.Points.Row(i), x[i], axis, axis);
            double length = TensorPrimitives.Norm<double>(axis);
            if (length == 0) break;
            TensorPrimitives.Divide(axis, length, axis);
            for (int i = 0; i < x.Length; i++) x[i] = TensorPrimitives.Dot<double>(domain.Points.Row(i), axis);
        }
        return x;
    }
}
