using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>Linear centred kernel alignment of two representations of the same rows (Kornblith et al. 2019, eq. 5, biased HSIC).</summary>
public static class LinearCka
{
    /// <summary>‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) with centred columns: 1 for representations equal up to rotation and isotropic scale, 0 for unrelated subspaces.</summary>
    /// <param name="x">[n, dx].</param>
    /// <param name="y">[n, dy]: row i describes the same thing as row i of <paramref name="x"/>.</param>
    /// <exception cref="DataException">The numbers of rows differ, or a side is constant.</exception>
    public static double Measure(Matrix<double> x, Matrix<double> y)
    {
        if (x.Rows != y.Rows) throw new DataException("y", null, $"there are {y.Rows} rows, but {x.Rows} in x: CKA compares the same rows.");
        using Matrix<double> a = ColumnStatistics.Centred(x, ColumnStatistics.Means(x));
        using Matrix<double> b = ColumnStatistics.Centred(y, ColumnStatistics.Means(y));
        // Whichever of d x d and n x n products is smaller; both forms are the same number.
        double cka = Math.Max(x.Columns, y.Columns) <= x.Rows ? ByFeatures(a, b) : ByRows(a, b);
        return double.IsFinite(cka) ? cka : throw new DataException("x or y", null, "all rows are equal: CKA is not defined.");
    }

    internal static double ByFeatures(Matrix<double> a, Matrix<double> b)
    {
        using Matrix<double> aa = Pca.GramMatrix(a, byColumns: true), bb = Pca.GramMatrix(b, byColumns: true);
        using Matrix<double> ab = a.Device.AllocateMatrix<double>(a.Columns, b.Columns);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, a.View, b.View, 0.0, ab.View);
        return Inner(ab, ab) / Math.Sqrt(Inner(aa, aa)) / Math.Sqrt(Inner(bb, bb));
    }

    internal static double ByRows(Matrix<double> a, Matrix<double> b)
    {
        using Matrix<double> k = Pca.GramMatrix(a, byColumns: false), l = Pca.GramMatrix(b, byColumns: false);
        return Inner(k, l) / Math.Sqrt(Inner(k, k)) / Math.Sqrt(Inner(l, l));
    }

    private static double Inner(Matrix<double> a, Matrix<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Rows; i++)
        {
            ReadOnlySpan<double> x = a.Row(i), y = b.Row(i);
            double row = 0;
            for (int j = 0; j < x.Length; j++) row += x[j] * y[j];
            sum += row;
        }
        return sum;
    }
}
