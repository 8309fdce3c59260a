using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>
/// Exact principal component analysis in double precision, of data in single or double precision: the eigenvectors of the covariance (or, with fewer rows than columns, of the
/// Gram matrix of the rows). Signs follow scikit-learn ≥ 1.5: the entry of largest magnitude of every component is positive. The first components of a fit are those of a fit with
/// fewer, so that one serves a sweep. Centred rows exist only in slabs, never as a second matrix.
/// </summary>
public sealed partial class Pca : IDisposable
{
    private const int LeastSlab = 64;
    private const long SlabElements = 1 << 22;
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

    /// <param name="x">[n, d], single or double precision, finite, n ≥ 2.</param>
    /// <param name="components">How many to keep, 1 … min(n, d).</param>
    /// <exception cref="UsageException">The number of components does not fit the data.</exception>
    public static Pca Fit<T>(Matrix<T> x, int components) where T : unmanaged, INumberBase<T>
    {
        RequireFit(x.Rows, x.Columns, components);
        DeviceBuffer<double> mean = x.Device.Allocate<double>(x.Columns);
        Reductions.ColumnMeans(x.View, mean.View);
        bool byColumns = x.Columns <= x.Rows;
        using Matrix<double> gram = x.Device.AllocateMatrix<double>(Math.Min(x.Rows, x.Columns), Math.Min(x.Rows, x.Columns));
        if (byColumns) Gram.Columns(x.View, mean.View, gram.View);
        else Gram.Rows(x.View, mean.View, gram.View);
        return Solve(mean, gram, x.Rows, x.Columns, components, (left, vectors) => InSlabs(x, mean, (first, slab) =>
            Gemm.Multiply(Transpose.No, Transpose.No, 1.0, left.View.ColumnBlock(first, slab.Rows), slab, first == 0 ? 0.0 : 1.0, vectors.View.RowBlock(0, left.Rows))));
    }

    /// <summary>[m, k] coordinates of the rows of <paramref name="x"/> [m, d] along the components.</summary>
    public Matrix<double> Transform<T>(Matrix<T> x) where T : unmanaged, INumberBase<T>
    {
        RequireColumns(x.Columns);
        Matrix<double> scores = x.Device.AllocateMatrix<double>(x.Rows, Components.Rows);
        InSlabs(x, _mean, (first, slab) => Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, slab, Components.View, 0.0, scores.View.RowBlock(first, slab.Rows)));
        return scores;
    }

    public void Dispose()
    {
        Components.Dispose();
        _mean.Dispose();
    }

    private delegate void SlabUse(int first, MatrixView<double> slab);

    /// <summary>Makes centred rows in double precision a slab at a time; the slabs depend on the shape alone.</summary>
    private static void InSlabs<T>(Matrix<T> x, DeviceBuffer<double> mean, SlabUse use) where T : unmanaged, INumberBase<T>
    {
        if (x.Rows == 0) return;
        int length = (int)Math.Min(x.Rows, Math.Max(LeastSlab, SlabElements / x.Columns));
        using Matrix<double> slab = x.Device.AllocateMatrix<double>(length, x.Columns);
        for (int first = 0; first < x.Rows; first += length)
        {
            int count = Math.Min(length, x.Rows - first);
            MatrixView<double> part = slab.View.RowBlock(0, count);
            Standardise.Columns(x.View.RowBlock(first, count), mean.View, default, part);
            use(first, part);
        }
    }

    /// <summary>Takes the components from the product of the centred matrix with itself.</summary>
    /// <param name="combine">Writes the products of eigenvectors of the rows [rank, n] with the centred matrix into the first rows of the components; used with fewer rows than columns.</param>
    private static Pca Solve(DeviceBuffer<double> mean, Matrix<double> gram, int rows, int columns, int components, Action<Matrix<double>, Matrix<double>> combine)
    {
        ComputeDevice device = gram.Device;
        using SymmetricEigen eigen = SymmetricEigen.DecomposeLeading(gram, components);
        double total = 0, floor = eigen.Values[0] * Math.Max(rows, columns) * 2.2e-16;
        foreach (double value in eigen.Values) total += Math.Max(value, 0);
        int rank = 0;
        while (rank < components && eigen.Values[rank] > floor) rank++;
        Matrix<double> vectors = device.AllocateMatrix<double>(components, columns);
        if (rank > 0 && columns <= rows) device.Copy(eigen.Vectors.Buffer.View.Slice(0, (long)rank * columns), vectors.Buffer.View);
        else if (rank > 0)
        {
            using Matrix<double> left = device.AllocateMatrix<double>(rank, rows);
            device.Copy(eigen.Vectors.Buffer.View.Slice(0, (long)rank * rows), left.Buffer.View);
            combine(left, vectors);
        }
        vectors.EditOnHost(v => NormaliseWithSign(v, rank));
        double[] variance = new double[components];
        for (int i = 0; i < rank; i++) variance[i] = eigen.Values[i] / (rows - 1);
        return new Pca(mean, vectors, variance, total / (rows - 1), rows);
    }

    private static void RequireFit(int rows, int columns, int components)
    {
        if (rows < 2) throw new UsageException($"Principal components need at least two rows; there are {rows}.");
        if (components < 1 || components > Math.Min(rows, columns)) throw new UsageException($"{components} principal components: a {rows} x {columns} matrix has 1 to {Math.Min(rows, columns)}.");
    }

    private void RequireColumns(int columns)
    {
        if (columns != Mean.Length) throw new ArgumentException($"The components were fitted on {Mean.Length} columns; these rows have {columns}.");
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
