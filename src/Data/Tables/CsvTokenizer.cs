using System.Globalization;
using System.Numerics;
using System.Text;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>
/// Splits delimited text into records and fields (RFC 4180: quotes, doubled quotes, line breaks inside quotes), a record at a time,
/// in a buffer that never holds more than the longest record. Blank lines are skipped; LF, CRLF and CR end a line.
/// </summary>
internal sealed class CsvTokenizer
{
    private static readonly UTF8Encoding s_strictUtf8 = new(false, throwOnInvalidBytes: true);
    private readonly Stream _stream;
    private readonly string _source;
    private readonly List<Field> _fields = [];
    private byte[] _buffer;
    private int _start, _end;
    private bool _streamEnded;
    private long _nextLine = 1;

    private readonly record struct Field(int Start, int Length, bool Quoted, bool Escaped);

    /// <param name="stream">Bytes in UTF-8, with or without a byte-order mark.</param>
    /// <param name="source">The file, for error messages.</param>
    /// <param name="delimiter">The separator; 0 detects comma, semicolon or tab from the first line.</param>
    /// <param name="bufferSize">First size of the buffer; it doubles when a record does not fit.</param>
    public CsvTokenizer(Stream stream, string source, byte delimiter = 0, int bufferSize = 1 << 18)
    {
        _stream = stream;
        _source = source;
        _buffer = new byte[bufferSize];
        Fill();
        ReadOnlySpan<byte> head = _buffer.AsSpan(0, _end);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF])) _start = 3;
        else if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]) || head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]))
            throw new DataException(source, "offset 0", "the text is UTF-16; UTF-8 was expected");
        Delimiter = delimiter != 0 ? delimiter : DetectDelimiter(_buffer.AsSpan(_start, _end - _start));
    }

    public byte Delimiter { get; }

    /// <summary>Number of fields of the current record.</summary>
    public int Count => _fields.Count;

    /// <summary>Line, from 1, on which the current record starts.</summary>
    public long Line { get; private set; }

    /// <summary>Moves to the next record that is not blank.</summary>
    public bool Read()
    {
        while (true)
        {
            if (_start == _end && !Refill()) return false;
            long lines;
            int after;
            while ((after = TryParse(out lines)) < 0 && Refill()) { }
            Line = _nextLine;
            // Only now is it known that the stream has ended, which makes a final CR a line end.
            if (after < 0) after = TryParse(out lines);
            if (after < 0) after = TryParseLast(out lines);
            _nextLine += lines;
            _start = after;
            bool blank = _fields.Count == 1 && _fields[0].Length == 0 && !_fields[0].Quoted;
            if (!blank) return true;
        }
    }

    /// <summary>A field as text.</summary>
    public string Text(int index)
    {
        Field field = _fields[index];
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(field.Start, field.Length);
        string text;
        try
        {
            text = s_strictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new DataException(_source, $"line {Line}, column {index + 1}", "the text is not UTF-8; save the file as UTF-8", e);
        }
        return field.Escaped ? text.Replace("\"\"", "\"", StringComparison.Ordinal) : text;
    }

    /// <summary>True for an empty field and for the usual marks of a missing number (NA, N/A, NaN, null, None).</summary>
    public bool IsMissing(int index) => Numbers.IsMissing(Trimmed(index));

    /// <summary>Parses a field as a number; false when it is not one. A missing mark gives NaN.</summary>
    public bool TryNumber<T>(int index, out T value) where T : unmanaged, IFloatingPointIeee754<T> => Numbers.TryParse(Trimmed(index), out value);

    private ReadOnlySpan<byte> Trimmed(int index) => _buffer.AsSpan(_fields[index].Start, _fields[index].Length).Trim(" \t"u8);

    // Returns the offset after the record, or -1 when the buffer ends inside it.
    private int TryParse(out long lines)
    {
        _fields.Clear();
        lines = 1;
        int at = _start;
        while (true)
        {
            if (at == _end) return -1;
            if (_buffer[at] == '"')
            {
                int after = QuotedField(at, ref lines, last: false);
                if (after < 0) return -1;
                at = after;
            }
            else
            {
                int length = _buffer.AsSpan(at, _end - at).IndexOfAny(Delimiter, (byte)'\n', (byte)'\r');
                if (length < 0) return -1;
                _fields.Add(new Field(at, length, false, false));
                at += length;
            }
            byte stop = _buffer[at++];
            if (stop == Delimiter) continue;
            if (stop == '\n') return at;
            // CR: one more byte decides between CR and CRLF.
            if (at < _end) return _buffer[at] == '\n' ? at + 1 : at;
            return _streamEnded ? at : -1;
        }
    }

    // The rest of the file as the last record: no line end follows it.
    private int TryParseLast(out long lines)
    {
        _fields.Clear();
        lines = 1;
        int at = _start;
        while (true)
        {
            if (at < _end && _buffer[at] == '"')
            {
                at = QuotedField(at, ref lines, last: true);
            }
            else
            {
                int length = _buffer.AsSpan(at, _end - at).IndexOf(Delimiter);
                if (length < 0) length = _end - at;
                _fields.Add(new Field(at, length, false, false));
                at += length;
            }
            if (at >= _end) return _end;
            at++;
        }
    }

    private int QuotedField(int quote, ref long lines, bool last)
    {
        int at = quote + 1;
        bool escaped = false;
        while (true)
        {
            int length = _buffer.AsSpan(at, _end - at).IndexOf((byte)'"');
            if (length < 0)
            {
                if (last) throw new DataException(_source, $"line {Line}", "a quote is opened and never closed");
                return -1;
            }
            at += length;
            if (at + 1 == _end && !last && !_streamEnded) return -1;
            if (at + 1 < _end && _buffer[at + 1] == '"')
            {
                escaped = true;
                at += 2;
                continue;
            }
            break;
        }
        lines += _buffer.AsSpan(quote, at - quote).Count((byte)'\n');
        _fields.Add(new Field(quote + 1, at - quote - 1, true, escaped));
        at++;
        if (at < _end && _buffer[at] != Delimiter && _buffer[at] is not ((byte)'\n' or (byte)'\r'))
            throw new DataException(_source, $"line {_nextLine}", "text follows a closing quote; a quote inside a quoted field must be doubled");
        return at < _end || last ? at : -1;
    }

    // Keeps the unfinished record, makes room and reads on; false when the stream has ended.
    private bool Refill()
    {
        if (_streamEnded) return false;
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }
        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= 1 << 29) throw new DataException(_source, $"line {_nextLine}", "a single record is longer than 512 MiB");
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
        int before = _end;
        Fill();
        return _end > before;
    }

    private void Fill()
    {
        _end += _stream.ReadAtLeast(_buffer.AsSpan(_end), _buffer.Length - _end, throwOnEndOfStream: false);
        _streamEnded = _end < _buffer.Length;
    }

    private static byte DetectDelimiter(ReadOnlySpan<byte> head)
    {
        int commas = 0, semicolons = 0, tabs = 0;
        bool quoted = false;
        foreach (byte b in head)
        {
            if (b == '"') quoted = !quoted;
            if (quoted) continue;
            if (b is (byte)'\n' or (byte)'\r') break;
            if (b == ',') commas++;
            else if (b == ';') semicolons++;
            else if (b == '\t') tabs++;
        }
        if (tabs > commas && tabs >= semicolons) return (byte)'\t';
        return semicolons > commas ? (byte)';' : (byte)',';
    }
}

