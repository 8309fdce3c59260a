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
        PreparedLatents everything = LatentPreparation.Prepare(_latents, _usage, _labels, null, options);
        using Matrix<float> unscaled = everything.Values;
        double[] variation = LatentPreparation.ClassVariation(unscaled, [.. everything.Rows.Select(i => _labels[i])]);
        Assert.Equal(everything.Latents.Where((_, j) => variation[j] >= 0.2), varying.Latents);
        using Matrix<float> few = LatentPreparation.Prepare(_latents, null, _labels, null, options with { Choice = LatentChoice.Difference, Difference = new LatentDifferenceOptions { Most = 1, MinLog2FoldChange = 0.2 } }).Values;
        Assert.InRange(few.Columns, 1, some.Columns);
    }

    [Fact]
    public void A_filter_by_variation_keeps_what_varies_enough_and_two_classes_are_enough()
    {
        // Class means 1 and 3, -1 and -3 (variation √2 / 2), 2 and 2.
        using Matrix<float> x = Matrix<float>.From(_device, 4, 3, [0, -1, 2, 2, -1, 2, 3, -2, 1, 3, -4, 3]);
        string[] labels = ["a", "a", "b", "b"];
        CountsFixture.Near([Math.Sqrt(0.5), Math.Sqrt(0.5), 0], LatentPreparation.ClassVariation(x, labels), 1e-12);
        LatentPreparationOptions options = new() { UnitRows = false, Choice = LatentChoice.Variation, Control = "a", Scale = LatentScale.None };
        foreach (double least in new[] { 0, LatentPreparation.ClassVariation(x, labels)[0] })
        {
            PreparedLatents found = LatentPreparation.Prepare(x, null, labels, null, options with { MinVariation = least });
            using Matrix<float> values = found.Values;
            Assert.Equal(least == 0 ? [0, 1, 2] : [0, 1], found.Latents);
            Assert.Empty(found.Mutations);
        }
        Assert.Contains("passes the filter", Assert.Throws<DataException>(() => LatentPreparation.Prepare(x, null, labels, null, options with { MinVariation = 2 })).Message);
        Assert.Equal((1e-5, true, "Control", LatentChoice.None, 0.1, 10_000, 42u, LatentScale.LogStd), (new LatentPreparationOptions().DeadThreshold, new LatentPreparationOptions().UnitRows, new LatentPreparationOptions().Control,
            new LatentPreparationOptions().Choice, new LatentPreparationOptions().MinVariation, new LatentPreparationOptions().PerClass, new LatentPreparationOptions().Seed, new LatentPreparationOptions().Scale));
    }

    [Fact]
    public void Differences_per_mutation_are_those_of_the_sub_sample_and_drop_nothing()
    {
        LatentPreparationOptions options = new() { Classes = s_classes, PerClass = 20, Choice = LatentChoice.DifferencePerMutation, Difference = new LatentDifferenceOptions { MinLog2FoldChange = 0.2 }, Scale = LatentScale.None };
        PreparedLatents found = LatentPreparation.Prepare(_latents, _usage, _labels, null, options);
        using Matrix<float> values = found.Values;
        Assert.Equal(Latents - 2, values.Columns);
        Assert.Equal(["GBA", "LRRK2", "SNCA"], found.Mutations.Select(m => m.Mutation));
        string[] classes = [.. found.Rows.Select(i => _labels[i])];
        foreach ((string mutation, LatentComparison comparison) in found.Mutations)
        {
            LatentComparison alone = LatentDifference.Compare(values, LatentDifference.Rows(classes, c => c == "Control"), LatentDifference.Rows(classes, c => c == mutation), options.Difference);
            Assert.Equal(alone.Log10Q, comparison.Log10Q);
            Assert.Equal(alone.Log2FoldChange, comparison.Log2FoldChange);
            Assert.Equal(alone.Differs, comparison.Differs);
        }
        PreparedLatents controls = LatentPreparation.Prepare(_latents, _usage, [.. _labels.Select((l, i) => l == "Control" ? l : i % 2 == 0 ? "Other" : "SNCA")], null, options with { Classes = ["Control", "SNCA"] });
        controls.Values.Dispose();
        Assert.Equal("SNCA", Assert.Single(controls.Mutations).Mutation);
        Assert.Empty(LatentDifference.PerMutation(values, [.. classes.Select(_ => "Control")], "Control", options.Difference));
    }

    [Fact]
    public void The_union_is_what_differs_most_in_a_mutation_and_what_all_have_less_of()
    {
        // 12 cells of each class, the control last in ordinal order. Latent 0 rises fourfold in both mutations, 1 by three quarters, 2 falls to a half, 3 has one huge value, 4 is the same everywhere.
        string[] labels = [.. Enumerable.Range(0, 36).Select(i => new[] { "wild", "m1", "m2" }[i % 3])];
        using Matrix<float> x = _device.AllocateMatrix<float>(36, 5);
        for (int i = 0; i < 36; i++)
        {
            float spread = 1 + 0.01f * (i / 3);
            bool wild = labels[i] == "wild";
            float[] row = [wild ? spread : 4 * spread, wild ? spread : 1.75f * spread, wild ? 2 * spread : spread, i == 4 ? 1000 : 1 + 0.01f * (i / 3 * 7 % 12), 1];
            row.CopyTo(x.Row(i));
        }
        LatentDifferenceOptions options = new() { Most = 1 };
        Assert.Equal([true, false, true, false, false], LatentDifference.Union(x, labels, "wild", options));
        Assert.Equal([true, true, true, false, false], LatentDifference.Union(x, labels, "wild", options with { Most = null }));
        LatentComparison m1 = LatentDifference.PerMutation(x, labels, "wild", options)[0].Comparison;
        Assert.Equal([true, false, false, false, false], m1.Differs);
        Assert.True(m1.Log2FoldChange[3] > 5);
        // Of equal size as the bound is enough; an adjusted p-value of 1 is not below 1.
        Assert.Equal([true, true, true, false, false], LatentDifference.PerMutation(x, labels, "wild", new LatentDifferenceOptions { MinLog2FoldChange = m1.Log2FoldChange[1] })[0].Comparison.Differs);
        Assert.Equal([true, false, true, false, false], LatentDifference.PerMutation(x, labels, "wild", new LatentDifferenceOptions { MinLog2FoldChange = 0.9 })[0].Comparison.Differs);
        Assert.False(LatentDifference.PerMutation(x, labels, "wild", new LatentDifferenceOptions { MinLog2FoldChange = 0, MaxAdjustedP = 1 })[0].Comparison.Differs[4]);
        Assert.Equal((0.05, 0.58), (new LatentDifferenceOptions().MaxAdjustedP, new LatentDifferenceOptions().MinLog2FoldChange));
    }

    [Fact]
    public void A_latent_of_one_value_in_most_cells_is_not_divided_and_one_cell_is_its_own_median()
    {
        using Matrix<float> x = Matrix<float>.From(_device, 5, 1, [2, 2, 2, 2, 9]), one = Matrix<float>.From(_device, 1, 2, [3, -4]);
        LatentPreparation.Rescale(x, LatentScale.Iqr);
        Assert.Equal([0f, 0f, 0f, 0f, 7f], x.ToArray());
        LatentPreparation.Rescale(one, LatentScale.Iqr);
        Assert.Equal([0f, 0f], one.ToArray());
    }

    [Fact]
    public void What_cannot_be_done_is_said()
    {
        using Matrix<float> negative = Matrix<float>.From(_device, 3, 2, [1, 0, 2, 3, 0, -1]);
        Assert.Contains("row 2", Assert.Throws<DataException>(() => LatentPreparation.Rescale(negative, LatentScale.Log)).Message);
        Assert.Contains("row 2", Assert.Throws<DataException>(() => LatentPreparation.Rescale(negative, LatentScale.LogStd)).Message);
        negative.Row(0)[1] = -2;
        Assert.Contains("row 0", Assert.Throws<DataException>(() => LatentPreparation.Rescale(negative, LatentScale.Log)).Message);
        LatentPreparationOptions options = new();
        Assert.Contains("is alive: every use is below", Refused(_usage.Select(_ => 0.0).ToArray(), options).Message);
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
