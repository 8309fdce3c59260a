using BioSup.Analysis.Geometry;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>Pages of latents against sums written out over all activations, and ranks on principal components against the components themselves.</summary>
public sealed class LatentProfileTests
{
    private static readonly int[] s_rows = [7, 0, 700, 1, 12, 80];
    private static readonly string[] s_labels = ["b", "a", "b", "a", "a", "b"];

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void A_profile_is_what_sums_over_all_activations_give(bool images, bool tokenLabels)
    {
        using CpuDevice device = new(2);
        using SaeModel model = Model(device);
        Matrix<float> tokens = Tokens(device, s_rows.Sum());
        using ITokenSource source = TokenSource.From(tokens);
        using Matrix<float> all = SaeEncoder.EncodeAll(model, source);
        int[] imageOf = [.. s_rows.SelectMany((n, i) => Enumerable.Repeat(i, n))];
        string[] tokenClass = [.. imageOf.Select((i, t) => tokenLabels ? (t % 3 == 0 ? "a" : "b") : s_labels[i])];
        string[]? labels = tokenLabels ? tokenClass : images ? s_labels : null;
        Dictionary<int, float[]> background = new() { [0] = [.. Enumerable.Range(0, 7).Select(i => i / 7f)], [4] = [.. Enumerable.Repeat(0.25f, 12)], [5] = [1] };
        int[] latents = [5, 2, 11];
        IReadOnlyList<LatentProfile> profiles = LatentProfiles.Measure(model, source, images ? s_rows : null, labels, latents, new LatentProfileOptions { Strongest = 3, Neighbours = 4, Background = images ? background : [] });
        Assert.Equal(latents, profiles.Select(p => p.Latent));
        foreach (LatentProfile p in profiles)
        {
            double[] a = [.. Enumerable.Range(0, all.Rows).Select(t => (double)all.Row(t)[p.Latent])];
            Assert.Equal(a.Count(v => v > 0), p.ActiveTokens);
            Assert.Equal(a.Where(v => v > 0).Average(), p.MeanActivation, 1e-9);
            Assert.Equal(a.Max(), p.MaxActivation);
            (int Image, double[] Values)[] groups = [.. images ? s_rows.Select((_, i) => (i, a.Where((_, t) => imageOf[t] == i).ToArray())) : a.Select((v, t) => (t, new[] { v }))];
            (int Image, double[] Values)[] strongest = [.. groups.Where(g => g.Values.Sum() > 0).OrderByDescending(g => g.Values.Average()).ThenBy(g => g.Image).Take(3)];
            Assert.Equal(strongest.Select(g => g.Image), p.Strongest.Select(s => s.Image));
            Assert.Equal(strongest[0].Values.Select(v => (float)v), p.Strongest[0].Tokens);
            Assert.Equal(strongest[0].Values.Average(), p.Strongest[0].Mean, 1e-9);
            if (images) Assert.Equal(groups.Where(g => g.Values.Sum() > 0).Average(g => Math.Pow(g.Values.Sum(), 2) / g.Values.Length / g.Values.Sum(v => v * v)), p.Coverage, 1e-9);
            else Assert.True(double.IsNaN(p.Coverage));
            CheckClasses(p, labels is null ? null : tokenLabels ? [.. a.Select((v, t) => (tokenClass[t], new[] { v }))] : [.. groups.Select(g => (s_labels[g.Image], g.Values))]);
            CheckNeighbours(model, all, p);
            CheckBackground(p, images ? groups : [], background);
        }
    }

    private static void CheckClasses(LatentProfile p, (string Class, double[] Values)[]? units)
    {
        if (units is null)
        {
            Assert.Empty(p.Classes);
            return;
        }
        Assert.Equal(["a", "b"], p.Classes.Select(c => c.Class));
        foreach (ClassActivity c in p.Classes)
        {
            (string Class, double[] Values)[] own = [.. units.Where(u => u.Class == c.Class)];
            double[] means = [.. own.Select(u => u.Values.Length > 0 ? u.Values.Average() : 0)], values = [.. own.SelectMany(u => u.Values)];
            Assert.Equal(own.Length, c.Images);
            Assert.Equal(means.Average(), c.Mean, 1e-9);
            Assert.Equal(Math.Sqrt(means.Sum(m => Math.Pow(m - means.Average(), 2)) / (means.Length - 1) / means.Length), c.StandardError, 1e-7);
            Assert.Equal(means.Count(m => m > 0) / (double)means.Length, c.ActiveImages, 1e-12);
            Assert.Equal(values.Count(v => v > 0) / (double)values.Length, c.ActiveTokens, 1e-12);
        }
    }

