using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>What kind of file a locator points into.</summary>
public enum FileKind
{
    Npy,
    Npz,
    Csv,
    Safetensors,
    AnnData,
    TokenShards,
    TextLines,
}

/// <summary>
/// A matrix or column as the user names it: FILE, FILE:MEMBER or a folder of token shards. MEMBER is a member of an .npz, a tensor of a
/// .safetensors, X | obsm/NAME | layers/NAME | obs/NAME of an .h5ad or .zarr (a folder, or packed as .zarr.zip), or a column of a .csv. Paths and members may themselves contain colons.
/// </summary>
/// <param name="Text">As the user wrote it.</param>
/// <param name="Path">File or folder.</param>
/// <param name="Member">The part after the colon, or null.</param>
/// <param name="Kind">Decided by the extension, or by being a folder.</param>
public sealed record Locator(string Text, string Path, string? Member, FileKind Kind)
{
    private static readonly (string Extension, FileKind Kind)[] s_kinds =
    [
        (".npy", FileKind.Npy), (".npz", FileKind.Npz), (".csv", FileKind.Csv), (".tsv", FileKind.Csv),
        (".safetensors", FileKind.Safetensors), (".h5ad", FileKind.AnnData), (".zarr", FileKind.AnnData), (".zarr.zip", FileKind.AnnData), (".txt", FileKind.TextLines),
    ];

    /// <exception cref="UsageException">The extension is not one that is read.</exception>
    /// <exception cref="DataException">There is no such file or folder, or the file has no content.</exception>
    public static Locator Parse(string text)
    {
        if (text.Length == 0 || text.Contains('\0', StringComparison.Ordinal)) throw new UsageException("A matrix or column was asked for, but no file was named.");
        if (Directory.Exists(text)) return new Locator(text, text, null, ZarrFile.IsStore(text) ? FileKind.AnnData : FileKind.TokenShards);
        if (KindOf(text) is { } whole && File.Exists(text)) return WithContent(new Locator(text, text, null, whole));

        // The first colon after a known extension whose left side exists; failing that, the first such colon.
        Locator? first = null;
        for (int colon = text.IndexOf(':'); colon >= 0; colon = text.IndexOf(':', colon + 1))
        {
            string path = text[..colon];
            if (KindOf(path) is not { } kind) continue;
            Locator candidate = new(text, path, text[(colon + 1)..], kind);
            if (File.Exists(path) || (ZarrFile.IsStore(path) && Directory.Exists(path))) return WithContent(candidate);
            first ??= candidate;
        }
        if (first is null && KindOf(text) is { } missing) first = new Locator(text, text, null, missing);
        if (first is not null) throw new DataException(first.Path, null, "the file does not exist");
        if (File.Exists(text))
            throw new UsageException($"{text}: the extension is not known; .npy, .npz, .csv, .tsv, .safetensors, .h5ad, .zarr, .zarr.zip and folders of token shards are read.");
        throw new DataException(text, null, "there is no such file or folder");
    }

    // Every format has at least a header; a list of lines may be empty, which its reader knows best.
    private static Locator WithContent(Locator locator) => locator.Kind == FileKind.TextLines || Directory.Exists(locator.Path) || new FileInfo(locator.Path) is not { Length: 0, LinkTarget: null }
        ? locator
        : throw new DataException(locator.Path, null, "the file is empty");

    internal string RequireMember(string what, IEnumerable<string> present) => !string.IsNullOrEmpty(Member)
        ? Member
        : throw new DataException(Path, null, $"name {what} after a colon, as in {System.IO.Path.GetFileName(Path)}:NAME; the file has {Listing.Of(present)}");

    internal void RequireNoMember()
    {
        if (Member is not null) throw new UsageException($"{Text}: a {System.IO.Path.GetExtension(Path)} file has no members; leave out ':{Member}'.");
    }

    private static FileKind? KindOf(string path)
    {
        foreach ((string extension, FileKind kind) in s_kinds)
            if (path.EndsWith(extension, StringComparison.OrdinalIgnoreCase)) return kind;
        return null;
    }
}
