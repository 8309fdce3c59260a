using BioSup.Analysis.Alignment;
using BioSup.Analysis.Sae;
using BioSup.Data;
using BioSup.Runtime;
using CsCheck;

namespace BioSup.Analysis.Tests.Sae;

public sealed class SaeStabilityTests
{
    /// <summary>Small assignments against every permutation.</summary>
    [Fact]
    public void TheAssignmentIsTheCheapestOfAll()
    {
        Gen.Select(Gen.Int[1, 6], Gen.Int[0, 2], Gen.Int[0, 1_000_000], Gen.Int[1, 40]).Sample((rows, extra, seed, levels) =>
        {
            int columns = rows + extra;
            CounterRandom random = new((ulong)seed, 1);
            double[] costs = new double[rows * columns];
            // Few levels give many ties.
            for (int i = 0; i < costs.Length; i++) costs[i] = Math.Floor(random.NextDouble() * levels) - levels / 2;
            int[] found = LinearAssignment.Minimise<double>(costs, rows, columns);
            Assert.Equal(rows, found.Distinct().Count());
            Assert.Equal(Least(costs, rows, columns, 0, new bool[columns]), found.Select((c, r) => costs[r * columns + c]).Sum(), 1e-9);
        }, iter: 400);
    }

    /// <summary>Complementary slackness needs no second solver: no exchange along a cycle of two or three rows, nor a move to a free column, is cheaper.</summary>
    [Theory]
    [InlineData(200, 200)]
    [InlineData(151, 307)]
    public void LargeAssignmentsCannotBeImproved(int rows, int columns)
    {
        CounterRandom random = new(7, 2);
        float[] costs = new float[rows * columns];
        for (int i = 0; i < costs.Length; i++) costs[i] = (float)random.NextDouble();
        int[] found = LinearAssignment.Minimise<float>(costs, rows, columns);
        Assert.Equal(rows, found.Distinct().Count());
        bool[] taken = new bool[columns];
        foreach (int column in found) taken[column] = true;
        double Cost(int row, int column) => costs[row * columns + column];
        for (int a = 0; a < rows; a++)
        {
            for (int j = 0; j < columns; j++) Assert.True(taken[j] || Cost(a, j) >= Cost(a, found[a]));
            for (int b = 0; b < rows; b++)
            {
                Assert.True(Cost(a, found[a]) + Cost(b, found[b]) <= Cost(a, found[b]) + Cost(b, found[a]) + 1e-12);
                for (int c = 0; c < rows; c += 17)
                    Assert.True(c == a || c == b || a == b || Cost(a, found[a]) + Cost(b, found[b]) + Cost(c, found[c]) <= Cost(a, found[b]) + Cost(b, found[c]) + Cost(c, found[a]) + 1e-12);
            }
        }
    }

    [Fact]
    public void AModelAgreesWithItsShuffledSelf()
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(3, 4);
        const int N = 700, D = 48;
        float[] rows = new float[N * D];
        for (int i = 0; i < rows.Length; i++) rows[i] = (float)random.NextNormal();
        int[] order = [.. Enumerable.Range(0, N)];
        random.Shuffle<int>(order);
        float[] shuffled = new float[N * D];
        for (int i = 0; i < N; i++)
            for (int k = 0; k < D; k++) shuffled[i * D + k] = 3 * rows[order[i] * D + k];
        using Matrix<float> a = Matrix<float>.From(device, N, D, rows), b = Matrix<float>.From(device, N, D, shuffled);
        SaeStability stability = SaeStability.Match(a, b);
        Assert.Equal(1, stability.MeanMatchedCosine, 1e-5);
        Assert.Equal(1, stability.FirstMeanMaxCosine, 1e-5);
        Assert.Equal(1, stability.SecondMeanMaxCosine, 1e-5);
        Assert.Equal(1, stability.ShareAbove09);
        Assert.All(stability.Pairs, pair => Assert.Equal(pair.First, order[pair.Second]));
    }

    /// <summary>Widths differ, either way round: the narrower one is matched completely and the report is the mirror image.</summary>
    [Fact]
    public void WidthsMayDiffer()
    {
        using CpuDevice device = new(1);
        using SaeModel narrow = Alive(device, 16, 24, 1), wide = Alive(device, 16, 40, 2);
        SaeStability there = SaeStability.Match(narrow, wide), back = SaeStability.Match(wide, narrow);
        Assert.Equal(24, there.Pairs.Count);
        Assert.Equal(there.FirstMeanMaxCosine, back.SecondMeanMaxCosine, 1e-9);
        Assert.Equal(there.SecondMeanMaxCosine, back.FirstMeanMaxCosine, 1e-9);
        Assert.Equal(MeanMaxCosine(narrow.Decoder, wide.Decoder), there.FirstMeanMaxCosine, 1e-6);
        Assert.Equal(MeanMaxCosine(wide.Decoder, narrow.Decoder), there.SecondMeanMaxCosine, 1e-6);
        Assert.Equal(there.MeanMatchedCosine, back.MeanMatchedCosine, 1e-9);
        Assert.True(there.FirstMeanMaxCosine >= there.MeanMatchedCosine);
        Assert.Equal(there.Pairs.Select(p => (p.First, p.Second)), back.Pairs.Select(p => (p.Second, p.First)).Order());
    }

    [Fact]
    public void DeadLatentsTakeNoPart()
    {
        using CpuDevice device = new(1);
        using SaeModel model = Alive(device, 8, 20, 1), other = Alive(device, 8, 20, 1);
        float[] usage = new float[20];
        Array.Fill(usage, 0.01f, 0, 12);
        model.Usage.CopyFrom(usage);
        SaeStability stability = SaeStability.Match(model, other);
        Assert.Equal((12, 20), (stability.FirstLatents, stability.SecondLatents));
        Assert.All(stability.Pairs, pair => Assert.Equal(pair.First, pair.Second));
        Array.Clear(usage);
        model.Usage.CopyFrom(usage);
        Assert.Contains("first", Assert.Throws<DataException>(() => SaeStability.Match(model, other)).Message, StringComparison.Ordinal);
        using SaeModel elsewhere = Alive(device, 9, 20, 1);
        Assert.Throws<DataException>(() => SaeStability.Match(model, elsewhere));
    }

    private static SaeModel Alive(CpuDevice device, int d, int latents, ulong seed)
    {
        SaeModel model = SaeModel.Create(device, d, latents, tied: true, scale: 0.02, seed);
        float[] usage = new float[latents];
        Array.Fill(usage, 0.01f);
        model.Usage.CopyFrom(usage);
        return model;
    }

    /// <summary>Mean over rows of the largest cosine with any of the others; all have unit length.</summary>
    private static double MeanMaxCosine(Matrix<float> rows, Matrix<float> others) => Enumerable.Range(0, rows.Rows).Average(i =>
        Enumerable.Range(0, others.Rows).Max(j => rows.Row(i).ToArray().Zip(others.Row(j).ToArray(), (a, b) => (double)a * b).Sum()));

    private static double Least(double[] costs, int rows, int columns, int row, bool[] taken)
    {
        if (row == rows) return 0;
        double best = double.PositiveInfinity;
        for (int j = 0; j < columns; j++)
        {
            if (taken[j]) continue;
            taken[j] = true;
            best = Math.Min(best, costs[row * columns + j] + Least(costs, rows, columns, row + 1, taken));
            taken[j] = false;
        }
        return best;
    }
}
