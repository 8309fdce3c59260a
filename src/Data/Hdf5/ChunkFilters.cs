using System.Buffers.Binary;
using System.IO.Compression;

namespace BioSup.Data;

/// <summary>The filters that chunks went through when they were written, undone in the opposite order: shuffle, deflate, LZF, Fletcher's checksum.</summary>
internal sealed class ChunkFilters
{
    private const ushort Deflate = 1, ShuffleId = 2, Fletcher32 = 3, Lzf = 32000;
    private readonly (ushort Id, uint[] Parameters)[] _filters;
    private readonly int _elementBytes;

    private ChunkFilters((ushort, uint[])[] filters, int elementBytes) => (_filters, _elementBytes) = (filters, elementBytes);

    /// <summary>The filters of a dataset in the order of writing; null where one is not known here, or where one compresses what another has compressed.</summary>
    public static ChunkFilters? Of((ushort Id, uint[] Parameters)[] filters, int elementBytes)
    {
        bool known = filters.All(filter => filter.Id is Deflate or ShuffleId or Fletcher32 or Lzf) && filters.Count(filter => filter.Id is Deflate or Lzf) <= 1;
        return known ? new ChunkFilters(filters, elementBytes) : null;
    }

    public bool IsEmpty => _filters.Length == 0;

    /// <summary>Whether nothing was done to chunks that skipped these filters.</summary>
    public bool IsPlain(uint skipped)
    {
        for (int i = 0; i < _filters.Length; i++)
            if ((skipped >> i & 1) == 0) return false;
        return true;
    }

    /// <summary>Undoes the filters of one chunk.</summary>
    /// <param name="stored">The chunk as stored; may be overwritten.</param>
    /// <param name="skipped">Bit i: filter i was not applied.</param>
    /// <param name="chunk">Receives the whole chunk.</param>
    /// <param name="room">Returns scratch of at least so many bytes.</param>
    public void Undo(Memory<byte> stored, uint skipped, Span<byte> chunk, Func<int, byte[]> room)
    {
        int first = 0;
        while (first < _filters.Length && (skipped >> first & 1) != 0) first++;
        ReadOnlyMemory<byte> at = stored;
        for (int i = _filters.Length - 1; i >= first; i--)
        {
            if ((skipped >> i & 1) != 0) continue;
            (ushort id, uint[] parameters) = _filters[i];
            if (id == Fletcher32)
            {
                at = Checked(at);
                continue;
            }
            // Whatever is undone before this filter was written adds no more than its checksum of four bytes.
            int most = id == ShuffleId ? at.Length : chunk.Length + 4 * i;
            if (i == first && (id != ShuffleId || at.Length == chunk.Length))
            {
                if (Undo(id, parameters, at, chunk) != chunk.Length) throw new InvalidDataException($"a chunk has fewer than {chunk.Length} bytes");
                return;
            }
            byte[] next = room(most);
            at = next.AsMemory(0, Undo(id, parameters, at, next.AsSpan(0, most)));
        }
        if (at.Length != chunk.Length) throw new InvalidDataException($"a chunk has {at.Length} bytes where {chunk.Length} were expected");
        at.Span.CopyTo(chunk);
    }

    /// <summary>Refuses a chunk whose stored bytes cannot become as many as a chunk has, before room is made for them.</summary>
    public void RequirePlausible(long stored, uint skipped, int chunkBytes)
    {
        long ratio = 1;
        for (int i = 0; i < _filters.Length; i++)
            if ((skipped >> i & 1) == 0) ratio *= _filters[i].Id switch { Deflate => 1032, Lzf => 264, _ => 1 };
        if (chunkBytes / ratio > stored) throw new InvalidDataException($"a chunk of {chunkBytes} bytes cannot be stored in {stored}");
    }

    private int Undo(ushort id, uint[] parameters, ReadOnlyMemory<byte> from, Span<byte> to)
    {
        switch (id)
        {
            case Deflate: return Inflate(from, to);
            case Lzf: return LzfCodec.Decompress(from.Span, to);
            default:
                Shuffle.Undo(from.Span, to, parameters.Length > 0 ? (int)Math.Min(int.MaxValue, parameters[0]) : _elementBytes);
                return from.Length;
        }
    }

    private static int Inflate(ReadOnlyMemory<byte> from, Span<byte> to)
    {
        if (!System.Runtime.InteropServices.MemoryMarshal.TryGetArray(from, out ArraySegment<byte> segment)) segment = from.ToArray();
        using ZLibStream stream = new(new MemoryStream(segment.Array!, segment.Offset, segment.Count, writable: false), CompressionMode.Decompress);
        int length = stream.ReadAtLeast(to, to.Length, throwOnEndOfStream: false);
        // The checksum is looked at when the end is reached.
        Span<byte> more = stackalloc byte[1];
        if (stream.Read(more) > 0) throw new InvalidDataException($"a deflated chunk has more than {to.Length} bytes");
        return length;
    }

    // Fletcher's sums over numbers of 16 bits, the high byte first, in the last four bytes.
    private static ReadOnlyMemory<byte> Checked(ReadOnlyMemory<byte> chunk)
    {
        if (chunk.Length < 4) throw new InvalidDataException("a chunk has no checksum");
        ReadOnlySpan<byte> bytes = chunk.Span[..^4];
        ulong low = 0, high = 0;
        for (int i = 0; i + 1 < bytes.Length; i += 2)
        {
            low += (uint)(bytes[i] << 8 | bytes[i + 1]);
            high += low;
            if (i % 720 == 718) (low, high) = (Fold(low), Fold(high));
        }
        if (bytes.Length % 2 != 0)
        {
            low += (uint)bytes[^1] << 8;
            high += low;
        }
        uint sum = (uint)(Fold(high) << 16 | Fold(low)), stored = BinaryPrimitives.ReadUInt32LittleEndian(chunk.Span[^4..]);
        // Versions of HDF5 before 1.6.3 stored the two bytes of each half the other way round.
        uint old = (sum & 0x00FF00FF) << 8 | (sum >> 8 & 0x00FF00FF);
        return stored == sum || stored == old ? chunk[..^4] : throw new InvalidDataException("the checksum of a chunk does not fit");

        // Zero stays zero; every other multiple of 65535 is written as 65535.
        static ulong Fold(ulong value) => value == 0 ? 0 : (value - 1) % 65535 + 1;
    }
}