    private static void CheckNeighbours(SaeModel model, Matrix<float> all, LatentProfile p)
    {
        bool Active(int token, int latent) => all.Row(token)[latent] > 0;
        int[] tokens = [.. Enumerable.Range(0, all.Rows)];
        LatentNeighbour[] expected = [.. Enumerable.Range(0, all.Columns).Where(j => j != p.Latent && tokens.Any(t => Active(t, j) && Active(t, p.Latent)))
            .Select(j => new LatentNeighbour(j, tokens.Count(t => Active(t, j) && Active(t, p.Latent)) / (double)tokens.Count(t => Active(t, j) || Active(t, p.Latent))))
            .OrderByDescending(n => n.Value).ThenBy(n => n.Latent).Take(4)];
        Assert.Equal(expected, p.ByActivity);
        Assert.Equal(4, p.ByDirection.Count);
        float[] decoder = model.Decoder.ToArray();
        int d = model.InputWidth;
        double Cosine(int i, int j) => Enumerable.Range(0, d).Sum(k => (double)decoder[i * d + k] * decoder[j * d + k]);
        Assert.Equal(Enumerable.Range(0, model.Latents).Where(j => j != p.Latent).Max(j => Cosine(p.Latent, j)), p.ByDirection[0].Value, 1e-5);
    }

    private static void CheckBackground(LatentProfile p, (int Image, double[] Values)[] groups, Dictionary<int, float[]> background)
    {
        // The mask of image 5 has one value for 80 tokens: it cannot be meant.
        (int Image, double[] Values)[] known = [.. groups.Where(g => g.Image is 0 or 4 && g.Values.Sum() > 0)];
        if (known.Length == 0)
        {
            Assert.Null(p.Background);
            return;
        }
        double total = known.Sum(g => g.Values.Sum());
        Assert.Equal(known.Sum(g => g.Values.Select((v, t) => v * background[g.Image][t]).Sum()) / total, p.Background!.Share, 1e-9);
        Assert.Equal(known.Sum(g => g.Values.Sum() * background[g.Image].Average()) / total, p.Background.Even, 1e-7);
        Assert.Equal(known.Length, p.Background.Images);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using CpuDevice device = new(1);
        using SaeModel model = Model(device);
        using ITokenSource source = TokenSource.From(Tokens(device, 20));
        Assert.Throws<UsageException>(() => LatentProfiles.Measure(model, source, null, null, [16]));
        Assert.Throws<UsageException>(() => LatentProfiles.Measure(model, source, null, null, [-1]));
        Assert.Throws<ArgumentException>(() => LatentProfiles.Measure(model, source, [5, 5], null, [1]));
        Assert.Throws<DataException>(() => LatentProfiles.Measure(model, source, null, ["a"], [1]));
        Assert.Empty(LatentProfiles.Measure(model, source, null, null, []));
    }

    /// <summary>The rank on k components, found from singular values alone, is that of the coordinates on the components.</summary>
    [Theory]
    [InlineData(40, 12, 5)]
    [InlineData(12, 40, 5)]
    [InlineData(30, 8, 100)]
    public void Ranks_on_components_are_those_of_the_coordinates(int rows, int columns, int components)
    {
        using CpuDevice device = new(1);
        using Matrix<double> x = Random(device, rows, columns), copy = Random(device, rows, columns);
        int k = Math.Min(components, Math.Min(rows - 1, columns));
        (double all, double leading) = Expected(copy, k);
        for (int i = 0; i < rows; i++)
        {
            double length = Math.Sqrt(copy.Row(i).ToArray().Sum(v => v * v));
            for (int j = 0; j < columns; j++) copy.Row(i)[j] /= length;
        }
        for (int j = 0; j < columns; j++)
        {
            double[] column = [.. Enumerable.Range(0, rows).Select(i => copy.Row(i)[j])];
            double deviation = Math.Sqrt(column.Average(v => Math.Pow(v - column.Average(), 2)));
            for (int i = 0; i < rows; i++) copy.Row(i)[j] = (column[i] - column.Average()) / deviation;
        }
        double normed = Expected(copy, k).Leading;
        RepresentationRanks ranks = RepresentationGeometry.Ranks(x, components);
        Assert.Equal(all, ranks.Plain, 1e-9);
        Assert.Equal(leading, ranks.Components, 1e-6);
        Assert.Equal(normed, ranks.NormedComponents, 1e-6);
    }

    private static (double All, double Leading) Expected(Matrix<double> x, int components)
    {
        using Pca pca = Pca.Fit(x, components);
        using Matrix<double> scores = pca.Transform(x);
        return (EffectiveRank.Measure(x, centre: true).Value, EffectiveRank.Measure(scores, centre: true).Value);
    }

    private static Matrix<double> Random(CpuDevice device, int rows, int columns)
    {
        CounterRandom random = new(5);
        Matrix<double> x = device.AllocateMatrix<double>(rows, columns);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) x.Row(i)[j] = random.NextNormal() * (j + 1) + 0.5 * j;
        return x;
    }

    private static SaeModel Model(CpuDevice device)
    {
        SaeModel model = SaeModel.Create(device, new SaeConfig { Architecture = SaeArchitecture.Relu, Latents = 16, InitialScale = 0.5 }, 6, seed: 4);
        model.Usage.CopyFrom([.. Enumerable.Repeat(0.1f, 16)]);
        return model;
    }

    private static Matrix<float> Tokens(CpuDevice device, int rows)
    {
        CounterRandom random = new(9);
        Matrix<float> tokens = device.AllocateMatrix<float>(rows, 6);
        foreach (ref float v in tokens.Buffer.View.Host) v = (float)random.NextNormal();
        return tokens;
    }
}
