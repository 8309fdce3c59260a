using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>k-means of a domain that is known by its costs, with costs for squared distances: seeds (k-means++, Arthur and Vassilvitskii 2007) and Lloyd's step.</summary>
internal static class CostClustering
{
    /// <summary>The costs of one point to all others, n of them.</summary>
    public delegate void CostRow(int point, Span<double> costs);

    /// <summary>Mean costs of one point to the points of every cluster [k].</summary>
    public delegate ReadOnlySpan<double> MeanCosts(int point);

    /// <summary>Centres drawn with probability proportional to the cost from those drawn before; every point gets the number of its nearest centre, the earliest of equals.</summary>
    /// <param name="costs">The domain. A negative cost (rounding of an expanded distance) counts as 0.</param>
    /// <param name="n">Number of points.</param>
    /// <param name="clusters">Number of centres, at most n; every one keeps at least its own point.</param>
    /// <param name="random">Decides the draws.</param>
    /// <param name="cancellation">Stops between centres.</param>
    public static int[] Seed(CostRow costs, int n, int clusters, CounterRandom random, CancellationToken cancellation)
    {
        int[] labels = new int[n];
        double[] nearest = new double[n], row = new double[n];
        Array.Fill(nearest, double.PositiveInfinity);
        int centre = random.NextInt32(n);
        for (int k = 0; k < clusters; k++)
        {
            cancellation.ThrowIfCancellationRequested();
            costs(centre, row);
            for (int i = 0; i < n; i++)
                if (Math.Max(0, row[i]) is double cost && cost < nearest[i]) (nearest[i], labels[i]) = (cost, k);
            // A centre is its own cluster's, even where others coincide with it, and is not drawn again.
            (nearest[centre], labels[centre]) = (-1, k);
            centre = Draw(nearest, random.NextDouble());
        }
        return labels;
    }

    /// <summary>Every point goes to the cluster with the least mean cost less half the cost within it; the last of a cluster stays. True where a label changed.</summary>
    /// <param name="means">Mean costs to the clusters as they were before.</param>
    /// <param name="labels">[n], changed.</param>
    /// <param name="sizes">Points of each cluster [k], changed with the labels.</param>
    /// <param name="between">Mean costs between the clusters as they were before [k, k].</param>
    public static bool Assign(MeanCosts means, int[] labels, int[] sizes, Matrix<double> between)
    {
        bool changed = false;
        for (int i = 0; i < labels.Length; i++)
        {
            ReadOnlySpan<double> row = means(i);
            int best = labels[i];
            double least = row[best] - 0.5 * between.Row(best)[best];
            for (int k = 0; k < row.Length; k++)
                if (row[k] - 0.5 * between.Row(k)[k] is double distance && distance < least) (best, least) = (k, distance);
            if (best == labels[i] || sizes[labels[i]] == 1) continue;
            sizes[labels[i]]--;
            sizes[best]++;
            labels[i] = best;
            changed = true;
        }
        return changed;
    }

    private static int Draw(double[] nearest, double uniform)
    {
        double total = 0;
        foreach (double cost in nearest) total += Math.Max(0, cost);
        double left = uniform * total;
        int last = 0;
        for (int i = 0; i < nearest.Length; i++)
        {
            if (nearest[i] < 0) continue;
            last = i;
            left -= nearest[i];
            if (left < 0) return i;
        }
        return last;
    }
}
