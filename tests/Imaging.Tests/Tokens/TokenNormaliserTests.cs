using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

public sealed class TokenNormaliserTests
{
    private static readonly FeatureMapShape s_shape = new(3, 4, 19);
    private const int Images = 7;

    private static Matrix<float> Features(CpuDevice device)
    {
        CounterRandom random = new(11);
        Matrix<float> features = device.AllocateMatrix<float>(Images * s_shape.Tokens, s_shape.Channels);
        foreach (ref float value in features.Buffer.View.Host) value = (float)(1.5 + 3 * random.NextNormal());
        return features;
    }

    /// <summary>The recipe written out in double: divide by ||gap||, subtract the centre, l2, divide by it.</summary>
    private static double[] Expected(Matrix<float> features, Func<int, double[][], double[]> centreOf)
    {
        int tokens = s_shape.Tokens, c = s_shape.Channels;
        double[][] scaled = [.. Enumerable.Range(0, features.Rows).Select(i => features.Row(i).ToArray().Select(v => (double)v).ToArray())];
        for (int image = 0; image < Images; image++)
        {
            double[] gap = Mean(scaled, image * tokens, tokens);
            double norm = Math.Sqrt(gap.Sum(v => v * v));
            for (int i = image * tokens; i < (image + 1) * tokens; i++) for (int j = 0; j < c; j++) scaled[i][j] /= norm;
        }
        double[][] centres = [.. Enumerable.Range(0, Images).Select(image => centreOf(image, scaled))];
        return [.. scaled.SelectMany((token, row) =>
        {
            double[] centred = [.. token.Select((v, j) => v - centres[row / tokens][j])];
            double norm = Math.Sqrt(centred.Sum(v => v * v));
            return centred.Select(v => v / norm);
        })];
    }

    private static double[] Mean(double[][] rows, int start, int count) =>
        [.. Enumerable.Range(0, rows[0].Length).Select(j => Enumerable.Range(start, count).Average(i => rows[i][j]))];

    [Theory]
    [InlineData(TokenCentring.Batch)]
    [InlineData(TokenCentring.Image)]
    [InlineData(TokenCentring.Fixed)]
    [InlineData(TokenCentring.None)]
    public void Every_centring_follows_the_recipe(TokenCentring centring)
    {
        float[] centre = [.. Enumerable.Range(0, s_shape.Channels).Select(i => 0.02f * i)];
        using CpuDevice device = new(2);
        using Matrix<float> features = Features(device);
        double[] expected = Expected(features, (image, scaled) => centring switch
        {
            TokenCentring.Batch => Mean(scaled, 0, scaled.Length),
            TokenCentring.Image => Mean(scaled, image * s_shape.Tokens, s_shape.Tokens),
            TokenCentring.Fixed => [.. centre.Select(v => (double)v)],
            _ => new double[s_shape.Channels],
        });
        using Matrix<float> gap = device.AllocateMatrix<float>(Images, s_shape.Channels);
        float[] norms = new float[features.Rows];
        TokenNormaliser.Pool(device, s_shape, features, gap, Images);
        double[][] raw = [.. Enumerable.Range(0, features.Rows).Select(i => features.Row(i).ToArray().Select(v => (double)v).ToArray())];
        for (int j = 0; j < s_shape.Channels; j++) Assert.Equal(Mean(raw, 2 * s_shape.Tokens, s_shape.Tokens)[j], gap.Row(2)[j], 1e-6);
        new TokenNormaliser(device, s_shape, centring, centring == TokenCentring.Fixed ? centre : null).Apply(features, gap, Images, norms);
        for (int i = 0; i < features.Rows; i++)
        {
            Assert.Equal(1, Math.Sqrt(features.Row(i).ToArray().Sum(v => (double)v * v)), 1e-6);
            Assert.True(norms[i] > 0);
            for (int j = 0; j < s_shape.Channels; j++) Assert.Equal(expected[i * s_shape.Channels + j], features.Row(i)[j], 2e-6);
        }
    }

    [Fact]
    public void The_fixed_centre_of_a_batch_is_its_batch_mean()
    {
        using CpuDevice device = new(1);
        using Matrix<float> a = Features(device), b = Features(device), gap = device.AllocateMatrix<float>(Images, s_shape.Channels);
        float[] norms = new float[a.Rows];
        TokenNormaliser.Pool(device, s_shape, a, gap, Images);
        float[] centre = [.. TokenNormaliser.MeanScaledGap(gap, Images).Select(v => (float)v)];
        new TokenNormaliser(device, s_shape, TokenCentring.Fixed, centre).Apply(a, gap, Images, norms);
        new TokenNormaliser(device, s_shape, TokenCentring.Batch).Apply(b, gap, Images, norms);
        Assert.True(a.Buffer.View.Host.SequenceEqual(b.Buffer.View.Host));
    }

    [Fact]
    public void Empty_maps_stay_zero()
    {
        using CpuDevice device = new(1);
        using Matrix<float> features = device.AllocateMatrix<float>(s_shape.Tokens, s_shape.Channels), gap = device.AllocateMatrix<float>(1, s_shape.Channels);
        float[] norms = new float[features.Rows];
        TokenNormaliser.Pool(device, s_shape, features, gap, 1);
        new TokenNormaliser(device, s_shape, TokenCentring.Image).Apply(features, gap, 1, norms);
        foreach (float value in features.Buffer.View.Host) Assert.Equal(0, value);
        Assert.All(norms, norm => Assert.Equal(0, norm));
    }
}
