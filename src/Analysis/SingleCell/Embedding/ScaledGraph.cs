using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>S W S for a symmetric graph W and a positive diagonal S: never stored, only multiplied with vectors. Two of these have eigenvalues of at most 1, and 1 for one known vector per component.</summary>
internal sealed class ScaledGraph : ISymmetricMap, IDisposable
{
    private const int CellsPerBlock = 512;
    private readonly CpuDevice _device;
    private readonly CellGraph _graph;
    private readonly double[] _scale, _trivial;

    /// <summary>Place of every cell in <see cref="Order"/>.</summary>
    private readonly int[] _place;

    /// <summary>[cells × 8] S X while X is multiplied.</summary>
    private readonly AlignedBuffer<double> _scaled;

    private ScaledGraph(CpuDevice device, CellGraph graph, double[] scale, double[] trivial)
    {
        (_device, _graph, _scale, _trivial) = (device, graph, scale, trivial);
        _scaled = new AlignedBuffer<double>(device, (long)scale.Length * VectorBlocks.Width);
        Order = graph.BreadthFirst();
        _place = new int[Order.Length];
        for (int i = 0; i < Order.Length; i++) _place[Order[i]] = i;
    }

    /// <summary>Cells as a walk over the graph meets them: neighbours lie near each other, which halves the time of a product that waits for memory.</summary>
    public int[] Order { get; }

    public int Length => _scale.Length;

    /// <summary>[cells] the eigenvector of the eigenvalue 1, not of unit length; restricted to one component it is one as well.</summary>
    public ReadOnlySpan<double> Trivial => _trivial;

    /// <summary>An entry.</summary>
    public double this[int i, int j] => _graph[i, j] * _scale[i] * _scale[j];

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
    /// Reads 8 bytes of the graph and 64 of the vectors for each entry: below about 60,000 cells the vectors lie in a third-level cache of 32 MiB, whose bandwidth is the floor; beyond, each
    /// entry costs a line of memory.
    /// </summary>
    public unsafe void Multiply(double* x, double* y, double factor, double shift, double* minus)
    {
        ScaleJob scale = new(this, x);
        _device.Pool.Run(Blocks, ref scale);
        MultiplyJob multiply = new(this, x, y, factor, shift, minus);
        _device.Pool.Run(Blocks, ref multiply);
    }

    public void Dispose() => _scaled.Dispose();

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

    private readonly unsafe struct ScaleJob(ScaledGraph map, double* x) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, map.Length); i < end; i++)
            {
                Vector256<double> factor = Vector256.Create(map._scale[map.Order[i]]);
                double* from = x + (long)i * VectorBlocks.Width, to = map._scaled.Pointer + (long)i * VectorBlocks.Width;
                (Vector256.Load(from) * factor).Store(to);
                (Vector256.Load(from + 4) * factor).Store(to + 4);
            }
        }
    }

    private readonly unsafe struct MultiplyJob(ScaledGraph map, double* given, double* y, double factor, double shift, double* minus) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double* x = map._scaled.Pointer;
            int[] place = map._place;
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, map.Length); i < end; i++)
            {
                ReadOnlySpan<int> neighbours = map._graph.Neighbours(map.Order[i]);
                ReadOnlySpan<float> weights = map._graph.Values(map.Order[i]);
                // Even and odd entries by themselves: one sum alone would wait for its own additions.
                Vector256<double> even0 = default, even1 = default, odd0 = default, odd1 = default;
                int e = 0;
                for (; e + 2 <= neighbours.Length; e += 2)
                {
                    double* a = x + (long)place[neighbours[e]] * VectorBlocks.Width, b = x + (long)place[neighbours[e + 1]] * VectorBlocks.Width;
                    Vector256<double> u = Vector256.Create((double)weights[e]), v = Vector256.Create((double)weights[e + 1]);
                    even0 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a), even0);
                    even1 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a + 4), even1);
                    odd0 = Vector256.FusedMultiplyAdd(v, Vector256.Load(b), odd0);
                    odd1 = Vector256.FusedMultiplyAdd(v, Vector256.Load(b + 4), odd1);
                }
                if (e < neighbours.Length)
                {
                    double* a = x + (long)place[neighbours[e]] * VectorBlocks.Width;
                    Vector256<double> u = Vector256.Create((double)weights[e]);
                    even0 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a), even0);
                    even1 = Vector256.FusedMultiplyAdd(u, Vector256.Load(a + 4), even1);
                }
                Vector256<double> scale = Vector256.Create(factor * map._scale[map.Order[i]]);
                VectorBlocks.Finish(i, (even0 + odd0) * scale, (even1 + odd1) * scale, given, shift, minus, y);
            }
        }
    }
}
