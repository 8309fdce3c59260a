using System.Buffers.Binary;
using System.IO.Compression;
using ZstdSharp;

namespace BioSup.Data;

/// <summary>Unpacks what c-blosc 1 packed, zarr's usual codec: blocks, each shuffled and compressed with LZ4, zlib or zstd.</summary>
internal static class Blosc
{
    private const int Header = 16, MostSplits = 16, LeastSplit = 128;
    private const int Shuffled = 1, Plain = 2, BitShuffled = 4, Whole = 16;

    /// <summary>Bytes that a buffer claims to unpack to.</summary>
    /// <exception cref="InvalidDataException">It is no such buffer.</exception>
    public static int UnpackedBytes(ReadOnlySpan<byte> packed)
    {
        if (packed.Length < Header) throw new InvalidDataException("a blosc buffer has fewer bytes than its head");
        int bytes = BinaryPrimitives.ReadInt32LittleEndian(packed[4..]);
        return bytes >= 0 && BinaryPrimitives.ReadInt32LittleEndian(packed[12..]) == packed.Length ? bytes : throw new InvalidDataException("the head of a blosc buffer does not fit its size");
    }

    /// <summary>Fills <paramref name="target"/>, which is as long as <see cref="UnpackedBytes"/> says.</summary>
    /// <exception cref="InvalidDataException">The buffer is damaged, or in a form that is not read.</exception>
    public static void Unpack(byte[] packed, Span<byte> target)
    {
        int flags = packed[2], size = packed[3], block = BinaryPrimitives.ReadInt32LittleEndian(packed.AsSpan(8));
        if (target.Length == 0) return;
        if ((flags & Plain) != 0)
        {
            if (packed.Length - Header < target.Length) throw new InvalidDataException("a blosc buffer ends too early");
            packed.AsSpan(Header, target.Length).CopyTo(target);
            return;
        }
        if ((flags & BitShuffled) != 0) throw new InvalidDataException("a blosc buffer is shuffled by bits, which is not supported");
        if (block <= 0 || size == 0) throw new InvalidDataException("the head of a blosc buffer is damaged");
        block = Math.Min(block, target.Length);
        int blocks = (target.Length - 1) / block + 1;
        if (blocks > (packed.Length - Header) / 4) throw new InvalidDataException("a blosc buffer has no room for the places of its blocks");
        bool shuffled = (flags & Shuffled) != 0 && size > 1;
        byte[] room = shuffled ? new byte[block] : [];
        for (int b = 0; b < blocks; b++)
        {
            Span<byte> part = target.Slice(b * block, Math.Min(block, target.Length - b * block));
            Span<byte> raw = shuffled ? room.AsSpan(0, part.Length) : part;
            int at = BinaryPrimitives.ReadInt32LittleEndian(packed.AsSpan(Header + 4 * b));
            // A whole block may be packed byte by byte of its elements, each part with its length before it.
            int splits = (flags & Whole) == 0 && size <= MostSplits && block / size >= LeastSplit && part.Length == block ? size : 1, each = part.Length / splits;
            if (each * splits != part.Length) throw new InvalidDataException("a blosc block cannot be split evenly");
            for (int s = 0; s < splits; s++)
            {
                int length = at >= Header && at <= packed.Length - 4 ? BinaryPrimitives.ReadInt32LittleEndian(packed.AsSpan(at)) : -1;
                at += 4;
                if (length < 0 || length > packed.Length - at) throw new InvalidDataException("a blosc block lies outside its buffer");
                Span<byte> to = raw.Slice(s * each, each);
                if (length == each) packed.AsSpan(at, length).CopyTo(to);
                else if (Decompress(flags >> 5, packed, at, length, to) != each) throw new InvalidDataException($"a blosc block does not unpack to {each} bytes");
                at += length;
            }
            if (shuffled) Shuffle.Undo(raw, part, size);
        }
    }

    private static int Decompress(int codec, byte[] packed, int at, int length, Span<byte> to)
    {
        switch (codec)
        {
            case 1: return Lz4(packed.AsSpan(at, length), to);
            case 3:
                using (ZLibStream stream = new(new MemoryStream(packed, at, length), CompressionMode.Decompress)) return stream.ReadAtLeast(to, to.Length, throwOnEndOfStream: false);
            case 4:
                using (DecompressionStream stream = new(new MemoryStream(packed, at, length))) return stream.ReadAtLeast(to, to.Length, throwOnEndOfStream: false);
            default: throw new InvalidDataException($"a blosc buffer is packed with {codec switch { 0 => "blosclz", 2 => "snappy", _ => $"codec {codec}" }}, which is not read; lz4, zlib and zstd are");
        }
    }

    /// <summary>A block of LZ4: runs of literals, each followed by a reference back.</summary>
    /// <returns>Bytes written.</returns>
    public static int Lz4(ReadOnlySpan<byte> from, Span<byte> to)
    {
        int at = 0, done = 0;
        while (at < from.Length)
        {
            int token = from[at++], literals = token >> 4;
            if (literals == 15) literals = More(from, ref at, literals);
            if (literals > from.Length - at || literals > to.Length - done) throw new InvalidDataException("an LZ4 block is damaged");
            from.Slice(at, literals).CopyTo(to[done..]);
            at += literals;
            done += literals;
            // The last run has no reference.
            if (at == from.Length) return done;
            if (from.Length - at < 2) throw new InvalidDataException("an LZ4 block ends too early");
            int back = BinaryPrimitives.ReadUInt16LittleEndian(from[at..]);
            at += 2;
            int length = token & 15;
            if (length == 15) length = More(from, ref at, length);
            length += 4;
            if (back == 0 || back > done || length > to.Length - done) throw new InvalidDataException("an LZ4 block is damaged");
            if (back >= length) to.Slice(done - back, length).CopyTo(to[done..]);
            else
                for (int i = 0; i < length; i++) to[done + i] = to[done + i - back];
            done += length;
        }
        return done;
    }

    private static int More(ReadOnlySpan<byte> from, ref int at, int length)
    {
        byte next = 255;
        while (next == 255)
        {
            if (at == from.Length) throw new InvalidDataException("an LZ4 block ends too early");
            next = from[at++];
            length = checked(length + next);
        }
        return length;
    }
}
