using System.Runtime.CompilerServices;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class Gather
{
    /// <summary>One element after the other.</summary>
    private static void Reference<T>(MatrixView<T> x, DeviceSpan<int> indices, MatrixView<T> y, bool byRow) where T : unmanaged
    {
        for (int i = 0; i < y.Rows; i++)
        {
            for (int j = 0; j < y.Columns; j++)
            {
                int row = byRow ? indices.Pointer[i] : i, column = byRow ? j : indices.Pointer[j];
                bool inside = row >= 0 && row < x.Rows && column >= 0 && column < x.Columns;
                y.Pointer[i * y.Stride + j] = inside ? x.Pointer[row * x.Stride + column] : AllBits<T>();
            }
        }
    }

    private static T AllBits<T>() where T : unmanaged
    {
        Unsafe.SkipInit(out T value);
        new Span<byte>(&value, sizeof(T)).Fill(0xFF);
        return value;
    }
}
