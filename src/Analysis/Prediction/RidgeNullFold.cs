using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Analysis.Prediction;

/// <summary>A fold of a <see cref="RidgeDesign"/> in the precision of the engine.</summary>
internal sealed class RidgeNullFold<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    public RidgeNullFold(RidgeDesignFold fold, int rows)
    {
        int rank = fold.Test.Columns;
        TestRows = fold.Test.Rows;
        TrainRows = rows - TestRows;
        Features = fold.Test.Device.AllocateMatrix<T>(TestRows, rank + 1);
        for (int i = 0; i < TestRows; i++)
        {
            for (int k = 0; k < rank; k++) Features.Row(i)[k] = T.CreateChecked(fold.Test.Row(i)[k]);
            Features.Row(i)[rank] = T.One;
        }
        TestForm = fold.Test.Device.AllocateMatrix<T>(rank, rank + 2);
        Solve = fold.Test.Device.AllocateMatrix<T>(rank, rank + 1);
        for (int k = 0; k < rank; k++)
        {
            double last = 0;
            for (int l = 0; l < rank; l++)
            {
                Solve.Row(k)[l] = T.CreateChecked(fold.Inverse.Row(k)[l]);
                last -= fold.Inverse.Row(k)[l] * fold.TrainMeans[l];
            }
            Solve.Row(k)[rank] = T.CreateChecked(last);
        }
        for (int k = 0; k < rank; k++)
        {
            for (int l = 0; l < rank; l++) TestForm.Row(k)[l] = T.CreateChecked(fold.TestGram.Row(k)[l]);
            TestForm.Row(k)[rank] = T.CreateChecked(2 * fold.TrainMeans[k]);
            TestForm.Row(k)[rank + 1] = T.CreateChecked(2 * (fold.TestSums[k] - TestRows * fold.TrainMeans[k]) / TrainRows);
        }
    }

    public int TestRows { get; }
    public int TrainRows { get; }

    /// <summary>[test, rank + 1], the last column 1.</summary>
    public Matrix<T> Features { get; }

    /// <summary>[rank, rank + 1]: A⁻¹ and −A⁻¹ times the training means, which centres sums that are not.</summary>
    public Matrix<T> Solve { get; }

    /// <summary>
    /// [rank, rank + 2]: what takes the coefficients, and under them the sums of the target over the test and over the training rows, to the test Gram matrix times the coefficients
    /// plus what centring on the training rows takes off twice the test sums.
    /// </summary>
    public Matrix<T> TestForm { get; }

    public void Dispose()
    {
        Features.Dispose();
        Solve.Dispose();
        TestForm.Dispose();
    }
}

/// <summary>One thread's memory, allocated once.</summary>
internal sealed class RidgeNullScratch<T> : IDisposable where T : unmanaged
{
    private readonly Matrix<T> _gathered, _train, _coefficients;
    private readonly Matrix<T>[] _sums;
    private readonly int[]?[] _orders;
    private readonly int _rows;

    public RidgeNullScratch(RidgeDesign design)
    {
        CpuDevice cpu = design.Cpu;
        int rank = design.Rank;
        _gathered = cpu.AllocateMatrix<T>(design.TestRows.Max(r => r.Length), RidgeNull.PieceColumns);
        _train = cpu.AllocateMatrix<T>(rank + 1, RidgeNull.PieceColumns);
        _coefficients = cpu.AllocateMatrix<T>(rank + 2, RidgeNull.PieceColumns);
        _sums = Array.ConvertAll(design.TestRows, _ => cpu.AllocateMatrix<T>(rank + 1, RidgeNull.PieceColumns));
        Total = new T[(rank + 1) * RidgeNull.PieceColumns];
        Form = new T[RidgeNull.PieceColumns];
        Errors = new double[RidgeNull.PieceColumns];
        _orders = new int[]?[RidgeNull.PieceColumns];
        _rows = design.Rows;
    }

    public T[] Total { get; }
    public T[] Form { get; }
    public double[] Errors { get; }

    /// <summary>The permutation that takes place b in a piece.</summary>
    public int[] Order(int b) => _orders[b] ??= new int[_rows];

    public MatrixView<T> Gathered(int rows, int columns) => Narrow(_gathered, rows, columns);
    public MatrixView<T> Sums(int fold, int columns) => Narrow(_sums[fold], _sums[fold].Rows, columns);
    public MatrixView<T> Train(int columns) => Narrow(_train, _train.Rows, columns);
    public MatrixView<T> Coefficients(int columns) => Narrow(_coefficients, _coefficients.Rows, columns);

    public void Dispose()
    {
        _gathered.Dispose();
        _train.Dispose();
        _coefficients.Dispose();
        foreach (Matrix<T> sums in _sums) sums.Dispose();
    }

    private static MatrixView<T> Narrow(Matrix<T> matrix, int rows, int columns) => matrix.View.RowBlock(0, rows).ColumnBlock(0, columns);
}
