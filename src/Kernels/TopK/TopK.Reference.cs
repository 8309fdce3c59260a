using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels;

public static unsafe partial class TopK
{
    /// <summary>A stable sort of the whole row.</summary>
    private static void Reference<T>(MatrixView<T> x, MatrixView<int> indices, MatrixView<T> values) where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = 0; i < x.Rows; i++)
        {
            T[] row = x.Row(i).ToArray();
            int[] order = [.. Enumerable.Range(0, row.Length).OrderByDescending(j => T.IsNaN(row[j]) ? 1 : 0).ThenByDescending(j => T.IsNaN(row[j]) ? T.Zero : row[j])];
            for (int j = 0; j < indices.Columns; j++)
            {
                indices.Row(i)[j] = order[j];
                values.Row(i)[j] = row[order[j]];
            }
        }
    }
}
