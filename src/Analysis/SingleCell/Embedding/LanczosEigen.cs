using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>A symmetric matrix known by its products with vectors.</summary>
internal interface ISymmetricMap
{
    /// <summary>Length of the vectors.</summary>
    int Length { get; }

    /// <summary>y = A x. The bytes of y must not depend on the number of threads.</summary>
    void Multiply(ReadOnlySpan<double> x, Span<double> y);
}

/// <summary>Which end of the spectrum is wanted.</summary>
internal enum SpectrumEnd
{
    /// <summary>Largest absolute values (ARPACK's LM).</summary>
    Magnitude,

    /// <summary>Largest values (ARPACK's LA).</summary>
    Algebraic,
}

/// <summary>
/// A few eigenpairs of a large symmetric matrix by thick-restart Lanczos (Wu and Simon 2000) with every new vector made orthogonal to all others twice, so that
/// no eigenvalue is found more often than it is there. A Krylov space holds only one vector of a repeated eigenvalue. Those that every graph may have (one for each
/// component) are known beforehand and kept out of the search; for others, what was found must stand when the search goes on from a new random vector.
/// The result has the same bytes on any number of threads.
/// </summary>
internal sealed class LanczosEigen
{
    /// <summary>Below this length the whole spectrum is computed densely, which is exact whatever its gaps.</summary>
    private const int DenseLength = 256;

    /// <summary>Residual of an accepted pair, in units of the largest eigenvalue: what ARPACK asks when it is given no tolerance is machine precision; rounding of the products allows about this.</summary>
    private const double Tolerance = 1e-13;
    private const int RestartLimit = 300, SmallestBasis = 20, LargestBasis = 160;

    private readonly CpuDevice _device;
    private readonly ISymmetricMap _map;
    private readonly Matrix<double>? _known;
    private readonly SpectrumEnd _end;
    private readonly int _count, _size;
    private CounterRandom _random;

    private LanczosEigen(CpuDevice device, ISymmetricMap map, int count, SpectrumEnd end, Matrix<double>? known, ulong seed)
    {
        (_device, _map, _count, _end, _known) = (device, map, count, end, known);
        _random = new CounterRandom(seed, stream: 0x4C616E63UL);
        int wide = Math.Clamp((int)Math.Sqrt(map.Length), 2 * count + SmallestBasis, Math.Max(2 * count + SmallestBasis, LargestBasis));
        _size = Math.Min(wide, map.Length - (known?.Rows ?? 0));
    }

    /// <param name="device">Whose threads multiply.</param>
    /// <param name="map">The matrix A.</param>
    /// <param name="count">How many pairs besides the known ones, at least 1 and at most what is left.</param>
    /// <param name="end">Which.</param>
    /// <param name="known">[c, n] orthonormal eigenvectors of A that are left out; null for none.</param>
    /// <param name="seed">Decides the first vector.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <returns>Eigenvalues, wanted ones first, and [count, n] unit eigenvectors.</returns>
    /// <exception cref="ConvergenceException">The pairs were not accurate after 300 restarts.</exception>
    public static (double[] Values, Matrix<double> Vectors) Find(CpuDevice device, ISymmetricMap map, int count, SpectrumEnd end, Matrix<double>? known, ulong seed, CancellationToken cancel)
    {
        int left = map.Length - (known?.Rows ?? 0);
        if (count < 1 || count > left) throw new ArgumentOutOfRangeException(nameof(count), $"{count} eigenvectors of {left}.");
        LanczosEigen search = new(device, map, count, end, known, seed);
        return map.Length <= DenseLength ? search.Dense() : search.Run(cancel);
    }

