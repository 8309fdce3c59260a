using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// PHATE's affinities (Moon et al. 2019; graphtools' <c>kNNGraph</c>): K = (A + Aᵀ) / 2 with A_ij = exp(−(d_ij / b_i)^α), b_i the distance of a cell to its k-th other cell,
/// and nothing below 10⁻⁴. The diagonal is 1. Double precision, compressed rows, columns ascending; distances are taken from coordinate differences, so that equal cells are at distance 0.
/// </summary>
internal sealed class PhateKernel
{
    /// <summary>Affinities below are left out (graphtools' <c>thresh</c>).</summary>
    public const double LeastAffinity = 1e-4;

    private const int LeastRows = 16, MostRows = 512, RowsPerBlock = 16;
    private const long SlabElements = 1 << 22;

    private readonly int[] _start, _columns;
    private readonly double[] _values, _strength;

    private PhateKernel(int[] start, int[] columns, double[] values)
    {
        (_start, _columns, _values) = (start, columns, values);
        _strength = new double[start.Length - 1];
        for (int i = 0; i < _strength.Length; i++)
            foreach (double value in Weights(i)) _strength[i] += value;
    }

    public int Cells => _strength.Length;

    /// <summary>Stored affinities, the diagonal among them.</summary>
    public int Entries => _columns.Length;

    /// <summary>Cells that lie at the place of at least k others: the width of their kernel is 0.</summary>
    public int Crowded { get; private init; }

    public ReadOnlySpan<int> Neighbours(int cell) => _columns.AsSpan(_start[cell].._start[cell + 1]);

    /// <summary>The affinities beside <see cref="Neighbours"/>.</summary>
    public ReadOnlySpan<double> Weights(int cell) => _values.AsSpan(_start[cell].._start[cell + 1]);

    /// <summary>Sum of the affinities of a cell.</summary>
    public double Strength(int cell) => _strength[cell];

    /// <param name="x">[cells, coordinates], finite.</param>
    /// <param name="knn">k, the cell itself not counted, 1 … cells − 1.</param>
    /// <param name="decay">α, above 0.</param>
    /// <param name="progress">Hears of every slab of rows.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <exception cref="UsageException">The affinities are more than a compressed matrix holds.</exception>
    public static PhateKernel Build(Matrix<double> x, int knn, double decay, IProgressReporter? progress = null, CancellationToken cancel = default)
    {
        int n = x.Rows, rows = (int)Math.Clamp(SlabElements / n, LeastRows, MostRows);
        Row[] found = new Row[n];
        using Matrix<double> slab = x.Device.AllocateMatrix<double>(Math.Min(rows, n), n);
        for (int first = 0; first < n; first += rows)
        {
            cancel.ThrowIfCancellationRequested();
            int here = Math.Min(rows, n - first), start = first;
            PairwiseDistance.Compute(DistanceMetric.Euclidean, x.View.RowBlock(first, here), x.View, slab.View.RowBlock(0, here), DistanceForm.Direct);
            using PlacedMatrix<double> distances = slab.OnHost();
            Matrix<double> readable = distances.Matrix;
            BlockLoop.Run(x.Device, (here + RowsPerBlock - 1) / RowsPerBlock, block =>
            {
                for (int r = block * RowsPerBlock, end = Math.Min(r + RowsPerBlock, here); r < end; r++) found[start + r] = OneRow(readable.Row(r), start + r, knn, decay);
            });
            progress?.Report("affinities of cells (PHATE)", first + here, n);
        }
        return Symmetrise(found);
    }

    /// <summary>[cells] connected part of each cell, numbered by its first cell.</summary>
    public int[] Components(out int count) => new CellGraph(_start, _columns, new float[Entries]).Components(out count);

    /// <summary>The walk P = D⁻¹ K as a dense matrix.</summary>
    public Matrix<double> Transitions(ComputeDevice device)
    {
        Matrix<double> p = device.Host.AllocateMatrix<double>(Cells, Cells);
        for (int i = 0; i < Cells; i++)
        {
            Span<double> row = p.Row(i);
            row.Clear();
            for (int e = _start[i]; e < _start[i + 1]; e++) row[_columns[e]] = _values[e] / _strength[i];
        }
        if (device.IsHost) return p;
        using (p) return p.CopyAt(device);
    }

    /// <summary>Pᵗ by t products with the few entries of P, a strip of columns after the other: it needs no memory besides the result, and t times the entries of P multiplications for each column.</summary>
    public Matrix<double> Walk(CpuDevice device, int t, CancellationToken cancel = default)
    {
        int n = Cells, width = StripJob.Width;
        Matrix<double> power = device.AllocateMatrix<double>(n, n);
        double[] inverse = Array.ConvertAll(_strength, s => 1 / s);
        try
        {
            StripJob job = new(this, power, inverse, t, cancel);
            device.Pool.Run((n + width - 1) / width, ref job);
            return power;
        }
        catch
        {
            power.Dispose();
            throw;
        }
    }

