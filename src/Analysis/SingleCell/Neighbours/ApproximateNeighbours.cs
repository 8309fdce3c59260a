using System.Globalization;
using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>How much of the exact lists an approximate search found.</summary>
/// <param name="Value">Share of the true neighbours of the sampled cells, 0 … 1.</param>
/// <param name="Sample">Cells whose neighbours were searched for exactly to measure it.</param>
/// <param name="Rounds">Passes over neighbours of neighbours after the search in lists.</param>
public sealed record NeighbourRecall(double Value, int Sample, int Rounds);

/// <summary>
/// Approximate nearest neighbours of very many cells. Cells are put in lists of about 500 by k-means on a sample; each is compared with all cells of the lists nearest to its own,
/// one in forty and at least 12 (an inverted file, Jégou, Douze and Schmid 2011), and then, in rounds, with the neighbours of its neighbours in either direction (Dong, Moses and Li 2011). A round reads the lists of the round before and writes
/// new ones, so that nothing depends on the order in which threads come: the same bytes on any number of them. Rounds end when the recall, measured against exact
/// lists of a sample of cells, is what was asked for, or when one brings almost nothing.
/// Memory: 4 bytes for each coordinate of a cell and about 20 for each of its neighbours, beside the given matrix.
/// </summary>
internal sealed class ApproximateNeighbours : IDisposable
{
    private const int CellsPerList = 500, SampledPerList = 16, LeastProbes = 12, ListsPerProbe = 40, CellsPerBlock = 256, MeasuredCells = 1000, MostRounds = 12;

    /// <summary>A round that adds less recall than this is the last.</summary>
    private const double LeastGain = 5e-4;

    private readonly CpuDevice _device;
    private readonly int _others;
    private readonly CancellationToken _cancel;

    /// <summary>Cells in the order of their lists: number of each in the given matrix, and its rows.</summary>
    private readonly int[] _cell;
    private readonly Matrix<float> _rows;
    private readonly int[] _listStart;
    private int[] _indices, _nextIndices;
    private float[] _distances, _nextDistances;

    private ApproximateNeighbours(Matrix<float> x, int k, ulong seed, out Matrix<float> centres, CancellationToken cancel)
    {
        (_device, _others, _cancel) = (x.Device.Host, k - 1, cancel);
        int[] list = Assign(x, seed, out centres);
        _listStart = new int[centres.Rows + 1];
        foreach (int l in list) _listStart[l + 1]++;
        for (int l = 0; l < centres.Rows; l++) _listStart[l + 1] += _listStart[l];
        int[] next = _listStart[..^1];
        _cell = new int[x.Rows];
        for (int i = 0; i < x.Rows; i++) _cell[next[list[i]]++] = i;
        _rows = _device.AllocateMatrix<float>(x.Rows, x.Columns);
        for (int at = 0; at < x.Rows; at++) x.Row(_cell[at]).CopyTo(_rows.Row(at));
        (_indices, _nextIndices) = (new int[x.Rows * _others], new int[x.Rows * _others]);
        (_distances, _nextDistances) = (new float[x.Rows * _others], new float[x.Rows * _others]);
    }

    /// <param name="x">[cells, coordinates] on the host, compared by Euclidean distance.</param>
    /// <param name="k">Neighbours of each cell, itself included.</param>
    /// <param name="wanted">Recall at which the search ends, 0 … 1.</param>
    /// <param name="seed">Decides lists and sample.</param>
    /// <param name="progress">Hears of lists and rounds.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <returns>[cells × (k − 1)] neighbours, nearest first, equal distances by number, and their distances.</returns>
    public static (int[] Indices, float[] Distances, NeighbourRecall Recall) Find(Matrix<float> x, int k, double wanted, ulong seed, IProgressReporter progress, CancellationToken cancel)
    {
        using ApproximateNeighbours search = new(x, k, seed, out Matrix<float> centres, cancel);
        using (centres) search.SearchLists(centres, progress);
        int[] sample = search.Sample(seed);
        int[] truth = search.Exact(sample);
        double recall = search.Recall(sample, truth);
        int rounds = 0;
        while (recall < wanted && rounds < MostRounds)
        {
            progress.Report("neighbours of neighbours", rounds, 0, string.Create(CultureInfo.InvariantCulture, $"recall {recall:0.0000}"));
            search.Round();
            rounds++;
            double before = recall;
            recall = search.Recall(sample, truth);
            if (recall - before < LeastGain) break;
        }
        (int[] indices, float[] distances) = search.InGivenOrder();
        return (indices, distances, new NeighbourRecall(recall, sample.Length, rounds));
    }