    private (double[] Values, Matrix<double> Vectors) Run(CancellationToken cancel)
    {
        int n = _map.Length;
        Matrix<double> basis = _device.AllocateMatrix<double>(_size + 1, n), other = _device.AllocateMatrix<double>(_size + 1, n);
        try
        {
            using Matrix<double> projected = _device.AllocateMatrix<double>(_size, _size);
            using DeviceBuffer<double> coefficients = _device.Allocate<double>(2L * (_size + 1 + (_known?.Rows ?? 0)));
            Draw(basis, 0);
            int kept = 0;
            double[]? found = null;
            for (int restart = 0; restart < RestartLimit; restart++)
            {
                double beta = 0;
                for (int j = kept; j < _size; j++)
                {
                    cancel.ThrowIfCancellationRequested();
                    _map.Multiply(basis.Row(j), basis.Row(j + 1));
                    beta = Orthogonalise(basis, j + 1, coefficients.View.Host, out double before);
                    Span<double> products = coefficients.View.Host;
                    for (int i = 0; i <= j; i++) projected.Row(i)[j] = projected.Row(j)[i] = products[i];
                    // Nothing new: the space is invariant, and goes on with any vector outside it.
                    if (beta <= 1e-14 * before || beta == 0)
                    {
                        beta = 0;
                        if (j + 1 < _size) Draw(basis, j + 1);
                    }
                    else Scale(basis.Row(j + 1), 1 / beta);
                }
                (double[] values, int[] order, SymmetricEigen ritz) = Ritz(projected);
                using (ritz)
                {
                    double scale = Math.Max(Math.Abs(values[order[0]]), Math.Abs(values[order[^1]]));
                    int good = 0;
                    while (good < _count && Math.Abs(beta * ritz.Vectors.Row(order[good])[_size - 1]) <= Tolerance * scale) good++;
                    bool accurate = good == _count;
                    if (accurate || _size + (_known?.Rows ?? 0) == n)
                    {
                        double[] wanted = [.. order.Take(_count).Select(i => values[i])];
                        if (!accurate || (found is not null && Same(wanted, found, scale))) return (wanted, Combine(basis, ritz, order, _count));
                        found = wanted;
                    }
                    // Some vectors beyond the wanted ones keep the gap wide; accurate ones allow more.
                    kept = accurate ? _count : Math.Min(_count + Math.Max(good / 2, (_size - _count) / 3), _size - 1);
                    using Matrix<double> first = Combine(basis, ritz, order, kept);
                    for (int i = 0; i < kept; i++) first.Row(i).CopyTo(other.Row(i));
                    basis.Row(_size).CopyTo(other.Row(kept));
                    (basis, other) = (other, basis);
                    if (accurate || beta == 0) Draw(basis, kept);
                    for (int i = 0; i < kept; i++)
                    {
                        projected.Row(i)[..kept].Clear();
                        projected.Row(i)[i] = values[order[i]];
                    }
                }
            }
            throw new ConvergenceException($"{_count} eigenvectors of a graph of {n} cells were not accurate to {Tolerance:0e0} after {RestartLimit} restarts of the Lanczos iteration.");
        }
        finally
        {
            basis.Dispose();
            other.Dispose();
        }
    }

    private static bool Same(double[] values, double[] others, double scale)
    {
        for (int i = 0; i < values.Length; i++) if (Math.Abs(values[i] - others[i]) > 10 * Tolerance * scale) return false;
        return true;
    }

    /// <summary>Eigenvalues of the projected matrix and their numbers, wanted ones first.</summary>
    private (double[] Values, int[] Order, SymmetricEigen Eigen) Ritz(Matrix<double> projected)
    {
        using Matrix<double> copy = projected.CopyAt(_device);
        SymmetricEigen eigen = SymmetricEigen.Decompose(copy, vectors: true);
        double[] values = eigen.Values;
        int[] order = [.. Enumerable.Range(0, values.Length)];
        if (_end == SpectrumEnd.Magnitude) order = [.. order.OrderByDescending(i => Math.Abs(values[i]))];
        return (values, order, eigen);
    }

    private Matrix<double> Combine(Matrix<double> basis, SymmetricEigen ritz, int[] order, int rows)
    {
        int size = ritz.Values.Length;
        using Matrix<double> weights = _device.AllocateMatrix<double>(rows, size);
        for (int i = 0; i < rows; i++) ritz.Vectors.Row(order[i]).CopyTo(weights.Row(i));
        Matrix<double> result = _device.AllocateMatrix<double>(rows, basis.Columns);
        Gemm.Multiply(Transpose.No, Transpose.No, 1, weights.View, basis.View.RowBlock(0, size), 0, result.View);
        return result;
    }

