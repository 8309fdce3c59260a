using BioSup.Analysis.Geometry;
using BioSup.Analysis.Modules;
using BioSup.Analysis.Sae;
using BioSup.Analysis.SingleCell;
using BioSup.Analysis.Tests.Sae;
using BioSup.Data;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.SingleCell.Trajectory;

/// <summary>
/// Nuclei of 16 expert classes (MitoCheck; 2,480 encoder vectors of 720 numbers) through a sparse autoencoder that is trained on the spot: do communities of the latents follow the
/// classes, and does pseudotime follow the cell cycle? The raw vectors go through the same steps beside them (rows to unit length, log1p of the latents, standardisation, 50 components,
/// 15 neighbours, Leiden at resolution 1, interphase as control). What is measured is in docs/cells.md; the floors stand a little below.
/// </summary>
public sealed class MitocheckTests
{
    private static readonly string[][] s_cycle = [["Interphase"], ["Prometaphase"], ["MetaphaseAlignment", "Metaphase"], ["Anaphase"]];

    [Fact]
    public void Communities_follow_the_expert_classes_and_pseudotime_the_cell_cycle()
    {
        string? folder = SharedData.Find("mitocheck_nuclei", out string reason);
        Assert.SkipWhen(folder is null, reason);
        using CpuDevice device = new(2);
        using Matrix<float> raw = NpyFile.Map<float>(device, Path.Combine(folder!, "activations_pplcnetv3_det_backbone.npy"));
        string[] classes = CsvFile.ReadColumn(Path.Combine(folder!, "labels.csv"), "class").Text;
        using Matrix<float> latents = Latents(device, raw);
        CellPreprocessing.NormaliseRows(latents);
        CellPreprocessing.Log1p(latents);
        CellPreprocessing.Standardise(latents);
        using Matrix<float> unit = raw.CopyOnHost();
        CellPreprocessing.NormaliseRows(unit);
        CellPreprocessing.Standardise(unit);
        (double ari, double information, int communities) sae = Communities(device, latents, classes), plain = Communities(device, unit, classes);
        (double spearman, double kendall, double later) saeCycle = Cycle(device, latents, classes), plainCycle = Cycle(device, unit, classes);
        foreach ((string name, (double ari, double information, int communities) found, (double spearman, double kendall, double later) cycle) in new[] { ("latents", sae, saeCycle), ("raw", plain, plainCycle) })
            TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant($"{name}: ARI {found.ari:0.000}, NMI {found.information:0.000}, {found.communities} communities; stage and time: Spearman {cycle.spearman:0.000}, Kendall {cycle.kendall:0.000}; prometaphase later than interphase {cycle.later:0.000}"));
        // Training follows the rounding of the processor, so that the floors leave room; the stages form a loop, of which only the first step is held to an order, on the raw vectors.
        Assert.InRange(sae.information, 0.2, 1);
        Assert.InRange(sae.ari, 0.1, 1);
        Assert.InRange(plainCycle.later, 0.6, 1);
        Assert.True(double.IsFinite(saeCycle.spearman));
    }

    private static Matrix<float> Latents(CpuDevice device, Matrix<float> tokens)
    {
        SaeConfig config = SaeConfigFile.Parse("""{ "architecture": "topk", "d_sae": 720, "k": 32, "batch": 256, "lr": 1e-3, "normalise": "paper", "log_every": 50 }""", "test");
        using SaeTrainingResult trained = SaeTrainer.Train(device, tokens, new SaeTrainingOptions { Config = config, Steps = 120, Seed = 1 });
        TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant($"FVU {trained.Last!.Fvu:0.000}, L0 {trained.Last.L0:0.0}, {trained.Seconds:0.0} s"));
        using ITokenSource source = new LentTokens(tokens);
        return SaeEncoder.EncodeAll(trained.Model, source);
    }

    private static (double Ari, double Information, int Communities) Communities(CpuDevice device, Matrix<float> x, string[] classes)
    {
        using Matrix<double> scores = Scores(device, x, [.. Enumerable.Range(0, x.Rows)]);
        LeidenResult found = Leiden.Run(Connectivities.Umap(NearestCells.Find(scores, 15)).ToLeiden(), new LeidenOptions());
        int[] expert = new Column("class", classes).Categorise().Codes;
        return (AdjustedRandIndex.Of(found.Community, expert), Information(found.Community, expert), found.Sizes.Length);
    }

    /// <summary>Spearman and Kendall (τ-b) of the stage and the pseudotime from the interphase, over the cells of the cycle; and the probability that a prometaphase is later than an interphase.</summary>
    private static (double Spearman, double Kendall, double Later) Cycle(CpuDevice device, Matrix<float> x, string[] classes)
    {
        int Stage(string name) => Array.FindIndex(s_cycle, names => names.Contains(name));
        int[] cells = [.. Enumerable.Range(0, x.Rows).Where(i => Stage(classes[i]) >= 0)];
        double[] stage = [.. cells.Select(i => (double)Stage(classes[i]))];
        using Matrix<double> scores = Scores(device, x, cells);
        using DiffusionMap map = DiffusionMap.Compute(device, Connectivities.Umap(NearestCells.Find(scores, 15)));
        double[] time = DiffusionPseudotime.Compute(map, map.Medoid([.. Enumerable.Range(0, cells.Length).Where(i => stage[i] == 0)])).Values;
        int[] finite = [.. Enumerable.Range(0, cells.Length).Where(i => double.IsFinite(time[i]))];
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", s_cycle.Select((names, s) => FormattableString.Invariant($"{names[0]} {Median([.. finite.Where(i => stage[i] == s).Select(i => time[i])]):0.000}"))) + $" ({finite.Length} of {cells.Length})");
        double[] a = [.. finite.Select(i => stage[i])], b = [.. finite.Select(i => time[i])];
        double[] At(int wanted) => [.. finite.Where(i => stage[i] == wanted).Select(i => time[i])];
        return (RankStatistics.Spearman(a, b), Kendall(a, b), (OrderedTrend.CliffsDelta(At(1), At(0)) + 1) / 2);
    }

    private static Matrix<double> Scores(CpuDevice device, Matrix<float> x, int[] rows)
    {
        using Matrix<double> wide = Matrix<double>.From(device, rows.Length, x.Columns, [.. rows.SelectMany(r => x.Row(r).ToArray().Select(v => (double)v))]);
        using Pca pca = Pca.Fit(wide, 50);
        return pca.Transform(wide);
    }

    private static double Median(double[] values) => values.Length == 0 ? double.NaN : values.Order().ElementAt(values.Length / 2);

    /// <summary>Normalised mutual information, the mean of both entropies below (scikit-learn's default).</summary>
    private static double Information(int[] a, int[] b)
    {
        double n = a.Length;
        double Entropy(IEnumerable<int> counts) => -counts.Sum(c => c / n * Math.Log(c / n));
        double first = Entropy(a.GroupBy(v => v).Select(g => g.Count())), second = Entropy(b.GroupBy(v => v).Select(g => g.Count()));
        return 2 * (first + second - Entropy(a.Zip(b).GroupBy(p => p).Select(g => g.Count()))) / (first + second);
    }

    /// <summary>τ-b.</summary>
    private static double Kendall(double[] a, double[] b)
    {
        long balance = 0, inFirst = 0, inSecond = 0;
        for (int i = 0; i < a.Length; i++)
            for (int j = 0; j < i; j++)
            {
                (int x, int y) = (Math.Sign(a[i] - a[j]), Math.Sign(b[i] - b[j]));
                (balance, inFirst, inSecond) = (balance + x * y, inFirst + Math.Abs(x), inSecond + Math.Abs(y));
            }
        return balance / Math.Sqrt((double)inFirst * inSecond);
    }
}
