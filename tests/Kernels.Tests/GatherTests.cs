using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

public sealed class GatherTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    /// <summary>Indices in no order, some twice, some outside.</summary>
    internal static int[] Indices(int count, int among, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(i => i % 11 == 5 ? among + i : i % 13 == 6 ? -1 - i : random.Next(-1, among))];
    }

    [Fact]
    public void Rows_and_columns_are_those_that_were_named()
    {
        foreach (MatrixShape shape in ProblemShapes.Matrices.Append(new MatrixShape(400, 200)))
        {
            foreach (KernelVariant variant in KernelDispatch.All)
            {
                using KernelDispatch.ForcedVariant forced = KernelDispatch.Force(variant);
                using Matrix<float> single = TestMatrices.Normal<float>(_device, shape.Rows, shape.Columns, 5, 3);
                using Matrix<double> wide = TestMatrices.Normal<double>(_device, shape.Rows, shape.Columns, 6, 3);
                Check(single.Inner(shape.Columns), float.NaN);
                Check(wide.Inner(shape.Columns), double.NaN);
            }
        }
    }

    private void Check<T>(MatrixView<T> x, T outside) where T : unmanaged
    {
        int[] rows = Indices(x.Rows + 9, x.Rows, 1), columns = Indices(x.Columns + 4, x.Columns, 2);
        using DeviceBuffer<int> r = _device.Allocate<int>(rows.Length), c = _device.Allocate<int>(columns.Length);
        r.CopyFrom(rows);
        c.CopyFrom(columns);
        using Matrix<T> byRow = _device.AllocateMatrix<T>(rows.Length, x.Columns), byColumn = _device.AllocateMatrix<T>(x.Rows, columns.Length);
        Gather.Rows(x, r.View, byRow.View);
        Gather.Columns(x, c.View, byColumn.View);
        for (int i = 0; i < rows.Length; i++)
            for (int j = 0; j < x.Columns; j++) Assert.Equal(rows[i] >= 0 && rows[i] < x.Rows ? x.Row(rows[i])[j] : outside, byRow.Row(i)[j]);
        for (int i = 0; i < x.Rows; i++)
            for (int j = 0; j < columns.Length; j++) Assert.Equal(columns[j] >= 0 && columns[j] < x.Columns ? x.Row(i)[columns[j]] : outside, byColumn.Row(i)[j]);
    }

    [Fact]
    public void New_matrices_hold_the_chosen_rows_and_refuse_others()
    {
        using Matrix<int> x = Matrix<int>.From(_device, 3, 2, [1, 2, 3, 4, 5, 6]);
        using Matrix<int> rows = Gather.Rows(x, [2, 0, 2]), columns = Gather.Columns(x, [1]);
        Assert.Equal([5, 6, 1, 2, 5, 6], rows.ToArray());
        Assert.Equal([2, 4, 6], columns.ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => Gather.Rows(x, [0, 3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Gather.Columns(x, [-1]));
    }
}
