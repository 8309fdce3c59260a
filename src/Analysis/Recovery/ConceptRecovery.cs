using System.Numerics;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Recovery;

/// <summary>How well single features stand for known concepts. A concept is recovered when one feature ranks the cells as the concept does.</summary>
/// <param name="Feature">The feature chosen for the concept on one half of the cells.</param>
/// <param name="Correlation">Spearman correlation of that feature with the concept on the other half, signed.</param>
/// <param name="Selectivity">That correlation's size minus the feature's largest correlation with any other concept on the same half: positive when the feature stands for this concept alone.</param>
public sealed record RecoveredConcept(int Feature, double Correlation, double Selectivity);

/// <summary>
/// Matches features to known concepts. The feature of a concept is chosen by |Spearman ρ| on a random half of the cells and scored on the other half, so that
/// trying many features does not flatter the representation with more of them.
/// </summary>
public static class ConceptRecovery
{
    /// <param name="features">cells × features.</param>
    /// <param name="concepts">cells × concepts: the known intensities.</param>
    /// <param name="seed">Decides the halves; the same seed gives the same halves for every representation.</param>
    public static RecoveredConcept[] Match(Matrix<float> features, Matrix<double> concepts, ulong seed)
    {
        if (features.Rows != concepts.Rows) throw new ArgumentException($"{features.Rows} cells have features, {concepts.Rows} have concepts.");
        if (features.Rows < 8) throw new ArgumentException("Concept recovery needs at least 8 cells.");
        int[] order = [.. Enumerable.Range(0, features.Rows)];
        new CounterRandom(seed, stream: 0x5EC0).Shuffle<int>(order);
        int half = features.Rows / 2;
        double[][] choice = Correlations(features, concepts, order[..half]), score = Correlations(features, concepts, order[half..]);
        RecoveredConcept[] matches = new RecoveredConcept[concepts.Columns];
        for (int c = 0; c < matches.Length; c++)
        {
            int best = 0;
            double strongest = -1;
            for (int f = 0; f < choice.Length; f++)
            {
                double rho = Math.Abs(choice[f][c]);
                if (rho > strongest) (best, strongest) = (f, rho);
            }
            double correlation = score[best][c], rival = 0;
            for (int other = 0; other < matches.Length; other++)
                if (other != c) rival = Math.Max(rival, Math.Abs(score[best][other]));
            matches[c] = new RecoveredConcept(best, correlation, Math.Abs(correlation) - rival);
        }
        return matches;
    }

    /// <summary>Spearman's ρ of every feature with every concept over some cells: [features][concepts]. Ranking is the host's work, the products are the device's.</summary>
    private static double[][] Correlations(Matrix<float> features, Matrix<double> concepts, int[] rows)
    {
        using Matrix<double> x = Ranks(features, features.Device, rows), y = Ranks(concepts, features.Device, rows);
        using Matrix<double> products = features.Device.AllocateMatrix<double>(x.Rows, y.Rows);
        Gemm.Multiply(Transpose.No, Transpose.Yes, 1.0, x.View, y.View, 0.0, products.View);
        return [.. products.ToArray().Chunk(Math.Max(1, y.Rows))];
    }

    /// <summary>[columns, rows]: a column's ranks in each row, on <paramref name="device"/>.</summary>
    private static Matrix<double> Ranks<T>(Matrix<T> values, ComputeDevice device, int[] rows) where T : unmanaged, INumber<T>
    {
        using Matrix<T> chosen = Gather.Rows(values, rows);
        T[] elements = chosen.ToArray();
        double[] ranks = new double[elements.Length];
        int columns = values.Columns;
        BlockLoop.Run(device, columns, j =>
        {
            double[] column = new double[rows.Length];
            for (int i = 0; i < rows.Length; i++) column[i] = double.CreateTruncating(elements[i * columns + j]);
            UnitRanks(column).CopyTo(ranks, j * rows.Length);
        });
        return Matrix<double>.From(device, columns, rows.Length, ranks);
    }

    /// <summary>Average ranks, centred and scaled to unit length, so that a dot product is Spearman's ρ. A constant column gives zeros.</summary>
    private static double[] UnitRanks(double[] values)
    {
        int n = values.Length;
        int[] order = [.. Enumerable.Range(0, n)];
        Array.Sort([.. values], order);
        double[] ranks = new double[n];
        for (int start = 0; start < n;)
        {
            int end = start + 1;
            while (end < n && values[order[end]] == values[order[start]]) end++;
            for (int i = start; i < end; i++) ranks[order[i]] = 0.5 * (start + end - 1) - 0.5 * (n - 1);
            start = end;
        }
        double square = ranks.Sum(r => r * r);
        if (square == 0) return ranks;
        double scale = 1 / Math.Sqrt(square);
        for (int i = 0; i < n; i++) ranks[i] *= scale;
        return ranks;
    }
}
