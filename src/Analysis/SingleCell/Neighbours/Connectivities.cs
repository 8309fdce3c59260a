using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>
/// Weights between neighbouring cells, symmetric, without a diagonal: what <c>sc.pp.neighbors</c> keeps in <c>obsp['connectivities']</c>.
/// Single precision, as there; sums are double.
/// </summary>
public static class Connectivities
{
    /// <summary>Bisections of umap-learn's search for the scale of a cell, its tolerance, and the least scale in units of a mean distance.</summary>
    private const int Bisections = 64;
    private const double Tolerance = 1e-5, LeastScale = 1e-3;
    private const int CellsPerBlock = 256;

    /// <summary>
    /// UMAP's fuzzy simplicial set (McInnes, Healy and Melville 2018, algorithms 2 and 3; umap-learn's <c>fuzzy_simplicial_set</c> with local connectivity 1 and
    /// the fuzzy union): w = exp(−(d − ρ) / σ), 1 up to ρ, the distance of the nearest different cell; σ makes the weights of a cell add up to log₂ k;
    /// a pair has a + b − a b of its two weights.
    /// </summary>
    public static CellGraph Umap(NearestCells nearest)
    {
        float[] weights = new float[nearest.Cells * nearest.Others];
        UmapJob job = new(nearest, weights);
        nearest.Device.Host.Pool.Run((nearest.Cells + CellsPerBlock - 1) / CellsPerBlock, ref job);
        return nearest.ToGraph(weights).Symmetrise((a, b) => a + b - a * b);
    }

    /// <summary>
    /// The adaptive Gaussian kernel of diffusion maps (Haghverdi et al. 2016; scanpy's <c>method='gauss'</c> with <c>knn=True</c>):
    /// w = √(2 σᵢ σⱼ / (σᵢ² + σⱼ²)) exp(−d² / (σᵢ² + σⱼ²)) for every pair of which either is among the neighbours of the other, σ² the median squared distance of a cell to its neighbours.
    /// </summary>
    /// <exception cref="UsageException">More than half of a cell's neighbours lie at its own place, so that its σ is 0.</exception>
    public static CellGraph Gauss(NearestCells nearest)
    {
        double[] variance = new double[nearest.Cells];
        for (int i = 0; i < nearest.Cells; i++)
        {
            ReadOnlySpan<float> d = nearest.Distances(i);
            (double low, double high) = (d[(d.Length - 1) / 2], d[d.Length / 2]);
            variance[i] = 0.5 * (low * low + high * high);
            if (variance[i] == 0) throw new UsageException($"Half of the neighbours of cell {i} lie at its own place: the Gaussian kernel has no width there. Take more neighbours, or the umap kernel.");
        }
        float[] weights = new float[nearest.Cells * nearest.Others];
        for (int i = 0; i < nearest.Cells; i++)
        {
            ReadOnlySpan<int> others = nearest.Of(i);
            ReadOnlySpan<float> distances = nearest.Distances(i);
            for (int e = 0; e < others.Length; e++)
            {
                double sum = variance[i] + variance[others[e]], d = distances[e];
                weights[i * nearest.Others + e] = (float)(Math.Sqrt(2 * Math.Sqrt(variance[i] * variance[others[e]]) / sum) * Math.Exp(-d * d / sum));
            }
        }
        // Both directions of a pair have one distance, up to the rounding of the search, and so one weight.
        return nearest.ToGraph(weights).Symmetrise(Math.Max);
    }

    private readonly struct UmapJob(NearestCells nearest, float[] weights) : IBlockJob
    {
        public void Execute(long block, int worker)
        {
            for (int i = (int)block * CellsPerBlock, end = Math.Min(i + CellsPerBlock, nearest.Cells); i < end; i++)
                UmapWeights(nearest.Distances(i), weights.AsSpan(i * nearest.Others, nearest.Others));
        }
    }

    /// <summary>Weights of one cell's neighbours from their distances, ascending.</summary>
    private static void UmapWeights(ReadOnlySpan<float> distances, Span<float> weights)
    {
        float nearest = 0;
        foreach (float d in distances)
            if (d > 0)
            {
                nearest = d;
                break;
            }
        // The mean counts the cell itself, at distance 0, as umap-learn's lists do. Where all distances are 0 no scale matters: all weights are 1.
        float scale = (float)Math.Max(Scale(distances, nearest), LeastScale * Sum(distances) / (distances.Length + 1));
        for (int e = 0; e < distances.Length; e++)
        {
            float beyond = distances[e] - nearest;
            weights[e] = beyond <= 0 || scale == 0 ? 1 : (float)Math.Exp(-(beyond / scale));
        }
    }

    /// <summary>σ with Σ exp(−max(0, d − ρ) / σ) = log₂ k, found as umap-learn finds it, so that its tolerance leaves the same number.</summary>
    private static float Scale(ReadOnlySpan<float> distances, float nearest)
    {
        double target = Math.Log2(distances.Length + 1), low = 0, high = double.PositiveInfinity, middle = 1;
        for (int pass = 0; pass < Bisections; pass++)
        {
            double sum = 0;
            foreach (float d in distances)
            {
                float beyond = d - nearest;
                sum += beyond > 0 ? Math.Exp(-(beyond / middle)) : 1;
            }
            if (Math.Abs(sum - target) < Tolerance) break;
            if (sum > target) (high, middle) = (middle, 0.5 * (low + middle));
            else (low, middle) = (middle, double.IsInfinity(high) ? 2 * middle : 0.5 * (middle + high));
        }
        return (float)middle;
    }

    private static double Sum(ReadOnlySpan<float> values)
    {
        double sum = 0;
        foreach (float value in values) sum += value;
        return sum;
    }
}
