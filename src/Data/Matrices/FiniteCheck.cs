using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using BioSup.Runtime;

namespace BioSup.Data;

/// <summary>Finds the first NaN or infinity of a matrix and names it by row and column.</summary>
public static class FiniteCheck
{
    /// <param name="matrix">A host matrix.</param>
    /// <param name="source">The file, for the message.</param>
    /// <param name="firstRow">The number of the matrix's first row in the file.</param>
    /// <exception cref="DataException">A value is NaN or infinite; rows and columns are counted from 0.</exception>
    public static void Require(MatrixView<float> matrix, string source, long firstRow = 0)
    {
        for (int i = 0; i < matrix.Rows; i++)
            if (!AllFinite<float>(matrix.Row(i))) throw Error<float>(matrix.Row(i), firstRow + i, source);
    }

    /// <inheritdoc cref="Require(MatrixView{float}, string, long)"/>
    public static void Require(MatrixView<double> matrix, string source, long firstRow = 0)
    {
        for (int i = 0; i < matrix.Rows; i++)
            if (!AllFinite<double>(matrix.Row(i))) throw Error<double>(matrix.Row(i), firstRow + i, source);
    }

    // x - x is 0 for finite x and NaN otherwise, and NaN survives every later addition.
    private static bool AllFinite<T>(ReadOnlySpan<T> row) where T : unmanaged, IFloatingPoint<T>
    {
        ReadOnlySpan<Vector<T>> vectors = MemoryMarshal.Cast<T, Vector<T>>(row);
        Vector<T> a = Vector<T>.Zero, b = Vector<T>.Zero;
        int k = 0;
        for (; k + 1 < vectors.Length; k += 2)
        {
            a += vectors[k] - vectors[k];
            b += vectors[k + 1] - vectors[k + 1];
        }
        for (; k < vectors.Length; k++) a += vectors[k] - vectors[k];
        T sum = Vector.Sum(a + b);
        foreach (T value in row[(vectors.Length * Vector<T>.Count)..]) sum += value - value;
        return T.IsFinite(sum);
    }

    private static DataException Error<T>(ReadOnlySpan<T> row, long i, string source) where T : unmanaged, IFloatingPoint<T>
    {
        int j = 0;
        while (T.IsFinite(row[j])) j++;
        string value = T.IsNaN(row[j]) ? "NaN" : row[j].ToString(null, CultureInfo.InvariantCulture);
        return new DataException(source, $"row {i}, column {j}, counted from 0", $"the value is {value}; every value must be finite");
    }
}
