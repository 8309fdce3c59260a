using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using BioSup.Analysis.Geometry;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Moran's I of many columns on a weighted graph of cells, I = (n / S0) Σ w_ij z_i z_j / Σ z² with z the values less their mean: scanpy's and squidpy's statistic, with the null variance of
/// PySAL and squidpy (normality). One pass over the graph serves <see cref="GeneColumns.GenesPerStrip"/> columns; threads share the strips, so that the result does not depend on their number.
/// </summary>
public static class GraphAutocorrelation
{
    private const int Width = GeneColumns.GenesPerStrip;

    /// <param name="device">Whose threads are used; each takes 130 bytes per cell.</param>
    /// <param name="x">[cells, columns] finite, dense or sparse.</param>
    /// <param name="graph">Weights between the cells, in both directions where they count in both.</param>
    /// <param name="source">Name of the matrix for error messages.</param>
    /// <param name="cancellation">Stops between strips.</param>
    /// <returns>One result per column; I, z and p are NaN for a column of one value.</returns>
    /// <exception cref="UsageException">Matrix and graph have other numbers of cells, fewer than 3 cells, or no weight.</exception>
    /// <exception cref="DataException">The matrix holds no numbers, or one that is not finite.</exception>
    public static MoranResult[] Moran(CpuDevice device, IAnnElement? x, CellGraph graph, string source = "matrix", CancellationToken cancellation = default)
    {
        GeneColumns columns = new(x, source);
        if (columns.Cells != graph.Cells) throw new UsageException($"There are values for {columns.Cells} cells; the graph has {graph.Cells}.");
        if (graph.Cells < 3) throw new UsageException($"Moran's I of {graph.Cells} cells has no null distribution; 3 or more were expected.");
        (double s0, double s1, double s2) = WeightSums(graph);
        if (s0 == 0) throw new UsageException("The weights of the graph add up to 0: it joins no cells.");
        MoranResult[] results = new MoranResult[columns.Genes];
        Strip?[] strips = new Strip?[device.Pool.Threads];
        Job job = new(columns, graph, strips, results, (s0, s1, s2), cancellation);
        device.Pool.Run(columns.Strips, ref job);
        cancellation.ThrowIfCancellationRequested();
        return results;
    }

    /// <summary>S0 = Σ w_ij, S1 = ½ Σ (w_ij + w_ji)², S2 = Σ (row sum + column sum)².</summary>
    internal static (double S0, double S1, double S2) WeightSums(CellGraph graph)
    {
        CellGraph other = graph.Transpose();
        double s0 = 0, s1 = 0, s2 = 0;
        for (int i = 0; i < graph.Cells; i++)
        {
            double row = 0, column = 0;
            ReadOnlySpan<int> neighbours = graph.Neighbours(i), back = other.Neighbours(i);
            ReadOnlySpan<float> weights = graph.Values(i), backWeights = other.Values(i);
            // Both lists ascend: every pair that either of them names is met once from this side.
            for (int a = 0, b = 0; a < neighbours.Length || b < back.Length;)
            {
                int left = a < neighbours.Length ? neighbours[a] : int.MaxValue, right = b < back.Length ? back[b] : int.MaxValue;
                double there = left <= right ? weights[a++] : 0, here = right <= left ? backWeights[b++] : 0;
                row += there;
                column += here;
                s1 += (there + here) * (there + here);
            }
            s0 += row;
            s2 += (row + column) * (row + column);
        }
        return (s0, 0.5 * s1, s2);
    }

    private readonly struct Job(GeneColumns columns, CellGraph graph, Strip?[] strips, MoranResult[] results, (double S0, double S1, double S2) sums, CancellationToken cancellation) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            if (cancellation.IsCancellationRequested) return;
            Strip strip = strips[worker] ??= new Strip(columns);
            int first = (int)block * Width, width = Math.Min(Width, columns.Genes - first);
            strip.Load(first, width);
            strip.Products(graph);
            for (int j = 0; j < width; j++)
                results[first + j] = MoransI.Describe(strip.Varies[j] ? graph.Cells / sums.S0 * (strip.Product[j] / strip.Square[j]) : double.NaN, graph.Cells, sums.S0, sums.S1, sums.S2);
        }
    }

    /// <summary>The columns of one strip for one thread, centred, cell by cell.</summary>
    private sealed class Strip(GeneColumns columns)
    {
        private readonly GeneColumns.Reader _reader = columns.NewReader();
        private readonly int[] _cellOf = [.. Enumerable.Range(0, columns.Cells)], _cells = new int[columns.Cells + 1];
        private readonly double[] _values = new double[columns.Cells + 1], _centred = new double[(long)columns.Cells * Width];

        public double[] Product { get; } = new double[Width];

        public double[] Square { get; } = new double[Width];

        public bool[] Varies { get; } = new bool[Width];

        public void Load(int first, int width)
        {
            for (int j = 0; j < width; j++)
            {
                int count = _reader.Read(first + j, _cellOf, _cells, _values);
                ReadOnlySpan<double> values = _values.AsSpan(0, count);
                double sum = 0;
                foreach (double value in values) sum += value;
                double mean = sum / columns.Cells, square = 0;
                Varies[j] = count > 0 && (count < columns.Cells || values.ContainsAnyExcept(values[0]));
                for (int i = 0; i < columns.Cells; i++) _centred[i * Width + j] = -mean;
                for (int k = 0; k < count; k++) _centred[_cells[k] * Width + j] = values[k] - mean;
                for (int i = 0; i < columns.Cells; i++) square += _centred[i * Width + j] * _centred[i * Width + j];
                Square[j] = square;
            }
        }

        /// <summary>Σ_i z_i Σ_j w_ij z_j of all columns at once: each lane is one column, so that the width of the machine's vectors changes nothing.</summary>
        public void Products(CellGraph graph)
        {
            ReadOnlySpan<Vector512<double>> z = MemoryMarshal.Cast<double, Vector512<double>>(_centred);
            Vector512<double> first = Vector512<double>.Zero, second = Vector512<double>.Zero;
            for (int i = 0; i < graph.Cells; i++)
            {
                ReadOnlySpan<int> neighbours = graph.Neighbours(i);
                ReadOnlySpan<float> weights = graph.Values(i);
                Vector512<double> a = Vector512<double>.Zero, b = Vector512<double>.Zero;
                for (int e = 0; e < neighbours.Length; e++)
                {
                    Vector512<double> weight = Vector512.Create((double)weights[e]);
                    a += weight * z[2 * neighbours[e]];
                    b += weight * z[2 * neighbours[e] + 1];
                }
                first += a * z[2 * i];
                second += b * z[2 * i + 1];
            }
            first.CopyTo(Product);
            second.CopyTo(Product, 8);
        }
    }
}
