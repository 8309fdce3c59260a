using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>Two features that a coupling puts together.</summary>
/// <param name="First">Feature of the first data, from 0.</param>
/// <param name="Second">Feature of the second.</param>
/// <param name="Mass">Entry of the coupling.</param>
/// <param name="Lift">Mass over the product of the two features' sums: 1 is what features that have nothing to do with each other get.</param>
/// <param name="FirstShare">Mass as a share of what the first feature carries.</param>
/// <param name="SecondShare">Mass as a share of what the second feature carries.</param>
/// <param name="Mutual">Each is the feature that the other shares most lift with.</param>
public sealed record FeaturePair(int First, int Second, double Mass, double Lift, double FirstShare, double SecondShare, bool Mutual)
{
    /// <summary>The pairs with the largest lift, largest first, of equal ones the first in row order.</summary>
    /// <param name="coupling">[d, e], in host memory, masses not negative.</param>
    /// <param name="count">How many; fewer where the coupling has fewer entries above zero.</param>
    public static IReadOnlyList<FeaturePair> Strongest(Matrix<double> coupling, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        CouplingSums sums = CouplingSums.Of(coupling);
        int[] bestColumn = new int[coupling.Rows], bestRow = new int[coupling.Columns];
        double[] rowLift = new double[coupling.Rows], columnLift = new double[coupling.Columns];
        // The weakest of those kept comes out first; of equally weak ones the last in row order.
        PriorityQueue<(int Row, int Column, double Lift), (double Lift, long Place)> kept = new();
        for (int i = 0; i < coupling.Rows; i++)
        {
            ReadOnlySpan<double> row = coupling.Row(i);
            for (int j = 0; j < row.Length; j++)
            {
                if (!(row[j] > 0)) continue;
                double lift = row[j] / (sums.Rows[i] * sums.Columns[j]);
                if (lift > rowLift[i]) (rowLift[i], bestColumn[i]) = (lift, j);
                if (lift > columnLift[j]) (columnLift[j], bestRow[j]) = (lift, i);
                (double, long) priority = (lift, -((long)i * row.Length + j));
                if (kept.Count < count) kept.Enqueue((i, j, lift), priority);
                else if (count > 0) kept.EnqueueDequeue((i, j, lift), priority);
            }
        }
        FeaturePair[] pairs = new FeaturePair[kept.Count];
        for (int k = pairs.Length - 1; k >= 0; k--)
        {
            (int i, int j, double lift) = kept.Dequeue();
            double mass = coupling.Row(i)[j];
            pairs[k] = new FeaturePair(i, j, mass, lift, mass / sums.Rows[i], mass / sums.Columns[j], bestColumn[i] == j && bestRow[j] == i);
        }
        return pairs;
    }
}
