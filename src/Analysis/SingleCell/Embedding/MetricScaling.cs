using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Multidimensional scaling of a dense matrix of distances, on the host: the classical solution in PHATE's form, metric scaling by majorisation, and the superposition of one on the other.
/// Coordinates are [axes, points]. The same bytes on any number of threads.
/// </summary>
internal static class MetricScaling
{
    private const int RowsPerBlock = 64, Chunk = 512, StepsPerCheck = 8, MostSteps = 3000;

    /// <summary>Majorisation has settled when a step lowers the stress by less than this share.</summary>
    private const double Tolerance = 1e-7;

    /// <summary>
    /// Principal components of the doubly centred squared distances: its eigenvectors of largest absolute eigenvalue times that, without the factor −½ and the root of Torgerson's
    /// solution, as PHATE computes it. The entry of largest magnitude of every axis is positive.
    /// </summary>
    /// <param name="distances">[n, n] symmetric, on the host.</param>
    /// <param name="axes">1 … n − 1.</param>
    /// <param name="cancel">Ends the search.</param>
    public static Matrix<double> Classic(Matrix<double> distances, int axes, CancellationToken cancel = default)
    {
        CpuDevice host = distances.Device.Host;
        CentredSquares squares = new(host, distances);
        (double[] values, Matrix<double> vectors) = LanczosEigen.Find(host, squares, axes, SpectrumEnd.Magnitude, null, seed: 0, cancel);
        for (int a = 0; a < axes; a++)
        {
            DiffusionMap.FixSign(vectors.Row(a));
            TensorPrimitives.Multiply(vectors.Row(a), squares.Bound * Math.Abs(values[a]), vectors.Row(a));
        }
        return vectors;
    }

    /// <summary>
    /// Metric scaling by majorisation (SMACOF; de Leeuw and Heiser 1980): X ← (1/n) B(X) X lowers Σ (d_ij − ‖x_i − x_j‖)² in every step. Seven steps of eight go twice as far, which
    /// never raises it either and takes about half the steps.
    /// </summary>
    /// <param name="distances">[n, n] symmetric, on the host.</param>
    /// <param name="start">[axes, n]; its scale does not matter.</param>
    /// <param name="progress">Hears of every few steps.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <returns>Coordinates, Σ_{i &lt; j} (d_ij − ‖x_i − x_j‖)², and the steps taken.</returns>
    public static (Matrix<double> Coordinates, double Stress, int Steps) Smacof(Matrix<double> distances, Matrix<double> start, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        CpuDevice host = distances.Device.Host;
        int n = distances.Rows, blocks = (n + RowsPerBlock - 1) / RowsPerBlock;
        Matrix<double> x = start.CopyAt(host), moved = host.AllocateMatrix<double>(x.Rows, n);
        double[] partial = new double[blocks];
        double checkedStress = double.PositiveInfinity;
        for (int step = 0; ; step++)
        {
            cancel.ThrowIfCancellationRequested();
            GuttmanJob job = new(distances, x, moved, partial);
            host.Pool.Run(blocks, ref job);
            double stress = partial.Sum();
            // The scale of the start is not that of the distances, and only a plain step sets it.
            if (step % StepsPerCheck != 0)
            {
                TensorPrimitives.Multiply(moved.Buffer.View.Host, 2, moved.Buffer.View.Host);
                TensorPrimitives.Subtract(moved.Buffer.View.Host, x.Buffer.View.Host, moved.Buffer.View.Host);
            }
            // What the check sees, and returns, comes from a plain step.
            if (step % StepsPerCheck == 1)
            {
                progress?.Report("scaling distances (PHATE)", step, MostSteps);
                if (checkedStress - stress <= StepsPerCheck * Tolerance * stress || step >= MostSteps)
                {
                    moved.Dispose();
                    return (x, stress, step);
                }
                checkedStress = stress;
            }
            (x, moved) = (moved, x);
        }
    }

