namespace BioSup.Analysis.Alignment;

/// <summary>The one-to-one renaming of transferred classes with the most agreement (Kuhn 1955, in the O(k³) form of Jonker and Volgenant).</summary>
internal static class ClassAssignment
{
    /// <summary>result[transferred class] = true class, maximising the sum of counts[true][transferred]; ties keep the identity where possible.</summary>
    public static int[] Best(int[][] counts)
    {
        int k = counts.Length;
        // Minimise -count; a tiny bonus on the diagonal prefers the names as they are.
        double Cost(int transferred, int actual) => -counts[actual][transferred] - (transferred == actual ? 0.5 / (k + 1) : 0);
        double[] rowPotential = new double[k + 1], columnPotential = new double[k + 1];
        int[] match = new int[k + 1], way = new int[k + 1];
        for (int row = 1; row <= k; row++)
        {
            match[0] = row;
            int column = 0;
            double[] least = new double[k + 1];
            bool[] used = new bool[k + 1];
            Array.Fill(least, double.PositiveInfinity);
            do
            {
                used[column] = true;
                int at = match[column], next = 0;
                double step = double.PositiveInfinity;
                for (int j = 1; j <= k; j++)
                {
                    if (used[j]) continue;
                    double reduced = Cost(at - 1, j - 1) - rowPotential[at] - columnPotential[j];
                    if (reduced < least[j]) (least[j], way[j]) = (reduced, column);
                    if (least[j] < step) (step, next) = (least[j], j);
                }
                for (int j = 0; j <= k; j++)
                {
                    if (used[j])
                    {
                        rowPotential[match[j]] += step;
                        columnPotential[j] -= step;
                    }
                    else least[j] -= step;
                }
                column = next;
            }
            while (match[column] != 0);
            for (; column != 0; column = way[column]) match[column] = match[way[column]];
        }
        int[] result = new int[k];
        for (int j = 1; j <= k; j++) result[match[j] - 1] = j - 1;
        return result;
    }
}
