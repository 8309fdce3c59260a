using BioSup.Runtime;

namespace BioSup.Kernels;

public sealed partial class SymmetricEigen
{
    private const int LeadingShare = 4, VectorsPerBlock = 8, IterationLimit = 8;
    private const double MachineEpsilon = 2.220446049250313e-16;

    /// <summary>
    /// All eigenvalues and the eigenvectors of the largest ones. Where few vectors are wanted, they come from inverse iteration on the tridiagonal matrix, each made orthogonal to those before it, so
    /// that a repeated eigenvalue has as many vectors as are wanted; a vector that does not reach a residual of about 1e-13 of the largest eigenvalue sends the whole to <see cref="Decompose"/>'s way.
    /// </summary>
    /// <param name="matrix">[n, n], whose contents are destroyed; both triangles must be filled.</param>
    /// <param name="count">How many vectors, 1 … n; there may be more in <see cref="Vectors"/>.</param>
    /// <remarks>The work is the host's, as with <see cref="Decompose"/>.</remarks>
    /// <exception cref="ConvergenceException">The iteration did not converge (the matrix is not finite).</exception>
    public static SymmetricEigen DecomposeLeading(Matrix<double> matrix, int count)
    {
        if (matrix.Rows != matrix.Columns) throw new ArgumentException($"A {matrix.Rows} x {matrix.Columns} matrix has no eigenvectors.");
        if (count < 1 || count > matrix.Rows) throw new ArgumentOutOfRangeException(nameof(count), $"{count} eigenvectors of {matrix.Rows}.");
        if (count > matrix.Rows / LeadingShare) return Decompose(matrix, vectors: true);
        if (!matrix.Device.IsHost)
        {
            using Matrix<double> copy = matrix.CopyOnHost();
            SymmetricEigen onHost = DecomposeLeading(copy, count);
            using Matrix<double> found = onHost.Vectors;
            onHost._vectors = found.CopyAt(matrix.Device);
            return onHost;
        }
        SymmetricEigen eigen = new(matrix, vectors: false);
        double[] taus = eigen.Tridiagonalise(matrix), diagonal = [.. eigen._diagonal], offDiagonal = [.. eigen._offDiagonal];
        eigen.DiagonaliseTridiagonal();
        eigen.SortDescending();
        Matrix<double> vectors = matrix.Device.AllocateMatrix<double>(count, matrix.Rows);
        if (eigen.Iterate(diagonal, offDiagonal, vectors))
        {
            eigen.Reflect(matrix, taus, vectors);
            eigen._vectors = vectors;
            return eigen;
        }
        vectors.Dispose();
        SymmetricEigen whole = new(matrix, vectors: true);
        diagonal.CopyTo(whole._diagonal, 0);
        offDiagonal.CopyTo(whole._offDiagonal, 0);
        whole.AccumulateReflectors(matrix, taus);
        whole.DiagonaliseTridiagonal();
        whole.SortDescending();
        return whole;
    }

    /// <summary>Row i of <paramref name="vectors"/> becomes the eigenvector of the tridiagonal matrix for value i.</summary>
    /// <returns>False when one of them is not accurate.</returns>
    private bool Iterate(double[] diagonal, double[] offDiagonal, Matrix<double> vectors)
    {
        int n = diagonal.Length;
        double norm = 0;
        for (int i = 0; i < n; i++) norm = Math.Max(norm, Math.Abs(diagonal[i]) + Math.Abs(offDiagonal[i]) + (i + 1 < n ? Math.Abs(offDiagonal[i + 1]) : 0));
        if (!(norm > 0)) return false;
        TridiagonalFactors factors = new(n);
        double[] residual = new double[n];
        for (int v = 0; v < vectors.Rows; v++)
        {
            CounterRandom random = new(0, stream: 0x65696765UL + (ulong)v);
            Span<double> x = vectors.Row(v);
            for (int i = 0; i < n; i++) x[i] = random.NextDouble() - 0.5;
            factors.Factor(diagonal, offDiagonal, Values[v], norm * MachineEpsilon);
            double error = double.PositiveInfinity;
            for (int step = 0; step < IterationLimit && !(error <= 4 * MachineEpsilon * norm); step++)
            {
                factors.Solve(x);
                double length = HostVectors.LargestMagnitude(x);
                if (!double.IsFinite(length) || length == 0) return false;
                HostVectors.Scale(x, 1 / length);
                // Twice: what is left after the first time may be small, and its rounding errors are not.
                for (int pass = 0; pass < 2; pass++)
                    for (int other = 0; other < v; other++) HostVectors.AddScaled(x, vectors.Row(other), -HostVectors.Dot(x, vectors.Row(other)));
                HostVectors.Scale(x, 1 / Math.Sqrt(HostVectors.Dot(x, x)));
                error = Residual(diagonal, offDiagonal, Values[v], x, residual);
            }
            if (!(error <= 500 * MachineEpsilon * norm)) return false;
        }
        return true;
    }

