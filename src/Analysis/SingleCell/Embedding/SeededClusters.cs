using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>k-means (Lloyd 1982) from centres that are drawn with the squared distance to those drawn before (Arthur and Vassilvitskii 2007). The seed decides; the number of threads does not.</summary>
internal static class SeededClusters
{
    private const int Passes = 20, RowsPerBlock = 512;

    /// <param name="device">Where the nearest centres are searched for.</param>
    /// <param name="points">[n, d] on the host.</param>
    /// <param name="count">Centres, 1 … n.</param>
    /// <param name="seed">Decides the first centres.</param>
    /// <param name="cancel">Ends the search.</param>
    /// <returns>[n] clusters, numbered from 0 by their first point, none empty; fewer than asked for where points coincide.</returns>
    public static int[] Find(ComputeDevice device, Matrix<double> points, int count, ulong seed, CancellationToken cancel = default)
    {
        int n = points.Rows, d = points.Columns;
        int[] chosen = Draw(points, count, seed, cancel), labels = new int[n];
        using Matrix<double> centres = device.Host.AllocateMatrix<double>(chosen.Length, d);
        for (int c = 0; c < chosen.Length; c++) points.Row(chosen[c]).CopyTo(centres.Row(c));
        using PlacedMatrix<double> placed = points.At(device);
        using Matrix<int> nearest = device.AllocateMatrix<int>(n, 1);
        using Matrix<double> distances = device.AllocateMatrix<double>(n, 1);
        for (int pass = 0; pass < Passes; pass++)
        {
            cancel.ThrowIfCancellationRequested();
            using PlacedMatrix<double> there = centres.At(device);
            KNearestNeighbours.Search(DistanceMetric.Euclidean, placed.Matrix.View, there.Matrix.View, nearest.View, distances.View);
            int[] found = nearest.ToArray();
            if (pass > 0 && found.AsSpan().SequenceEqual(labels)) break;
            labels = found;
            Move(points, labels, centres);
        }
        Dictionary<int, int> number = [];
        foreach (int label in labels) number.TryAdd(label, number.Count);
        return Array.ConvertAll(labels, label => number[label]);
    }

    /// <summary>Every centre goes to the mean of its points; one without points stays.</summary>
    private static void Move(Matrix<double> points, int[] labels, Matrix<double> centres)
    {
        int[] members = new int[centres.Rows];
        foreach (int label in labels) members[label]++;
        for (int c = 0; c < centres.Rows; c++) if (members[c] > 0) centres.Row(c).Clear();
        for (int i = 0; i < labels.Length; i++) TensorPrimitives.Add(centres.Row(labels[i]), points.Row(i), centres.Row(labels[i]));
        for (int c = 0; c < centres.Rows; c++) if (members[c] > 0) TensorPrimitives.Divide(centres.Row(c), members[c], centres.Row(c));
    }

    private static int[] Draw(Matrix<double> points, int count, ulong seed, CancellationToken cancel)
    {
        int n = points.Rows, blocks = (n + RowsPerBlock - 1) / RowsPerBlock;
        CounterRandom random = new(seed, stream: 0x4B6D6561UL);
        double[] squares = new double[n], sums = new double[blocks];
        Array.Fill(squares, double.PositiveInfinity);
        List<int> chosen = new(count) { random.NextInt32(n) };
        while (chosen.Count < count)
        {
            cancel.ThrowIfCancellationRequested();
            int last = chosen[^1];
            BlockLoop.Run(points.Device, blocks, block =>
            {
                double sum = 0;
                for (int i = block * RowsPerBlock, end = Math.Min(i + RowsPerBlock, n); i < end; i++)
                {
                    double distance = TensorPrimitives.Distance<double>(points.Row(i), points.Row(last));
                    squares[i] = Math.Min(squares[i], distance * distance);
                    sum += squares[i];
                }
                sums[block] = sum;
            });
            double total = sums.Sum();
            if (total == 0) break;
            chosen.Add(Place(squares, sums, random.NextDouble() * total));
        }
        return [.. chosen];
    }

    /// <summary>The point at which the running sum passes a share of the total; rounding at its end leaves the last point that has a weight.</summary>
    private static int Place(double[] squares, double[] sums, double share)
    {
        int block = 0;
        while (block < sums.Length - 1 && share >= sums[block]) share -= sums[block++];
        int end = Math.Min((block + 1) * RowsPerBlock, squares.Length), last = -1;
        for (int i = block * RowsPerBlock; i < end; i++)
        {
            if (squares[i] == 0) continue;
            last = i;
            if (share < squares[i]) return i;
            share -= squares[i];
        }
        return last >= 0 ? last : TensorPrimitives.IndexOfMax<double>(squares);
    }
}
