using System.Buffers.Binary;
using System.Text;

namespace BioSup.Data;

/// <summary>Text of variable length: each element refers to an object in one of the collections of the global heap (file format III.E).</summary>
internal sealed class GlobalHeap(Hdf5Bytes file)
{
    private const long MaxHeldBytes = 64 << 20;
    private readonly Dictionary<ulong, Collection> _collections = [];
    private long _held, _left = file.FileLength > (long.MaxValue >> 4) ? long.MaxValue : 8 * file.FileLength + MaxHeldBytes;
    private ulong _lastAddress;
    private Collection? _last;

    /// <summary>Bytes of a reference: length, address of the collection, number of the object in it.</summary>
    public int ReferenceBytes => 8 + file.OffsetBytes;

    /// <summary>The text that each of successive references refers to; an empty one where it refers to nothing.</summary>
    public void Read(ReadOnlySpan<byte> references, Span<string> texts)
    {
        for (int i = 0; i < texts.Length; i++)
        {
            ReadOnlySpan<byte> reference = references.Slice(i * ReferenceBytes, ReferenceBytes);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(reference), number = BinaryPrimitives.ReadUInt32LittleEndian(reference[^4..]);
            ulong address = Hdf5Bytes.Unsigned(reference[4..], file.OffsetBytes);
            texts[i] = length == 0 || (address == 0 && number == 0) ? "" : Text(address, number, length);
        }
    }

    private string Text(ulong address, uint number, uint length)
    {
        if (_last is null || address != _lastAddress) (_last, _lastAddress) = (Open(address), address);
        if (!_last.Objects.TryGetValue(number, out (int Start, int Length) found)) throw new InvalidDataException($"the global heap at {address} has no object {number}");
        if (length > (uint)found.Length) throw new InvalidDataException($"{length} bytes were expected in object {number} of the global heap at {address}, it has {found.Length}");
        // One object may be referred to many times, but not so often that a small file becomes a large one.
        _left -= length;
        if (_left < 0) throw new InvalidDataException("its structure runs in circles");
        return Encoding.UTF8.GetString(_last.Bytes, found.Start, (int)length);
    }

    private Collection Open(ulong address)
    {
        if (_collections.TryGetValue(address, out Collection? known)) return known;
        int head = 8 + file.LengthBytes;
        Span<byte> start = stackalloc byte[16];
        start = start[..head];
        file.Read(address, start);
        if (!start.StartsWith("GCOL\u0001"u8)) throw new InvalidDataException($"a collection of the global heap was expected at {address}");
        ulong size = Hdf5Bytes.Unsigned(start[8..], file.LengthBytes);
        if (size < (ulong)head || size > int.MaxValue) throw new InvalidDataException($"a collection of the global heap claims {size} bytes");
        file.Require(address, (long)size);
        _left -= (long)size;
        if (_left < 0) throw new InvalidDataException("its structure runs in circles");
        if (_held + (long)size > MaxHeldBytes)
        {
            _collections.Clear();
            _held = 0;
        }
        byte[] bytes = new byte[size];
        file.Read(address, bytes);
        Collection collection = new(bytes, Objects(bytes, head));
        _held += bytes.Length;
        return _collections[address] = collection;
    }

    private Dictionary<uint, (int, int)> Objects(byte[] bytes, int head)
    {
        // Number, count of references, four bytes reserved, size; the data fills up to a multiple of eight.
        Dictionary<uint, (int, int)> objects = [];
        int entry = 8 + file.LengthBytes;
        for (int at = head; at + entry <= bytes.Length;)
        {
            uint number = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));
            // Number 0 is the room that is left.
            if (number == 0) break;
            ulong size = Hdf5Bytes.Unsigned(bytes.AsSpan(at + 8), file.LengthBytes);
            int start = at + entry;
            if (size > (ulong)(bytes.Length - start)) throw new EndOfStreamException($"{size} bytes were expected in an object of the global heap, {bytes.Length - start} are left");
            objects[number] = (start, (int)size);
            at = (int)Math.Min(bytes.Length, start + (((long)size + 7) & ~7L));
        }
        return objects;
    }

    private sealed record Collection(byte[] Bytes, Dictionary<uint, (int Start, int Length)> Objects);
}
