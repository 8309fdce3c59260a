using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Alignment;

/// <summary>One optimum that starts ended in.</summary>
/// <param name="Loss">Lowest loss of its starts, with the screening settings.</param>
/// <param name="Starts">Which starts, in the order of <see cref="AlignmentResult.Starts"/>.</param>
/// <param name="EquallyGood">Its loss is within <see cref="AlignmentVerdict.EqualLossShare"/> of the lowest.</param>
public sealed record Optimum(double Loss, IReadOnlyList<int> Starts, bool EquallyGood);

/// <summary>Which starts ended in the same optimum.</summary>
/// <param name="Displacement">
/// [starts][starts]: mean distance in the second domain between the best partners that two starts give a cell, over the mean distance there: 0 the same
/// coupling, 1 unrelated ones, more for mirrored ones.
/// </param>
/// <param name="Optima">By loss, lowest first.</param>
public sealed record DistinctOptima(IReadOnlyList<double[]> Displacement, IReadOnlyList<Optimum> Optima)
{
    /// <summary>Displacement up to which two starts are the same optimum: partners differ by a tenth of a mean distance, as rounding and loose tolerances make them.</summary>
    public const double SameOptimum = 0.1;

    public int EquallyGood => Optima.Count(optimum => optimum.EquallyGood);

    /// <param name="losses">Loss of each start.</param>
    /// <param name="partners">Best partner of every cell of the first domain, for each start.</param>
    /// <param name="cost">Cost within the second domain [m, m], in any memory.</param>
    internal static DistinctOptima Of(double[] losses, int[][] partners, Matrix<double> cost)
    {
        using PlacedMatrix<double> readable = cost.OnHost();
        Matrix<double> c = readable.Matrix;
        double mean = MatrixElements.Summarise(cost.View).Sum / ((double)cost.Rows * cost.Columns);
        return Of(losses, partners, (j, l) => 0.5 * (c.Row(j)[l] + c.Row(l)[j]), mean);
    }

    /// <param name="losses">Loss of each start.</param>
    /// <param name="partners">Best partner of every cell of the first domain, for each start.</param>
    /// <param name="cost">Cost of two cells of the second domain.</param>
    /// <param name="mean">Mean of that cost over all pairs.</param>
    internal static DistinctOptima Of(double[] losses, int[][] partners, Func<int, int, double> cost, double mean)
    {
        double[][] displacement = [.. partners.Select(one => partners.Select(other => Between(one, other, cost, mean)).ToArray())];
        List<List<int>> groups = [];
        foreach (int start in Enumerable.Range(0, losses.Length).OrderBy(s => losses[s]).ThenBy(s => s))
        {
            // A start joins the best optimum it coincides with; chains of small steps do not join different ones.
            List<int>? home = groups.Find(group => displacement[group[0]][start] <= SameOptimum);
            if (home is null) groups.Add([start]);
            else home.Add(start);
        }
        double lowest = losses.Min();
        return new DistinctOptima(displacement,
            [.. groups.Select(group => new Optimum(losses[group[0]], [.. group.Order()], losses[group[0]] <= lowest + AlignmentVerdict.EqualLossShare * Math.Abs(lowest)))]);
    }

    /// <summary>The column with the largest mass in every row, the first of equals.</summary>
    internal static int[] Partners(Matrix<double> coupling)
    {
        using PlacedMatrix<double> readable = coupling.OnHost();
        int[] best = new int[coupling.Rows];
        for (int i = 0; i < best.Length; i++)
        {
            ReadOnlySpan<double> row = readable.Matrix.Row(i);
            for (int j = 1; j < row.Length; j++) if (row[j] > row[best[i]]) best[i] = j;
        }
        return best;
    }

    /// <summary>Mean cost between the partners that two couplings give a cell, over the mean cost of the domain.</summary>
    internal static double Between(int[] one, int[] other, Func<int, int, double> cost, double mean)
    {
        double sum = 0;
        for (int i = 0; i < one.Length; i++) sum += cost(one[i], other[i]);
        return mean > 0 ? sum / one.Length / mean : 0;
    }
}
