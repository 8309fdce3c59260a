using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>S W S for a symmetric graph W and a positive diagonal S: never stored, only multiplied with vectors. Two of these have eigenvalues of at most 1, and 1 for one known vector per component.</summary>
internal sealed class ScaledGraph : ISymmetricMap
{
    private const int CellsPerBlock = 512;
    private readonly CpuDevice _device;
    private readonly CellGraph _graph;
    private readonly double[] _scale, _trivial;

    private ScaledGraph(CpuDevice device, CellGraph graph, double[] scale, double[] trivial) => (_device, _graph, _scale, _trivial) = (device, graph, scale, trivial);

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

    public unsafe void Multiply(ReadOnlySpan<double> x, Span<double> y)
    {
        fixed (double* from = x, to = y)
        {
            Job job = new(this, from, to);
            _device.Pool.Run((Length + CellsPerBlock - 1) / CellsPerBlock, ref job);
        }
    }

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

    private readonly unsafe struct Job(ScaledGraph map, double* x, double* y) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            double[] scale = map._scale;
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, scale.Length); i < end; i++)
            {
                ReadOnlySpan<int> neighbours = map._graph.Neighbours(i);
                ReadOnlySpan<float> weights = map._graph.Values(i);
                double sum = 0;
                for (int e = 0; e < neighbours.Length; e++) sum += weights[e] * (scale[neighbours[e]] * x[neighbours[e]]);
                y[i] = sum * scale[i];
            }
        }
    }
}
