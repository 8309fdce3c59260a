using BioSup.Runtime;

namespace BioSup.Data.Tests;

/// <summary>Rows that are read in blocks are those of the whole matrix.</summary>
public sealed class MatrixRowsTests : IDisposable
{
    private const int Rows = 40, Columns = 30;
    private readonly string _folder = Directory.CreateTempSubdirectory("biosup-rows-").FullName;
    private readonly CpuDevice _device = new(1);
    private readonly Matrix<float> _values;
    private readonly int[] _wanted = [37, 3, 0, 39, 12];

    public MatrixRowsTests()
    {
        _values = _device.AllocateMatrix<float>(Rows, Columns);
        CounterRandom random = new(4);
        foreach (ref float value in _values.Buffer.View.Host) value = random.NextInt32(4) == 0 ? 1 + random.NextInt32(50) : 0;
        // A row of nothing.
        _values.Row(12).Clear();
    }

    public void Dispose()
    {
        _values.Dispose();
        _device.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("csr")]
    [InlineData("csc")]
    [InlineData("dense")]
    [InlineData("npy")]
    public void Rows_come_in_the_order_of_the_file_without_zeros(string form)
    {
        string path = Write(form);
        List<int> places = [];
        MatrixRows.Visit(_device, path, _wanted, (place, columns, values) =>
        {
            places.Add(place);
            float[] row = _values.Row(_wanted[place]).ToArray();
            Assert.Equal(Enumerable.Range(0, Columns).Where(j => row[j] != 0), columns.ToArray());
            Assert.Equal(row.Where(v => v != 0), values.ToArray());
        });
        Assert.Equal([2, 1, 4, 0, 3], places);
        using Matrix<float> read = MatrixRows.Read(_device, path, _wanted);
        for (int i = 0; i < _wanted.Length; i++) Assert.Equal(_values.Row(_wanted[i]).ToArray(), read.Row(i).ToArray());
    }

    [Fact]
    public void Entries_in_any_order_and_given_twice_are_one_ascending_row()
    {
        string path = Path.Combine(_folder, "twice.h5ad");
        Write(path, Sparse([0, 4, 5], [3, 1, 3, 0, 2], [2, 5, 3, 0, 7]));
        List<(int Place, int[] Columns, float[] Values)> rows = [];
        MatrixRows.Visit(_device, path, [0, 1], (place, columns, values) => rows.Add((place, columns.ToArray(), values.ToArray())));
        Assert.Equal([1, 3], rows[0].Columns);
        Assert.Equal([5, 5], rows[0].Values);
        Assert.Equal([2], rows[1].Columns);
    }

    [Fact]
    public void A_value_that_is_not_finite_is_named_where_it_is_wanted_and_nowhere_else()
    {
        string path = Path.Combine(_folder, "nan.h5ad");
        Write(path, Sparse([0, 1, 2], [3, 1], [2, float.NaN]));
        using Matrix<float> first = MatrixRows.Read(_device, path, [0]);
        DataException error = Assert.Throws<DataException>(() => MatrixRows.Read(_device, path, [0, 1]));
        Assert.Contains("row 1, column 1", error.Message, StringComparison.Ordinal);
        Assert.Contains("NaN", error.Message, StringComparison.Ordinal);
    }

    private static SparseMatrix Sparse(long[] pointers, int[] indices, float[] values) => new(pointers.Length - 1, 4, SparseLayout.Csr, pointers, indices, NdArray.Vector(values));

    private string Write(string form)
    {
        string path = Path.Combine(_folder, form == "npy" ? "x.npy" : $"{form}.h5ad");
        if (form == "npy") MatrixWriter.Write(path, _values.View);
        else Write(path, form switch { "csr" => SparseMatrix.FromDense(_values.View), "csc" => Columnwise(), _ => NdArray.FromMatrix(_values.View) });
        return path;
    }

    private SparseMatrix Columnwise()
    {
        using Matrix<float> turned = _device.AllocateMatrix<float>(Columns, Rows);
        for (int i = 0; i < Rows; i++)
            for (int j = 0; j < Columns; j++) turned.Row(j)[i] = _values.Row(i)[j];
        return SparseMatrix.FromDense(turned.View).Transpose();
    }

    private static void Write(string path, IAnnElement x)
    {
        (int rows, int columns) = x is SparseMatrix sparse ? (sparse.Rows, sparse.Columns) : (Rows, Columns);
        AnnDataFile.Write(path, new AnnData(DataFrame.OfRows(rows), DataFrame.OfRows(columns)) { X = x });
    }
}