    private static double Residual(double[] diagonal, double[] offDiagonal, double value, ReadOnlySpan<double> x, double[] residual)
    {
        int n = x.Length;
        for (int i = 0; i < n; i++)
        {
            double sum = (diagonal[i] - value) * x[i];
            if (i > 0) sum += offDiagonal[i] * x[i - 1];
            if (i + 1 < n) sum += offDiagonal[i + 1] * x[i + 1];
            residual[i] = sum;
        }
        return Math.Sqrt(HostVectors.Dot(residual, residual));
    }

    /// <summary>Vectors of the tridiagonal matrix become those of the matrix: H_0 H_1 … applied to each row.</summary>
    private void Reflect(Matrix<double> a, double[] taus, Matrix<double> vectors) => BlockLoop.Run(_device, (vectors.Rows + VectorsPerBlock - 1) / VectorsPerBlock, block =>
    {
        for (int k = a.Rows - 2; k >= 0; k--)
        {
            if (taus[k] == 0) continue;
            ReadOnlySpan<double> reflector = a.Row(k)[(k + 1)..];
            for (int i = block * VectorsPerBlock; i < Math.Min(vectors.Rows, (block + 1) * VectorsPerBlock); i++)
            {
                Span<double> row = vectors.Row(i)[(k + 1)..];
                HostVectors.AddScaled(row, reflector, -taus[k] * HostVectors.Dot(row, reflector));
            }
        }
    });

    /// <summary>A shifted tridiagonal matrix as the product of a lower and an upper one, rows exchanged for the larger pivot (LAPACK's dgttrf).</summary>
    private sealed class TridiagonalFactors(int size)
    {
        private readonly double[] _pivot = new double[size], _next = new double[size], _second = new double[size], _multiplier = new double[size];
        private readonly bool[] _exchanged = new bool[size];

        /// <param name="diagonal">[n]</param>
        /// <param name="offDiagonal">[n]; element i couples i - 1 and i.</param>
        /// <param name="shift">What is taken off the diagonal.</param>
        /// <param name="least">Smallest magnitude of a pivot: a shift that is an eigenvalue makes one vanish.</param>
        public void Factor(double[] diagonal, double[] offDiagonal, double shift, double least)
        {
            double pivot = diagonal[0] - shift, next = size > 1 ? offDiagonal[1] : 0;
            for (int i = 0; i + 1 < size; i++)
            {
                double below = offDiagonal[i + 1], own = diagonal[i + 1] - shift, after = i + 2 < size ? offDiagonal[i + 2] : 0;
                _exchanged[i] = Math.Abs(below) > Math.Abs(pivot);
                if (_exchanged[i])
                {
                    (_pivot[i], _next[i], _second[i], _multiplier[i]) = (below, own, after, pivot / below);
                    (pivot, next) = (next - _multiplier[i] * own, -_multiplier[i] * after);
                }
                else
                {
                    if (Math.Abs(pivot) < least) pivot = Math.CopySign(least, pivot);
                    (_pivot[i], _next[i], _second[i], _multiplier[i]) = (pivot, next, 0, below / pivot);
                    (pivot, next) = (own - _multiplier[i] * next, after);
                }
            }
            _pivot[^1] = Math.Abs(pivot) < least ? Math.CopySign(least, pivot) : pivot;
        }

        public void Solve(Span<double> x)
        {
            for (int i = 0; i + 1 < size; i++)
            {
                if (_exchanged[i]) (x[i], x[i + 1]) = (x[i + 1], x[i] - _multiplier[i] * x[i + 1]);
                else x[i + 1] -= _multiplier[i] * x[i];
            }
            for (int i = size - 1; i >= 0; i--)
            {
                double sum = x[i];
                if (i + 1 < size) sum -= _next[i] * x[i + 1];
                if (i + 2 < size) sum -= _second[i] * x[i + 2];
                x[i] = sum / _pivot[i];
            }
        }
    }
}
