namespace BioSup.Data;

/// <summary>h5py's LZF filter, decompression only: LibLZF's format, literal runs and back references.</summary>
internal static class LzfCodec
{
    /// <returns>Bytes written to <paramref name="target"/>.</returns>
    public static int Decompress(ReadOnlySpan<byte> source, Span<byte> target)
    {
        int from = 0, to = 0;
        while (from < source.Length)
        {
            int control = source[from++];
            if (control < 32)
            {
                int run = control + 1;
                if (run > source.Length - from || run > target.Length - to) throw new InvalidDataException("an LZF chunk is damaged");
                source.Slice(from, run).CopyTo(target[to..]);
                from += run;
                to += run;
                continue;
            }
            int length = control >> 5;
            if (length == 7 && from < source.Length) length += source[from++];
            if (from >= source.Length) throw new InvalidDataException("an LZF chunk ends too early");
            int back = ((control & 31) << 8) + source[from++] + 1;
            length += 2;
            if (back > to || length > target.Length - to) throw new InvalidDataException("an LZF chunk is damaged");
            // Source and target may overlap: byte by byte, in order.
            for (int i = 0; i < length; i++, to++) target[to] = target[to - back];
        }
        return to;
    }
}
