using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Parses the Python literal of an npy header: a dict with the keys descr, fortran_order and shape, nothing else.</summary>
internal sealed class NpyHeaderParser(string text, string source, string where)
{
    private const int MaxDimensions = 32;
    private int _at;

    public readonly record struct Fields(string Descr, bool FortranOrder, long[] Shape);

    public Fields Parse()
    {
        string? descr = null;
        bool? fortran = null;
        long[]? shape = null;
        Expect('{');
        while (!TryTake('}'))
        {
            string key = QuotedString();
            Expect(':');
            switch (key)
            {
                case "descr":
                    if (Peek() is '[' or '(') throw Error("structured elements (records) are not supported");
                    descr = QuotedString();
                    break;
                case "fortran_order": fortran = Boolean(); break;
                case "shape": shape = Shape(); break;
                default: throw Error($"the npy header has an unknown key '{NpyHeader.Printable(key)}'");
            }
            if (TryTake(',')) continue;
            Expect('}');
            break;
        }
        return new Fields(descr ?? throw Error("the npy header lacks the key 'descr'"),
            fortran ?? throw Error("the npy header lacks the key 'fortran_order'"),
            shape ?? throw Error("the npy header lacks the key 'shape'"));
    }

    private long[] Shape()
    {
        List<long> extents = [];
        Expect('(');
        while (!TryTake(')'))
        {
            extents.Add(Integer());
            if (extents.Count > MaxDimensions) throw Error($"the array has more than {MaxDimensions} dimensions");
            if (TryTake(',')) continue;
            Expect(')');
            break;
        }
        return [.. extents];
    }

    private long Integer()
    {
        SkipSpace();
        int start = _at;
        while (_at < text.Length && char.IsAsciiDigit(text[_at])) _at++;
        if (!long.TryParse(text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out long value))
            throw Error("the shape in the npy header is not a tuple of whole numbers");
        // Python 2 wrote long integers as "3L".
        if (_at < text.Length && text[_at] == 'L') _at++;
        return value;
    }

    private bool Boolean()
    {
        SkipSpace();
        if (text.AsSpan(_at).StartsWith("True", StringComparison.Ordinal))
        {
            _at += 4;
            return true;
        }
        if (!text.AsSpan(_at).StartsWith("False", StringComparison.Ordinal)) throw Error("'fortran_order' in the npy header is neither True nor False");
        _at += 5;
        return false;
    }

    private string QuotedString()
    {
        char quote = Peek();
        if (quote is not ('\'' or '"')) throw Error("the npy header is not a Python dict of quoted keys");
        int end = text.IndexOf(quote, _at + 1);
        if (end < 0) throw Error("the npy header has an unclosed quote");
        string value = text[(_at + 1)..end];
        _at = end + 1;
        return value;
    }

    private char Peek()
    {
        SkipSpace();
        return _at < text.Length ? text[_at] : '\0';
    }

    private bool TryTake(char c)
    {
        if (Peek() != c) return false;
        _at++;
        return true;
    }

    private void Expect(char c)
    {
        if (!TryTake(c)) throw Error($"the npy header is damaged: '{c}' expected at character {_at}");
    }

    private void SkipSpace()
    {
        while (_at < text.Length && (text[_at] is ' ' or '\n' or '\t' or '\r')) _at++;
    }

    private DataException Error(string problem) => new(source, where, problem);
}
