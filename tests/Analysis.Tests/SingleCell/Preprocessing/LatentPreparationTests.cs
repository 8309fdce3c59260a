using System.Globalization;
using System.Text.Json.Nodes;
using BioSup.Analysis.SingleCell;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Preprocessing;

/// <summary>The paper's preparation of latents against NumPy, SciPy and statsmodels.</summary>
public sealed class LatentPreparationTests : IDisposable
{
    private const int Cells = 170, Latents = 24, PerClass = 30;
    private static readonly string[] s_classes = ["Control", "GBA", "LRRK2", "SNCA"];
    private readonly CpuDevice _device = new(2);
    private readonly Matrix<float> _latents;
    private readonly double[] _usage, _values;
    private readonly string[] _labels;

    public LatentPreparationTests()
    {
        CounterRandom random = new(4, stream: 6);
        _latents = _device.AllocateMatrix<float>(Cells, Latents);
        _labels = [.. Enumerable.Range(0, Cells).Select(i => i % 17 == 3 ? "GBA_346" : s_classes[i * 7 % 11 % 4])];
        for (int i = 0; i < Cells; i++)
            for (int j = 0; j < Latents; j++)
            {
                double level = Math.Max(0, 0.3 + random.NextNormal() * 0.4) * (1 + 1.5 * (Array.IndexOf(s_classes, _labels[i]) == j % 5 ? 1 : 0));
                _latents.Row(i)[j] = j == 5 ? 0 : (float)level;
            }
        _usage = [.. Enumerable.Range(0, Latents).Select(j => j is 2 or 19 ? 9e-6 : 1e-5 * (j + 1))];
        // More known values than are drawn in one class, fewer in another, none in a third.
        _values = [.. Enumerable.Range(0, Cells).Select(i => _labels[i] switch { "Control" => i % 2 == 0 ? i : double.NaN, "GBA" => i, "LRRK2" => double.NaN, _ => i % 9 == 0 ? i : double.NaN })];
    }

    public void Dispose()
    {
        _latents.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Every_stage_is_that_of_the_paper()
    {
        string? python = Python.Find("import numpy, scipy.stats, statsmodels.stats.multitest", out string reason);
        Assert.SkipWhen(python is null, reason);
        JsonNode expected = Oracle(python!);
        double[] Of(string key) => [.. expected[key]!.AsArray().SelectMany(v => v is JsonArray row ? row.Select(w => (double)w!) : [(double)v!])];

        LatentPreparationOptions options = new() { Classes = s_classes, PerClass = PerClass, Seed = 87 };
        (LatentScale Scale, string Key)[] scales = [(LatentScale.Log, "log"), (LatentScale.Std, "std"), (LatentScale.LogStd, "log_std"), (LatentScale.Median, "median"), (LatentScale.Iqr, "iqr")];
        foreach ((LatentScale scale, string key) in scales)
        {
            PreparedLatents prepared = LatentPreparation.Prepare(_latents, _usage, _labels, _values, options with { Scale = scale });
            using Matrix<float> values = prepared.Values;
            Assert.Equal(Of("rows"), prepared.Rows.Select(i => (double)i));
            Assert.Equal(Of("alive"), prepared.Latents.Select(j => (double)j));
            CountsFixture.Near(Of(key), [.. values.ToArray().Select(v => (double)v)]);
        }

        int[] alive = [.. Of("alive").Select(j => (int)j)], rows = [.. Enumerable.Range(0, Cells).Where(i => s_classes.Contains(_labels[i]))];
        string[] classes = [.. rows.Select(i => _labels[i])];
        using Matrix<float> columns = Gather.Columns(_latents, alive);
        CellPreprocessing.NormaliseRows(columns);
        using Matrix<float> unit = Gather.Rows(columns, rows);
        CountsFixture.Near(Of("cv"), LatentPreparation.ClassVariation(unit, classes));
        LatentDifferenceOptions difference = new() { MinLog2FoldChange = 0.2 };
        LatentComparison one = LatentDifference.Compare(unit, LatentDifference.Rows(classes, c => c == "Control"), LatentDifference.Rows(classes, c => c == "SNCA"), difference);
        CountsFixture.Near(Of("log2fc"), one.Log2FoldChange);
        CountsFixture.Near(Of("log10q"), one.Log10Q, 1e-10);
        Assert.Equal(Of("differs"), one.Differs.Select(d => d ? 1.0 : 0));
        Assert.Equal(Of("union"), LatentDifference.Union(unit, classes, "Control", difference with { Most = 3 }).Select(d => d ? 1.0 : 0));
        Assert.InRange(one.Differs.Count(d => d), 1, alive.Length - 1);
    }

    [Fact]
    public void Filters_leave_the_latents_that_vary_or_differ()
    {
        LatentPreparationOptions options = new() { Classes = s_classes, PerClass = null, Scale = LatentScale.None };
        using Matrix<float> all = LatentPreparation.Prepare(_latents, _usage, _labels, null, options).Values;
        Assert.Equal(Latents - 2, all.Columns);
        PreparedLatents varying = LatentPreparation.Prepare(_latents, _usage, _labels, null, options with { Choice = LatentChoice.Variation, MinVariation = 0.2 });
        using Matrix<float> some = varying.Values;
        Assert.InRange(some.Columns, 1, all.Columns - 1);
        Assert.DoesNotContain(5, varying.Latents);
        using Matrix<float> few = LatentPreparation.Prepare(_latents, null, _labels, null, options with { Choice = LatentChoice.Difference, Difference = new LatentDifferenceOptions { Most = 1, MinLog2FoldChange = 0.2 } }).Values;
        Assert.InRange(few.Columns, 1, some.Columns);
    }

    [Fact]
    public void What_cannot_be_done_is_said()
    {
        LatentPreparationOptions options = new();
        Assert.Contains("alive", Refused(_usage.Select(_ => 0.0).ToArray(), options).Message);
        Assert.Contains("no cell belongs", Refused(_usage, options with { Classes = ["Mouse"] }).Message);
        Assert.Contains("to compare with", Refused(_usage, options with { Choice = LatentChoice.Difference, Control = "Mouse" }).Message);
        Assert.Contains("one class only", Refused(_usage, options with { Choice = LatentChoice.Variation, Classes = ["SNCA"] }).Message);

        DataException Refused(double[] usage, LatentPreparationOptions with) => Assert.Throws<DataException>(() => LatentPreparation.Prepare(_latents, usage, _labels, null, with));
    }

    private JsonNode Oracle(string python)
    {
        string folder = Directory.CreateTempSubdirectory("latents").FullName;
        try
        {
            string At(string name) => Path.Combine(folder, name);
            MatrixWriter.Write(At("latents.npy"), _latents.View);
            using Matrix<double> usage = Matrix<double>.From(_device, 1, Latents, _usage);
            MatrixWriter.Write(At("usage.npy"), usage.View);
            File.WriteAllLines(At("labels"), _labels);
            File.WriteAllLines(At("values"), _values.Select(v => double.IsNaN(v) ? "nan" : v.ToString(CultureInfo.InvariantCulture)));
            string script = Path.Combine(RepositoryRoot.Path, "tests", "golden", "preprocessing", "paper_latents.py");
            return JsonNode.Parse(Python.Run(python, script, At("latents.npy"), At("usage.npy"), At("labels"), At("values"), $"{PerClass}", "87"))!;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
