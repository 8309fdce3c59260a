using System.Runtime.InteropServices;
using System.Text;

namespace BioSup.Data;

/// <summary>NumPy's fixed-width text: UTF-32 (<c>&lt;U</c>) and bytes (<c>|S</c>), padded with zeros on the right.</summary>
internal static class NpyText
{
    private static readonly UTF8Encoding s_strictUtf8 = new(false, throwOnInvalidBytes: true);

    public static string Decode(NpyStorage storage, bool swap, Span<byte> item)
    {
        if (storage == NpyStorage.Bytes) return DecodeBytes(item);
        if (swap) ElementDecoder.SwapBytes(item, 4);
        ReadOnlySpan<int> runes = MemoryMarshal.Cast<byte, int>(item);
        while (runes.Length > 0 && runes[^1] == 0) runes = runes[..^1];
        StringBuilder text = new(runes.Length);
        foreach (int rune in runes)
        {
            if (!Rune.IsValid(rune)) throw new InvalidDataException($"U+{rune:X} is not a Unicode character");
            text.Append(new Rune(rune).ToString());
        }
        return text.ToString();
    }

    /// <summary>UTF-8, or Latin-1 where the bytes are not UTF-8.</summary>
    public static string DecodeBytes(ReadOnlySpan<byte> item)
    {
        item = item.TrimEnd((byte)0);
        try
        {
            return s_strictUtf8.GetString(item);
        }
        catch (DecoderFallbackException)
        {
            return Encoding.Latin1.GetString(item);
        }
    }

    public static void Write(Stream stream, NdArray array)
    {
        string[] text = array.As<string>();
        int width = 1;
        foreach (string item in text) width = Math.Max(width, item.EnumerateRunes().Count());
        stream.Write(NpyHeader.Compose($"<U{width}", [.. array.Shape]));
        int[] buffer = new int[width];
        foreach (string item in text)
        {
            Array.Clear(buffer);
            int at = 0;
            foreach (Rune rune in item.EnumerateRunes()) buffer[at++] = rune.Value;
            stream.Write(MemoryMarshal.AsBytes<int>(buffer));
        }
    }
}
