using System.Text.RegularExpressions;
using BioSup.Data;
using BioSup.Report;
using BioSup.Runtime;

namespace BioSup.Cli.Pipeline.Cells;

/// <summary>
/// Adds the columns of a table to obs, its rows matched to the cells by name as the published code matches its table of cell death: where names do not agree as they are,
/// folders, the archive before the last colon, the extension and every "_mask" are left out of both, and where that does not help, the place of a patch in its picture.
/// </summary>
internal static partial class CellColumns
{
    private static readonly string[] s_names = ["filename", "uid", "image_uid", "UID", "id", "cell", "barcode"];

    /// <summary>Columns that the published code takes for cell death, best first.</summary>
    private static readonly string[] s_deaths = ["intensity_rate", "cell_death_rate", "rate"];

    /// <returns>One sentence: how many cells were found.</returns>
    /// <param name="cells">Gets the columns; cells without a row get NaN or no category.</param>
    /// <param name="path">A .csv or .tsv with a column of names: filename, uid, image_uid, UID, id, cell or barcode, or else the first column.</param>
    /// <exception cref="DataException">Two rows have one name, or no row is one of the cells.</exception>
    public static string Add(AnnData cells, string path)
    {
        Table table = CsvFile.Read(path);
        Column names = s_names.Where(table.Contains).Select(n => table[n]).FirstOrDefault() ?? table.Columns[0];
        int[] rows = Match(cells.Obs.Index, names, path);
        int found = rows.Count(r => r >= 0);
        if (found == 0) throw new DataException(path, $"column '{names.Name}'", $"none of its {Numbers.Integer(table.Rows)} names is a cell; the first is '{names.Text.FirstOrDefault()}' and the first cell '{cells.Obs.Index[0]}'");
        foreach (Column column in table.Columns.Where(c => c != names)) cells.Obs.Set(Take(column, column.Name, rows));
        if (!table.Contains("cell_death") && s_deaths.FirstOrDefault(table.Contains) is { } death) cells.Obs.Set(Take(table[death], "cell_death", rows));
        return $"{path}: {Numbers.Integer(found)} of {Numbers.Integer(rows.Length)} cells have a row; obs has {string.Join(", ", cells.Obs.Columns.Select(c => c.Name).Take(20))}";
    }

    private static FrameColumn Take(Column column, string name, int[] rows) => column.IsNumeric
        ? FrameColumn.Of(name, Array.ConvertAll(rows, r => r < 0 ? double.NaN : column.Numbers[r]))
        : FrameColumn.Categorical(name, Array.ConvertAll(rows, r => r < 0 ? "" : column.Text[r]));

    private static int[] Match(string[] cells, Column names, string path)
    {
        int[] rows = Match(cells, names, path, name => name, name => name);
        if (rows.All(r => r < 0)) rows = Match(cells, names, path, Reduce, Reduce);
        return rows.All(r => r < 0) ? Match(cells, names, path, name => Patch().Replace(Reduce(name), ""), Reduce) : rows;
    }

    private static int[] Match(string[] cells, Column names, string path, Func<string, string> cellKey, Func<string, string> rowKey)
    {
        Dictionary<string, int> rows = new(StringComparer.Ordinal);
        for (int i = 0; i < names.Length; i++)
        {
            string key = rowKey(names.Text[i]);
            if (!rows.TryAdd(key, i)) throw new DataException(path, $"column '{names.Name}'", $"rows {rows[key]} and {i}, counted from 0, have the same name '{key}'");
        }
        return Array.ConvertAll(cells, cell => rows.GetValueOrDefault(cellKey(cell), -1));
    }

    [GeneratedRegex(@"_x\d+_y\d+$")]
    private static partial Regex Patch();

    private static string Reduce(string name) => Path.GetFileNameWithoutExtension(name[(name.LastIndexOf(':') + 1)..]).Replace("_mask", "", StringComparison.Ordinal);
}
