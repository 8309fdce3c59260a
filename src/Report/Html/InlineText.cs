using System.Text;

namespace BioSup.Report;

/// <summary>
/// The inline markup of paragraphs, leads, captions, cells and callouts: <c>**strong**</c>, <c>*emphasis*</c>, <c>`code`</c>, and links to a part of the
/// same page (<see cref="PageBlock"/>) as <c>[text](#anchor)</c>; everything else is plain text and is escaped. A marker without a partner is an ordinary character, so file names and formulas need no escaping of their own.
/// </summary>
internal static class InlineText
{
    public static string ToHtml(string text)
    {
        StringBuilder html = new(text.Length + 16);
        for (int i = 0; i < text.Length;)
        {
            if (TryMarked(text, i, "`", "code", html, nested: false, out int next)
                || TryMarked(text, i, "**", "strong", html, nested: true, out next)
                || TryMarked(text, i, "*", "em", html, nested: true, out next)
                || TryLink(text, i, html, out next))
            {
                i = next;
                continue;
            }
            int stop = text.AsSpan(i + 1).IndexOfAny('`', '*', '[');
            int end = stop < 0 ? text.Length : i + 1 + stop;
            html.Append(Escape(text[i..end]));
            i = end;
        }
        return html.ToString();
    }

    /// <summary>Escapes for element content and quoted attributes; characters that XML forbids are dropped.</summary>
    public static string Escape(string text)
    {
        StringBuilder html = new(text.Length + 8);
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) html.Append(c).Append(text[++i]);
            else if (char.IsSurrogate(c) || c is '\uFFFE' or '\uFFFF' || c < ' ' && c is not ('\n' or '\t' or '\r')) html.Append('\uFFFD');
            else html.Append(c switch { '&' => "&amp;", '<' => "&lt;", '>' => "&gt;", '"' => "&quot;", '\'' => "&#39;", _ => null } ?? c.ToString());
        }
        return html.ToString();
    }

    /// <summary>The name of a part of a page as a link may have it: ASCII letters, digits and dashes.</summary>
    public static bool IsAnchor(ReadOnlySpan<char> name)
    {
        foreach (char c in name) if (!char.IsAsciiLetterOrDigit(c) && c != '-') return false;
        return name.Length > 0;
    }

    private static bool TryLink(string text, int start, StringBuilder html, out int next)
    {
        next = start;
        if (text[start] != '[') return false;
        int close = text.IndexOf("](#", start, StringComparison.Ordinal);
        int end = close < 0 ? -1 : text.IndexOf(')', close);
        if (end < 0 || close == start + 1 || text.AsSpan(start + 1, close - start - 1).IndexOfAny('[', ']') >= 0 || !IsAnchor(text.AsSpan(close + 3, end - close - 3))) return false;
        html.Append("<a href=\"#").Append(text, close + 3, end - close - 3).Append("\">").Append(Escape(text[(start + 1)..close])).Append("</a>");
        next = end + 1;
        return true;
    }

    private static bool TryMarked(string text, int start, string marker, string element, StringBuilder html, bool nested, out int next)
    {
        next = start;
        if (string.CompareOrdinal(text, start, marker, 0, marker.Length) != 0) return false;
        int from = start + marker.Length;
        if (from >= text.Length || char.IsWhiteSpace(text[from])) return false;
        int close = text.IndexOf(marker, from, StringComparison.Ordinal);
        if (close <= from || char.IsWhiteSpace(text[close - 1])) return false;
        string inner = text[from..close];
        html.Append('<').Append(element).Append('>').Append(nested ? ToHtml(inner) : Escape(inner)).Append("</").Append(element).Append('>');
        next = close + marker.Length;
        return true;
    }
}
