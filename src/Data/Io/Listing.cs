namespace BioSup.Data;

/// <summary>Names for error messages: all of them when they are few, the first ones otherwise.</summary>
internal static class Listing
{
    private const int Shown = 20;

    public static string Of(IEnumerable<string> names)
    {
        string[] all = [.. names];
        if (all.Length == 0) return "none";
        string text = string.Join(", ", all.Take(Shown).Select(NpyHeader.Printable));
        return all.Length > Shown ? $"{text} and {all.Length - Shown} more" : text;
    }
}
