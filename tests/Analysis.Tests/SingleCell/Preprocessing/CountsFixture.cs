using System.Text.Json.Nodes;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

/// <summary>Counts with the traits that matter (an empty cell, genes nobody has, a constant gene, one that dominates a cell), and what the published formulas make of them.</summary>
public sealed class CountsFixture : IDisposable
{
    public const int Cells = 90, Genes = 160, Controls = 4, Bins = 12;

    public static readonly int[] Set = [3, 17, 40, 41, 99, 120];

    public CountsFixture()
    {
        Device = new CpuDevice(2);
        Counts = Draw(Device, Cells, Genes, seed: 21);
        if (Python.Find("import numpy, pandas", out string reason) is not { } python)
        {
            Reason = reason;
            return;
        }
        Expected = Formulas(python, Counts, Set, Controls, Bins);
    }

    public CpuDevice Device { get; }

    public Matrix<float> Counts { get; }

    /// <summary>Why there are no expected numbers.</summary>
    public string Reason { get; } = "";

    private JsonNode? Expected { get; }

    /// <summary>The numbers of a key, row after row; the test is skipped where the tools are missing.</summary>
    public double[] Of(string key)
    {
        Assert.SkipWhen(Expected is null, Reason);
        Assert.SkipWhen(Expected![key] is null, $"'{key}' needs R, which is not installed");
        return Flat(Expected[key]).ToArray();
    }

    private static IEnumerable<double> Flat(JsonNode? node) => node is JsonArray array ? array.SelectMany(Flat) : [node is null ? double.NaN : (double)node];

    private static JsonNode Formulas(string python, Matrix<float> counts, IEnumerable<int> set, int controls, int bins)
    {
        string file = Path.GetTempFileName() + ".npy";
        try
        {
            MatrixWriter.Write(file, counts.View);
            return JsonNode.Parse(Python.Run(python, Path.Combine(RepositoryRoot.Path, "tests", "golden", "preprocessing", "scanpy_formulas.py"), file, string.Join(',', set), $"{controls}", $"{bins}"))!;
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>What the published formulas make of other counts, another set and other bins.</summary>
    public static Func<string, double[]> Other(Matrix<float> counts, IEnumerable<int> set, int controls, int bins)
    {
        string? python = Python.Find("import numpy, pandas", out string reason);
        Assert.SkipWhen(python is null, reason);
        JsonNode expected = Formulas(python!, counts, set, controls, bins);
        return key => [.. Flat(expected[key])];
    }

    /// <summary>A dense or a sparse copy of the counts.</summary>
    public CellMatrix Matrix(bool sparse) => sparse ? CellMatrix.From(SparseMatrix.FromDense(Counts.View), Device, "counts", "X") : new CellMatrix(Counts.CopyOnHost());

    /// <summary>The logarithms of normalised counts.</summary>
    public CellMatrix Logarithms(bool sparse)
    {
        CellMatrix x = Matrix(sparse);
        ExpressionScaling.NormaliseTotal(x);
        ExpressionScaling.Log1p(x);
        return x;
    }

    public static void Near(IReadOnlyList<double> expected, IReadOnlyList<double> found, double tolerance = 1e-6)
    {
        Assert.Equal(expected.Count, found.Count);
        for (int i = 0; i < found.Count; i++)
        {
            if (double.IsNaN(expected[i])) Assert.True(double.IsNaN(found[i]), $"{i}: {found[i]}");
            else Assert.InRange(found[i] - expected[i], -tolerance * Math.Max(1, Math.Abs(expected[i])), tolerance * Math.Max(1, Math.Abs(expected[i])));
        }
    }

    public static double[] All(CellMatrix x)
    {
        using Matrix<float> dense = x.ToDense();
        return [.. dense.ToArray().Select(v => (double)v)];
    }

    public static int[] Chosen(IEnumerable<bool> flags) => [.. flags.Select((f, j) => (f, j)).Where(p => p.f).Select(p => p.j)];

    public void Dispose()
    {
        Counts.Dispose();
        Device.Dispose();
    }

    public static Matrix<float> Draw(CpuDevice device, int cells, int genes, ulong seed)
    {
        CounterRandom random = new(seed, stream: 5);
        Matrix<float> counts = device.AllocateMatrix<float>(cells, genes);
        double[] level = [.. Enumerable.Range(0, genes).Select(_ => Math.Exp(1.4 * random.NextNormal() - 0.8))];
        for (int i = 0; i < cells; i++)
            for (int j = 0; j < genes; j++)
            {
                double mean = level[j] * Math.Exp(0.5 * random.NextNormal()) * (j % 7 == i % 3 ? 3 : 1), chance = Math.Exp(-mean), sum = chance, u = random.NextDouble();
                int count = 0;
                while (u > sum && count < 200) sum += chance *= mean / ++count;
                counts.Row(i)[j] = count;
            }
        counts.Row(5).Clear();
        for (int i = 0; i < cells; i++)
        {
            counts.Row(i)[11] = counts.Row(i)[genes / 2] = 0;
            if (i != 5) counts.Row(i)[genes / 3] = 2;
        }
        counts.Row(8)[genes / 5] = 150;
        return counts;
    }
}
