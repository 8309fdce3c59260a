using System.Numerics.Tensors;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// A walk between groups of cells in place of one between cells (graphtools' <c>LandmarkGraph</c>): the groups are clusters of P V, with V the 100 leading singular vectors of D^-½ K D^-½, and a step goes from
/// a group to a cell and on to a group. Where graphtools takes a randomised decomposition and mini-batches, here the vectors are exact and all cells move in every pass.
/// </summary>
internal sealed class PhateLandmarks : IDisposable
{
    /// <summary>Singular vectors that place the cells (graphtools' <c>n_svd</c>).</summary>
    public const int Axes = 100;

    private readonly int[] _start, _groups;
    private readonly double[] _shares;

    private PhateLandmarks(int[] start, int[] groups, double[] shares, Matrix<double> walk) => (_start, _groups, _shares, Walk) = (start, groups, shares, walk);

    /// <summary>[groups, groups] one step, rows of sum 1.</summary>
    public Matrix<double> Walk { get; }

    /// <param name="device">Where the walk will be multiplied.</param>
    /// <param name="kernel">Affinities of the cells.</param>
    /// <param name="part">[cells] connected part of each cell, numbered from 0.</param>
    /// <param name="parts">How many there are.</param>
    /// <param name="landmarks">Groups, fewer than the cells.</param>
    /// <param name="seed">Decides the first centres.</param>
    /// <param name="cancel">Ends the work.</param>
    public static PhateLandmarks Build(ComputeDevice device, PhateKernel kernel, int[] part, int parts, int landmarks, ulong seed, CancellationToken cancel = default)
    {
        int[] labels;
        using (Matrix<double> places = Places(device.Host, kernel, part, parts, seed, cancel)) labels = SeededClusters.Find(device, places, landmarks, seed, cancel);
        int n = kernel.Cells, count = labels.Max() + 1;
        int[] start = new int[n + 1];
        List<int> groups = [];
        List<double> weights = [];
        SortedDictionary<int, double> row = [];
        double[] strength = new double[count];
        for (int i = 0; i < n; i++)
        {
            row.Clear();
            ReadOnlySpan<int> neighbours = kernel.Neighbours(i);
            ReadOnlySpan<double> affinities = kernel.Weights(i);
            for (int e = 0; e < neighbours.Length; e++) row[labels[neighbours[e]]] = row.GetValueOrDefault(labels[neighbours[e]]) + affinities[e];
            foreach ((int group, double weight) in row)
            {
                groups.Add(group);
                weights.Add(weight);
                strength[group] += weight;
            }
            start[i + 1] = groups.Count;
        }
        using Matrix<double> walk = device.Host.AllocateMatrix<double>(count, count);
        walk.Buffer.View.Host.Clear();
        double[] shares = new double[groups.Count];
        for (int i = 0; i < n; i++)
        {
            for (int e = start[i]; e < start[i + 1]; e++) shares[e] = weights[e] / kernel.Strength(i);
            for (int e = start[i]; e < start[i + 1]; e++)
                for (int f = start[i]; f < start[i + 1]; f++) walk.Row(groups[e])[groups[f]] += weights[e] / strength[groups[e]] * shares[f];
        }
        return new PhateLandmarks(start, [.. groups], shares, walk.CopyAt(device));
    }

    /// <summary>Every cell at the mean of the groups' places, by how much it belongs to each.</summary>
    /// <param name="places">[axes, groups].</param>
    /// <returns>[axes, cells].</returns>
    public Matrix<double> Interpolate(Matrix<double> places)
    {
        Matrix<double> cells = places.Device.AllocateMatrix<double>(places.Rows, _start.Length - 1);
        for (int a = 0; a < places.Rows; a++)
        {
            Span<double> from = places.Row(a), to = cells.Row(a);
            for (int i = 0; i < to.Length; i++)
            {
                double sum = 0;
                for (int e = _start[i]; e < _start[i + 1]; e++) sum += _shares[e] * from[_groups[e]];
                to[i] = sum;
            }
        }
        return cells;
    }

    public void Dispose() => Walk.Dispose();

    /// <summary>P V, [cells, axes].</summary>
    private static Matrix<double> Places(CpuDevice host, PhateKernel kernel, int[] part, int parts, ulong seed, CancellationToken cancel)
    {
        int n = kernel.Cells, axes = Math.Min(Axes, n - 1);
        SymmetricKernel map = new(host, kernel);
        // The eigenvalue 1 belongs to one vector for each part, which is known.
        int known = Math.Min(parts, axes);
        using Matrix<double> first = host.AllocateMatrix<double>(known, n);
        first.Buffer.View.Host.Clear();
        for (int i = 0; i < n; i++) if (part[i] < known) first.Row(part[i])[i] = Math.Sqrt(kernel.Strength(i));
        for (int c = 0; c < known; c++) TensorPrimitives.Divide(first.Row(c), TensorPrimitives.Norm<double>(first.Row(c)), first.Row(c));
        Matrix<double>? others = known < axes ? LanczosEigen.Find(host, map, axes - known, SpectrumEnd.Magnitude, first, seed, cancel).Vectors : null;
        using (others)
        {
            Matrix<double> places = host.AllocateMatrix<double>(n, axes);
            for (int i = 0; i < n; i++)
            {
                Span<double> row = places.Row(i);
                row.Clear();
                ReadOnlySpan<int> neighbours = kernel.Neighbours(i);
                ReadOnlySpan<double> weights = kernel.Weights(i);
                for (int e = 0; e < neighbours.Length; e++)
                {
                    double share = weights[e] / kernel.Strength(i);
                    for (int a = 0; a < axes; a++) row[a] += share * (a < known ? first.Row(a) : others!.Row(a - known))[neighbours[e]];
                }
            }
            return places;
        }
    }

    /// <summary>D^-½ K D^-½, known by its products.</summary>
    private sealed class SymmetricKernel(CpuDevice device, PhateKernel kernel) : ISymmetricMap
    {
        private readonly double[] _scale = [.. Enumerable.Range(0, kernel.Cells).Select(i => 1 / Math.Sqrt(kernel.Strength(i)))];

        public int Length => kernel.Cells;

        public int[] Order { get; } = [.. Enumerable.Range(0, kernel.Cells)];

        public unsafe void Multiply(double* x, double* y, double factor, double shift, double* minus) => PhateProducts.Multiply(device, kernel, _scale, _scale, x, y, factor, shift, x, minus);
    }
}
