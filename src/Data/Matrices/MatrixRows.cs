using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Receives one row of a matrix: the entries that are not zero, columns ascending, none twice, all finite.</summary>
/// <param name="place">Which of the rows that were asked for.</param>
public delegate void RowVisitor(int place, ReadOnlySpan<int> columns, ReadOnlySpan<float> values);

/// <summary>
/// Chosen rows of a matrix in single precision. A matrix of an .h5ad that is dense or compressed by rows is read in blocks, so that neither the whole of it nor its zeros are ever
/// in memory; what is stored in another form is read whole first.
/// </summary>
public static class MatrixRows
{
    /// <param name="host">Where blocks are decoded.</param>
    /// <param name="locator">FILE or FILE:MEMBER, as <see cref="MatrixReader"/> takes it.</param>
    /// <param name="rows">Different rows, in any order.</param>
    /// <param name="visit">Receives them in the order of the file.</param>
    /// <exception cref="DataException">The matrix cannot be read, or holds a value that is not finite in one of the rows.</exception>
    public static void Visit(CpuDevice host, string locator, IReadOnlyList<int> rows, RowVisitor visit)
    {
        int[] places = [.. Enumerable.Range(0, rows.Count).OrderBy(p => rows[p])], ascending = [.. places.Select(p => rows[p])];
        RowEntries entries = new(locator, ascending, places, visit);
        Locator parsed = Locator.Parse(locator);
        if (parsed.Kind == FileKind.AnnData && AnnDataFile.TryVisitRows(parsed.Path, string.IsNullOrEmpty(parsed.Member) ? "X" : parsed.Member, entries)) return;
        using Matrix<float> all = MatrixReader.ReadSingle(host, locator, requireFinite: false);
        foreach (int row in ascending) entries.Take(row, all.Row(row));
    }

    /// <summary>The rows as a dense matrix, in the order asked for.</summary>
    /// <inheritdoc cref="Visit"/>
    public static Matrix<float> Read(CpuDevice host, string locator, IReadOnlyList<int> rows)
    {
        Matrix<float> matrix = host.AllocateMatrix<float>(rows.Count, MatrixReader.ReadShape(locator).Columns);
        try
        {
            Visit(host, locator, rows, (place, columns, values) =>
            {
                Span<float> row = matrix.Row(place);
                for (int k = 0; k < columns.Length; k++) row[columns[k]] = values[k];
            });
            return matrix;
        }
        catch
        {
            matrix.Dispose();
            throw;
        }
    }
}

/// <summary>Brings rows into the form that a <see cref="RowVisitor"/> is promised.</summary>
/// <param name="locator">Source, for messages.</param>
/// <param name="ascending">The rows that are wanted.</param>
/// <param name="places">Which of the rows that were asked for each of them is.</param>
internal sealed class RowEntries(string locator, int[] ascending, int[] places, RowVisitor visit)
{
    private int[] _columns = [];
    private float[] _values = [];

    /// <summary>Wanted rows from <paramref name="first"/> up to, but without, <paramref name="end"/>.</summary>
    public ReadOnlySpan<int> Between(int first, int end)
    {
        int from = LowerBound(first), to = LowerBound(end);
        return ascending.AsSpan(from, to - from);
    }

    /// <summary>A row with all its zeros.</summary>
    public void Take(int row, ReadOnlySpan<float> dense)
    {
        Reserve(dense.Length);
        int count = 0;
        for (int j = 0; j < dense.Length; j++)
        {
            if (dense[j] == 0) continue;
            (_columns[count], _values[count]) = (j, dense[j]);
            count++;
        }
        Deliver(row, count);
    }

    /// <summary>A row as its stored entries, in any order; entries given twice are added, as SciPy does.</summary>
    public void Take(int row, ReadOnlySpan<int> columns, ReadOnlySpan<float> values)
    {
        Reserve(columns.Length);
        columns.CopyTo(_columns);
        values.CopyTo(_values);
        bool ascends = true;
        for (int k = 1; k < columns.Length && ascends; k++) ascends = columns[k] > columns[k - 1];
        if (!ascends) Array.Sort(_columns, _values, 0, columns.Length);
        int count = 0;
        for (int k = 0; k < columns.Length;)
        {
            int column = _columns[k];
            float sum = 0;
            for (; k < columns.Length && _columns[k] == column; k++) sum += _values[k];
            if (sum == 0) continue;
            (_columns[count], _values[count]) = (column, sum);
            count++;
        }
        Deliver(row, count);
    }

    private void Deliver(int row, int count)
    {
        for (int k = 0; k < count; k++)
            if (!float.IsFinite(_values[k])) throw new DataException(locator, $"row {row}, column {_columns[k]}, counted from 0", $"the value is {(float.IsNaN(_values[k]) ? "NaN" : "infinite")}; every value must be finite");
        visit(places[LowerBound(row)], _columns.AsSpan(0, count), _values.AsSpan(0, count));
    }

    private void Reserve(int entries)
    {
        if (_columns.Length >= entries) return;
        (_columns, _values) = (new int[entries], new float[entries]);
    }

    private int LowerBound(int row)
    {
        int found = Array.BinarySearch(ascending, row);
        return found >= 0 ? found : ~found;
    }
}
