using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Reads npy arrays from a stream: a file, or a member of an npz archive.</summary>
internal static class NpyDecoder
{
    /// <param name="stream">Positioned at the magic bytes.</param>
    /// <param name="available">Bytes from there to the end; nothing larger is ever allocated.</param>
    /// <param name="source">The file, for messages.</param>
    /// <param name="where">The archive member, or null.</param>
    public static NdArray ReadArray(Stream stream, long available, string source, string? where)
    {
        NpyHeader header = NpyHeader.Read(stream, source, where);
        RequireBytes(header, available - header.DataOffset, source, where);
        if (header.Count > Array.MaxLength || header.Count * Math.Max(header.ItemSize, 1) > int.MaxValue)
            throw new DataException(source, where, $"the array {header.ShapeText} is too large to be read as a whole");
        if (header.Storage == NpyStorage.Pickled)
        {
            byte[] pickle = new byte[checked((int)(available - header.DataOffset))];
            stream.ReadExactly(pickle);
            // NumPy lists objects in C order, whatever the header says.
            return new NdArray(new PickleReader(pickle, source, where).ReadStrings(header.Count), header.ShapeArray);
        }
        Array values = header.Storage == NpyStorage.Numeric ? ReadNumbers(stream, header) : ReadText(stream, header, source, where);
        return new NdArray(header.FortranOrder ? ToCOrder(values, header) : values, header.ShapeArray);
    }

    /// <summary>Fails when the header promises more bytes than there are.</summary>
    public static void RequireBytes(NpyHeader header, long available, string source, string? where)
    {
        // Empty strings take no bytes and pickled ones at least one each, so both need a bound of their own.
        long needed = header.Storage == NpyStorage.Pickled ? header.Count : header.Count * header.ItemSize;
        if (header.ItemSize == 0 && header.Storage != NpyStorage.Pickled && header.Count > 1 << 20) needed = long.MaxValue;
        if (needed > available)
            throw new DataException(source, where, $"is truncated: the header promises {header.ShapeText} {header.Type.Name()} ({needed} bytes), {Math.Max(available, 0)} bytes follow");
    }

    private static Array ReadNumbers(Stream stream, NpyHeader header)
    {
        Array values = header.Type.NewArray((int)header.Count);
        Span<byte> bytes = ElementDecoder.Bytes(values);
        stream.ReadExactly(bytes);
        if (header.BigEndian) ElementDecoder.SwapBytes(bytes, header.ItemSize);
        if (header.Type == ElementType.Boolean)
            foreach (ref byte b in bytes) b = (byte)(b != 0 ? 1 : 0);
        return values;
    }

    private static string[] ReadText(Stream stream, NpyHeader header, string source, string? where)
    {
        string[] text = new string[header.Count];
        byte[] item = new byte[header.ItemSize];
        for (int i = 0; i < text.Length; i++)
        {
            stream.ReadExactly(item);
            try
            {
                text[i] = NpyText.Decode(header.Storage, header.BigEndian, item);
            }
            catch (InvalidDataException e)
            {
                throw new DataException(source, where is null ? $"element {i}" : $"{where}, element {i}", e.Message, e);
            }
        }
        return text;
    }

    /// <summary>Rearranges Fortran order into C order, for any number of dimensions.</summary>
    private static Array ToCOrder(Array values, NpyHeader header)
    {
        if (values.Length == 0) return values;
        long[] shape = header.ShapeArray;
        int[] map = new int[values.Length];
        long[] index = new long[shape.Length], stride = new long[shape.Length];
        stride[0] = 1;
        for (int d = 1; d < shape.Length; d++) stride[d] = stride[d - 1] * shape[d - 1];
        long offset = 0;
        for (int i = 0; i < map.Length; i++)
        {
            map[i] = (int)offset;
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                offset += stride[d];
                if (++index[d] < shape[d]) break;
                offset -= stride[d] * shape[d];
                index[d] = 0;
            }
        }
        Array result = header.Type.NewArray(values.Length);
        if (values is string[] from)
        {
            string[] to = (string[])result;
            for (int i = 0; i < map.Length; i++) to[i] = from[map[i]];
            return result;
        }
        switch (header.ItemSize)
        {
            case 1: Gather<byte>(values, result, map); break;
            case 2: Gather<ushort>(values, result, map); break;
            case 4: Gather<uint>(values, result, map); break;
            default: Gather<ulong>(values, result, map); break;
        }
        return result;
    }

    private static void Gather<T>(Array from, Array to, int[] map) where T : unmanaged
    {
        ReadOnlySpan<T> source = MemoryMarshal.Cast<byte, T>(ElementDecoder.Bytes(from));
        Span<T> target = MemoryMarshal.Cast<byte, T>(ElementDecoder.Bytes(to));
        for (int i = 0; i < map.Length; i++) target[i] = source[map[i]];
    }
}
