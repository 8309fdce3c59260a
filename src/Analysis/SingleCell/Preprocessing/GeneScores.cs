using BioSup.Analysis.Geometry;
using BioSup.Runtime;

namespace BioSup.Analysis.SingleCell;

/// <summary>How control genes are drawn; the defaults are scanpy's.</summary>
public sealed record GeneScoreOptions
{
    /// <summary>Control genes drawn from every bin of expression that holds a gene of the set.</summary>
    public int ControlSize { get; init; } = 50;

    /// <summary>Number of bins of expression.</summary>
    public int Bins { get; init; } = 25;

    /// <summary>Whether genes of the set take part in the drawing, to be left out afterwards (scanpy 1.x); otherwise they are left out before.</summary>
    public bool DrawFromSet { get; init; } = true;

    /// <summary>Seed of NumPy's generator.</summary>
    public uint Seed { get; init; }
}

/// <summary>Score of a set of genes.</summary>
/// <param name="Scores">[cells] mean of the set minus mean of the controls.</param>
/// <param name="Controls">The control genes, ascending.</param>
public sealed record GeneScore(double[] Scores, int[] Controls);

/// <summary>
/// Mean expression of a set of genes above that of control genes of like expression (Tirosh et al. 2016; scanpy's <c>score_genes</c>, whose draws are repeated number for number).
/// </summary>
public static class GeneScores
{
    /// <param name="x">Normalised logarithms, cells × genes.</param>
    /// <param name="set">The genes, without repetition.</param>
    /// <param name="options">How controls are drawn.</param>
    /// <exception cref="DataException">The set is empty, there are too few genes for so many bins, or no control gene is left.</exception>
    public static GeneScore Score(CellMatrix x, IReadOnlyList<int> set, GeneScoreOptions options, CancellationToken cancellation = default)
    {
        if (set.Count == 0) throw new DataException("genes", null, "no gene of the set is among the variables, so that there is nothing to score");
        int perBin = (int)Math.Round(x.Variables / (options.Bins - 1.0), MidpointRounding.ToEven);
        if (perBin == 0) throw new DataException("genes", null, $"{x.Variables} genes are too few for {options.Bins} bins of expression");
        int[] bin = Bins(x, perBin, cancellation);
        bool[] inSet = new bool[x.Variables], control = new bool[x.Variables];
        foreach (int gene in set) inSet[gene] = true;
        NumpyRandomState random = new(options.Seed);
        foreach (int own in set.Select(g => bin[g]).Distinct().Order())
        {
            int[] drawn = [.. Enumerable.Range(0, x.Variables).Where(j => bin[j] == own && (options.DrawFromSet || !inSet[j]))];
            if (options.ControlSize < drawn.Length)
            {
                int[] from = drawn;
                drawn = Array.ConvertAll(random.Choice(from.Length, options.ControlSize), place => from[place]);
            }
            foreach (int gene in drawn) control[gene] = !inSet[gene];
        }
        int controls = control.Count(c => c);
        if (controls == 0) throw new DataException("genes", null, "no control gene is left: every gene of like expression belongs to the set");
        double[] scores = new double[x.Cells];
        x.ForEachCell(i =>
        {
            ReadOnlySpan<float> values = x.Values(i);
            ReadOnlySpan<int> places = x.Places(i);
            double own = 0, others = 0;
            for (int k = 0; k < values.Length; k++)
            {
                if (inSet[places[k]]) own += values[k];
                else if (control[places[k]]) others += values[k];
            }
            scores[i] = own / set.Count - others / controls;
        }, cancellation);
        return new GeneScore(scores, [.. Enumerable.Range(0, x.Variables).Where(j => control[j])]);
    }

    /// <summary>Rank of the mean, from 1 and the lowest for equal ones, over the size of a bin.</summary>
    private static int[] Bins(CellMatrix x, int perBin, CancellationToken cancellation)
    {
        double[] means = VariableMoments.Of(x, default(SameValue), cancellation).Means, sorted = [.. means.Order()];
        return Array.ConvertAll(means, mean =>
        {
            int at = 0, end = sorted.Length;
            while (at < end)
            {
                int middle = (at + end) / 2;
                if (sorted[middle] < mean) at = middle + 1;
                else end = middle;
            }
            return (at + 1) / perBin;
        });
    }
}
