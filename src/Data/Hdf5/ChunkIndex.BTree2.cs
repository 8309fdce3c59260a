using System.Buffers.Binary;
using System.Numerics;

namespace BioSup.Data;

/// <content>Version-2 B-trees of chunks (file format III.A.2, record types 10 and 11).</content>
internal sealed partial class ChunkIndex
{
    private void ReadBTree2(ulong address)
    {
        int offset = _file.OffsetBytes, length = _file.LengthBytes;
        byte[] head = Load(address, 16 + offset + 2 + length + Checksum);
        Expect(head, "BTHD"u8);
        long nodeBytes = BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(6));
        int record = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(10)), depth = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(12));
        ulong root = Hdf5Bytes.Unsigned(head.AsSpan(16), offset);
        int records = BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(16 + offset));
        if (head[5] != (_filtered ? 11 : 10)) throw new InvalidDataException($"a B-tree of chunks has records of type {head[5]}");
        if (depth > 32 || nodeBytes < record + BlockPrefix + Checksum) throw new InvalidDataException("a B-tree of chunks is damaged");
        ElementBytes((byte)Math.Clamp(record - 8 * _grid.Rank, 0, 255));
        if (_file.IsUndefined(root)) return;

        // How many records a node of each level holds, and below it, decides in how many bytes their counts are written.
        BigInteger below = 0;
        int[] totalBytes = new int[depth + 1];
        int countBytes = 0;
        for (int level = 0; level <= depth; level++)
        {
            int pointer = level == 0 ? 0 : offset + countBytes + totalBytes[level - 1];
            long most = (nodeBytes - BlockPrefix - Checksum - pointer) / (record + pointer);
            below = (most + (level == 0 ? 0 : 1)) * below + most;
            if (most < 0) throw new InvalidDataException("a B-tree of chunks is damaged");
            if (level == 0) countBytes = BytesFor(most);
            else totalBytes[level] = BytesFor(below);
        }
        ReadNode2(root, records, depth, record, nodeBytes, countBytes, totalBytes);
    }

    private void ReadNode2(ulong address, int records, int level, int record, long nodeBytes, int countBytes, int[] totalBytes)
    {
        int offset = _file.OffsetBytes, pointer = level == 0 ? 0 : offset + countBytes + totalBytes[level - 1];
        long used = BlockPrefix + (long)records * record + (level == 0 ? 0 : (records + 1L) * pointer);
        if (used > nodeBytes) throw new InvalidDataException("a B-tree of chunks is damaged");
        byte[] node = Load(address, used);
        Expect(node, level == 0 ? "BTLF"u8 : "BTIN"u8);
        Span<long> at = stackalloc long[_grid.Rank];
        int element = record - 8 * _grid.Rank;
        for (int r = 0; r < records; r++)
        {
            ReadOnlySpan<byte> entry = node.AsSpan(BlockPrefix + r * record, record);
            for (int i = 0; i < at.Length; i++) at[i] = BinaryPrimitives.ReadInt64LittleEndian(entry[(element + 8 * i)..]);
            SetElement(_grid.Number(at), entry[..element]);
        }
        for (int c = 0; level > 0 && c <= records; c++)
        {
            ReadOnlySpan<byte> child = node.AsSpan(BlockPrefix + records * record + c * pointer, pointer);
            ReadNode2(Hdf5Bytes.Unsigned(child, offset), (int)Math.Min(ushort.MaxValue, Hdf5Bytes.Unsigned(child[offset..], countBytes)), level - 1, record, nodeBytes, countBytes, totalBytes);
        }
    }

    private static int BytesFor(BigInteger most) => most <= 0 ? 1 : (int)((most.GetBitLength() - 1) / 8 + 1);
}
