using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Seeded matrices with padded rows: the padding holds NaN, so that a kernel that reads past a row is seen.</summary>
internal static unsafe class TestMatrices
{
    public static Matrix<T> Normal<T>(ComputeDevice device, int rows, int columns, ulong seed, int padding = 0) where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        Matrix<T> matrix = device.AllocateMatrix<T>(rows, columns + padding);
        CounterRandom random = new(seed, 7);
        for (int i = 0; i < rows; i++)
        {
            Span<T> row = matrix.Row(i);
            for (int j = 0; j < columns; j++) row[j] = T.CreateTruncating(random.NextNormal());
            for (int j = columns; j < columns + padding; j++) row[j] = T.NaN;
        }
        return matrix;
    }

    public static MatrixView<T> Inner<T>(this Matrix<T> matrix, int columns) where T : unmanaged => matrix.View.ColumnBlock(0, columns);

    public static double MaxAbs<T>(MatrixView<T> m) where T : unmanaged, System.Numerics.INumber<T>
    {
        double largest = 0;
        for (int i = 0; i < m.Rows; i++)
            foreach (T value in m.Row(i)) largest = Math.Max(largest, Math.Abs(double.CreateTruncating(value)));
        return largest;
    }
}