    /// <summary>Row <paramref name="row"/> made orthogonal to the known vectors and to all rows before it, twice.</summary>
    /// <returns>What is left of its length; <paramref name="coefficients"/> begins with its products with the rows.</returns>
    private double Orthogonalise(Matrix<double> basis, int row, Span<double> coefficients, out double before)
    {
        before = Norm(basis.Row(row));
        Span<double> sums = coefficients[..row];
        sums.Clear();
        Span<double> part = coefficients.Slice(coefficients.Length / 2, coefficients.Length / 2);
        for (int pass = 0; pass < 2; pass++)
        {
            if (_known is not null) Project(_known.View, basis.View.RowBlock(row, 1), part);
            Project(basis.View.RowBlock(0, row), basis.View.RowBlock(row, 1), part);
            for (int i = 0; i < row; i++) sums[i] += part[i];
        }
        return Norm(basis.Row(row));
    }

    /// <summary>v ← v − (v Bᵀ) B; <paramref name="products"/> receives v Bᵀ.</summary>
    private unsafe void Project(MatrixView<double> rows, MatrixView<double> vector, Span<double> products)
    {
        fixed (double* p = products)
        {
            MatrixView<double> found = new(p, 1, rows.Rows, rows.Rows, _device);
            Gemm.Multiply(Transpose.No, Transpose.Yes, 1, vector, rows, 0, found);
            Gemm.Multiply(Transpose.No, Transpose.No, -1, found, rows, 1, vector);
        }
    }

    /// <summary>A random unit vector outside the space of the known vectors and the rows before it.</summary>
    private void Draw(Matrix<double> basis, int row)
    {
        Span<double> vector = basis.Row(row);
        double[] scratch = new double[2 * (_size + 1 + (_known?.Rows ?? 0))];
        do
        {
            for (int i = 0; i < vector.Length; i++) vector[i] = _random.NextNormal();
        }
        while (Orthogonalise(basis, row, scratch, out double before) <= 1e-8 * before);
        Scale(vector, 1 / Norm(vector));
    }

    private (double[] Values, Matrix<double> Vectors) Dense()
    {
        int n = _map.Length;
        using Matrix<double> matrix = _device.AllocateMatrix<double>(n, n);
        double[] unit = new double[n];
        for (int i = 0; i < n; i++)
        {
            unit[i] = 1;
            _map.Multiply(unit, matrix.Row(i));
            unit[i] = 0;
        }
        // A known pair moves to an eigenvalue that no other can have, which leaves all others as they are.
        double bound = 0;
        for (int i = 0; i < n; i++)
        {
            double sum = 0;
            foreach (double value in matrix.Row(i)) sum += Math.Abs(value);
            bound = Math.Max(bound, sum);
        }
        for (int c = 0; c < (_known?.Rows ?? 0); c++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) matrix.Row(i)[j] += 4 * (bound + 1) * _known!.Row(c)[i] * _known.Row(c)[j];
        using SymmetricEigen eigen = SymmetricEigen.Decompose(matrix, vectors: true);
        int[] order = [.. Enumerable.Range(_known?.Rows ?? 0, n - (_known?.Rows ?? 0))];
        if (_end == SpectrumEnd.Magnitude) order = [.. order.OrderByDescending(i => Math.Abs(eigen.Values[i]))];
        Matrix<double> vectors = _device.AllocateMatrix<double>(_count, n);
        for (int i = 0; i < _count; i++) eigen.Vectors.Row(order[i]).CopyTo(vectors.Row(i));
        return ([.. order.Take(_count).Select(i => eigen.Values[i])], vectors);
    }

    private static double Norm(ReadOnlySpan<double> x) => Math.Sqrt(TensorPrimitives.SumOfSquares(x));

    private static void Scale(Span<double> x, double factor) => TensorPrimitives.Multiply(x, factor, x);
}
