using System.Text.Json.Nodes;
using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Imaging.Tests.CohortGeneration;

public sealed class CohortTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void The_same_seed_gives_the_same_bytes_on_any_number_of_threads()
    {
        CohortOptions options = new() { ImageCells = 40, RnaCells = 30, ImageSize = 48 };
        using CpuDevice one = new(1);
        using Cohort a = Cohort.Generate(options, one), b = Cohort.Generate(options, _device), other = Cohort.Generate(options with { Seed = 43 }, _device);
        for (int i = 0; i < 40; i++) Assert.True(a.Image(i).Span.SequenceEqual(b.Image(i).Span));
        Assert.True(a.Counts.Buffer.View.Host.SequenceEqual(b.Counts.Buffer.View.Host));
        Assert.True(a.ImageCells.Concepts.Buffer.View.Host.SequenceEqual(b.ImageCells.Concepts.Buffer.View.Host));
        Assert.Equal(a.RnaCells.DeathRate, b.RnaCells.DeathRate);
        Assert.False(a.Image(3).Span.SequenceEqual(other.Image(3).Span));
    }

    [Fact]
    public void A_longer_cohort_begins_with_the_shorter_one_and_pictures_can_be_drawn_on_demand()
    {
        CohortOptions options = new() { ImageCells = 12, RnaCells = 5, ImageSize = 40 };
        using Cohort small = Cohort.Generate(options, _device), large = Cohort.Generate(options with { ImageCells = 30, RnaCells = 11, HoldImages = false }, _device);
        for (int i = 0; i < 12; i++) Assert.True(small.Image(i).Span.SequenceEqual(large.Image(i).Span));
        for (int i = 0; i < 5; i++) Assert.True(small.Counts.Row(i).SequenceEqual(large.Counts.Row(i)));
        Assert.Equal(small.ImageCells.Labels, large.ImageCells.Labels[..12]);
    }

    [Fact]
    public void Classes_and_concepts_follow_the_stated_distributions()
    {
        const int Cells = 6000;
        using Cohort cohort = Cohort.Generate(new CohortOptions { ImageCells = Cells, RnaCells = 1, HoldImages = false }, _device);
        for (int c = 0; c < 4; c++)
        {
            int[] members = [.. Enumerable.Range(0, Cells).Where(i => cohort.ImageCells.Labels[i] == c)];
            Assert.InRange(members.Length, CohortModel.ClassShares[c] * Cells - 4, CohortModel.ClassShares[c] * Cells + 4);
            for (int j = 0; j < CohortNames.ConceptCount; j++)
            {
                double active = members.Count(i => cohort.ImageCells.Concepts.Row(i)[j] > 0) / (double)members.Length;
                double mean = members.Average(i => cohort.ImageCells.Concepts.Row(i)[j]), p = CohortModel.Activation(c, j);
                // Five standard errors of a share and of a mean of values in [0, 1].
                Assert.InRange(active, p - 5 * Math.Sqrt(p * (1 - p) / members.Length), p + 5 * Math.Sqrt(p * (1 - p) / members.Length));
                Assert.InRange(mean - CohortModel.ExpectedIntensity(c, j), -2.5 / Math.Sqrt(members.Length), 2.5 / Math.Sqrt(members.Length));
            }
        }
        Assert.All(cohort.ImageCells.Concepts.Buffer.View.Host.ToArray(), v => Assert.InRange(v, 0, 1));
    }

    [Fact]
    public void Classes_lie_at_clearly_different_distances_so_that_no_mirrored_alignment_fits()
    {
        List<double> distances = [];
        for (int a = 0; a < 4; a++)
        {
            for (int b = a + 1; b < 4; b++)
            {
                double square = 0;
                for (int j = 0; j < CohortNames.ConceptCount; j++) square += Math.Pow(CohortModel.ExpectedIntensity(a, j) - CohortModel.ExpectedIntensity(b, j), 2);
                distances.Add(Math.Sqrt(square));
            }
        }
        Assert.True(distances.Max() > 1.4 * distances.Min(), string.Join(", ", distances));
        // Every relabelling of the classes other than the identity distorts the distances.
        double[,] d = new double[4, 4];
        int next = 0;
        for (int a = 0; a < 4; a++) for (int b = a + 1; b < 4; b++) d[a, b] = d[b, a] = distances[next++];
        foreach (int[] p in Permutations([0, 1, 2, 3]).Skip(1))
        {
            double distortion = 0;
            for (int a = 0; a < 4; a++) for (int b = 0; b < 4; b++) distortion += Math.Pow(d[a, b] - d[p[a], p[b]], 2);
            Assert.True(distortion > 0.05, $"{string.Join(",", p)}: {distortion}");
        }
    }

    [Fact]
    public void Death_rate_is_the_stated_function_of_the_concepts_plus_noise()
    {
        using Cohort cohort = Cohort.Generate(new CohortOptions { ImageCells = 4000, RnaCells = 1, HoldImages = false }, _device);
        double[] noise = new double[4000];
        for (int i = 0; i < noise.Length; i++)
        {
            double rate = cohort.ImageCells.DeathRate[i], expected = CohortModel.ExpectedDeathRate(cohort.ImageCells.Concepts.Row(i));
            noise[i] = Math.Log(rate / (1 - rate)) - Math.Log(expected / (1 - expected));
        }
        double mean = noise.Average(), deviation = Math.Sqrt(noise.Average(v => v * v) - mean * mean);
        Assert.InRange(mean, -0.03, 0.03);
        Assert.InRange(deviation, 0.95 * CohortModel.DeathNoise, 1.05 * CohortModel.DeathNoise);
        double snca = Mean(cohort, 1), control = Mean(cohort, 0);
        Assert.True(snca > 3 * control, $"SNCA {snca}, Control {control}");
    }

    [Fact]
    public void Counts_are_negative_binomial_with_the_stated_mean_and_variance()
    {
        CounterRandom random = new(7);
        foreach ((double mean, double dispersion) in ((double, double)[])[(0.4, 2), (6, 4), (80, 5)])
        {
            const int Draws = 40000;
            double sum = 0, square = 0;
            for (int i = 0; i < Draws; i++)
            {
                double count = TranscriptomeModel.DrawCount(ref random, mean, dispersion);
                sum += count;
                square += count * count;
            }
            double variance = mean + mean * mean / dispersion, observed = square / Draws - sum / Draws * (sum / Draws);
            Assert.InRange(sum / Draws, mean - 5 * Math.Sqrt(variance / Draws), mean + 5 * Math.Sqrt(variance / Draws));
            Assert.InRange(observed, 0.93 * variance, 1.07 * variance);
        }
    }

    [Fact]
    public void A_concept_raises_its_own_gene_programme()
    {
        using Cohort cohort = Cohort.Generate(new CohortOptions { ImageCells = 1, RnaCells = 800, ImageSize = 32 }, _device);
        string[] genes = [.. cohort.Genes];
        Assert.Equal(genes.Length, genes.Distinct().Count());
        foreach (GeneProgramme programme in cohort.Programmes)
        {
            Assert.InRange(programme.Genes.Count, 10, 30);
            int[] columns = [.. programme.Genes.Select(g => Array.IndexOf(genes, g))];
            Assert.DoesNotContain(-1, columns);
            double on = 0, off = 0, cellsOn = 0, cellsOff = 0;
            for (int i = 0; i < 800; i++)
            {
                ReadOnlySpan<float> row = cohort.Counts.Row(i);
                double score = 0;
                foreach (int column in columns) score += Math.Log(1 + row[column] / cohort.LibrarySizes[i]);
                bool active = cohort.RnaCells.Concepts.Row(i)[(int)programme.Concept] > 0;
                if (active) (on, cellsOn) = (on + score, cellsOn + 1);
                else (off, cellsOff) = (off + score, cellsOff + 1);
            }
            Assert.True(on / cellsOn > 1.2 * off / cellsOff, programme.Name);
        }
    }

    [Fact]
    public void The_truth_is_written_and_can_be_read_back()
    {
        string folder = Directory.CreateTempSubdirectory("biosup-cohort-").FullName;
        try
        {
            using Cohort cohort = Cohort.Generate(new CohortOptions { ImageCells = 9, RnaCells = 7, ImageSize = 32 }, _device);
            CohortWriter.Write(cohort, folder);
            Table cells = CsvFile.Read(Path.Combine(folder, "image_cells.csv"));
            Assert.Equal(cohort.ImageCells.ClassNames, cells["class"].Text);
            Assert.Equal(cohort.ImageCells.DeathRate, cells["death_rate"].Numbers);
            using Matrix<float> counts = MatrixReader.ReadSingle(_device, Path.Combine(folder, "rna.h5ad") + ":X");
            Assert.True(counts.Buffer.View.Host.SequenceEqual(cohort.Counts.Buffer.View.Host));
            Assert.Equal(cohort.RnaCells.ClassNames, ColumnReader.Read(Path.Combine(folder, "rna.h5ad") + ":obs/class").Text);
            JsonNode truth = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "truth.json")))!;
            Assert.Equal(CohortNames.ConceptCount, truth["concepts"]!.AsArray().Count);
            Assert.Equal(CohortNames.ConceptCount, File.ReadAllLines(Path.Combine(folder, "programmes.gmt")).Length);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Options_out_of_range_are_refused_in_a_sentence()
    {
        Assert.Contains("at least one imaged cell", Assert.Throws<UsageException>(() => Cohort.Generate(new CohortOptions { ImageCells = 0 }, _device)).Message);
        Assert.Contains("32 to 512", Assert.Throws<UsageException>(() => Cohort.Generate(new CohortOptions { ImageSize = 16 }, _device)).Message);
        using CancellationTokenSource stop = new();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => Cohort.Generate(CohortOptions.Small, _device, null, stop.Token));
    }

    public void Dispose() => _device.Dispose();

    private static double Mean(Cohort cohort, int label) =>
        Enumerable.Range(0, cohort.ImageCells.Count).Where(i => cohort.ImageCells.Labels[i] == label).Average(i => cohort.ImageCells.DeathRate[i]);

    private static IEnumerable<int[]> Permutations(int[] items)
    {
        if (items.Length == 1) return [items];
        return items.SelectMany(first => Permutations([.. items.Where(i => i != first)]).Select(rest => (int[])[first, .. rest]));
    }
}
