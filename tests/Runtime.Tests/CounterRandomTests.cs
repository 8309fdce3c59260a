namespace BioSup.Runtime.Tests;

public sealed class CounterRandomTests
{
    /// <summary>The known answers of philox4x32-10 distributed with Random123 (Salmon et al. 2011).</summary>
    [Theory]
    [InlineData(0ul, 0ul, 0ul, new[] { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u })]
    [InlineData(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, new[] { 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu })]
    [InlineData(0x299f31d0a4093822ul, 0x0370734413198a2eul, 0x85a308d3243f6a88ul, new[] { 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u })]
    public void Philox_gives_the_known_answers(ulong key, ulong stream, ulong position, uint[] expected)
    {
        CounterRandom random = new(key, stream, position);
        foreach (uint word in expected) Assert.Equal(word, random.NextUInt32());
    }

    [Fact]
    public void A_position_in_a_stream_is_the_same_however_it_is_reached()
    {
        CounterRandom walked = new(7, 3);
        for (int i = 0; i < 4 * 100; i++) walked.NextUInt32();
        CounterRandom jumped = new(7, 3, 100);
        for (int i = 0; i < 10; i++) Assert.Equal(jumped.NextUInt32(), walked.NextUInt32());
    }

    [Fact]
    public void Integers_are_uniform_and_inside_their_bound()
    {
        CounterRandom random = new(1);
        int[] counts = new int[7];
        for (int i = 0; i < 70_000; i++) counts[random.NextInt32(7)]++;
        // Five standard deviations of a binomial count.
        Assert.All(counts, n => Assert.InRange(n, 10_000 - 470, 10_000 + 470));
        Assert.Throws<ArgumentOutOfRangeException>(() => new CounterRandom(1).NextInt32(0));
    }

    [Fact]
    public void Normal_and_gamma_have_their_moments()
    {
        CounterRandom random = new(2);
        CheckMoments(Draw(ref random, 200_000, (ref CounterRandom r) => r.NextNormal()), 0, 1, 3);
        foreach (double shape in (double[])[0.4, 1, 9.5, 1e6])
            CheckMoments(Draw(ref random, 200_000, (ref CounterRandom r) => r.NextGamma(shape)), shape, shape, 3 + 6 / shape);
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(3)]
    [InlineData(29.9)]
    [InlineData(30.1)]
    [InlineData(150)]
    [InlineData(5_000)]
    [InlineData(3e7)]
    public void Poisson_has_mean_variance_and_shape_at_any_size(double mean)
    {
        CounterRandom random = new(3, (ulong)mean);
        double[] counts = Draw(ref random, 100_000, (ref CounterRandom r) => r.NextPoisson(mean));
        CheckMoments(counts, mean, mean, 3 + 1 / mean);
        // Probability of an even count is (1 + exp(-2 mean)) / 2: sees a bias of one that the moments would not.
        double even = counts.Count(c => c % 2 == 0) / (double)counts.Length, expected = (1 + Math.Exp(-2 * mean)) / 2;
        Assert.InRange(even, expected - 5 * 0.5 / Math.Sqrt(counts.Length), expected + 5 * 0.5 / Math.Sqrt(counts.Length));
    }

    [Theory]
    [InlineData(10, 0.3)]
    [InlineData(41, 0.02)]
    [InlineData(1000, 0.5)]
    [InlineData(100_000_000, 0.999)]
    public void Binomial_has_mean_and_variance(int trials, double probability)
    {
        CounterRandom random = new(4, (ulong)trials);
        double variance = trials * probability * (1 - probability);
        double[] counts = Draw(ref random, 100_000, (ref CounterRandom r) => r.NextBinomial(trials, probability));
        Assert.All(counts, c => Assert.InRange(c, 0, trials));
        CheckMoments(counts, trials * probability, variance, 3 + (1 - 6 * probability * (1 - probability)) / variance);
    }

    [Fact]
    public void Degenerate_and_impossible_parameters()
    {
        CounterRandom random = new(5);
        Assert.Equal(0, random.NextPoisson(0));
        Assert.Equal(0, random.NextBinomial(1000, 0));
        Assert.Equal(1000, random.NextBinomial(1000, 1));
        foreach (double bad in (double[])[-1, double.NaN, 1e300])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => new CounterRandom(1).NextPoisson(bad));
            Assert.Throws<ArgumentOutOfRangeException>(() => new CounterRandom(1).NextBinomial(3, bad));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new CounterRandom(1).NextGamma(0));
    }

    [Fact]
    public void Shuffle_keeps_the_items_and_reaches_every_order()
    {
        CounterRandom random = new(6);
        Dictionary<string, int> orders = [];
        for (int i = 0; i < 24_000; i++)
        {
            char[] items = ['a', 'b', 'c', 'd'];
            random.Shuffle<char>(items);
            string order = new(items);
            orders[order] = orders.GetValueOrDefault(order) + 1;
        }
        Assert.Equal(24, orders.Count);
        Assert.All(orders.Values, n => Assert.InRange(n, 1000 - 160, 1000 + 160));
    }

    private delegate double Sampler(ref CounterRandom random);

    private static double[] Draw(ref CounterRandom random, int count, Sampler sampler)
    {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) values[i] = sampler(ref random);
        return values;
    }

    /// <summary>Mean and variance within five standard errors; the variance's own standard error needs the distribution's kurtosis.</summary>
    private static void CheckMoments(double[] values, double mean, double variance, double kurtosis)
    {
        double sampleMean = values.Average(), sampleVariance = values.Sum(v => (v - mean) * (v - mean)) / values.Length;
        double meanError = Math.Sqrt(variance / values.Length), varianceError = variance * Math.Sqrt((kurtosis - 1) / values.Length);
        Assert.InRange(sampleMean, mean - 5 * meanError, mean + 5 * meanError);
        Assert.InRange(sampleVariance, variance - 5 * varianceError, variance + 5 * varianceError);
    }
}
