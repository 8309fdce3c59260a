using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class GromovProduct
{
    /// <summary>
    /// Prepares a problem of the square loss whose costs are squared Euclidean distances of points, without forming them: memory and work of a product are
    /// proportional to n m d instead of n m (n + m). Terms and products are those of <see cref="Prepare{T}"/> for the same costs, to rounding.
    /// </summary>
    /// <remarks>The costs have rank d + 2 (Scetbon, Peyré and Cuturi 2022, section 3). For a coupling with the masses as marginals and centred points the product is, up to
    /// terms of a row or column alone, 2 |x_i|²|y_j|² + 8 x_iᵀ (Xᵀ T Y) y_j. The terms of rows and columns are kept, so that the marginals need not be met.</remarks>
    /// <param name="x">Points of the first domain [n, d1].</param>
    /// <param name="xDivisor">What their squared distances are divided by, positive.</param>
    /// <param name="y">Points of the second domain [m, d2].</param>
    /// <param name="yDivisor">What their squared distances are divided by, positive.</param>
    /// <param name="p">Masses of the first domain [n].</param>
    /// <param name="q">Masses of the second domain [m].</param>
    public static GromovOperands<T> PreparePoints<T>(MatrixView<double> x, double xDivisor, MatrixView<double> y, double yDivisor, DeviceSpan<double> p, DeviceSpan<double> q)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (p.Length != x.Rows || q.Length != y.Rows) throw new ArgumentException($"The masses have {p.Length} and {q.Length} elements; there are {x.Rows} and {y.Rows} points.", nameof(p));
        if (!(xDivisor > 0) || !(yDivisor > 0)) throw new ArgumentOutOfRangeException(nameof(xDivisor), "Distances are divided by a positive number.");
        if (x.Device is CudaDevice gpu) DeviceKernels.Report(gpu, nameof(GromovProduct), $"points, factors {x.Rows}x{x.Columns + 2} and {y.Rows}x{y.Columns + 2}");
        (Matrix<T> left, Matrix<T> leftOther, DeviceBuffer<double> rowTerm) = Factors<T>(x, xDivisor, p);
        (Matrix<T> right, Matrix<T> rightOther, DeviceBuffer<double> columnTerm) = Factors<T>(y, yDivisor, q);
        return new GromovOperands<T>(new PointFactors<T>(left, leftOther, right, rightOther), rowTerm, columnTerm);
    }

    /// <summary>C1 T (2 C2)ᵀ from the inside out.</summary>
    private static void MultiplyPoints<T>(PointFactors<T> f, MatrixView<T> coupling, MatrixView<T> product) where T : unmanaged, IFloatingPointIeee754<T>
    {
        T one = T.One, two = T.CreateTruncating(2);
        if (f.LeftFirst)
        {
            Gemm(Transpose.Yes, Transpose.No, one, f.LeftOther.View, coupling, T.Zero, f.Wide.View);
            Gemm(Transpose.No, Transpose.No, one, f.Wide.View, f.Right.View, T.Zero, f.Inner.View);
            Gemm(Transpose.No, Transpose.Yes, one, f.Inner.View, f.RightOther.View, T.Zero, f.Wide.View);
            Gemm(Transpose.No, Transpose.No, two, f.Left.View, f.Wide.View, T.Zero, product);
            return;
        }
        Gemm(Transpose.No, Transpose.No, one, coupling, f.Right.View, T.Zero, f.Wide.View);
        Gemm(Transpose.Yes, Transpose.No, one, f.LeftOther.View, f.Wide.View, T.Zero, f.Inner.View);
        Gemm(Transpose.No, Transpose.No, one, f.Left.View, f.Inner.View, T.Zero, f.Wide.View);
        Gemm(Transpose.No, Transpose.Yes, two, f.Wide.View, f.RightOther.View, T.Zero, product);
    }

    /// <summary>
    /// (|x|², 1, -2 x), (1, |x|², x), and the sums of squared costs over the masses, from moments of the points. Points are few beside couplings and come to the host;
    /// they are centred, which changes no distance and keeps the digits of the factors.
    /// </summary>
    private static (Matrix<T> First, Matrix<T> Second, DeviceBuffer<double> Term) Factors<T>(MatrixView<double> points, double divisor, DeviceSpan<double> mass)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int n = points.Rows, d = points.Columns, rank = d + 2;
        double[] x = new double[(long)n * d], weights = new double[n], norms = new double[n];
        points.CopyTo(x);
        points.Device.Download(mass, weights);
        Centre(x, n, d, 1 / Math.Sqrt(divisor));
        T[] first = new T[(long)n * rank], second = new T[(long)n * rank];
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = x.AsSpan(i * d, d);
            norms[i] = TensorPrimitives.SumOfSquares(row);
            Span<T> a = first.AsSpan(i * rank, rank), b = second.AsSpan(i * rank, rank);
            (a[0], a[1], b[0], b[1]) = (T.CreateTruncating(norms[i]), T.One, T.One, T.CreateTruncating(norms[i]));
            for (int c = 0; c < d; c++) (a[c + 2], b[c + 2]) = (T.CreateTruncating(-2 * row[c]), T.CreateTruncating(row[c]));
        }
        DeviceBuffer<double> term = points.Device.Allocate<double>(n);
        term.CopyFrom(SquaredCosts(x, norms, weights, d));
        return (Matrix<T>.From(points.Device, n, rank, first), Matrix<T>.From(points.Device, n, rank, second), term);
    }

    private static void Centre(double[] x, int n, int d, double scale)
    {
        double[] mean = new double[d];
        for (int i = 0; i < n; i++) TensorPrimitives.Add(mean, x.AsSpan(i * d, d), mean);
        TensorPrimitives.Divide(mean, n, mean);
        for (int i = 0; i < n; i++)
        {
            Span<double> row = x.AsSpan(i * d, d);
            TensorPrimitives.Subtract(row, mean, row);
            TensorPrimitives.Multiply(row, scale, row);
        }
    }

    /// <summary>sum_k w_k |x_i - x_k|⁴ from the moments of w: |x_i - x_k|² is s_i + s_k - 2 x_i·x_k with s the squared norms.</summary>
    private static double[] SquaredCosts(double[] x, double[] s, double[] w, int d)
    {
        int n = s.Length;
        double mass = 0, sum = 0, squares = 0;
        double[] mean = new double[d], weighted = new double[d], second = new double[d * d], image = new double[d];
        for (int k = 0; k < n; k++)
        {
            ReadOnlySpan<double> row = x.AsSpan(k * d, d);
            mass += w[k];
            sum += w[k] * s[k];
            squares += w[k] * s[k] * s[k];
            TensorPrimitives.MultiplyAdd(row, w[k], mean, mean);
            TensorPrimitives.MultiplyAdd(row, w[k] * s[k], weighted, weighted);
            for (int c = 0; c < d; c++)
            {
                Span<double> line = second.AsSpan(c * d, d);
                TensorPrimitives.MultiplyAdd(row, w[k] * row[c], line, line);
            }
        }
        double[] term = new double[n];
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = x.AsSpan(i * d, d);
            for (int c = 0; c < d; c++) image[c] = TensorPrimitives.Dot(second.AsSpan(c * d, d), row);
            double spread = d == 0 ? 0 : TensorPrimitives.Dot(image, row), along = d == 0 ? 0 : TensorPrimitives.Dot(mean, row), skew = d == 0 ? 0 : TensorPrimitives.Dot(weighted, row);
            term[i] = s[i] * s[i] * mass + squares + 4 * spread + 2 * s[i] * sum - 4 * s[i] * along - 4 * skew;
        }
        return term;
    }
}
