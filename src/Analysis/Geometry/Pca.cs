using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// Exact principal component analysis in double precision: the eigenvectors of the covariance (or, with fewer rows than columns, of the Gram
/// matrix of the rows). Signs follow scikit-learn ≥ 1.5: the entry of largest magnitude of every component is positive.
/// </summary>
public sealed class Pca : IDisposable
{
    private readonly DeviceBuffer<double> _mean;

    private Pca(DeviceBuffer<double> mean, Matrix<double> components, double[] variance, double totalVariance, int rows)
    {
        _mean = mean;
        Mean = mean.ToArray();
        Components = components;
        ExplainedVariance = variance;
        ExplainedVarianceRatio = Array.ConvertAll(variance, v => totalVariance > 0 ? v / totalVariance : 0);
        SingularValues = Array.ConvertAll(variance, v => Math.Sqrt(v * Math.Max(rows - 1, 1)));
    }

    /// <summary>[d] column means.</summary>
    public double[] Mean { get; }

    /// <summary>[k, d] unit rows, by falling variance. Components beyond the rank of the data are zero rows.</summary>
    public Matrix<double> Components { get; }

    /// <summary>[k] variances along the components, divisor n - 1.</summary>
    public double[] ExplainedVariance { get; }

    /// <summary>[k] shares of the total variance.</summary>
    public double[] ExplainedVarianceRatio { get; }

    /// <summary>[k] singular values of the centred matrix.</summary>
    public double[] SingularValues { get; }

    /// <param name="x">[n, d], finite, n ≥ 2.</param>
    /// <param name="components">How many to keep, 1 … min(n, d).</param>
    /// <exception cref="UsageException">The number of components does not fit the data.</exception>
    public static Pca Fit(Matrix<double> x, int components)
    {
        if (x.Rows < 2) throw new UsageException($"Principal components need at least two rows; there are {x.Rows}.");
        int most = Math.Min(x.Rows, x.Columns);
        if (components < 1 || components > most) throw new UsageException($"{components} principal components: a {x.Rows} x {x.Columns} matrix has 1 to {most}.");
        DeviceBuffer<double> mean = ColumnStatistics.Means(x);
        bool byColumns = x.Columns <= x.Rows;
        using Matrix<double> gram = x.Device.AllocateMatrix<double>(most, most);
        if (byColumns) Gram.Columns(x.View, mean.View, gram.View);
        else Gram.Rows(x.View, mean.View, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Decompose(gram, vectors: true);
        double total = 0, floor = eigen.Values[0] * Math.Max(x.Rows, x.Columns) * 2.2e-16;
        foreach (double value in eigen.Values) total += Math.Max(value, 0);
        int rank = 0;
        while (rank < components && eigen.Values[rank] > floor) rank++;
        Matrix<double> vectors = x.Device.AllocateMatrix<double>(components, x.Columns);
        if (rank > 0 && byColumns) x.Device.Copy(eigen.Vectors.Buffer.View.Slice(0, (long)rank * x.Columns), vectors.Buffer.View);
        if (rank > 0 && !byColumns)
        {
            using Matrix<double> centred = ColumnStatistics.Centred(x, mean);
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, eigen.Vectors.View.RowBlock(0, rank), centred.View, 0.0, vectors.View.RowBlock(0, rank));
        }
        vectors.EditOnHost(rows => NormaliseWithSign(rows, rank));
        double[] variance = new double[components];
        for (int i = 0; i < rank; i++) variance[i] = eigen.Values[i] / (x.Rows - 1);
        return new Pca(mean, vectors, variance, total / (x.Rows - 1), x.Rows);
    }

    /// <summary>[m, k] coordinates of the rows of <paramref name="x"/> [m, d] along the components.</summary>
    public Matrix<double> Transform(Matrix<double> x)
    {
        if (x.Columns != Mean.Length) throw new ArgumentException($"The components were fitted on {Mean.Length} columns; these rows have {x.Columns}.");
        using Matrix<double> centred = ColumnStatistics.Centred(x, _mean);
        Matrix<double> scores = x.Device.AllocateMatrix<double>(x.Rows, Components.Rows);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, centred.View, Components.View, 0.0, scores.View);
        return scores;
    }

    public void Dispose()
    {
        Components.Dispose();
        _mean.Dispose();
    }

    private static void NormaliseWithSign(Matrix<double> vectors, int rank)
    {
        for (int i = 0; i < rank; i++)
        {
            Span<double> row = vectors.Row(i);
            double square = 0, extreme = 0;
            foreach (double value in row)
            {
                square += value * value;
                if (Math.Abs(value) > Math.Abs(extreme)) extreme = value;
            }
            double scale = Math.CopySign(1 / Math.Sqrt(square), extreme);
            for (int j = 0; j < row.Length; j++) row[j] *= scale;
        }
    }
}
