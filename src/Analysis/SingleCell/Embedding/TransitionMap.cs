using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>The symmetric transition matrix of a graph, T_ij = W_ij / (q_i z_i q_j z_j) with q = Σ_j W_ij and z_i² = Σ_j W_ij / (q_i q_j). Never stored: only its two vectors are.</summary>
internal sealed class TransitionMap : ISymmetricMap
{
    private const int CellsPerBlock = 512;
    private readonly CpuDevice _device;
    private readonly CellGraph _graph;
    private readonly double[] _root, _scale;

    /// <exception cref="UsageException">A weight is negative, or a cell has none above 0.</exception>
    public TransitionMap(CpuDevice device, CellGraph graph)
    {
        (_device, _graph) = (device, graph);
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
        (_root, _scale) = (new double[strength.Length], new double[strength.Length]);
        for (int i = 0; i < strength.Length; i++)
        {
            ReadOnlySpan<int> neighbours = graph.Neighbours(i);
            ReadOnlySpan<float> weights = graph.Values(i);
            double sum = 0;
            for (int e = 0; e < weights.Length; e++) sum += weights[e] / strength[neighbours[e]];
            _root[i] = Math.Sqrt(sum / strength[i]);
            _scale[i] = 1 / (strength[i] * _root[i]);
        }
    }

    public int Length => _scale.Length;

    /// <summary>z of a cell.</summary>
    public double Root(int cell) => _root[cell];

    /// <summary>An entry of T.</summary>
    public double this[int i, int j] => _graph[i, j] * _scale[i] * _scale[j];

    public unsafe void Multiply(ReadOnlySpan<double> x, Span<double> y)
    {
        fixed (double* from = x, to = y)
        {
            Job job = new(this, from, to);
            _device.Pool.Run((Length + CellsPerBlock - 1) / CellsPerBlock, ref job);
        }
    }

    private readonly unsafe struct Job(TransitionMap map, double* x, double* y) : IBlockJob
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
