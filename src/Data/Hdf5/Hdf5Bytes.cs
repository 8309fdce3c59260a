using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace BioSup.Data;

/// <summary>The bytes of an HDF5 file by their addresses in it; several threads may read at once.</summary>
/// <param name="handle">The file, open for reading; not owned.</param>
/// <param name="length">Bytes in the file.</param>
/// <param name="origin">Where address 0 lies in the file.</param>
/// <param name="offsetBytes">Bytes of an address in the file's structures.</param>
/// <param name="lengthBytes">Bytes of a length in the file's structures.</param>
internal sealed class Hdf5Bytes(SafeFileHandle handle, long length, long origin, int offsetBytes, int lengthBytes)
{
    public long FileLength => length;
    public int OffsetBytes => offsetBytes;
    public int LengthBytes => lengthBytes;

    /// <summary>Whether an address says that there is nothing.</summary>
    public bool IsUndefined(ulong address) => address == (offsetBytes >= 8 ? ulong.MaxValue : (1UL << (8 * offsetBytes)) - 1);

    /// <summary>Refuses a range that is not in the file, before room is made for it.</summary>
    public void Require(ulong address, long count)
    {
        if (count < 0 || address > (ulong)(length - origin) || count > length - origin - (long)address)
            throw new EndOfStreamException($"{count} bytes were expected at {address}, the file has {length}");
    }

    /// <summary>Fills <paramref name="target"/> from an address on.</summary>
    public void Read(ulong address, Span<byte> target)
    {
        Require(address, target.Length);
        long at = origin + (long)address;
        while (target.Length > 0)
        {
            int got = RandomAccess.Read(handle, target, at);
            if (got <= 0) throw new EndOfStreamException($"{target.Length} bytes were expected at {address}, the file ends there");
            target = target[got..];
            at += got;
        }
    }

    /// <summary>A number of 1 to 8 bytes, the lowest first.</summary>
    public static ulong Unsigned(ReadOnlySpan<byte> field, int bytes)
    {
        if (bytes == 8) return BinaryPrimitives.ReadUInt64LittleEndian(field);
        if (bytes is < 1 or > 8) throw new InvalidDataException($"a number has {bytes} bytes");
        ulong value = 0;
        for (int i = bytes - 1; i >= 0; i--) value = (value << 8) | field[i];
        return value;
    }
}
