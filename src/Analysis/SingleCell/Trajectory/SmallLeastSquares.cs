namespace BioSup.Analysis.SingleCell;

/// <summary>
/// A penalised least squares problem of few unknowns, min |y − A c|² + |E c|², by Householder's orthogonal triangulation of A over E. The normal equations are never
/// formed: with a penalty near rounding they would lose what the penalty decides.
/// </summary>
internal sealed class SmallLeastSquares
{
    private readonly double[,] _triangle, _within;

    private SmallLeastSquares(double[] solution, double[,] triangle, double[,] within, double trace)
    {
        (Solution, HatTrace) = (solution, trace);
        (_triangle, _within) = (triangle, within);
    }

    /// <summary>c.</summary>
    public double[] Solution { get; }

    /// <summary>Trace of A (AᵀA + EᵀE)⁻¹ Aᵀ.</summary>
    public double HatTrace { get; }

    /// <summary>rᵀ V r with V = (AᵀA + EᵀE)⁻¹ AᵀA (AᵀA + EᵀE)⁻¹, the covariance of c at unit variance of the observations.</summary>
    public double Variance(ReadOnlySpan<double> row)
    {
        double[] w = SolveTransposed(_triangle, row);
        double sum = 0;
        for (int i = 0; i < w.Length; i++)
            for (int j = 0; j < w.Length; j++) sum += w[i] * _within[i, j] * w[j];
        return Math.Max(sum, 0);
    }

    /// <summary>w with Rᵀ w = r.</summary>
    private static double[] SolveTransposed(double[,] r, ReadOnlySpan<double> right)
    {
        double[] w = right.ToArray();
        for (int i = 0; i < w.Length; i++)
        {
            for (int j = 0; j < i; j++) w[i] -= r[j, i] * w[j];
            w[i] /= r[i, i];
        }
        return w;
    }

    /// <summary>Takes the rows, then solves once.</summary>
    public sealed class Builder(int unknowns, int observations)
    {
        private readonly List<double> _rows = new((observations + 2 * unknowns) * (unknowns + 1));
        private int _observations;

        /// <summary>One row of A with its value. All observations come before the penalties.</summary>
        public void AddObservation(ReadOnlySpan<double> row, double value)
        {
            foreach (double entry in row) _rows.Add(entry);
            _rows.Add(value);
            _observations++;
        }

        /// <summary>One row of E.</summary>
        public void AddPenalty(ReadOnlySpan<double> row)
        {
            foreach (double entry in row) _rows.Add(entry);
            _rows.Add(0);
        }

        public SmallLeastSquares Solve()
        {
            int width = unknowns + 1, rows = _rows.Count / width;
            double[] original = [.. _rows], a = [.. _rows];
            for (int k = 0; k < unknowns; k++) Reflect(a, rows, width, k);
            double[,] triangle = new double[unknowns, unknowns];
            double[] solution = new double[unknowns];
            for (int i = unknowns - 1; i >= 0; i--)
            {
                solution[i] = a[i * width + unknowns];
                for (int j = i; j < unknowns; j++) triangle[i, j] = a[i * width + j];
                for (int j = i + 1; j < unknowns; j++) solution[i] -= triangle[i, j] * solution[j];
                solution[i] /= triangle[i, i];
            }
            // Rows of A R⁻¹: their squares add up to the trace, their products are R⁻ᵀ AᵀA R⁻¹.
            double[,] within = new double[unknowns, unknowns];
            double trace = 0;
            for (int row = 0; row < _observations; row++)
            {
                double[] q = SolveTransposed(triangle, original.AsSpan(row * width, unknowns));
                for (int i = 0; i < unknowns; i++)
                {
                    trace += q[i] * q[i];
                    for (int j = 0; j < unknowns; j++) within[i, j] += q[i] * q[j];
                }
            }
            return new SmallLeastSquares(solution, triangle, within, trace);
        }

        /// <summary>Makes column k zero below its diagonal, in all columns from it on.</summary>
        private static void Reflect(double[] a, int rows, int width, int k)
        {
            double square = 0;
            for (int i = k; i < rows; i++) square += a[i * width + k] * a[i * width + k];
            double diagonal = a[k * width + k], norm = -Math.CopySign(Math.Sqrt(square), diagonal), head = diagonal - norm;
            // |v|² of v = column − norm e_k.
            double length = square - diagonal * diagonal + head * head;
            double[] product = new double[width];
            for (int i = k; i < rows; i++)
            {
                double v = i == k ? head : a[i * width + k];
                if (v != 0) for (int j = k + 1; j < width; j++) product[j] += v * a[i * width + j];
            }
            for (int i = k; i < rows; i++)
            {
                double v = 2 * (i == k ? head : a[i * width + k]) / length;
                if (v != 0) for (int j = k + 1; j < width; j++) a[i * width + j] -= v * product[j];
                a[i * width + k] = i == k ? norm : 0;
            }
        }
    }
}
