using System.Numerics.Tensors;
using BioSup.Analysis.SingleCell;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Geometry;

public sealed partial class Pca
{
    /// <summary>
    /// Components of a sparse matrix without making it dense: the product of the matrix with itself is gathered from its entries, and the means are taken off that product.
    /// The work is the host's: Σ over cells of (entries of the cell)² / 2 multiplications, or over variables where there are more of them.
    /// </summary>
    /// <param name="x">Cells × variables; a dense matrix is fitted as such.</param>
    /// <param name="components">How many to keep, 1 … min(cells, variables).</param>
    /// <exception cref="UsageException">The number of components does not fit the data.</exception>
    public static Pca Fit(CellMatrix x, int components)
    {
        if (!x.IsSparse) return Fit(x.Dense, components);
        RequireFit(x.Cells, x.Variables, components);
        double[] means = VariableMoments.Of(x, default(SameValue)).Means;
        DeviceBuffer<double> mean = x.Host.Allocate<double>(x.Variables);
        mean.CopyFrom(means);
        SparseLines cells = SparseLines.OfCells(x);
        using Matrix<double> gram = (x.Variables <= x.Cells ? cells : cells.Turned()).Products(x.Host);
        if (x.Variables <= x.Cells) TakeOff(gram, x.Host, (j, k) => x.Cells * means[j] * means[k]);
        else
        {
            // (x - m)ᵀ(y - m) = xᵀy - xᵀm - yᵀm + mᵀm.
            double[] along = [.. Enumerable.Range(0, x.Cells).Select(i => cells.Dot(i, means))];
            double square = TensorPrimitives.Dot<double>(means, means);
            TakeOff(gram, x.Host, (i, j) => along[i] + along[j] - square);
        }
        return Solve(mean, gram, x.Cells, x.Variables, components, (left, vectors) => BlockLoop.Run(x.Host, left.Rows, c =>
        {
            Span<double> row = vectors.Row(c);
            ReadOnlySpan<double> weights = left.Row(c);
            double sum = 0;
            for (int i = 0; i < weights.Length; i++)
            {
                cells.AddScaled(i, weights[i], row);
                sum += weights[i];
            }
            for (int j = 0; j < row.Length; j++) row[j] -= sum * means[j];
        }));
    }

    /// <summary>[cells, k] coordinates of the cells along the components, in host memory.</summary>
    public Matrix<double> Transform(CellMatrix x)
    {
        if (!x.IsSparse) return Transform(x.Dense);
        RequireColumns(x.Variables);
        using PlacedMatrix<double> components = Components.OnHost();
        int count = Components.Rows;
        // Rows of the transpose are added up, so that the entries of a cell read memory in order.
        using Matrix<double> loadings = x.Host.AllocateMatrix<double>(x.Variables, count);
        double[] origin = new double[count];
        for (int c = 0; c < count; c++)
        {
            ReadOnlySpan<double> row = components.Matrix.Row(c);
            for (int j = 0; j < row.Length; j++) loadings.Row(j)[c] = row[j];
            origin[c] = -TensorPrimitives.Dot(row, Mean);
        }
        Matrix<double> scores = x.Host.AllocateMatrix<double>(x.Cells, count);
        x.ForEachCell(i =>
        {
            Span<double> score = scores.Row(i);
            ReadOnlySpan<float> values = x.Values(i);
            ReadOnlySpan<int> places = x.Places(i);
            origin.CopyTo(score);
            for (int k = 0; k < values.Length; k++) TensorPrimitives.MultiplyAdd(loadings.Row(places[k]), values[k], score, score);
        });
        return scores;
    }

    private static void TakeOff(Matrix<double> gram, ComputeDevice host, Func<int, int, double> what) => BlockLoop.Run(host, gram.Rows, i =>
    {
        Span<double> row = gram.Row(i);
        for (int j = 0; j < row.Length; j++) row[j] -= what(i, j);
    });
}