    /// <summary>
    /// <paramref name="y"/> laid over <paramref name="target"/> by shift, rotation, reflection and scale, as <c>scipy.spatial.procrustes</c> does: both centred and of unit Frobenius norm, so that the
    /// result has the norm of their correlation.
    /// </summary>
    public static Matrix<double> Procrustes(Matrix<double> target, Matrix<double> y)
    {
        CpuDevice host = y.Device.Host;
        int axes = y.Rows;
        using Matrix<double> a = Standard(target), b = Standard(y);
        using Matrix<double> cross = host.AllocateMatrix<double>(axes, axes), square = host.AllocateMatrix<double>(axes, axes);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, a.View, b.View, 0.0, cross.View);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, cross.View, cross.View, 0.0, square.View);
        using SymmetricEigen right = SymmetricEigen.Decompose(square, vectors: true);
        // a bᵀ = U Σ Vᵀ: the rotation that takes b to a is U Vᵀ.
        using Matrix<double> left = host.AllocateMatrix<double>(axes, axes), turn = host.AllocateMatrix<double>(axes, axes);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, right.Vectors.View, cross.View, 0.0, left.View);
        double scale = 0;
        for (int i = 0; i < axes; i++) scale += Orthonormalise(left, i, Math.Sqrt(Math.Max(right.Values[0], 0)));
        Gemm.Multiply(Transpose.Yes, Transpose.No, scale, left.View, right.Vectors.View, 0.0, turn.View);
        Matrix<double> result = host.AllocateMatrix<double>(axes, y.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1.0, turn.View, b.View, 0.0, result.View);
        return result;
    }

    /// <summary>Row i, whose length is a singular value, becomes a unit vector orthogonal to those before it; a value of 0 leaves its direction free.</summary>
    private static double Orthonormalise(Matrix<double> rows, int i, double largest)
    {
        Span<double> row = rows.Row(i);
        double value = Math.Sqrt(TensorPrimitives.SumOfSquares(row));
        for (int axis = -1; axis < row.Length; axis++)
        {
            if (axis >= 0)
            {
                row.Clear();
                row[axis] = 1;
            }
            else if (value <= 1e-12 * largest) continue;
            double before = Math.Sqrt(TensorPrimitives.SumOfSquares(row));
            for (int j = 0; j < i; j++) TensorPrimitives.MultiplyAdd(rows.Row(j), -TensorPrimitives.Dot(rows.Row(j), row), row, row);
            double left = Math.Sqrt(TensorPrimitives.SumOfSquares(row));
            if (left <= 1e-6 * before) continue;
            TensorPrimitives.Multiply(row, 1 / left, row);
            return axis < 0 ? value : 0;
        }
        return 0;
    }

    private static Matrix<double> Standard(Matrix<double> y)
    {
        Matrix<double> copy = y.CopyAt(y.Device.Host);
        for (int a = 0; a < copy.Rows; a++) TensorPrimitives.Subtract(copy.Row(a), TensorPrimitives.Sum(copy.Row(a)) / copy.Columns, copy.Row(a));
        Span<double> all = copy.Buffer.View.Host;
        TensorPrimitives.Multiply(all, 1 / Math.Sqrt(TensorPrimitives.SumOfSquares(all)), all);
        return copy;
    }

    /// <summary>J (D ∘ D) J / b with J = I − 11ᵀ / n, known by its products; b, the largest sum of a row of D ∘ D, bounds the eigenvalues.</summary>
    private sealed class CentredSquares : ISymmetricMap
    {
        private readonly CpuDevice _device;
        private readonly Matrix<double> _distances;
        private readonly double[] _centred, _product;

        public CentredSquares(CpuDevice device, Matrix<double> distances)
        {
            (_device, _distances) = (device, distances);
            (_centred, _product) = (new double[(long)Length * VectorBlocks.Width], new double[(long)Length * VectorBlocks.Width]);
            Order = [.. Enumerable.Range(0, Length)];
            double largest = 0;
            for (int i = 0; i < Length; i++) largest = Math.Max(largest, TensorPrimitives.SumOfSquares<double>(distances.Row(i)));
            Bound = largest > 0 ? largest : 1;
        }

        public int Length => _distances.Rows;

        public int[] Order { get; }

        /// <summary>b.</summary>
        public double Bound { get; }

        public unsafe void Multiply(double* x, double* y, double factor, double shift, double* minus)
        {
            const int Width = VectorBlocks.Width;
            new ReadOnlySpan<double>(x, Length * Width).CopyTo(_centred);
            Centre(_centred);
            BlockLoop.Run(_device, (Length + RowsPerBlock - 1) / RowsPerBlock, block =>
            {
                fixed (double* from = _centred, to = _product)
                    for (int i = block * RowsPerBlock, end = Math.Min(i + RowsPerBlock, Length); i < end; i++)
                    {
                        ReadOnlySpan<double> row = _distances.Row(i);
                        Vector256<double> left = default, right = default;
                        for (int j = 0; j < row.Length; j++)
                        {
                            Vector256<double> square = Vector256.Create(row[j] * row[j]);
                            left = Vector256.FusedMultiplyAdd(square, Vector256.Load(from + j * Width), left);
                            right = Vector256.FusedMultiplyAdd(square, Vector256.Load(from + j * Width + 4), right);
                        }
                        left.Store(to + i * Width);
                        right.Store(to + i * Width + 4);
                    }
            });
            Centre(_product);
            Vector256<double> scale = Vector256.Create(factor / Bound);
            fixed (double* product = _product)
                for (int i = 0; i < Length; i++) VectorBlocks.Finish(i, Vector256.Load(product + i * Width) * scale, Vector256.Load(product + i * Width + 4) * scale, x, shift, minus, y);
        }

        private static void Centre(double[] lines)
        {
            const int Width = VectorBlocks.Width;
            Span<double> sums = stackalloc double[Width];
            for (int i = 0; i < lines.Length; i++) sums[i % Width] += lines[i];
            for (int c = 0; c < Width; c++) sums[c] /= lines.Length / Width;
            for (int i = 0; i < lines.Length; i++) lines[i] -= sums[i % Width];
        }
    }

    /// <summary>moved = (1/n) B(x) x, and half the sum of the squared residuals at x for each block of rows.</summary>
    private readonly struct GuttmanJob(Matrix<double> distances, Matrix<double> x, Matrix<double> moved, double[] partial) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            int n = distances.Rows, axes = x.Rows;
            Span<double> differences = stackalloc double[Chunk], lengths = stackalloc double[Chunk], ratios = stackalloc double[Chunk], sums = stackalloc double[axes];
            double residual = 0;
            for (int i = (int)block * RowsPerBlock, end = Math.Min(i + RowsPerBlock, n); i < end; i++)
            {
                sums.Clear();
                for (int first = 0; first < n; first += Chunk)
                {
                    int here = Math.Min(Chunk, n - first);
                    ReadOnlySpan<double> wanted = distances.Row(i).Slice(first, here);
                    Span<double> difference = differences[..here], length = lengths[..here], ratio = ratios[..here];
                    length.Clear();
                    for (int a = 0; a < axes; a++)
                    {
                        TensorPrimitives.Subtract(x.Row(a).Slice(first, here), x.Row(a)[i], difference);
                        TensorPrimitives.MultiplyAdd<double>(difference, difference, length, length);
                    }
                    TensorPrimitives.Sqrt<double>(length, length);
                    TensorPrimitives.Subtract(wanted, length, ratio);
                    residual += TensorPrimitives.SumOfSquares<double>(ratio);
                    // Points at one place do not pull, whatever their distance should be: their difference is 0.
                    TensorPrimitives.Max<double>(length, 1e-200, length);
                    TensorPrimitives.Divide(wanted, length, ratio);
                    for (int a = 0; a < axes; a++)
                    {
                        TensorPrimitives.Subtract(x.Row(a).Slice(first, here), x.Row(a)[i], difference);
                        sums[a] -= TensorPrimitives.Dot<double>(ratio, difference);
                    }
                }
                for (int a = 0; a < axes; a++) moved.Row(a)[i] = sums[a] / n;
            }
            partial[block] = 0.5 * residual;
        }
    }
}