    private static Row OneRow(ReadOnlySpan<double> distances, int self, int knn, double decay)
    {
        // The k smallest, largest last.
        Span<double> nearest = knn <= 256 ? stackalloc double[knn] : new double[knn];
        nearest.Fill(double.PositiveInfinity);
        for (int j = 0; j < distances.Length; j++)
        {
            double d = distances[j];
            if (!(d < nearest[^1]) || j == self) continue;
            int at = knn - 1;
            for (; at > 0 && nearest[at - 1] > d; at--) nearest[at] = nearest[at - 1];
            nearest[at] = d;
        }
        double width = Math.Max(nearest[^1], double.BitIncrement(1) - 1), radius = 1.0000001 * width * Math.Pow(-Math.Log(LeastAffinity), 1 / decay);
        List<int> columns = new(2 * knn);
        List<double> values = new(2 * knn);
        for (int j = 0; j < distances.Length; j++)
        {
            if (distances[j] > radius && j != self) continue;
            double affinity = j == self ? 1 : Math.Exp(-Math.Pow(distances[j] / width, decay));
            if (affinity < LeastAffinity) continue;
            columns.Add(j);
            values.Add(affinity);
        }
        return new Row([.. columns], [.. values], nearest[^1] == 0);
    }

    private static PhateKernel Symmetrise(Row[] rows)
    {
        int n = rows.Length;
        long all = rows.Sum(r => (long)r.Columns.Length);
        if (all > int.MaxValue / 2) throw new UsageException($"PHATE's kernel joins {n} cells by {all} affinities, more than fit: a larger decay or a smaller knn keeps fewer.");
        int[] back = new int[n + 1];
        foreach (Row row in rows) foreach (int j in row.Columns) back[j + 1]++;
        for (int i = 0; i < n; i++) back[i + 1] += back[i];
        int[] next = back[..n], from = new int[all];
        double[] given = new double[all];
        for (int i = 0; i < n; i++)
            for (int e = 0; e < rows[i].Columns.Length; e++)
            {
                int at = next[rows[i].Columns[e]]++;
                (from[at], given[at]) = (i, rows[i].Values[e]);
            }
        int[] start = new int[n + 1];
        List<int> columns = new((int)all);
        List<double> values = new((int)all);
        for (int i = 0; i < n; i++)
        {
            int a = 0, b = back[i];
            while (a < rows[i].Columns.Length || b < back[i + 1])
            {
                int left = a < rows[i].Columns.Length ? rows[i].Columns[a] : int.MaxValue, right = b < back[i + 1] ? from[b] : int.MaxValue;
                columns.Add(Math.Min(left, right));
                values.Add(0.5 * ((left <= right ? rows[i].Values[a++] : 0) + (right <= left ? given[b++] : 0)));
            }
            start[i + 1] = columns.Count;
        }
        return new PhateKernel(start, [.. columns], [.. values]) { Crowded = rows.Count(r => r.IsCrowded) };
    }

    private readonly record struct Row(int[] Columns, double[] Values, bool IsCrowded);

    private readonly struct StripJob(PhateKernel kernel, Matrix<double> power, double[] inverse, int t, CancellationToken cancel) : IBlockJob
    {
        /// <summary>Columns of a strip: few enough that it stays in a core's cache, and as many as sums fit into registers.</summary>
        public static int Width => 4 * Vector<double>.Count;

        public void Execute(long block, int worker)
        {
            int n = kernel.Cells, first = (int)block * Width, here = Math.Min(Width, n - first);
            double[] now = new double[n * Width], then = new double[n * Width];
            for (int c = 0; c < here; c++) now[(first + c) * Width + c] = 1;
            for (int step = 0; step < t; step++)
            {
                cancel.ThrowIfCancellationRequested();
                for (int i = 0; i < n; i++) Step(i, now, then.AsSpan(i * Width, Width));
                (now, then) = (then, now);
            }
            for (int i = 0; i < n; i++) now.AsSpan(i * Width, here).CopyTo(power.Row(i).Slice(first, here));
        }

        /// <summary>The row of a cell: the sum of its neighbours' rows by its shares in them.</summary>
        private void Step(int i, ReadOnlySpan<double> now, Span<double> target)
        {
            int size = Vector<double>.Count;
            Vector<double> a = default, b = default, c = default, d = default;
            ReadOnlySpan<int> neighbours = kernel.Neighbours(i);
            ReadOnlySpan<double> weights = kernel.Weights(i);
            for (int e = 0; e < neighbours.Length; e++)
            {
                ReadOnlySpan<double> row = now.Slice(neighbours[e] * Width, Width);
                Vector<double> share = new(weights[e] * inverse[i]);
                a = Vector.FusedMultiplyAdd(share, new Vector<double>(row), a);
                b = Vector.FusedMultiplyAdd(share, new Vector<double>(row[size..]), b);
                c = Vector.FusedMultiplyAdd(share, new Vector<double>(row[(2 * size)..]), c);
                d = Vector.FusedMultiplyAdd(share, new Vector<double>(row[(3 * size)..]), d);
            }
            a.CopyTo(target);
            b.CopyTo(target[size..]);
            c.CopyTo(target[(2 * size)..]);
            d.CopyTo(target[(3 * size)..]);
        }
    }
}
