using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

public sealed class ConvolutionalDictionaryTests
{
    private const int Side = 48;
    private static readonly DictionaryOptions s_options = new() { Atoms = 9, Window = 6, Stride = 3, Cell = 12, Samples = 3000, Iterations = 12, Seed = 3 };

    private static Matrix<float> Images(CpuDevice device, int count)
    {
        PatchPreparation preparation = new(device, Side, Side, 2, InputScaling.PerPatch);
        Matrix<float> images = device.AllocateMatrix<float>(count, preparation.InputLength);
        preparation.Fill([.. Enumerable.Range(0, count).Select(i => new PatchSource(TestImages.Discs($"{i}", 2, Side, Side, (ulong)i), 0, 0))], images.View);
        return images;
    }

    private static (float[] Centroids, float[] Features) LearnAndEncode(int threads)
    {
        using CpuDevice device = new(threads);
        using Matrix<float> images = Images(device, 12);
        using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, images, 2, Side, s_options, SilentProgress.Instance, default);
        FeatureMapShape shape = dictionary.Shape(Side);
        using Matrix<float> features = device.AllocateMatrix<float>(12 * shape.Tokens, shape.Channels);
        dictionary.Encode(images.View, Side, features.View);
        float[] centroids = new float[dictionary.Centroids.Rows * dictionary.Centroids.Columns], tokens = new float[features.Rows * features.Columns];
        for (int i = 0; i < dictionary.Atoms; i++) dictionary.Centroids.Row(i).CopyTo(centroids.AsSpan(i * dictionary.Centroids.Columns));
        features.Buffer.CopyTo(tokens);
        return (centroids, tokens);
    }

    [Fact]
    public void The_same_bytes_on_one_and_two_threads_and_again()
    {
        (float[] centroids, float[] features) = LearnAndEncode(1);
        foreach (int threads in (int[])[1, 2])
        {
            (float[] otherCentroids, float[] otherFeatures) = LearnAndEncode(threads);
            Assert.Equal(centroids, otherCentroids);
            Assert.Equal(features, otherFeatures);
        }
        Assert.All(features, value => Assert.True(float.IsFinite(value) && value >= 0));
        for (int atom = 0; atom < s_options.Atoms; atom++)
            Assert.True(Enumerable.Range(0, features.Length / s_options.Atoms).Any(row => features[row * s_options.Atoms + atom] > 0), $"atom {atom} is never active");
    }

    [Fact]
    public void Features_are_the_triangle_activations_of_the_windows_written_out()
    {
        using CpuDevice device = new(2);
        using Matrix<float> images = Images(device, 3);
        using ConvolutionalDictionary dictionary = ConvolutionalDictionary.Learn(device, images, 2, Side, s_options, SilentProgress.Instance, default);
        FeatureMapShape shape = dictionary.Shape(Side);
        Assert.Equal(new FeatureMapShape(4, 4, 9), shape);
        using Matrix<float> features = device.AllocateMatrix<float>(3 * shape.Tokens, shape.Channels);
        dictionary.Encode(images.View, Side, features.View);
        int positions = (Side - s_options.Window) / s_options.Stride + 1;
        for (int image = 0; image < 3; image++)
        {
            double[,] sums = new double[shape.Tokens, shape.Channels];
            int[] counts = new int[shape.Tokens];
            for (int py = 0; py < positions; py++)
                for (int px = 0; px < positions; px++)
                {
                    double[] z = Distances(dictionary, images.Row(image), py * s_options.Stride, px * s_options.Stride);
                    int cell = CellOf(py, positions, shape.Height) * shape.Width + CellOf(px, positions, shape.Width);
                    counts[cell]++;
                    for (int k = 0; k < z.Length; k++) sums[cell, k] += Math.Max(0, z.Average() - z[k]);
                }
            for (int cell = 0; cell < shape.Tokens; cell++)
                for (int k = 0; k < shape.Channels; k++)
                    Assert.Equal(sums[cell, k] / counts[cell], features.Row(image * shape.Tokens + cell)[k], 2e-4);
        }
    }

    [Fact]
    public void Whitening_gives_the_identity_covariance_up_to_its_epsilon()
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(8);
        using Matrix<float> samples = device.AllocateMatrix<float>(5000, 7);
        for (int i = 0; i < samples.Rows; i++)
        {
            double common = random.NextNormal();
            for (int j = 0; j < 7; j++) samples.Row(i)[j] = (float)(3 + (j + 1) * random.NextNormal() + 2 * common);
        }
        (float[] mean, Matrix<float> whitening) = Whitener.Fit(device, samples, 1e-9);
        using (whitening)
        {
            double[,] covariance = new double[7, 7];
            double[] white = new double[7];
            for (int i = 0; i < samples.Rows; i++)
            {
                for (int j = 0; j < 7; j++)
                {
                    white[j] = 0;
                    for (int k = 0; k < 7; k++) white[j] += (double)(samples.Row(i)[k] - mean[k]) * whitening.Row(k)[j];
                }
                for (int j = 0; j < 7; j++) for (int k = 0; k < 7; k++) covariance[j, k] += white[j] * white[k] / samples.Rows;
            }
            for (int j = 0; j < 7; j++)
                for (int k = 0; k < 7; k++)
                {
                    Assert.Equal(j == k ? 1 : 0, covariance[j, k], 1e-4);
                    Assert.Equal(whitening.Row(j)[k], whitening.Row(k)[j]);
                }
        }
    }

    [Fact]
    public void KMeans_finds_clusters_that_are_far_apart()
    {
        using CpuDevice device = new(2);
        CounterRandom random = new(4);
        using Matrix<float> samples = device.AllocateMatrix<float>(900, 3);
        for (int i = 0; i < 900; i++) for (int j = 0; j < 3; j++) samples.Row(i)[j] = (float)(100 * (i % 6 == j ? 1 : i % 6 == j + 3 ? -1 : 0) + random.NextNormal());
        using Matrix<float> centroids = KMeans.Fit(device, samples, 6, 50, 0, SilentProgress.Instance, default);
        using Matrix<int> index = device.AllocateMatrix<int>(900, 1);
        using Matrix<float> distance = device.AllocateMatrix<float>(900, 1);
        KNearestNeighbours.Search(DistanceMetric.SquaredEuclidean, samples.View, centroids.View, index.View, distance.View);
        Assert.Equal(6, Enumerable.Range(0, 6).Select(i => index.Row(i)[0]).Distinct().Count());
        for (int i = 0; i < 900; i++) Assert.Equal(index.Row(i % 6)[0], index.Row(i)[0]);
    }

    [Fact]
    public void Options_out_of_range_are_usage_errors()
    {
        using CpuDevice device = new(1);
        using Matrix<float> images = Images(device, 1);
        foreach (DictionaryOptions wrong in (DictionaryOptions[])[s_options with { Atoms = 1 }, s_options with { Window = 49 }, s_options with { Samples = 5 }, s_options with { WhiteningEpsilon = 0 }])
            Assert.Throws<UsageException>(() => ConvolutionalDictionary.Learn(device, images, 2, Side, wrong, SilentProgress.Instance, default));
    }

    [Fact]
    public void Constant_images_have_nothing_to_learn()
    {
        using CpuDevice device = new(1);
        using Matrix<float> images = device.AllocateMatrix<float>(3, 2 * Side * Side);
        Assert.Contains("nothing to learn", Assert.Throws<DataException>(() => ConvolutionalDictionary.Learn(device, images, 2, Side, s_options, SilentProgress.Instance, default)).Message);
    }

    private static int CellOf(int position, int positions, int cells) => Enumerable.Range(0, cells).First(cell => position < (cell + 1) * positions / cells);

    private static double[] Distances(ConvolutionalDictionary dictionary, ReadOnlySpan<float> image, int y, int x)
    {
        int side = dictionary.Window, length = dictionary.Centroids.Columns;
        double[] window = new double[length], white = new double[length], z = new double[dictionary.Atoms];
        for (int i = 0; i < length; i++) window[i] = image[(i / (side * side) * Side + y + i / side % side) * Side + x + i % side];
        double mean = window.Average(), variance = window.Average(v => v * v) - mean * mean;
        for (int i = 0; i < length; i++) window[i] = (window[i] - mean) / Math.Sqrt(variance + s_options.ContrastEpsilon) - dictionary.Windows.Mean[i];
        for (int j = 0; j < length; j++) for (int i = 0; i < length; i++) white[j] += window[i] * dictionary.Whitening.Row(i)[j];
        for (int k = 0; k < z.Length; k++) z[k] = Math.Sqrt(white.Select((v, j) => Math.Pow(v - dictionary.Centroids.Row(k)[j], 2)).Sum());
        return z;
    }
}
