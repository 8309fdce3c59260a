using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>One named set of genes.</summary>
/// <param name="Name">First field of the line.</param>
/// <param name="Description">Second field; often a web address or "na".</param>
/// <param name="Genes">Symbols in file order, without repetitions.</param>
public sealed record GeneSet(string Name, string Description, IReadOnlyList<string> Genes);

/// <summary>Gene Matrix Transposed (Broad Institute): a set per line, tab-separated: name, description, genes.</summary>
public static class GmtFile
{
    /// <exception cref="DataException">A line has fewer than two fields, no name, or the name of an earlier line.</exception>
    public static IReadOnlyList<GeneSet> Read(string path) => SourceGuard.Read(path, "GMT", () =>
    {
        using StreamReader reader = new(SourceGuard.Open(path), new UTF8Encoding(false, throwOnInvalidBytes: true));
        List<GeneSet> sets = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        int number = 0;
        try
        {
            while (reader.ReadLine() is { } line)
            {
                number++;
                if (string.IsNullOrWhiteSpace(line)) continue;
                string[] fields = line.Split('\t');
                if (fields.Length < 2 || fields[0].Length == 0) throw new DataException(path, $"line {number}", "a name, a description and genes, separated by tabs, were expected");
                if (!names.Add(fields[0])) throw new DataException(path, $"line {number}", $"the set '{NpyHeader.Printable(fields[0])}' is given twice");
                sets.Add(new GeneSet(fields[0], fields[1], [.. fields.Skip(2).Select(gene => gene.Trim()).Where(gene => gene.Length > 0).Distinct(StringComparer.Ordinal)]));
            }
        }
        catch (DecoderFallbackException e)
        {
            throw new DataException(path, $"line {number + 1}", "the text is not UTF-8", e);
        }
        return (IReadOnlyList<GeneSet>)sets;
    });

    public static void Write(string path, IEnumerable<GeneSet> sets) => AtomicFile.Write(path, stream =>
    {
        using StreamWriter writer = new(stream, new UTF8Encoding(false), 1 << 16, leaveOpen: true);
        foreach (GeneSet set in sets)
        {
            if (set.Genes.Append(set.Name).Append(set.Description).Any(text => text.AsSpan().ContainsAny("\t\r\n".AsSpan())))
                throw new UsageException($"The gene set '{NpyHeader.Printable(set.Name)}' holds a tab or a line break, which GMT cannot.");
            writer.Write(set.Name);
            writer.Write('\t');
            writer.Write(set.Description);
            foreach (string gene in set.Genes)
            {
                writer.Write('\t');
                writer.Write(gene);
            }
            writer.Write('\n');
        }
    });
}
