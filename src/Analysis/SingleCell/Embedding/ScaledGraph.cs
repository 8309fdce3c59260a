using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// S W S for a symmetric graph W and a positive diagonal S, multiplied with vectors. Its entries are kept in double precision, row by row in <see cref="Order"/> and under the numbers of that
/// order, so that a product reads them one after the other: 12 bytes each. Two of these have eigenvalues of at most 1, and 1 for one known vector per component.
/// </summary>
internal sealed class ScaledGraph : ISymmetricMap
{
    private const int CellsPerBlock = 512;
    private readonly CpuDevice _device;
    private readonly CellGraph _graph;
    private readonly double[] _scale, _trivial;

    /// <summary>Where the row of each place begins, and the place each entry belongs to.</summary>
    private readonly int[] _start, _places;

    /// <summary>The entries.</summary>
    private readonly double[] _entries;

    private ScaledGraph(CpuDevice device, CellGraph graph, double[] scale, double[] trivial)
    {
        (_device, _graph, _scale, _trivial) = (device, graph, scale, trivial);
        Order = graph.BreadthFirst();
        int[] place = new int[Order.Length];
        _start = new int[Order.Length + 1];
        for (int i = 0; i < Order.Length; i++)
        {
            place[Order[i]] = i;
            _start[i + 1] = _start[i] + graph.Neighbours(Order[i]).Length;
        }
        (_places, _entries) = (new int[graph.Entries], new double[graph.Entries]);
        BlockLoop.Run(device, Blocks, block =>
        {
            for (int i = block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, Length); i < end; i++)
            {
                ReadOnlySpan<int> neighbours = graph.Neighbours(Order[i]);
                ReadOnlySpan<float> weights = graph.Values(Order[i]);
                for (int e = 0; e < neighbours.Length; e++)
                {
                    _places[_start[i] + e] = place[neighbours[e]];
                    _entries[_start[i] + e] = weights[e] * (scale[Order[i]] * scale[neighbours[e]]);
                }
            }
        });
    }

    /// <summary>Cells as a walk over the graph meets them: neighbours lie near each other, which halves the time of a product that waits for memory.</summary>
    public int[] Order { get; }

    public int Length => _scale.Length;

    /// <summary>[cells] the eigenvector of the eigenvalue 1, not of unit length; restricted to one component it is one as well.</summary>
    public ReadOnlySpan<double> Trivial => _trivial;

    /// <summary>An entry.</summary>
    public double this[int i, int j] => _graph[i, j] * (_scale[i] * _scale[j]);

    /// <summary>The symmetric transition matrix with density normalisation: W_ij / (q_i z_i q_j z_j) with q = Σ_j W_ij and z_i² = Σ_j W_ij / (q_i q_j). The trivial vector is z.</summary>
    /// <exception cref="UsageException">A weight is negative, or a cell has none above 0.</exception>
    public static ScaledGraph Transitions(CpuDevice device, CellGraph graph)
    {
        double[] strength = Strengths(graph), root = new double[strength.Length], scale = new double[strength.Length];
        for (int i = 0; i < strength.Length; i++)
        {
            ReadOnlySpan<int> neighbours = graph.Neighbours(i);
            ReadOnlySpan<float> weights = graph.Values(i);
            double sum = 0;
            for (int e = 0; e < weights.Length; e++) sum += weights[e] / strength[neighbours[e]];
            root[i] = Math.Sqrt(sum / strength[i]);
            scale[i] = 1 / (strength[i] * root[i]);
        }
        return new ScaledGraph(device, graph, scale, root);
    }

    /// <summary>D^-½ W D^-½ with D the sums of the rows: 1 minus the normalised Laplacian. The trivial vector is √D.</summary>
    /// <exception cref="UsageException">A weight is negative, or a cell has none above 0.</exception>
    public static ScaledGraph Adjacency(CpuDevice device, CellGraph graph)
    {
        double[] root = Array.ConvertAll(Strengths(graph), Math.Sqrt);
        return new ScaledGraph(device, graph, Array.ConvertAll(root, r => 1 / r), root);
    }

    /// <summary>
    /// Reads 12 bytes of the graph and 64 of the vectors for each entry. In the order of a walk most of the vectors are in the second-level cache when they are needed again, and the
    /// multiplications are the floor; where they are not, each entry costs a line of the third-level cache or of memory.
    /// </summary>
    public unsafe void Multiply(double* x, double* y, double factor, double shift, double* minus)
    {
        fixed (int* start = _start, places = _places)
        fixed (double* entries = _entries)
        {
            MultiplyJob job = new(Length, start, places, entries, x, y, factor, shift, minus);
            _device.Pool.Run(Blocks, ref job);
        }
    }

    private int Blocks => (Length + CellsPerBlock - 1) / CellsPerBlock;

    private static double[] Strengths(CellGraph graph)
    {
        double[] strength = new double[graph.Cells];
        for (int i = 0; i < strength.Length; i++)
        {
            foreach (float weight in graph.Values(i))
            {
                if (weight < 0) throw new UsageException($"Cell {i} has an edge of weight {weight}; a random walk needs weights that are not negative.");
                strength[i] += weight;
            }
            if (strength[i] == 0) throw new UsageException($"Cell {i} has no neighbours, so no walk leaves or reaches it: leave it out, or take more neighbours.");
        }
        return strength;
    }

    private readonly unsafe struct MultiplyJob(int length, int* start, int* places, double* entries, double* x, double* y, double factor, double shift, double* minus) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            Vector256<double> scale = Vector256.Create(factor);
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, length); i < end; i++)
            {
                // Even and odd entries by themselves: one sum alone would wait for its own additions.
                Vector256<double> even0 = default, even1 = default, odd0 = default, odd1 = default;
                int e = start[i], last = start[i + 1];
                for (; e + 2 <= last; e += 2)
                {
                    double* a = x + (long)places[e] * VectorBlocks.Width, b = x + (long)places[e + 1] * VectorBlocks.Width;
                    Vector256<double> u = Vector256.Create(entries[e]), v = Vector256.Create(entries[e + 1]);
                    even0 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a), even0);
                    even1 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a + 4), even1);
                    odd0 = Vector256.FusedMultiplyAdd(v, Vector256.Load(b), odd0);
                    odd1 = Vector256.FusedMultiplyAdd(v, Vector256.Load(b + 4), odd1);
                }
                if (e < last)
                {
                    double* a = x + (long)places[e] * VectorBlocks.Width;
                    Vector256<double> u = Vector256.Create(entries[e]);
                    even0 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a), even0);
                    even1 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a + 4), even1);
                }
                VectorBlocks.Finish(i, (even0 + odd0) * scale, (even1 + odd1) * scale, x, shift, minus, y);
            }
        }
    }
}
