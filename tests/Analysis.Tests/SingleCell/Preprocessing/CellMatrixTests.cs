using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

public sealed class CellMatrixTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Sparse_rows_out_of_order_with_repetitions_and_zeros_become_orderly()
    {
        SparseMatrix untidy = new(3, 5, SparseLayout.Csr, [0, 4, 4, 7], [4, 1, 4, 0, 2, 3, 2], NdArray.Vector<long>([1, 2, 3, 0, 5, -6, -5]));
        using CellMatrix x = CellMatrix.From(untidy, _device, "untidy", "X");
        Assert.Equal([1, 4], x.Places(0).ToArray());
        Assert.Equal([2f, 4f], x.Values(0).ToArray());
        Assert.Equal(0, x.Values(1).Length);
        Assert.Equal([3], x.Places(2).ToArray());
        Assert.Equal(3, x.StoredCount);
    }

    [Fact]
    public void Cells_and_variables_are_chosen_alike_in_both_forms_and_columns_may_be_compressed()
    {
        using Matrix<float> counts = CountsFixture.Draw(_device, 40, 30, seed: 3);
        using CellMatrix dense = new(counts.CopyOnHost()), sparse = CellMatrix.From(SparseMatrix.FromDense(counts.View), _device, "counts", "X");
        int[] cells = [30, 2, 2, 17], genes = [0, 4, 11, 29];
        using CellMatrix a = dense.SelectCells(cells), b = sparse.SelectCells(cells), c = a.SelectVariables(genes), d = b.SelectVariables(genes);
        Assert.Equal(CountsFixture.All(a), CountsFixture.All(b));
        Assert.Equal(CountsFixture.All(c), CountsFixture.All(d));
        Assert.Equal(counts.Row(17)[29], c.Values(3)[3]);
        using Matrix<float> turned = _device.AllocateMatrix<float>(30, 40);
        for (int i = 0; i < 40; i++)
            for (int j = 0; j < 30; j++) turned.Row(j)[i] = counts.Row(i)[j];
        using CellMatrix columns = CellMatrix.From(SparseMatrix.FromDense(turned.View).Transpose(), _device, "counts", "X"), back = CellMatrix.From(sparse.ToElement(), _device, "counts", "X"), same = CellMatrix.From(dense.ToElement(), _device, "counts", "X");
        Assert.Equal(CountsFixture.All(dense), CountsFixture.All(columns));
        Assert.Equal(CountsFixture.All(dense), CountsFixture.All(back));
        Assert.Equal(CountsFixture.All(dense), CountsFixture.All(same));
    }

    [Fact]
    public void What_is_no_matrix_of_finite_numbers_is_refused()
    {
        Assert.Contains("no matrix", Refused(null).Message);
        Assert.Contains("row 1, column 0", Refused(new NdArray(new[] { 1f, 2, float.NaN, 3 }, 2, 2)).Message);
        Assert.Contains("numbers", Refused(new NdArray(new[] { "a" }, 1, 1)).Message);
        using CellMatrix negative = CellMatrix.From(new NdArray(new[] { 1f, -2, 1, 3 }, 2, 2), _device, "file", "X");
        Assert.Contains("-2", Assert.Throws<DataException>(() => ExpressionScaling.Log1p(negative)).Message);

        DataException Refused(IAnnElement? x) => Assert.Throws<DataException>(() => CellMatrix.From(x, _device, "file", "X"));
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_number_of_threads_or_on_the_form()
    {
        using CpuDevice one = new(1), three = new(3);
        (double[] Values, double[] Normalised)[] found = [.. new[] { one, three }.SelectMany(device => new[] { false, true }.Select(sparse =>
        {
            using Matrix<float> counts = CountsFixture.Draw(device, 700, 60, seed: 9);
            using CellMatrix x = sparse ? CellMatrix.From(SparseMatrix.FromDense(counts.View), device, "counts", "X") : new CellMatrix(counts.CopyOnHost());
            ExpressionScaling.NormaliseTotal(x);
            ExpressionScaling.Log1p(x, logBase: 2);
            return (CountsFixture.All(x), VariableGenes.ByDispersion(x, 2, null, new DispersionBounds()).Normalised);
        }))];
        Assert.Equal(found[0].Values, found[2].Values);
        Assert.Equal(found[0].Normalised, found[2].Normalised);
        Assert.Equal(found[1].Normalised, found[3].Normalised);
        Assert.Equal(found[0].Values, found[1].Values);
    }
}
