using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>The symmetric cost C of one domain, known by its products with thin matrices. In host memory.</summary>
internal abstract class LowRankCosts(ComputeDevice device, int count, int rank) : IDisposable
{
    public ComputeDevice Device => device;
    public int Count => count;
    public int Rank => rank;

    /// <summary>P = Qᵀ C Q [r, r]; what it takes is kept for <see cref="Gradient"/>.</summary>
    public abstract void Products(MatrixView<double> q, MatrixView<double> products);

    /// <summary>-4 C Q M [n, r] for the Q of the last <see cref="Products"/>.</summary>
    public abstract void Gradient(MatrixView<double> m, MatrixView<double> gradient);

    /// <summary>sum_k C_ik² w_k of every row.</summary>
    public abstract double[] SquaredRows(double[] weights);

    /// <summary>Row i of C.</summary>
    public abstract void Row(int i, Span<double> row);

    public abstract void Dispose();
}

/// <summary>A cost matrix [n, n] as it stands: products take n² r operations. Does not own the matrix.</summary>
internal sealed class StoredCosts(Matrix<double> cost, int rank) : LowRankCosts(cost.Device, cost.Rows, rank)
{
    private readonly Matrix<double> _image = cost.Device.AllocateMatrix<double>(cost.Rows, rank);

    public override void Products(MatrixView<double> q, MatrixView<double> products)
    {
        Gemm.Multiply(Transpose.No, Transpose.No, 1, cost.View, q, 0, _image.View);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, q, _image.View, 0, products);
    }

    public override void Gradient(MatrixView<double> m, MatrixView<double> gradient) => Gemm.Multiply(Transpose.No, Transpose.No, -4, _image.View, m, 0, gradient);

    public override double[] SquaredRows(double[] weights)
    {
        double[] sums = new double[Count];
        BlockLoop.Run(Device, Count, i =>
        {
            ReadOnlySpan<double> row = cost.Row(i);
            double sum = 0;
            for (int k = 0; k < row.Length; k++) sum += row[k] * row[k] * weights[k];
            sums[i] = sum;
        });
        return sums;
    }

    public override void Row(int i, Span<double> row) => cost.Row(i).CopyTo(row);

    public override void Dispose() => _image.Dispose();
}

/// <summary>
/// Squared distances of points, which are B J Bᵀ exactly with B = (1, s, x), s the squared norms and J exchanging the first two columns and multiplying the others by -2
/// (Scetbon, Peyré and Cuturi 2022, section 3): products take n (d + 2) r operations and memory is linear in n. Owns the points.
/// </summary>
internal sealed class PointCosts : LowRankCosts
{
    private readonly SquaredDistanceDomain _points;
    private readonly Matrix<double> _factor, _sums, _turned;

    public PointCosts(SquaredDistanceDomain points, int rank)
        : base(points.Points.Device, points.Count, rank)
    {
        _points = points;
        int d = points.Dimensions;
        _factor = Device.AllocateMatrix<double>(Count, d + 2);
        _sums = Device.AllocateMatrix<double>(d + 2, rank);
        _turned = Device.AllocateMatrix<double>(d + 2, rank);
        for (int i = 0; i < Count; i++)
        {
            Span<double> row = _factor.Row(i);
            (row[0], row[1]) = (1, points.Norms[i] + points.MeanNorm);
            points.Points.Row(i).CopyTo(row[2..]);
        }
    }

    public override void Products(MatrixView<double> q, MatrixView<double> products)
    {
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, _factor.View, q, 0, _sums.View);
        Turn(_sums, _turned);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1, _sums.View, _turned.View, 0, products);
    }

    public override void Gradient(MatrixView<double> m, MatrixView<double> gradient)
    {
        // _sums is no longer needed once it was turned, until the next products.
        Gemm.Multiply(Transpose.No, Transpose.No, 1, _turned.View, m, 0, _sums.View);
        Gemm.Multiply(Transpose.No, Transpose.No, -4, _factor.View, _sums.View, 0, gradient);
    }

    public override double[] SquaredRows(double[] weights) => _points.QuarticRows(weights);

    public override void Row(int i, Span<double> row)
    {
        ReadOnlySpan<double> x = _points.Points.Row(i);
        for (int k = 0; k < row.Length; k++)
        {
            double distance = TensorPrimitives.Distance<double>(x, _points.Points.Row(k));
            row[k] = distance * distance;
        }
    }

    public override void Dispose()
    {
        _points.Dispose();
        _factor.Dispose();
        _sums.Dispose();
        _turned.Dispose();
    }

    /// <summary>J S.</summary>
    private static void Turn(Matrix<double> s, Matrix<double> turned)
    {
        s.Row(1).CopyTo(turned.Row(0));
        s.Row(0).CopyTo(turned.Row(1));
        for (int c = 2; c < s.Rows; c++) TensorPrimitives.Multiply(s.Row(c), -2, turned.Row(c));
    }
}
