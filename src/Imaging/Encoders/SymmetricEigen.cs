namespace BioSup.Imaging;

/// <summary>Eigenvalues and eigenvectors of a small symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, section 8.5): slow, exact, deterministic.</summary>
internal static class SymmetricEigen
{
    private const int MaxSweeps = 60;

    /// <param name="matrix">n x n, symmetric, row-major; destroyed.</param>
    /// <param name="values">The eigenvalues, in no particular order.</param>
    /// <param name="vectors">n x n: row i is the unit eigenvector of value i.</param>
    public static void Decompose(double[] matrix, int n, out double[] values, out double[] vectors)
    {
        vectors = new double[n * n];
        for (int i = 0; i < n; i++) vectors[i * n + i] = 1;
        double total = matrix.Sum(value => value * value);
        for (int sweep = 0; sweep < MaxSweeps; sweep++)
        {
            double off = 0;
            for (int p = 0; p < n; p++) for (int q = p + 1; q < n; q++) off += 2 * matrix[p * n + q] * matrix[p * n + q];
            if (off <= 1e-26 * total) break;
            for (int p = 0; p < n; p++)
                for (int q = p + 1; q < n; q++)
                    Rotate(matrix, vectors, n, p, q);
        }
        values = new double[n];
        for (int i = 0; i < n; i++) values[i] = matrix[i * n + i];
    }

    private static void Rotate(double[] a, double[] vectors, int n, int p, int q)
    {
        double apq = a[p * n + q];
        if (apq == 0) return;
        double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
        double t = Math.CopySign(1, theta) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
        double c = 1 / Math.Sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < n; k++)
        {
            double akp = a[k * n + p], akq = a[k * n + q];
            a[k * n + p] = c * akp - s * akq;
            a[k * n + q] = s * akp + c * akq;
        }
        Span<double> rowP = a.AsSpan(p * n, n), rowQ = a.AsSpan(q * n, n), vectorP = vectors.AsSpan(p * n, n), vectorQ = vectors.AsSpan(q * n, n);
        for (int k = 0; k < n; k++)
        {
            (rowP[k], rowQ[k]) = (c * rowP[k] - s * rowQ[k], s * rowP[k] + c * rowQ[k]);
            (vectorP[k], vectorQ[k]) = (c * vectorP[k] - s * vectorQ[k], s * vectorP[k] + c * vectorQ[k]);
        }
        a[p * n + q] = a[q * n + p] = 0;
    }
}
