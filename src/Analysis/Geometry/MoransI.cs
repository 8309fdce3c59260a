using BioSup.Kernels;

namespace BioSup.Analysis.Geometry;

/// <summary>Spatial autocorrelation of a value on a kNN graph.</summary>
/// <param name="I">Moran's I: near 1 when neighbours agree, -1 / (n - 1) in expectation without structure.</param>
/// <param name="Expected">-1 / (n - 1).</param>
/// <param name="Variance">Under normality, as in PySAL and squidpy: (n² S1 - n S2 + 3 S0²) / ((n² - 1) S0²) - 1 / (n - 1)².</param>
/// <param name="Z">(I - Expected) / √Variance.</param>
/// <param name="P">P(Z ≥ z), one-sided: more alike than chance.</param>
/// <param name="Log10P">Its decimal logarithm, finite in every tail.</param>
/// <param name="PaperZ">z with the published code's variance (1 - Expected²) / (n - 1): that of a correlation, far too large for a kNN graph.</param>
/// <param name="PermutationP">(#{permuted I ≥ I} + 1) / (permutations + 1); null without permutations.</param>
public sealed record MoranResult(double I, double Expected, double Variance, double Z, double P, double Log10P, double PaperZ, double? PermutationP = null);

/// <summary>Moran's I on the directed graph that joins every row to its k nearest rows with weight 1.</summary>
public static class MoransI
{
    /// <summary>I = (n / (n k)) Σ_i Σ_j∈NN(i) z_i z_j / Σ z², with z the values less their mean.</summary>
    public static MoranResult Measure(NeighbourTable neighbours, double[] values, int k)
    {
        double mean = RankStatistics.Mean(values);
        double[] centred = Array.ConvertAll(values, value => value - mean);
        return Describe(neighbours, neighbours.SumsOver(centred, 1, k).Products[0] / (k * HostVectors.Dot(centred, centred)), k);
    }

    /// <summary>What a statistic of this graph means.</summary>
    internal static MoranResult Describe(NeighbourTable neighbours, double statistic, int k)
    {
        (double s1, double s2) = WeightSums(neighbours, k);
        return Describe(statistic, neighbours.Rows, (double)neighbours.Rows * k, s1, s2);
    }

    /// <summary>What a statistic means on a graph of n rows with S0 = Σ w_ij, S1 = ½ Σ (w_ij + w_ji)², S2 = Σ (row sum + column sum)².</summary>
    internal static MoranResult Describe(double statistic, double n, double s0, double s1, double s2)
    {
        double expected = -1 / (n - 1), variance = (n * n * s1 - n * s2 + 3 * s0 * s0) / ((n * n - 1) * s0 * s0) - expected * expected;
        double z = (statistic - expected) / Math.Sqrt(variance), paper = (statistic - expected) / Math.Sqrt((1 - expected * expected) / (n - 1));
        return new MoranResult(statistic, expected, variance, z, NormalTail.Upper(z), NormalTail.Log10Upper(z), paper);
    }

    /// <summary>S1 = ½ Σ (w_ij + w_ji)², S2 = Σ (row sum + column sum)².</summary>
    private static (double S1, double S2) WeightSums(NeighbourTable neighbours, int k)
    {
        int n = neighbours.Rows;
        int[] incoming = new int[n];
        long mutual = 0;
        for (int i = 0; i < n; i++)
        {
            foreach (int j in neighbours.Of(i, k))
            {
                incoming[j]++;
                if (j > i && neighbours.Of(j, k).Contains(i)) mutual++;
            }
        }
        double s2 = 0;
        foreach (int degree in incoming) s2 += (double)(degree + k) * (degree + k);
        // A one-way edge adds 1 to S1, a mutual pair (two edges) adds 4.
        return ((double)n * k + 2.0 * mutual, s2);
    }
}
