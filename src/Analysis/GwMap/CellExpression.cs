using System.Runtime.InteropServices;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.GwMap;

/// <summary>Expression of cells as its entries that are not zero, gene by gene: 8 bytes each, where most of an expression matrix is zeros.</summary>
public sealed class CellExpression : GeneValues
{
    private readonly DeviceBuffer<int> _cells;
    private readonly DeviceBuffer<float> _values;
    private readonly long[] _first, _end;
    private readonly bool _owns;

    private CellExpression(int cells, DeviceBuffer<int> places, DeviceBuffer<float> values, long[] first, long[] end, bool owns) =>
        (Cells, _cells, _values, _first, _end, _owns) = (cells, places, values, first, end, owns);

    public override int Cells { get; }

    public override int Genes => _first.Length;

    public override long Bytes => _owns ? Entries * (sizeof(int) + sizeof(float)) : 0;

    /// <summary>Entries that are not zero.</summary>
    public long Entries => _cells.Length;

    /// <summary>Bytes that reading a number of entries takes: them by cell and, in the end, by gene as well.</summary>
    public static long ReadingBytes(long entries) => entries * (Entry.Bytes + sizeof(int) + sizeof(float));

    /// <summary>Reads chosen cells of a file.</summary>
    /// <param name="host">Holds the entries.</param>
    /// <param name="locator">Matrix of [cells, genes]; an .h5ad is read in blocks (<see cref="MatrixRows"/>).</param>
    /// <param name="cells">Rows of the file, in the order they are to have here.</param>
    public static CellExpression Read(CpuDevice host, string locator, int[] cells) =>
        Collect(host, cells.Length, MatrixReader.ReadShape(locator).Columns, visit => MatrixRows.Visit(host, locator, cells, visit));

    /// <summary>Takes chosen cells of a matrix in host memory.</summary>
    public static CellExpression From(Matrix<float> expression, int[] cells) => Collect(expression.Device.Host, cells.Length, expression.Columns, visit =>
    {
        int[] columns = [.. Enumerable.Range(0, expression.Columns)];
        for (int j = 0; j < cells.Length; j++) visit(j, columns, expression.Row(cells[j]));
    });

    /// <summary>Scales every cell to <see cref="GwMapSpaces.CellTotal"/> and takes ln(1 + max(x, 0)), in place, unless the values are logarithms already.</summary>
    /// <returns>Whether the values were counts.</returns>
    public bool LogNormalise()
    {
        Span<float> values = _values.View.Host;
        float largest = 0;
        foreach (float value in values) largest = Math.Max(largest, value);
        if (!(largest > GwMapSpaces.LargestLogarithm)) return false;
        ReadOnlySpan<int> cells = _cells.View.Host;
        double[] totals = new double[Cells];
        for (int k = 0; k < values.Length; k++) totals[cells[k]] += values[k];
        for (int k = 0; k < values.Length; k++)
        {
            double total = totals[cells[k]];
            values[k] = (float)double.LogP1(Math.Max(0, total > 0 ? values[k] * (GwMapSpaces.CellTotal / total) : values[k]));
        }
        return true;
    }

    /// <summary>The genes that vary most, in the order of the columns; genes that do not vary are never among them.</summary>
    /// <param name="most">How many to keep.</param>
    public int[] VariableGenes(int most)
    {
        double[] variance = new double[Genes];
        for (int g = 0; g < variance.Length; g++) variance[g] = Variance(g);
        return [.. Enumerable.Range(0, variance.Length).Where(g => variance[g] > 0).OrderByDescending(g => variance[g]).ThenBy(g => g).Take(most).Order()];
    }

    public override void Fill(ReadOnlySpan<int> cells, int first, int count, Matrix<double> block)
    {
        int[] row = new int[Cells];
        Array.Fill(row, -1);
        for (int j = 0; j < cells.Length; j++)
        {
            row[cells[j]] = j;
            block.Row(j).Clear();
        }
        for (int g = 0; g < count; g++)
        {
            ReadOnlySpan<int> places = Places(first + g);
            ReadOnlySpan<float> values = Values(first + g);
            for (int k = 0; k < places.Length; k++)
                if (row[places[k]] >= 0) block.Row(row[places[k]])[g] = values[k];
        }
    }

    public override GeneValues Select(int[] genes) => new CellExpression(Cells, _cells, _values, [.. genes.Select(g => _first[g])], [.. genes.Select(g => _end[g])], owns: false);

    public override void Dispose()
    {
        if (!_owns) return;
        _cells.Dispose();
        _values.Dispose();
    }

    private ReadOnlySpan<int> Places(int gene) => _cells.View.Slice(_first[gene], _end[gene] - _first[gene]).Host;

    private ReadOnlySpan<float> Values(int gene) => _values.View.Slice(_first[gene], _end[gene] - _first[gene]).Host;

    private double Variance(int gene)
    {
        ReadOnlySpan<float> values = Values(gene);
        int zeros = Cells - values.Length;
        double sum = 0, squares = 0;
        float low = zeros > 0 ? 0 : float.PositiveInfinity, high = zeros > 0 ? 0 : float.NegativeInfinity;
        foreach (float value in values)
        {
            sum += value;
            (low, high) = (Math.Min(low, value), Math.Max(high, value));
        }
        // Equal values have a mean that is only nearly theirs.
        if (!(high > low)) return 0;
        double mean = sum / Cells;
        foreach (float value in values) squares += (value - mean) * (value - mean);
        return (squares + zeros * mean * mean) / Cells;
    }

    private static CellExpression Collect(CpuDevice host, int cells, int genes, Action<RowVisitor> read)
    {
        const int SegmentEntries = 1 << 20;
        List<DeviceBuffer<Entry>> segments = [];
        DeviceBuffer<int>? places = null;
        DeviceBuffer<float>? values = null;
        long count = 0;
        long[] end = new long[genes];
        try
        {
            read((cell, columns, row) =>
            {
                for (int k = 0; k < columns.Length; k++)
                {
                    if (row[k] == 0) continue;
                    if (count == (long)segments.Count * SegmentEntries) segments.Add(host.Allocate<Entry>(SegmentEntries));
                    segments[^1].View.Host[(int)(count++ % SegmentEntries)] = new Entry(cell, columns[k], row[k]);
                    end[columns[k]]++;
                }
            });
            long[] first = new long[genes];
            for (int g = 1; g < genes; g++) first[g] = first[g - 1] + end[g - 1];
            first.CopyTo(end, 0);
            places = host.Allocate<int>((int)count);
            values = host.Allocate<float>((int)count);
            Span<int> place = places.View.Host;
            Span<float> value = values.View.Host;
            for (long k = 0; k < count; k++)
            {
                Entry entry = segments[(int)(k / SegmentEntries)].View.Host[(int)(k % SegmentEntries)];
                int at = (int)end[entry.Gene]++;
                (place[at], value[at]) = (entry.Cell, entry.Value);
            }
            return new CellExpression(cells, places, values, first, end, owns: true);
        }
        catch
        {
            places?.Dispose();
            values?.Dispose();
            throw;
        }
        finally
        {
            foreach (DeviceBuffer<Entry> segment in segments) segment.Dispose();
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Entry(int Cell, int Gene, float Value)
    {
        public const int Bytes = 12;
    }
}
