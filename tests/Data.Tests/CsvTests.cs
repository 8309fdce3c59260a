using System.Text;
using BioSup.Runtime;

namespace BioSup.Data.Tests;

public sealed class CsvTests
{
    private static readonly CpuDevice s_device = new(1);

    private static Table Parse(string text) => CsvFile.Read(new MemoryStream(Encoding.UTF8.GetBytes(text)), "t.csv");

    [Fact]
    public void Quotes_line_breaks_mark_crlf_and_empty_cells()
    {
        Table table = Parse("\uFEFFid,\"na\"\"me\",value\r\n1,\"a,b\r\nc\",2.5\r\n\r\n2,\"say \"\"hi\"\"\",\r\n3,,NA");
        Assert.Equal(["id", "na\"me", "value"], table.Columns.Select(c => c.Name));
        Assert.Equal(["a,b\r\nc", "say \"hi\"", ""], table["na\"me"].Text);
        Assert.False(table["na\"me"].IsNumeric);
        Assert.Equal([2.5, double.NaN, double.NaN], table["value"].Numbers);
        Assert.Equal(["1", "2", "3"], table["id"].Text);
    }

    [Theory]
    [InlineData("a;b\n1;2\n", "a|b")]
    [InlineData("a\tb\n1\t2\n", "a|b")]
    [InlineData("1,2\n3,4\n", "0|1")]
    [InlineData(",0,1\nr0,5,6\n", "|0|1")]
    [InlineData("r0,5,6\nr1,7,8\n", "0|1|2")]
    [InlineData("label\nx\n", "label")]
    [InlineData("a,b\r1,2\r", "a|b")]
    public void Headers_and_delimiters_are_recognised(string text, string names) => Assert.Equal(names, string.Join('|', Parse(text).Columns.Select(c => c.Name)));

    [Theory]
    [InlineData("a,b\n1,2\n3\n", "line 3")]
    [InlineData("a,b\n1,\"2\n", "never closed")]
    [InlineData("a,b\n1,\"2\"x\n", "closing quote")]
    [InlineData("", "empty")]
    [InlineData("\n\n", "empty")]
    public void Damaged_tables_name_the_line(string text, string words) =>
        Assert.Contains(words, Assert.Throws<DataException>(() => Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Text_that_is_not_utf8_is_refused()
    {
        DataException e = Assert.Throws<DataException>(() => CsvFile.Read(new MemoryStream([.. "a,b\n1,"u8, 0xB5, (byte)'\n']), "t.csv"));
        Assert.Contains("line 2, column 2", e.Message, StringComparison.Ordinal);
        Assert.Throws<DataException>(() => CsvFile.Read(new MemoryStream(Encoding.Unicode.GetPreamble()), "t.csv"));
    }

    [Fact]
    public void Records_longer_than_the_buffer_are_read_whatever_its_size()
    {
        string cell = new('x', 1000);
        string text = $"a,b\r\n\"{cell}\"\"\n{cell}\",2\r\n3,4\r";
        for (int size = 1; size < 40; size++)
        {
            CsvTokenizer csv = new(new MemoryStream(Encoding.UTF8.GetBytes(text)), "t.csv", (byte)',', size < 4 ? 4 : size);
            Assert.True(csv.Read());
            Assert.True(csv.Read());
            Assert.Equal($"{cell}\"\n{cell}", csv.Text(0));
            Assert.Equal(2, csv.Line);
            Assert.True(csv.Read());
            Assert.Equal("4", csv.Text(1));
            Assert.Equal(4, csv.Line);
            Assert.False(csv.Read());
        }
    }

    [Theory]
    [InlineData("1,2,3\n4,5,6\n")]
    [InlineData("a,b,c\n1,2,3\n4,5,6\n")]
    [InlineData("cell,a,b,c\nx,1,2,3\ny,4,5,6\n")]
    [InlineData(",a,b,c\n7,1,2,3\n8,4,5,6\n")]
    [InlineData("x,1,2,3\ny,4,5,6\n")]
    public void A_matrix_leaves_out_header_and_row_names(string text)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["m.csv"], text);
        using Matrix<float> matrix = MatrixReader.ReadSingle(s_device, folder["m.csv"]);
        Assert.Equal((2, 3), (matrix.Rows, matrix.Columns));
        Assert.Equal([1f, 2, 3, 4, 5, 6], matrix.Buffer.View.Host.ToArray());
    }

