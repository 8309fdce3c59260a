using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>
/// Points whose squared distances are the costs of one domain: centred, which changes no distance and keeps the digits, and scaled so that the costs are divided by the
/// divisor. In host memory.
/// </summary>
internal sealed class SquaredDistanceDomain : IDisposable
{
    private readonly double[] _mean;
    private readonly double _scale;

    /// <param name="points">Points [n, d] in any memory; not changed.</param>
    /// <param name="divisor">What squared distances are divided by, positive.</param>
    /// <param name="name">What to call the points in error messages.</param>
    public SquaredDistanceDomain(Matrix<double> points, double divisor, string name)
    {
        InputChecks.RequireFinite(points, name);
        Device = points.Device;
        if (!(divisor > 0) || !double.IsFinite(divisor)) throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"The costs of the {name} are divided by {divisor}; a positive number is needed."));
        _scale = 1 / Math.Sqrt(divisor);
        _mean = new double[points.Columns];
        Points = points.CopyOnHost();
        // Twice: with a large offset the first mean is rounded by more than the spread's last digits.
        Centre();
        Centre();
        Norms = new double[points.Rows];
        for (int i = 0; i < points.Rows; i++)
        {
            Span<double> row = Points.Row(i);
            TensorPrimitives.Multiply(row, _scale, row);
            Norms[i] = TensorPrimitives.SumOfSquares<double>(row);
        }
        MeanNorm = TensorPrimitives.Sum<double>(Norms) / points.Rows;
        TensorPrimitives.Subtract(Norms, MeanNorm, Norms);
        if (!(TensorPrimitives.SumOfSquares<double>(Norms) < 1e300)) throw new DataException(name, null, "the coordinates are so large that products of squared distances overflow; divide them by a common number.");
    }

    /// <summary>Where the points came from: passes over them run there.</summary>
    public ComputeDevice Device { get; }

    /// <summary>Centred and scaled [n, d].</summary>
    public Matrix<double> Points { get; }
    public int Count => Points.Rows;
    public int Dimensions => Points.Columns;

    /// <summary>Squared norms less <see cref="MeanNorm"/> [n].</summary>
    public double[] Norms { get; }
    public double MeanNorm { get; }

    /// <summary>Subtracted from the points as they were given [d].</summary>
    public double[] Mean => _mean;

    /// <summary>What the centred points were multiplied by.</summary>
    public double Scale => _scale;

    /// <summary>Squared distance of two points.</summary>
    public double Distance(int one, int other)
    {
        double distance = TensorPrimitives.Distance<double>(Points.Row(one), Points.Row(other));
        return distance * distance;
    }

    /// <summary>Mean squared distance over all n² pairs: the points are centred.</summary>
    public double MeanDistance => 2 * MeanNorm;

    /// <summary>sum_ik w_i m_k |x_i - x_k|⁴ from moments: |x_i - x_k|² is s_i + s_k - 2 x_i · x_k with s the squared norms.</summary>
    public double QuarticMoment(ReadOnlySpan<double> w, ReadOnlySpan<double> m)
    {
        Moments a = new(this, w), b = new(this, m);
        return a.Mass * b.Squares + b.Mass * a.Squares + 2 * a.Sum * b.Sum + 4 * TensorPrimitives.Dot<double>(a.Second, b.Second)
            - 4 * TensorPrimitives.Dot<double>(a.Weighted, b.Mean) - 4 * TensorPrimitives.Dot<double>(b.Weighted, a.Mean);
    }

    /// <summary>sum_k w_k |x_i - x_k|⁴ of every point, from the same moments.</summary>
    public double[] QuarticRows(double[] weights)
    {
        Moments w = new(this, weights);
        int d = Dimensions;
        double[] sums = new double[Count];
        BlockLoop.Run(Points.Device, Count, i =>
        {
            ReadOnlySpan<double> x = Points.Row(i);
            double s = Norms[i] + MeanNorm, second = 0;
            for (int c = 0; c < d; c++) second += x[c] * TensorPrimitives.Dot(w.Second.AsSpan(c * d, d), x);
            sums[i] = w.Mass * s * s + w.Squares + 4 * second + 2 * s * w.Sum - 4 * s * TensorPrimitives.Dot(x, w.Mean) - 4 * TensorPrimitives.Dot(x, w.Weighted);
        });
        return sums;
    }

    public void Dispose() => Points.Dispose();

    private void Centre()
    {
        double[] mean = new double[Dimensions];
        for (int i = 0; i < Count; i++) TensorPrimitives.Add(mean, Points.Row(i), mean);
        TensorPrimitives.Divide(mean, Count, mean);
        for (int i = 0; i < Count; i++) TensorPrimitives.Subtract(Points.Row(i), mean, Points.Row(i));
        TensorPrimitives.Add(_mean, mean, _mean);
    }

    /// <summary>Sums of 1, s, s², x, s x and x xᵀ under weights.</summary>
    internal readonly struct Moments
    {
        public readonly double Mass, Sum, Squares;
        public readonly double[] Mean, Weighted, Second;

        public Moments(SquaredDistanceDomain domain, ReadOnlySpan<double> weights)
        {
            int d = domain.Dimensions;
            (Mean, Weighted, Second) = (new double[d], new double[d], new double[d * d]);
            for (int k = 0; k < domain.Count; k++)
            {
                ReadOnlySpan<double> row = domain.Points.Row(k);
                double s = domain.Norms[k] + domain.MeanNorm, w = weights[k];
                Mass += w;
                Sum += w * s;
                Squares += w * s * s;
                TensorPrimitives.MultiplyAdd(row, w, Mean, Mean);
                TensorPrimitives.MultiplyAdd(row, w * s, Weighted, Weighted);
                for (int c = 0; c < d; c++) TensorPrimitives.MultiplyAdd(row, w * row[c], Second.AsSpan(c * d, d), Second.AsSpan(c * d, d));
            }
        }
    }
}
