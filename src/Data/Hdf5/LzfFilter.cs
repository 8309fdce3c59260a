using PureHDF.Filters;

namespace BioSup.Data;

/// <summary>h5py's LZF filter (id 32000), decompression only: LibLZF's format, literal runs and back references.</summary>
internal sealed class LzfFilter : IH5Filter
{
    private const int DefaultChunkBytes = 1 << 16;

    /// <summary>
    /// Number of filters of the dataset this thread is reading. LZF leaves chunks alone that it cannot shrink; PureHDF 2.2 then skips the
    /// filter before LZF instead of LZF itself, so such chunks are right only where there is no filter before it.
    /// </summary>
    [ThreadStatic]
    private static int t_filterCount;

    public ushort FilterId => 32000;
    public string Name => "lzf";

    public Memory<byte> Filter(FilterInfo info)
    {
        // The third parameter is the size of the chunk before compression.
        int size = info.Parameters.Length > 2 ? checked((int)info.Parameters[2]) : info.ChunkSize > 0 ? info.ChunkSize : DefaultChunkBytes;
        ReadOnlySpan<byte> source = info.Buffer.Span;
        if (source.Length >= size)
            return t_filterCount == 1
                ? info.Buffer.ToArray()
                : throw new NotSupportedException("a chunk that LZF could not shrink lies behind another filter; save the file with gzip instead");
        // A back reference of three bytes makes at most 264.
        if (size > (source.Length + 1L) * 264) throw new InvalidDataException("an LZF chunk claims more bytes than it can hold");
        byte[] target = new byte[size];
        int written = Decompress(source, target);
        return target.AsMemory(0, written);
    }

    public uint[] GetParameters(uint[] chunkDimensions, uint typeSize, Dictionary<string, object>? options) =>
        throw new NotSupportedException("LZF is read, not written.");

    internal static void BeginDataset(int filterCount) => t_filterCount = filterCount;

    internal static int Decompress(ReadOnlySpan<byte> source, Span<byte> target)
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