    [Fact]
    public void Cells_that_are_no_finite_numbers_are_named()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["m.csv"], "a,b\n1,2\n3,oops\n");
        DataException e = Assert.Throws<DataException>(() => MatrixReader.ReadSingle(s_device, folder["m.csv"]));
        Assert.Contains("line 3, column 'b'", e.Message, StringComparison.Ordinal);
        File.WriteAllText(folder["m.csv"], "a,b\n1,2\n3,\n");
        e = Assert.Throws<DataException>(() => MatrixReader.ReadDouble(s_device, folder["m.csv"]));
        Assert.Contains("row 1, column 1", e.Message, StringComparison.Ordinal);
        Assert.Contains("NaN", e.Message, StringComparison.Ordinal);
        using Matrix<double> allowed = MatrixReader.ReadDouble(s_device, folder["m.csv"], requireFinite: false);
        Assert.True(double.IsNaN(allowed.Row(1)[1]));
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        using TemporaryFolder folder = new();
        Table table = new(
            new Column("label, quoted", ["a", "b \"c\"", "", "line\nbreak"]),
            new Column("value", [0.1, double.NaN, 1e-300, -7]),
            new Column("single", [0.1f, 2, 3, float.NaN]));
        CsvFile.Write(folder["t.csv"], table);
        Assert.Equal("\"label, quoted\",value,single\na,0.1,0.1\n\"b \"\"c\"\"\",,2\n,1E-300,3\n\"line\nbreak\",-7,\n", File.ReadAllText(folder["t.csv"]));
        Table read = CsvFile.Read(folder["t.csv"]);
        Assert.Equal(table["label, quoted"].Text, read["label, quoted"].Text);
        Assert.Equal(table["value"].Numbers, read["value"].Numbers);
        Assert.Equal("break", ColumnReader.Read(folder["t.csv"] + ":label, quoted").Text[3][5..]);
    }

    [Fact]
    public void Columns_by_locator()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["c.csv"], "id,class,x:y\n1,b,5\n2,a,6\n3,b,\n");
        Column column = ColumnReader.Read(folder["c.csv"] + ":class");
        Assert.Equal(["b", "a", "b"], column.Text);
        (int[] codes, string[] categories) = column.Categorise();
        Assert.Equal(["a", "b"], categories);
        Assert.Equal([1, 0, 1], codes);
        Assert.Equal([5, 6, double.NaN], ColumnReader.Read(folder["c.csv"] + ":x:y").Numbers);
        Assert.Throws<DataException>(() => column.Numbers);
        DataException e = Assert.Throws<DataException>(() => ColumnReader.Read(folder["c.csv"] + ":klass"));
        Assert.Contains("id, class, x:y", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<DataException>(() => ColumnReader.Read(folder["c.csv"]));
        Assert.Contains("id, class, x:y", e.Message, StringComparison.Ordinal);
        Assert.Equal(["Control", "SNCA µ", "", "日本語 😀"], ColumnReader.Read(Golden.File("unicode.npy")).Text);
        Assert.Equal(["a", "b", "a", "c", "b"], ColumnReader.Read(Golden.File("cache_stored.npz") + ":lines").Text);
        Assert.Throws<DataException>(() => ColumnReader.Read(folder["absent.csv"] + ":class"));
        Assert.Throws<DataException>(() => ColumnReader.Read(Golden.File("c_f4.npy")));
    }
}
