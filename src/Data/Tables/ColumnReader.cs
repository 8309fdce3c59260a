using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Reads one column by its locator: FILE.csv:column, FILE.npy (one-dimensional), FILE.npz:member, FILE.h5ad:obs/NAME (or var/NAME), or FILE.txt (one entry per line).
/// A .csv with a single column needs no column name.
/// </summary>
public static class ColumnReader
{
    /// <exception cref="DataException">There is no such file or column, or the array is not one-dimensional.</exception>
    public static Column Read(string locator)
    {
        Locator parsed = Locator.Parse(locator);
        switch (parsed.Kind)
        {
            case FileKind.Csv:
                if (parsed.Member is not null) return CsvFile.ReadColumn(parsed.Path, parsed.Member);
                Table table = CsvFile.Read(parsed.Path);
                return table.Columns.Count == 1 ? table.Columns[0] : table[parsed.RequireMember("the column", table.Columns.Select(c => c.Name))];
            case FileKind.Npy:
                parsed.RequireNoMember();
                return FromArray(NpyFile.Read(parsed.Path), Path.GetFileNameWithoutExtension(parsed.Path), locator);
            case FileKind.Npz:
                using (NpzFile npz = NpzFile.Open(parsed.Path))
                {
                    string member = parsed.RequireMember("the array", npz.Members);
                    return FromArray(npz.Read(member), member, locator);
                }
            case FileKind.AnnData:
                if (string.IsNullOrEmpty(parsed.Member)) throw new UsageException($"{locator}: name a column after a colon, as in {Path.GetFileName(parsed.Path)}:obs/NAME.");
                // A bare name is a column of obs.
                return AnnDataFile.ReadColumn(parsed.Path, parsed.Member.Contains('/', StringComparison.Ordinal) ? parsed.Member : "obs/" + parsed.Member).ToColumn(locator);
            case FileKind.TextLines:
                parsed.RequireNoMember();
                return FromLines(parsed.Path);
            default:
                throw new UsageException($"{locator}: no column can be read from this kind of file.");
        }
    }

    internal static Column FromArray(NdArray array, string name, string source)
    {
        if (array.Rank > 2 || (array.Rank == 2 && array.Shape[1] != 1) || array.Rank == 0)
            throw new DataException(source, null, $"has the shape {array.ShapeText}; one column was expected");
        return array.Type switch
        {
            ElementType.Text => new Column(name, array.As<string>(), source),
            ElementType.Float32 => new Column(name, array.As<float>(), source),
            ElementType.Boolean => new Column(name, array.ToText(), source),
            ElementType.Int64 or ElementType.UInt64 => new Column(name, array.ToText(), source),
            _ => new Column(name, array.ToDoubles(), source),
        };
    }

    private static Column FromLines(string path) => SourceGuard.Read(path, "text", () =>
    {
        using StreamReader reader = new(SourceGuard.Open(path), new UTF8Encoding(false, throwOnInvalidBytes: true));
        List<string> lines = [];
        try
        {
            while (reader.ReadLine() is { } line) lines.Add(line);
        }
        catch (DecoderFallbackException e)
        {
            throw new DataException(path, $"line {lines.Count + 1}", "the text is not UTF-8", e);
        }
        return new Column(Path.GetFileNameWithoutExtension(path), [.. lines], path);
    });
}
