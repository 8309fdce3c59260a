using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>
/// Mann–Whitney tests of 2,000 genes between two groups of cells against scipy's vectorised form: values without ties, and log counts of which most are 0, for us dense and sparse.
/// Further arguments are numbers of cells in place of 10,000 and 50,000.
/// </summary>
internal static class CellsWilcoxonSuite
{
    private const int Genes = 2000, Runs = 3;

    /// <summary>At more cells than this the peer is timed on a quarter of the genes, and its time multiplied by four: it treats one gene after the other.</summary>
    private const int PeerTakesAll = 20_000;

    public static void Run(SuiteOptions options)
    {
        int[] sizes = options.Rest.Count > 0 ? [.. options.Rest.Select(r => int.Parse(r, CultureInfo.InvariantCulture))] : options.Quick ? [2000] : [10_000, 50_000];
        using CpuDevice device = new();
        ResultTable table = new($"Mann–Whitney tests of {Genes} genes between two groups of cells",
            $"float32; groups of 2/5 and 3/5 of the cells; {device.Pool.Threads} threads; best of {Runs} runs before and {Runs} after the peer. Peer: benchmarks/peers/scipy_mannwhitney.py (scipy.stats.mannwhitneyu over an axis, in the layout",
            $"that it is fastest on; one thread, it has no other; beyond {PeerTakesAll} cells on a quarter of the genes, times four). Ours reads cells × genes as files hold them, and also corrects p-values, orders the genes, and forms means, fold changes and shares.");
        table.Header("values", "cells", "ours, s", "scipy, s", "ratio", "largest difference of U", "of log10 p, relative");
        string peer = "";
        foreach (int cells in sizes)
            foreach (bool counts in new[] { false, true }) peer = Compare(device, table, cells, counts);
        table.Line("");
        table.Line($"Peer: {peer}. p-values that scipy gives as 0 are left out of the last column.");
        table.Write(options.Output);
    }

    private static string Compare(CpuDevice device, ResultTable table, int cells, bool counts)
    {
        int first = 2 * cells / 5;
        int[] codes = [.. Enumerable.Range(0, cells).Select(i => i < first ? 0 : 1)];
        float[] values = Values(cells, first, counts);
        List<(string Name, IAnnElement X)> forms = [("", new NdArray(values, cells, Genes))];
        if (counts)
        {
            using Matrix<float> dense = Matrix<float>.From(device, cells, Genes, values);
            forms.Add((", sparse (CSR)", SparseMatrix.FromDense(dense.View)));
        }
        double[] best = [.. forms.Select(f => Time(device, f.X, codes))];
        (double seconds, double[] u, double[] p, string peer) = Peer(values, cells, first);
        for (int f = 0; f < forms.Count; f++)
        {
            best[f] = Math.Min(best[f], Time(device, forms[f].X, codes));
            RankedGroup ours = Test(device, forms[f].X, codes);
            double ofU = Enumerable.Range(0, u.Length).Max(g => Math.Abs(u[g] - ours.Scores[g]));
            double ofP = Enumerable.Range(0, u.Length).Where(g => p[g] is > 0 and < 0.5).Select(g => Math.Abs(ours.Log10P[g] / Math.Log10(p[g]) - 1)).DefaultIfEmpty(0).Max();
            string F(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
            table.Row((counts ? "log counts, 80 % zeros" : "without ties") + forms[f].Name, F(cells, "N0"), F(best[f], "F3"), F(seconds, "F2"), F(seconds / best[f], "F1"), F(ofU, "G3"), F(ofP, "E1"));
        }
        return peer;
    }

    private static RankedGroup Test(CpuDevice device, IAnnElement x, int[] codes) =>
        RankGenes.Compute(device, x, codes, 2, new RankGenesOptions { Test = GeneTest.MannWhitney, Reference = 1, FoldChange = FoldChangeFormula.Paper })[0];

    private static double Time(CpuDevice device, IAnnElement x, int[] codes)
    {
        double best = double.PositiveInfinity;
        for (int run = -1; run < Runs; run++)
        {
            long start = Stopwatch.GetTimestamp();
            Test(device, x, codes);
            if (run >= 0) best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    /// <summary>[cells, genes]: normal values shifted in some genes, or logarithms of counts with a mean that differs by gene.</summary>
    private static float[] Values(int cells, int first, bool counts)
    {
        float[] values = new float[(long)cells * Genes];
        CounterRandom random = new(7);
        for (int i = 0; i < cells; i++)
            for (int gene = 0; gene < Genes; gene++)
            {
                double shift = gene % 10 == 0 && i < first ? 0.2 : 0;
                double value = counts ? Math.Max(0, random.NextNormal() - 0.84 + shift) : random.NextNormal() + shift;
                values[(long)i * Genes + gene] = (float)(counts ? Math.Log(1 + Math.Ceiling(6 * value)) : value);
            }
        return values;
    }

    private static (double Seconds, double[] U, double[] P, string Versions) Peer(float[] values, int cells, int first)
    {
        int genes = cells > PeerTakesAll ? Genes / 4 : Genes;
        DirectoryInfo folder = Directory.CreateTempSubdirectory("biosup-mannwhitney-");
        try
        {
            string input = Path.Combine(folder.FullName, "values.npy"), output = Path.Combine(folder.FullName, "result.npz");
            using (CpuDevice device = new())
            {
                using Matrix<float> byGene = device.AllocateMatrix<float>(genes, cells);
                for (int gene = 0; gene < genes; gene++)
                {
                    Span<float> row = byGene.Row(gene);
                    for (int i = 0; i < cells; i++) row[i] = values[(long)i * Genes + gene];
                }
                MatrixWriter.Write(input, byGene.View);
            }
            using JsonDocument result = PythonPeer.Run("scipy_mannwhitney.py", input, $"{first}", cells > PeerTakesAll ? "1" : "2", output);
            double[] Read(string member) => ColumnReader.Read($"{output}:{member}").Numbers;
            return (result.RootElement.GetProperty("seconds").GetDouble() * Genes / genes, Read("u"), Read("p"), $"scipy {result.RootElement.GetProperty("scipy").GetString()}, numpy {result.RootElement.GetProperty("numpy").GetString()}");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
