using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

/// <summary>How far the directions of a dictionary overlap, over all pairs of different rows.</summary>
/// <param name="MeanAbsoluteCosine">Mean |cos|: the paper's superposition measure.</param>
/// <param name="Std">Standard deviation of |cos|, divisor pairs - 1.</param>
/// <param name="Largest">Largest |cos| of a pair (mutual coherence).</param>
/// <param name="Rows">Rows that took part: those with a norm above zero that the mask keeps.</param>
/// <param name="Pairs">Rows (Rows - 1) / 2.</param>
public sealed record CoherenceResult(double MeanAbsoluteCosine, double Std, double Largest, int Rows, long Pairs);

/// <summary>Mean |cos| of decoder rows, tile by tile: the d_sae x d_sae matrix is never held.</summary>
public static class DecoderCoherence
{
    private const int Tile = 512;

    /// <param name="rows">[d_sae, d_in] dictionary atoms.</param>
    /// <param name="keep">Which rows take part (alive latents); null for all.</param>
    /// <param name="cancellation">Stops between tiles.</param>
    /// <exception cref="DataException">Fewer than two rows are left.</exception>
    public static CoherenceResult Measure(Matrix<double> rows, ReadOnlySpan<bool> keep = default, CancellationToken cancellation = default)
    {
        using Matrix<double> unit = UnitRows(rows, keep);
        int n = unit.Rows;
        if (n < 2) throw new DataException("decoder", null, $"{n} rows with a direction are left; cosines need at least two.");
        using Matrix<double> tile = rows.Device.AllocateMatrix<double>(Math.Min(Tile, n), Math.Min(Tile, n));
        using DeviceBuffer<double> results = rows.Device.Allocate<double>(3L * tile.Rows);
        double sum = 0, square = 0, largest = 0;
        for (int top = 0; top < n; top += Tile)
        {
            for (int left = top; left < n; left += Tile)
            {
                cancellation.ThrowIfCancellationRequested();
                int height = Math.Min(Tile, n - top), width = Math.Min(Tile, n - left);
                MatrixView<double> product = tile.View.RowBlock(0, height).ColumnBlock(0, width);
                Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, unit.View.RowBlock(top, height), unit.View.RowBlock(left, width), 0.0, product);
                if (top == left) Elementwise.Fill(Diagonal(product), 0);
                Reductions.RowAbsoluteSums(product, results.View.Slice(0, height));
                Reductions.RowSquaredNorms(product, results.View.Slice(height, height));
                Reductions.RowAbsoluteMaxima(product, results.View.Slice(2L * height, height));
                double[] read = new double[3 * height];
                results.CopyTo(read);
                // A tile on the diagonal has every pair twice.
                double share = top == left ? 0.5 : 1;
                sum += share * Sum(read.AsSpan(0, height));
                square += share * Sum(read.AsSpan(height, height));
                foreach (double cosine in read.AsSpan(2 * height)) largest = Math.Max(largest, cosine);
            }
        }
        long pairs = (long)n * (n - 1) / 2;
        double mean = sum / pairs, variance = pairs > 1 ? Math.Max(0, (square - sum * mean) / (pairs - 1)) : 0;
        return new CoherenceResult(mean, Math.Sqrt(variance), Math.Min(largest, 1), n, pairs);
    }

    private static double Sum(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values) sum += value;
        return sum;
    }

    /// <summary>The diagonal of a square tile as a column.</summary>
    private static unsafe MatrixView<double> Diagonal(MatrixView<double> tile) => new(tile.Pointer, tile.Rows, 1, tile.Stride + 1, tile.Device);

    private static Matrix<double> UnitRows(Matrix<double> rows, ReadOnlySpan<bool> keep)
    {
        if (!keep.IsEmpty && keep.Length != rows.Rows) throw new ArgumentException($"The mask has {keep.Length} entries for {rows.Rows} rows.");
        using DeviceBuffer<double> norms = rows.Device.Allocate<double>(rows.Rows);
        Reductions.RowNorms(rows.View, norms.View);
        double[] norm = norms.ToArray();
        List<int> used = [];
        for (int i = 0; i < norm.Length; i++)
            if ((keep.IsEmpty || keep[i]) && norm[i] > 0) used.Add(i);
        Matrix<double> unit = Gather.Rows(rows, [.. used]);
        L2Normalise.Rows(unit.View, norms.View.Slice(0, unit.Rows), unit.View);
        return unit;
    }
}
