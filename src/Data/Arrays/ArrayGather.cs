using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BioSup.Data;

/// <summary>Picks elements of managed arrays of any type, also of arrays larger than 2 GiB.</summary>
internal static class ArrayGather
{
    /// <summary>Some columns of an array of rows x width elements, as a new array in C order.</summary>
    public static Array Columns(NdArray from, long rows, long width, int[] columns)
    {
        foreach (int column in columns) ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)column, (ulong)width, nameof(columns));
        Array taken = from.Type.NewArray(checked((int)(rows * columns.Length)));
        if (taken.Length == 0) return taken;
        switch (from.Type.Size())
        {
            case 1: Copy<byte>(from.Values, taken, rows, width, columns); break;
            case 2: Copy<ushort>(from.Values, taken, rows, width, columns); break;
            case 4: Copy<uint>(from.Values, taken, rows, width, columns); break;
            case 8: Copy<ulong>(from.Values, taken, rows, width, columns); break;
            default: CopyText(from.As<string>(), (string[])taken, rows, width, columns); break;
        }
        return taken;
    }

    // Elements of one size are moved alike, whatever they mean. Every offset was checked against the extents above.
    private static void Copy<T>(Array from, Array to, long rows, long width, int[] columns) where T : unmanaged
    {
        ref T source = ref Unsafe.As<byte, T>(ref MemoryMarshal.GetArrayDataReference(from));
        ref T target = ref Unsafe.As<byte, T>(ref MemoryMarshal.GetArrayDataReference(to));
        for (long i = 0; i < rows; i++)
            for (int j = 0; j < columns.Length; j++)
                Unsafe.Add(ref target, (nint)(i * columns.Length + j)) = Unsafe.Add(ref source, (nint)(i * width + columns[j]));
    }

    private static void CopyText(string[] from, string[] to, long rows, long width, int[] columns)
    {
        for (long i = 0; i < rows; i++)
            for (int j = 0; j < columns.Length; j++) to[i * columns.Length + j] = from[i * width + columns[j]];
    }
}