/// <summary>Numbers as tables spell them.</summary>
internal static class Numbers
{
    public static bool IsMissing(ReadOnlySpan<byte> text) => text.Length switch
    {
        0 => true,
        2 => text.SequenceEqual("NA"u8),
        3 => text.SequenceEqual("NaN"u8) || text.SequenceEqual("nan"u8) || text.SequenceEqual("NAN"u8) || text.SequenceEqual("N/A"u8),
        4 => text.SequenceEqual("null"u8) || text.SequenceEqual("NULL"u8) || text.SequenceEqual("None"u8) || text.SequenceEqual("<NA>"u8),
        _ => false,
    };

    public static bool TryParse<T>(ReadOnlySpan<byte> text, out T value) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (T.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value)) return true;
        if (IsMissing(text))
        {
            value = T.NaN;
            return true;
        }
        bool negative = text.Length > 0 && text[0] == '-';
        if (negative || (text.Length > 0 && text[0] == '+')) text = text[1..];
        if (!text.SequenceEqual("inf"u8) && !text.SequenceEqual("Inf"u8)) return false;
        value = negative ? T.NegativeInfinity : T.PositiveInfinity;
        return true;
    }

    public static bool TryParse(string text, out double value) => TryParse(Encoding.UTF8.GetBytes(text.Trim(' ', '\t')), out value);
}
