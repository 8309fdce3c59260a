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
        using DeviceBuffer<double> meansX = ColumnStatistics.Means(x), meansY = ColumnStatistics.Means(y);
        using Matrix<double> a = ColumnStatistics.Centred(x, meansX), b = ColumnStatistics.Centred(y, meansY);
        // Whichever of d x d and n x n products is smaller; both forms are the same number.
        double cka = Math.Max(x.Columns, y.Columns) <= x.Rows ? ByFeatures(a, b) : ByRows(a, b);
        return double.IsFinite(cka) ? cka : throw new DataException("x or y", null, "all rows are equal: CKA is not defined.");
    }

    internal static double ByFeatures(Matrix<double> a, Matrix<double> b)
    {
        using Matrix<double> aa = a.Device.AllocateMatrix<double>(a.Columns, a.Columns), bb = a.Device.AllocateMatrix<double>(b.Columns, b.Columns);
        using Matrix<double> ab = a.Device.AllocateMatrix<double>(a.Columns, b.Columns);
        Gram.Columns(a.View, default, aa.View);
        Gram.Columns(b.View, default, bb.View);
        Gemm.Multiply(Transpose.Yes, Transpose.No, 1.0, a.View, b.View, 0.0, ab.View);
        return Ratio(ColumnStatistics.InnerProduct(ab, ab), aa, bb);
    }

    internal static double ByRows(Matrix<double> a, Matrix<double> b)
    {
        using Matrix<double> k = a.Device.AllocateMatrix<double>(a.Rows, a.Rows), l = a.Device.AllocateMatrix<double>(b.Rows, b.Rows);
        Gram.Rows(a.View, default, k.View);
        Gram.Rows(b.View, default, l.View);
        return Ratio(ColumnStatistics.InnerProduct(k, l), k, l);
    }

    private static double Ratio(double inner, Matrix<double> a, Matrix<double> b) =>
        inner / Math.Sqrt(ColumnStatistics.InnerProduct(a, a)) / Math.Sqrt(ColumnStatistics.InnerProduct(b, b));
}
