using System.Numerics;

namespace BioSup.Data;

/// <content>Fixed and extensible arrays of chunks (file format VII.C and VII.D).</content>
internal sealed partial class ChunkIndex
{
    // Signature, version and client of every block of an array; after them the address of its header.
    private const int BlockPrefix = 6;
    private const int Checksum = 4;

    private void ReadFixedArray(ulong address)
    {
        int offset = _file.OffsetBytes, length = _file.LengthBytes;
        byte[] head = Load(address, 8 + length + offset + Checksum);
        Expect(head, "FAHD"u8);
        int element = ElementBytes(head[6]);
        ulong entries = Hdf5Bytes.Unsigned(head.AsSpan(8), length), block = Hdf5Bytes.Unsigned(head.AsSpan(8 + length), offset);
        if (_file.IsUndefined(block)) return;
        if (head[7] > 30 || entries > (ulong)_file.FileLength) throw new InvalidDataException($"an index claims {entries} chunks, more than the file can hold");
        long perPage = 1L << head[7], pages = (long)entries <= perPage ? 0 : ((long)entries + perPage - 1) / perPage;
        int bitmap = (int)((pages + 7) / 8), prefix = BlockPrefix + offset;
        byte[] start = Load(block, prefix + bitmap);
        Expect(start, "FADB"u8);
        byte[] all = Load(block + (ulong)start.Length + (pages > 0 ? Checksum : 0UL), (long)entries * element + (pages > 0 ? (pages - 1) * Checksum : 0));
        ForEach(-1, (chunk, index) =>
        {
            if (index >= entries) return;
            long page = pages == 0 ? 0 : (long)index / perPage;
            if (pages == 0 || IsSet(start.AsSpan(prefix), page)) SetElement(chunk, all.AsSpan((int)((long)index * element + page * Checksum), element));
        });
    }

    private void ReadExtensibleArray(ulong address)
    {
        int offset = _file.OffsetBytes, length = _file.LengthBytes, unlimited = -1;
        for (int i = 0; i < _grid.Rank; i++)
            if (_grid.Limits[i] < 0) unlimited = i;
        byte[] head = Load(address, 12 + 6 * length + offset + Checksum);
        Expect(head, "EAHD"u8);
        int element = ElementBytes(head[6]), maxBits = head[7], inIndex = head[8], least = head[9], leastPointers = head[10], pageBits = head[11];
        if (maxBits > 64 || pageBits > 30 || !BitOperations.IsPow2(least) || !BitOperations.IsPow2(leastPointers)) throw new InvalidDataException("an extensible array of chunks is damaged");
        ulong written = Hdf5Bytes.Unsigned(head.AsSpan(12 + 4 * length), length), block = Hdf5Bytes.Unsigned(head.AsSpan(12 + 6 * length), offset);
        if (_file.IsUndefined(block)) return;
        int supers = 1 + maxBits - BitOperations.Log2((uint)least), direct = 2 * BitOperations.Log2((uint)leastPointers), directBlocks = 2 * (leastPointers - 1);
        if (supers < direct) throw new InvalidDataException("an extensible array of chunks is damaged");
        int arrayOffset = (maxBits + 7) / 8, prefix = BlockPrefix + offset;
        long perPage = 1L << pageBits;
        byte[] index = Load(block, prefix + inIndex * element + (directBlocks + supers - direct) * offset);
        Expect(index, "EAIB"u8);
        int pointers = prefix + inIndex * element;
        Dictionary<ulong, byte[]> blocks = [];

        // The n-th super block has 2^(n/2) data blocks of least * 2^((n+1)/2) elements: all before it together have least * (2^n - 1).
        ForEach(unlimited, (chunk, at) =>
        {
            if (at >= written) return;
            if (at < (ulong)inIndex)
            {
                SetElement(chunk, index.AsSpan(prefix + (int)at * element, element));
                return;
            }
            at -= (ulong)inIndex;
            int super = BitOperations.Log2(at / (ulong)least + 1);
            if (super >= supers || super > 60) throw new InvalidDataException("an extensible array of chunks is damaged");
            long inBlock = (long)least << ((super + 1) / 2), blockCount = 1L << (super / 2);
            at -= (ulong)least * ((1UL << super) - 1);
            long which = (long)at / inBlock, where = (long)at % inBlock;
            int pages = inBlock > perPage ? (int)(inBlock / perPage) : 0;
            ulong data;
            if (super < direct)
            {
                // Data blocks of the super blocks before it: 1 + 1 + 2 + 2 + ... of them.
                long before = super % 2 == 0 ? 2 * ((1L << (super / 2)) - 1) : 3 * (1L << (super / 2)) - 2;
                data = Hdf5Bytes.Unsigned(index.AsSpan(pointers + (int)(before + which) * offset), offset);
            }
            else
            {
                ulong superAddress = Hdf5Bytes.Unsigned(index.AsSpan(pointers + (directBlocks + super - direct) * offset), offset);
                if (_file.IsUndefined(superAddress)) return;
                long bitmap = blockCount * ((pages + 7) / 8), skip = prefix + arrayOffset;
                byte[] body = Block(superAddress, skip + bitmap + blockCount * offset, "EASB");
                if (pages > 0 && !IsSet(body.AsSpan((int)skip), which * pages + where / perPage)) return;
                data = Hdf5Bytes.Unsigned(body.AsSpan((int)(skip + bitmap + which * offset)), offset);
            }
            if (_file.IsUndefined(data)) return;
            if (pages == 0)
            {
                byte[] body = Block(data, prefix + arrayOffset + inBlock * element, "EADB");
                SetElement(chunk, body.AsSpan((int)(prefix + arrayOffset + where * element), element));
                return;
            }
            ulong page = data + (ulong)(prefix + arrayOffset + Checksum + where / perPage * (perPage * element + Checksum));
            SetElement(chunk, Block(page, perPage * element, null).AsSpan((int)(where % perPage * element), element));
        });

        byte[] Block(ulong where, long bytes, string? signature)
        {
            if (blocks.TryGetValue(where, out byte[]? known) && known.Length >= bytes) return known;
            byte[] loaded = blocks[where] = Load(where, bytes);
            if (signature is not null) Expect(loaded, System.Text.Encoding.ASCII.GetBytes(signature));
            return loaded;
        }
    }

    // The first of eight is the highest bit.
    private static bool IsSet(ReadOnlySpan<byte> bits, long at) => (bits[(int)(at / 8)] & (0x80 >> (int)(at % 8))) != 0;
}
