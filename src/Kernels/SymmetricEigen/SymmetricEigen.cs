using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// All eigenvalues, and if asked for eigenvectors, of a dense symmetric matrix in double precision: Householder tridiagonalisation, then
/// implicit QL with Wilkinson's shift (EISPACK tred2 and tql2, reordered so that every inner loop runs along memory and rotations are applied in
/// batches to column strips on all threads). The bytes do not depend on the number of threads.
/// </summary>
public sealed partial class SymmetricEigen : IDisposable
{
    private const int SweepLimit = 60, PatientSweeps = 30, RotationBatch = 16384, StripWidth = 128, RowsPerBlock = 64;
    private readonly ComputeDevice _device;
    private Matrix<double>? _vectors;
    private readonly double[] _diagonal, _offDiagonal;
    private readonly List<Rotation> _rotations = new(RotationBatch);

    private readonly record struct Rotation(int Row, double Cosine, double Sine);

    private SymmetricEigen(Matrix<double> matrix, bool vectors)
    {
        _device = matrix.Device;
        _diagonal = new double[matrix.Rows];
        _offDiagonal = new double[matrix.Rows];
        if (vectors) _vectors = _device.AllocateMatrix<double>(matrix.Rows, matrix.Rows);
    }

    /// <summary>Eigenvalues, largest first.</summary>
    public double[] Values { get; private set; } = [];

    /// <summary>Row i is the unit eigenvector of <see cref="Values"/>[i].</summary>
    public Matrix<double> Vectors => _vectors ?? throw new InvalidOperationException("The eigenvectors were not asked for.");

    /// <summary>Decomposes <paramref name="matrix"/> [n, n], whose contents are destroyed; both triangles must be filled.</summary>
    /// <remarks>The work is the host's: a matrix on another device is brought to that device's host, and the eigenvectors go back to the device.</remarks>
    /// <exception cref="ConvergenceException">The iteration did not converge (the matrix is not finite).</exception>
    public static SymmetricEigen Decompose(Matrix<double> matrix, bool vectors)
    {
        if (matrix.Rows != matrix.Columns) throw new ArgumentException($"A {matrix.Rows} x {matrix.Columns} matrix has no eigenvectors.");
        if (!matrix.Device.IsHost)
        {
            using Matrix<double> copy = matrix.CopyOnHost();
            SymmetricEigen onHost = Decompose(copy, vectors);
            if (!vectors) return onHost;
            using Matrix<double> found = onHost.Vectors;
            onHost._vectors = found.CopyAt(matrix.Device);
            return onHost;
        }
        SymmetricEigen eigen = new(matrix, vectors);
        double[] taus = eigen.Tridiagonalise(matrix);
        if (vectors) eigen.AccumulateReflectors(matrix, taus);
        eigen.DiagonaliseTridiagonal();
        eigen.SortDescending();
        return eigen;
    }

    public void Dispose() => _vectors?.Dispose();

    /// <summary>Reflector k keeps its vector in row k of <paramref name="a"/>, columns k + 1 onwards; its scale is returned.</summary>
    private double[] Tridiagonalise(Matrix<double> a)
    {
        int n = a.Rows;
        double[] taus = new double[n], w = new double[n];
        for (int k = 0; k + 1 < n; k++)
        {
            Span<double> v = a.Row(k)[(k + 1)..];
            _diagonal[k] = a.Row(k)[k];
            double tail = HostVectors.LargestMagnitude(v), norm = 0;
            if (tail != 0)
            {
                foreach (double value in v) norm += value / tail * (value / tail);
                norm = tail * Math.Sqrt(norm);
            }
            if (HostVectors.LargestMagnitude(v[1..]) == 0)
            {
                _offDiagonal[k + 1] = v[0];
                continue;
            }
            double beta = v[0] > 0 ? -norm : norm, head = v[0] - beta;
            taus[k] = -head / beta;
            HostVectors.Scale(v, 1 / head);
            v[0] = 1;
            _offDiagonal[k + 1] = beta;
            UpdateTrailing(a, k, taus[k], w);
        }
        if (n > 0) _diagonal[n - 1] = a.Row(n - 1)[n - 1];
        return taus;
    }

    /// <summary>A := A - v wᵀ - w vᵀ with w = τ A v - ½ τ² (vᵀ A v) v, on the trailing block.</summary>
    private void UpdateTrailing(Matrix<double> a, int k, double tau, double[] w)
    {
        int first = k + 1, size = a.Rows - first, blocks = (size + RowsPerBlock - 1) / RowsPerBlock;
        BlockLoop.Run(_device, blocks, block =>
        {
            ReadOnlySpan<double> v = a.Row(k)[first..];
            for (int i = block * RowsPerBlock; i < Math.Min(size, (block + 1) * RowsPerBlock); i++)
                w[i] = tau * HostVectors.Dot(a.Row(first + i)[first..], v);
        });
        ReadOnlySpan<double> reflector = a.Row(k)[first..];
        double half = 0.5 * tau * HostVectors.Dot(w.AsSpan(0, size), reflector);
        HostVectors.AddScaled(w.AsSpan(0, size), reflector, -half);
        BlockLoop.Run(_device, blocks, block =>
        {
            ReadOnlySpan<double> v = a.Row(k)[first..], p = w.AsSpan(0, size);
            for (int i = block * RowsPerBlock; i < Math.Min(size, (block + 1) * RowsPerBlock); i++)
            {
                Span<double> row = a.Row(first + i)[first..];
                HostVectors.AddScaled(row, p, -v[i]);
                HostVectors.AddScaled(row, v, -p[i]);
            }
        });
    }

