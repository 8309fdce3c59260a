using BioSup.Runtime;

namespace BioSup.Analysis.Modules;

/// <summary>
/// Different genes by symbol: surrounding blanks and case do not count, so that a mouse symbol meets the human one (Snca, SNCA). Of names that are the same symbol
/// the first is kept. Versions, aliases and identifiers of other kinds are not translated.
/// </summary>
internal sealed class GeneSymbols
{
    private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];

    /// <exception cref="UsageException">A name is empty.</exception>
    public GeneSymbols(IEnumerable<string> names, string what)
    {
        int position = 0;
        foreach (string name in names)
        {
            if (string.IsNullOrWhiteSpace(name)) throw new UsageException($"Gene {position} of {what} has no name.");
            position++;
            if (_index.TryAdd(Key(name), _names.Count)) _names.Add(name.Trim());
        }
        Duplicates = position - _names.Count;
    }

    /// <summary>The kept names, in order.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>Names left out.</summary>
    public int Duplicates { get; }

    /// <summary>Number of a gene, or −1.</summary>
    public int Find(string name) => _index.GetValueOrDefault(Key(name), -1);

    /// <summary>What two names of one gene have in common.</summary>
    public static string Key(string name) => name.Trim().ToUpperInvariant();
}