    public void Dispose() => _rows.Dispose();

    /// <summary>The list of every cell, that of the nearest mean of a cluster of sampled cells.</summary>
    private int[] Assign(Matrix<float> x, ulong seed, out Matrix<float> centres)
    {
        int lists = Math.Max(1, x.Rows / CellsPerList), sampled = (int)Math.Min(x.Rows, (long)lists * SampledPerList);
        using Matrix<double> points = _device.AllocateMatrix<double>(sampled, x.Columns);
        for (int s = 0; s < sampled; s++)
        {
            ReadOnlySpan<float> from = x.Row((int)((long)s * x.Rows / sampled));
            Span<double> to = points.Row(s);
            for (int j = 0; j < to.Length; j++) to[j] = from[j];
        }
        int[] labels = SeededClusters.Find(_device, points, lists, seed, _cancel);
        int count = labels.Max() + 1;
        double[] members = new double[count];
        using Matrix<double> sums = _device.AllocateMatrix<double>(count, x.Columns);
        sums.Buffer.View.Host.Clear();
        for (int s = 0; s < sampled; s++)
        {
            members[labels[s]]++;
            TensorPrimitives.Add(sums.Row(labels[s]), points.Row(s), sums.Row(labels[s]));
        }
        centres = _device.AllocateMatrix<float>(count, x.Columns);
        for (int l = 0; l < count; l++)
            for (int j = 0; j < x.Columns; j++) centres.Row(l)[j] = (float)(sums.Row(l)[j] / members[l]);
        using Matrix<int> nearest = _device.AllocateMatrix<int>(x.Rows, 1);
        using Matrix<float> distances = _device.AllocateMatrix<float>(x.Rows, 1);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, x.View, centres.View, nearest.View, distances.View);
        return nearest.ToArray();
    }

    /// <summary>Compares the cells of each list with those of the lists nearest to it, or of as many as it takes to have enough cells.</summary>
    private void SearchLists(Matrix<float> centres, IProgressReporter progress)
    {
        // A fixed number would find fewer and fewer of the neighbours as lists multiply, and rounds, which visit cells at random places, cost more than lists, which do not.
        int lists = centres.Rows, probes = Math.Max(LeastProbes, lists / ListsPerProbe);
        using Matrix<int> order = _device.AllocateMatrix<int>(lists, lists == 1 ? 1 : Math.Min(lists, 4 * probes));
        using Matrix<float> apart = _device.AllocateMatrix<float>(lists, order.Columns);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, centres.View, centres.View, order.View, apart.View);
        for (int l = 0; l < lists; l++)
        {
            _cancel.ThrowIfCancellationRequested();
            if (l % 64 == 0) progress.Report("neighbours in lists", l, lists);
            int queries = _listStart[l + 1] - _listStart[l];
            if (queries == 0) continue;
            List<int> probed = [];
            int cells = 0;
            foreach (int other in order.Row(l))
            {
                if (probed.Count >= probes && cells > _others) break;
                probed.Add(other);
                cells += _listStart[other + 1] - _listStart[other];
            }
            // Far from everything and almost empty: all lists.
            if (cells <= _others) (probed, cells) = ([.. Enumerable.Range(0, lists)], _cell.Length);
            SearchList(l, queries, probed, cells);
        }
    }

    private void SearchList(int list, int queries, List<int> probed, int cells)
    {
        using Matrix<float> points = _device.AllocateMatrix<float>(cells, _rows.Columns);
        int[] place = new int[cells];
        int count = 0;
        foreach (int other in probed)
            for (int at = _listStart[other]; at < _listStart[other + 1]; at++)
            {
                _rows.Row(at).CopyTo(points.Row(count));
                place[count++] = at;
            }
        using Matrix<int> found = _device.AllocateMatrix<int>(queries, _others + 1);
        using Matrix<float> distances = _device.AllocateMatrix<float>(queries, _others + 1);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, _rows.View.RowBlock(_listStart[list], queries), points.View, found.View, distances.View);
        for (int q = 0; q < queries; q++)
        {
            int self = _listStart[list] + q, kept = 0;
            Span<int> to = _indices.AsSpan(self * _others, _others);
            foreach (int other in found.Row(q))
                if (place[other] != self && kept < _others) to[kept++] = place[other];
            Sorted lists = new(to, _distances.AsSpan(self * _others, _others), _cell);
            lists.Begin(_rows, self);
        }
    }

    /// <summary>Every list becomes the best of itself and of the neighbours of its neighbours, both named by it and naming it.</summary>
    private void Round()
    {
        (int[] start, int[] naming) = Reverse();
        int blocks = (_cell.Length + CellsPerBlock - 1) / CellsPerBlock;
        int[][] seen = new int[_device.Pool.Threads][];
        RoundJob job = new(this, start, naming, seen);
        _device.Pool.Run(blocks, ref job);
        (_indices, _nextIndices) = (_nextIndices, _indices);
        (_distances, _nextDistances) = (_nextDistances, _distances);
    }

    /// <summary>For each cell those whose lists name it, in ascending order.</summary>
    private (int[] Start, int[] Naming) Reverse()
    {
        int[] start = new int[_cell.Length + 1], naming = new int[_indices.Length];
        foreach (int j in _indices) start[j + 1]++;
        for (int i = 0; i < _cell.Length; i++) start[i + 1] += start[i];
        int[] next = start[..^1];
        for (int e = 0; e < _indices.Length; e++) naming[next[_indices[e]]++] = e / _others;
        return (start, naming);
    }

    private int[] Sample(ulong seed)
    {
        int count = Math.Min(MeasuredCells, _cell.Length);
        CounterRandom random = new(seed, stream: 0x526563616CUL);
        // One from each of as many equal stretches, so that none is met twice.
        return [.. Enumerable.Range(0, count).Select(s =>
        {
            long first = (long)s * _cell.Length / count, end = (s + 1L) * _cell.Length / count;
            return (int)(first + random.NextInt32((int)(end - first)));
        })];
    }

    /// <summary>[sample × (k − 1)] the true neighbours.</summary>
    private int[] Exact(int[] sample)
    {
        using Matrix<float> queries = _device.AllocateMatrix<float>(sample.Length, _rows.Columns);
        for (int s = 0; s < sample.Length; s++) _rows.Row(sample[s]).CopyTo(queries.Row(s));
        using Matrix<int> found = _device.AllocateMatrix<int>(sample.Length, _others + 1);
        using Matrix<float> distances = _device.AllocateMatrix<float>(sample.Length, _others + 1);
        KNearestNeighbours.Search(DistanceMetric.Euclidean, queries.View, _rows.View, found.View, distances.View);
        int[] truth = new int[sample.Length * _others];
        for (int s = 0; s < sample.Length; s++)
        {
            int kept = 0;
            foreach (int other in found.Row(s)) if (other != sample[s] && kept < _others) truth[s * _others + kept++] = other;
        }
        return truth;
    }

    private double Recall(int[] sample, int[] truth)
    {
        long hits = 0;
        for (int s = 0; s < sample.Length; s++)
        {
            ReadOnlySpan<int> found = _indices.AsSpan(sample[s] * _others, _others);
            foreach (int other in truth.AsSpan(s * _others, _others)) if (found.Contains(other)) hits++;
        }
        return (double)hits / truth.Length;
    }

    private (int[] Indices, float[] Distances) InGivenOrder()
    {
        for (int at = 0; at < _cell.Length; at++)
            for (int e = 0; e < _others; e++)
            {
                _nextIndices[_cell[at] * _others + e] = _cell[_indices[at * _others + e]];
                _nextDistances[_cell[at] * _others + e] = _distances[at * _others + e];
            }
        return (_nextIndices, _nextDistances);
    }

    private readonly struct RoundJob(ApproximateNeighbours search, int[] start, int[] naming, int[][] seen) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            search._cancel.ThrowIfCancellationRequested();
            int[] mark = seen[worker] ??= new int[search._cell.Length];
            int others = search._others;
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, search._cell.Length); i < end; i++)
            {
                Span<int> to = search._nextIndices.AsSpan(i * others, others);
                ReadOnlySpan<int> own = search._indices.AsSpan(i * others, others);
                own.CopyTo(to);
                search._distances.AsSpan(i * others, others).CopyTo(search._nextDistances.AsSpan(i * others, others));
                Sorted list = new(to, search._nextDistances.AsSpan(i * others, others), search._cell);
                mark[i] = i + 1;
                foreach (int j in own) mark[j] = i + 1;
                foreach (int j in own) OfferAll(ref list, mark, i, j);
                // A cell that very many name is a neighbour of few of them.
                foreach (int j in naming.AsSpan(start[i], Math.Min(others, start[i + 1] - start[i])))
                {
                    Offer(ref list, mark, i, j);
                    OfferAll(ref list, mark, i, j);
                }
            }
        }

        private void OfferAll(ref Sorted list, int[] mark, int i, int j)
        {
            foreach (int candidate in search._indices.AsSpan(j * search._others, search._others)) Offer(ref list, mark, i, candidate);
        }

        private void Offer(ref Sorted list, int[] mark, int i, int candidate)
        {
            // The marks of a worker are its own, and every cell of a block has a number of its own: none is compared twice.
            if (mark[candidate] == i + 1) return;
            mark[candidate] = i + 1;
            list.Offer(candidate, TensorPrimitives.Distance<float>(search._rows.Row(i), search._rows.Row(candidate)));
        }
    }

    /// <summary>The list of one cell, nearest first, equal distances by the number in the given matrix.</summary>
    private readonly ref struct Sorted(Span<int> indices, Span<float> distances, int[] cell)
    {
        private readonly Span<int> _indices = indices;
        private readonly Span<float> _distances = distances;

        /// <summary>Distances of all, from differences: a product of norms has other last digits.</summary>
        public void Begin(Matrix<float> rows, int self)
        {
            for (int e = 0; e < _indices.Length; e++)
            {
                int candidate = _indices[e];
                Insert(e, candidate, TensorPrimitives.Distance<float>(rows.Row(self), rows.Row(candidate)));
            }
        }

        public void Offer(int candidate, float distance)
        {
            int last = _indices.Length - 1;
            if (Precedes(candidate, distance, last)) Insert(last, candidate, distance);
        }

        /// <summary>Puts a cell among those before a place, which is free.</summary>
        private void Insert(int place, int candidate, float distance)
        {
            while (place > 0 && Precedes(candidate, distance, place - 1))
            {
                (_indices[place], _distances[place]) = (_indices[place - 1], _distances[place - 1]);
                place--;
            }
            (_indices[place], _distances[place]) = (candidate, distance);
        }

        private bool Precedes(int candidate, float distance, int place) =>
            distance < _distances[place] || (distance == _distances[place] && cell[candidate] < cell[_indices[place]]);
    }
}
