using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Eigenpairs of a symmetric map from its dense matrix: exact whatever the gaps, for small maps.</summary>
internal static unsafe class DenseSpectrum
{
    /// <inheritdoc cref="LanczosEigen.Find"/>
    public static (double[] Values, Matrix<double> Vectors) Find(CpuDevice device, ISymmetricMap map, int count, SpectrumEnd end, Matrix<double>? known)
    {
        int n = map.Length, left = n - (known?.Rows ?? 0);
        using Matrix<double> matrix = Entries(device, map);
        // A known pair moves to an eigenvalue that no other can have, which leaves all others as they are.
        for (int c = 0; c < n - left; c++)
            for (int i = 0; i < n; i++)
                for (int j = 0; j < n; j++) matrix.Row(i)[j] += 8 * known!.Row(c)[i] * known.Row(c)[j];
        using SymmetricEigen eigen = SymmetricEigen.Decompose(matrix, vectors: true);
        int[] order = [.. Enumerable.Range(n - left, left)];
        if (end == SpectrumEnd.Magnitude) order = [.. order.OrderByDescending(i => Math.Abs(eigen.Values[i]))];
        Matrix<double> vectors = device.AllocateMatrix<double>(count, n);
        for (int i = 0; i < count; i++) eigen.Vectors.Row(order[i]).CopyTo(vectors.Row(i));
        return ([.. order.Take(count).Select(i => eigen.Values[i])], vectors);
    }

    /// <summary>[n, n] A, eight columns for one product.</summary>
    public static Matrix<double> Entries(CpuDevice device, ISymmetricMap map)
    {
        const int Width = VectorBlocks.Width;
        using VectorBlocks vectors = new(device, map.Length, 2);
        Matrix<double> matrix = device.AllocateMatrix<double>(map.Length, map.Length);
        for (int first = 0; first < map.Length; first += Width)
        {
            int columns = Math.Min(Width, map.Length - first);
            for (int c = 0; c < columns; c++) vectors[c, first + c] = 1;
            map.Multiply(vectors.Block(0), vectors.Block(1), 1, 0, null);
            for (int c = 0; c < columns; c++)
            {
                for (int i = 0; i < map.Length; i++) matrix.Row(map.Order[i])[map.Order[first + c]] = vectors[Width + c, i];
                vectors[c, first + c] = 0;
            }
        }
        return matrix;
    }
}
