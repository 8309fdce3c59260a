using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>Which eigenvectors count as trivial in a diffusion pseudotime.</summary>
public enum PseudotimeRule
{
    /// <summary>scanpy's: every vector with λ ≥ 0.9994 enters with weight 1 instead of λ / (1 − λ), whether it is trivial or not. Made for single precision.</summary>
    Scanpy,

    /// <summary>The trivial vector of each component alone is left out, all others have their weight λ / (1 − λ).</summary>
    Exact,
}

/// <summary>
/// Diffusion pseudotime (Haghverdi et al. 2016): the distance of every cell from a root in the space of walks of all lengths,
/// DPT² = Σ_j (λ_j / (1 − λ_j))² (ψ_j(root) − ψ_j(cell))², divided by its largest finite value. Does not depend on the signs of the eigenvectors, nor on the basis of
/// an eigenspace.
/// </summary>
/// <param name="Values">[cells] 0 at the root to 1; +∞ for cells in another component than the root, which no walk reaches.</param>
/// <param name="Root">The root cell.</param>
/// <param name="Unreachable">How many cells are at +∞.</param>
/// <param name="LeftUnweighted">Vectors that are not trivial and were given weight 1 by scanpy's rule: where this is not 0, the two rules differ.</param>
public sealed record DiffusionPseudotime(double[] Values, int Root, int Unreachable, int LeftUnweighted)
{
    /// <summary>scanpy's bound between eigenvalues that are 1 and those that are not.</summary>
    private const double Cut = 0.9994;

    /// <param name="map">Eigenvectors of the transition matrix.</param>
    /// <param name="root">The cell at time 0.</param>
    /// <param name="components">How many of the first eigenvectors are used; 10 is scanpy's.</param>
    /// <param name="rule">What is done with eigenvalues near 1.</param>
    /// <exception cref="UsageException">The root is no cell, or there are not so many components.</exception>
    public static DiffusionPseudotime Compute(DiffusionMap map, int root, int components = 10, PseudotimeRule rule = PseudotimeRule.Scanpy)
    {
        if ((uint)root >= (uint)map.Cells) throw new UsageException($"The root of the trajectory is the cell {root}; cells are numbered 0 to {map.Cells - 1}.");
        if (components < 1 || components > map.Eigenvalues.Length)
            throw new UsageException($"A pseudotime from {components} diffusion components needs a map with as many; this one has {map.Eigenvalues.Length}.");
        double[] time = new double[map.Cells];
        int left = 0;
        for (int j = 0; j < components; j++)
        {
            (double value, bool trivial) = (map.Eigenvalues[j], j < map.ComponentCount);
            if (rule == PseudotimeRule.Exact && trivial) continue;
            bool weighted = rule == PseudotimeRule.Exact || value < Cut;
            if (!weighted && !trivial) left++;
            double weight = weighted ? value / (1 - value) : 1;
            ReadOnlySpan<double> vector = map.Vectors.Row(j);
            for (int i = 0; i < time.Length; i++)
            {
                double difference = weight * (vector[root] - vector[i]);
                time[i] += difference * difference;
            }
        }
        double largest = 0;
        int unreachable = 0;
        for (int i = 0; i < time.Length; i++)
        {
            if (map.Component[i] != map.Component[root])
            {
                time[i] = double.PositiveInfinity;
                unreachable++;
                continue;
            }
            time[i] = Math.Sqrt(time[i]);
            largest = Math.Max(largest, time[i]);
        }
        if (largest > 0)
            for (int i = 0; i < time.Length; i++) time[i] /= largest;
        return new DiffusionPseudotime(time, root, unreachable, left);
    }
}
