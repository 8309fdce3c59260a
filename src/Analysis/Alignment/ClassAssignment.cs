namespace BioSup.Analysis.Alignment;

/// <summary>The one-to-one renaming of transferred classes with the most agreement.</summary>
internal static class ClassAssignment
{
    /// <summary>result[transferred class] = true class, maximising the sum of counts[true][transferred]; ties keep the identity where possible.</summary>
    public static int[] Best(int[][] counts)
    {
        int k = counts.Length;
        double[] costs = new double[k * k];
        // Minimise -count; a tiny bonus on the diagonal prefers the names as they are.
        for (int transferred = 0; transferred < k; transferred++)
            for (int actual = 0; actual < k; actual++) costs[transferred * k + actual] = -counts[actual][transferred] - (transferred == actual ? 0.5 / (k + 1) : 0);
        return LinearAssignment.Minimise<double>(costs, k, k);
    }
}