    /// <summary>Q = H_0 H_1 …, stored transposed: row j of the result is column j of Q.</summary>
    private void AccumulateReflectors(Matrix<double> a, double[] taus)
    {
        int n = a.Rows;
        Matrix<double> q = Vectors;
        for (int i = 0; i < n; i++) q.Row(i)[i] = 1;
        for (int k = n - 2; k >= 0; k--)
        {
            if (taus[k] == 0) continue;
            int first = k + 1, blocks = (n - first + RowsPerBlock - 1) / RowsPerBlock;
            double tau = taus[k];
            BlockLoop.Run(_device, blocks, block =>
            {
                ReadOnlySpan<double> v = a.Row(k)[first..];
                for (int j = first + block * RowsPerBlock; j < Math.Min(n, first + (block + 1) * RowsPerBlock); j++)
                {
                    Span<double> row = q.Row(j)[first..];
                    HostVectors.AddScaled(row, v, -tau * HostVectors.Dot(row, v));
                }
            });
        }
    }

    private void DiagonaliseTridiagonal()
    {
        int n = _diagonal.Length;
        // e[i] couples i and i + 1 from here on.
        for (int i = 1; i < n; i++) _offDiagonal[i - 1] = _offDiagonal[i];
        if (n > 0) _offDiagonal[n - 1] = 0;
        double largest = 0;
        for (int i = 0; i < n; i++) largest = Math.Max(largest, Math.Abs(_diagonal[i]) + Math.Abs(_offDiagonal[i]));
        for (int l = 0; l < n; l++)
        {
            for (int sweep = 0; ; sweep++)
            {
                int m = l;
                while (m < n - 1 && !IsNegligible(m, largest, sweep)) m++;
                if (m == l) break;
                if (sweep == SweepLimit) throw new ConvergenceException("The eigenvalues of a symmetric matrix did not converge: is every element finite?");
                Sweep(l, m);
                if (_rotations.Count >= RotationBatch) ApplyRotations();
            }
        }
        ApplyRotations();
    }

    /// <summary>
    /// Small eigenvalues are resolved beyond the error of the decomposition as long as that converges. In a matrix of low rank, whose small ones are rounding alone, it need not: then the bound is
    /// that error, ε times the largest element.
    /// </summary>
    private bool IsNegligible(int i, double largest, int sweep)
    {
        double around = Math.Abs(_diagonal[i]) + Math.Abs(_diagonal[i + 1]);
        double size = Math.Abs(_offDiagonal[i]);
        return size <= double.Epsilon || size <= 1.1e-16 * around || size <= (sweep < PatientSweeps ? 1e-19 : 2.2e-16) * largest;
    }

    /// <summary>One implicit QL step on rows l … m.</summary>
    private void Sweep(int l, int m)
    {
        double[] d = _diagonal, e = _offDiagonal;
        double g = (d[l + 1] - d[l]) / (2 * e[l]), r = double.Hypot(g, 1);
        g = d[m] - d[l] + e[l] / (g + Math.CopySign(r, g));
        double s = 1, c = 1, p = 0;
        for (int i = m - 1; i >= l; i--)
        {
            double f = s * e[i], b = c * e[i];
            r = double.Hypot(f, g);
            e[i + 1] = r;
            if (r == 0)
            {
                d[i + 1] -= p;
                e[m] = 0;
                return;
            }
            s = f / r;
            c = g / r;
            g = d[i + 1] - p;
            r = (d[i] - g) * s + 2 * c * b;
            p = s * r;
            d[i + 1] = g + p;
            g = c * r - b;
            if (_vectors is not null) _rotations.Add(new Rotation(i, c, s));
        }
        d[l] -= p;
        e[l] = g;
        e[m] = 0;
    }

    private void ApplyRotations()
    {
        if (_rotations.Count == 0) return;
        Matrix<double> q = Vectors;
        int n = q.Rows;
        BlockLoop.Run(_device, (n + StripWidth - 1) / StripWidth, strip =>
        {
            int start = strip * StripWidth, width = Math.Min(StripWidth, n - start);
            foreach (Rotation rotation in _rotations)
                HostVectors.Rotate(q.Row(rotation.Row).Slice(start, width), q.Row(rotation.Row + 1).Slice(start, width), rotation.Cosine, rotation.Sine);
        });
        _rotations.Clear();
    }

    private void SortDescending()
    {
        int n = _diagonal.Length;
        int[] order = [.. Enumerable.Range(0, n)];
        double[] keys = Array.ConvertAll(_diagonal, d => -d);
        Array.Sort(keys, order);
        Values = Array.ConvertAll(order, i => _diagonal[i]);
        if (_vectors is null) return;
        // Cycles of the permutation, with one row of scratch.
        double[] held = new double[n];
        bool[] placed = new bool[n];
        for (int start = 0; start < n; start++)
        {
            if (placed[start]) continue;
            _vectors.Row(start).CopyTo(held);
            int row = start;
            for (; order[row] != start; row = order[row])
            {
                _vectors.Row(order[row]).CopyTo(_vectors.Row(row));
                placed[row] = true;
            }
            held.CopyTo(_vectors.Row(row));
            placed[row] = true;
        }
    }
}