/// <summary>Lines (cells, or variables) of a sparse matrix: the places of each ascend.</summary>
internal sealed class SparseLines
{
    private const int BlockBytes = 1 << 18, MostLinesPerBlock = 64;
    private readonly int[] _pointers, _places;
    private readonly float[] _values;
    private readonly int _across;

    private SparseLines(int[] pointers, int[] places, float[] values, int across) => (_pointers, _places, _values, _across) = (pointers, places, values, across);

    public static SparseLines OfCells(CellMatrix x)
    {
        int[] pointers = new int[x.Cells + 1], places = new int[x.StoredCount];
        float[] values = new float[places.Length];
        for (int i = 0; i < x.Cells; i++)
        {
            x.Places(i).CopyTo(places.AsSpan(pointers[i]));
            x.Values(i).CopyTo(values.AsSpan(pointers[i]));
            pointers[i + 1] = pointers[i] + x.Places(i).Length;
        }
        return new SparseLines(pointers, places, values, x.Variables);
    }

    private int Count => _pointers.Length - 1;

    /// <summary>The lines of the other direction.</summary>
    public SparseLines Turned()
    {
        int[] pointers = new int[_across + 1], places = new int[_places.Length];
        float[] values = new float[places.Length];
        foreach (int place in _places) pointers[place + 1]++;
        for (int j = 0; j < _across; j++) pointers[j + 1] += pointers[j];
        int[] next = pointers[..^1];
        for (int i = 0; i < Count; i++)
            for (int k = _pointers[i]; k < _pointers[i + 1]; k++)
            {
                int at = next[_places[k]]++;
                (places[at], values[at]) = (i, _values[k]);
            }
        return new SparseLines(pointers, places, values, Count);
    }

    /// <summary>Σ over the entries of a line of value · weight.</summary>
    public double Dot(int line, double[] weights)
    {
        double sum = 0;
        for (int k = _pointers[line]; k < _pointers[line + 1]; k++) sum += _values[k] * weights[_places[k]];
        return sum;
    }

    /// <summary>into += scale · line.</summary>
    public void AddScaled(int line, double scale, Span<double> into)
    {
        for (int k = _pointers[line]; k < _pointers[line + 1]; k++) into[_places[k]] += scale * _values[k];
    }

    /// <summary>
    /// [across, across] sums over the lines of the product of each pair of entries: XᵀX. A block of rows that fits the second-level cache is made by one walk through all lines, in order; the
    /// lower triangle is the mirror image of the upper one. The order of the additions depends on the matrix alone.
    /// </summary>
    /// <param name="host">Whose threads work.</param>
    public Matrix<double> Products(ComputeDevice host)
    {
        Matrix<double> products = host.AllocateMatrix<double>(_across, _across);
        int height = Math.Clamp(BlockBytes / (sizeof(double) * Math.Max(_across, 1)), 1, MostLinesPerBlock);
        BlockLoop.Run(host, (_across + height - 1) / height, block =>
        {
            int first = block * height, end = Math.Min(_across, first + height);
            for (int j = first; j < end; j++) products.Row(j).Clear();
            for (int line = 0; line < Count; line++)
            {
                int start = _pointers[line], length = _pointers[line + 1] - start;
                ReadOnlySpan<int> places = _places.AsSpan(start, length);
                ReadOnlySpan<float> values = _values.AsSpan(start, length);
                int k = places.BinarySearch(first);
                for (k = k < 0 ? ~k : k; k < length && places[k] < end; k++) Add(places[k..], values[k..], products.Row(places[k]));
            }
        });
        BlockLoop.Run(host, _across, i =>
        {
            Span<double> row = products.Row(i);
            for (int j = 0; j < i; j++) row[j] = products.Row(j)[i];
        });
        return products;
    }

    /// <summary>row += first value · values.</summary>
    private static void Add(ReadOnlySpan<int> places, ReadOnlySpan<float> values, Span<double> row)
    {
        double factor = values[0];
        for (int e = 0; e < places.Length; e++) row[places[e]] += factor * values[e];
    }
}
