using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

/// <summary>Expected figures come from tests/golden/imaging/make_imaging_golden.py (NumPy, SciPy, PyTorch).</summary>
public sealed class PatchTests
{
    private const int Height = 23, Width = 31;

    private static float[] Formula() => [.. Enumerable.Range(0, Height * Width).Select(i => (float)((i % Width * 7919 + i / Width * 104729 + i % Width * (i / Width) * 31) % 65536))];

    private static double Relative(double expected, double actual) => Math.Abs(actual / expected - 1);

    [Fact]
    public void Laplacian_variance_and_quantiles_match_scipy_and_numpy()
    {
        Assert.InRange(Relative(6839370333.95084, PatchQuality.LaplacianVariance(Formula(), Height, Width)), 0, 1e-12);
        Assert.Equal(6507.0, PatchQuality.Quantile(Formula(), 0.10));
        Assert.Equal(33043.0, PatchQuality.Quantile(Formula(), 0.5));
        Assert.InRange(Relative(65254.75999999999, PatchQuality.Quantile(Formula(), 0.995)), 0, 1e-14);
        float[] same = [3, 3, 3, 3, 3];
        Assert.Equal(3, PatchQuality.Quantile(same, 0.4));
        Assert.Equal(0, PatchQuality.LaplacianVariance(same, 1, 5));
    }

    [Fact]
    public void Quantile_is_the_sorted_one_for_any_order_and_any_ties()
    {
        CounterRandom random = new(5);
        for (int trial = 0; trial < 300; trial++)
        {
            float[] values = new float[1 + random.NextInt32(60)];
            for (int i = 0; i < values.Length; i++) values[i] = random.NextInt32(1 + trial % 20);
            double p = random.NextDouble(), position = p * (values.Length - 1);
            float[] sorted = [.. values.Order()];
            double low = sorted[(int)position], high = sorted[Math.Min((int)position + 1, sorted.Length - 1)];
            Assert.Equal(low + (high - low) * (position - (int)position), PatchQuality.Quantile(values, p), 12);
        }
    }

    [Fact]
    public void Figures_of_a_patch_match_numpy()
    {
        float[] image = Formula();
        float[] pixels = [.. image, .. image.Select(v => MathF.Floor(v / 4)), .. image.Select(v => v % 600)];
        PatchFigures figures = new PatchQuality().Measure(new ImageStack("formula", 3, Height, Width, pixels, 65535), 5, 3, 16);
        Assert.InRange(Relative(23824.839564201215, figures.StdSum), 0, 1e-12);
        Assert.InRange(Relative(6570095714.53125, figures.LaplacianVariance), 0, 1e-12);
        Assert.Equal(0.1640625, figures.Background);
    }

    [Fact]
    public void Empty_patches_are_background_and_eight_bit_images_count_257_a_level()
    {
        PatchFigures flat = new PatchQuality().Measure(new ImageStack("flat", 1, 8, 8, new float[64], 255), 0, 0, 8);
        Assert.Equal(new PatchFigures(0, 0, 1), flat);
        ImageStack eight = TestImages.Noise(1, 16, 16, 255);
        ImageStack sixteen = new("sixteen", 1, 16, 16, [.. eight.Pixels.Select(v => v * 257)], 65535);
        Assert.Equal(new PatchQuality().Measure(sixteen, 0, 0, 16), new PatchQuality().Measure(eight, 0, 0, 16));
    }

    [Fact]
    public void The_first_threshold_that_fails_is_the_reason()
    {
        Assert.Equal(PatchVerdict.LowContrast, PatchFilter.Paper.Judge(new PatchFigures(3499, 0, 1)));
        Assert.Equal(PatchVerdict.OutOfFocus, PatchFilter.Paper.Judge(new PatchFigures(3500, 49999, 1)));
        Assert.Equal(PatchVerdict.MostlyBackground, PatchFilter.Paper.Judge(new PatchFigures(3500, 50000, 0.66)));
        Assert.Equal(PatchVerdict.Kept, PatchFilter.Paper.Judge(new PatchFigures(3500, 50000, 0.65)));
        Assert.Equal(PatchVerdict.Kept, PatchFilter.None.Judge(new PatchFigures(0, 0, 1)));
        Assert.Throws<UsageException>(() => new PatchFilter(MaxBackground: 1.5).Validate());
        Assert.Throws<UsageException>(() => new PatchFilter(MinStdSum: double.NaN).Validate());
    }

    [Fact]
    public void Standardisation_uses_the_unbiased_deviation_and_never_divides_by_less_than_a_hundredth()
    {
        float[] values = [.. Formula().Select(v => v / 65535)];
        InputScaling.PerPatch.Apply(values, 0);
        Assert.Equal(-1.3163572025774457, values[1], 5);
        Assert.Equal(0, values.Average(v => (double)v), 5);
        Assert.Equal(1, values.Sum(v => (double)v * v) / (values.Length - 1), 5);
        float[] faint = [0.5f, 0.501f, 0.499f];
        InputScaling.PerPatch.Apply(faint, 0);
        Assert.Equal(0.1, faint[1], 4);
        float[] red = [1f];
        InputScaling.ImageNet.Apply(red, 2);
        Assert.Equal((1 - 0.406) / 0.225, red[0], 5);
        Assert.Throws<UsageException>(() => InputScaling.Parse("zscore"));
        Assert.Throws<UsageException>(() => InputScaling.ImageNet.RequireChannels(2));
    }

    [Fact]
    public void Resampling_matches_pytorch_both_ways()
    {
        float[] squares = [.. Enumerable.Range(0, 25).Select(i => (float)(i * i))];
        float[] large = new float[64], small = new float[9];
        new Resampler(5, 8).Apply(squares, large);
        float[] firstRow = [0.0f, 0.4375f, 1.1875f, 3.0625f, 5.5625f, 8.6875f, 12.9375f, 16.0f], lastRow = [400.0f, 417.9375f, 443.6875f, 470.5625f, 498.0625f, 526.1875f, 555.4375f, 576.0f];
        Assert.Equal(firstRow, large[..8]);
        Assert.Equal(lastRow, large[56..]);
        Assert.Equal([10.9375f, 13.2890625f], large[8..10]);
        new Resampler(5, 3).Apply(squares, small);
        double[] expected = [12.979591837, 23.73015873, 39.020408163, 120.111111111, 155.555555556, 195.53968254, 340.734693878, 400.873015873, 465.551020408];
        for (int i = 0; i < 9; i++) Assert.InRange(Relative(expected[i], small[i]), 0, 4 * 5.96e-8);
    }

    [Fact]
    public void The_grid_covers_what_fits()
    {
        ImageStack image = new("field", 1, 904, 1224, new float[904 * 1224], 65535);
        Assert.Equal(234, new PatchGrid(128, 64).Corners(image).Count);
        Assert.Equal([(0, 0), (128, 0)], new PatchGrid(128, 128).Corners(image).Take(2));
        Assert.Contains("smaller than a patch", Assert.Throws<DataException>(() => new PatchGrid(1000, 1).Corners(image)).Message);
    }

    [Fact]
    public void A_plan_keeps_what_passes_counts_the_rest_and_reads_the_pixels_again()
    {
        using TemporaryFolder folder = new();
        using CpuDevice device = new(2);
        float[] pixels = new float[2 * 32 * 48];
        for (int c = 0; c < 2; c++)
            for (int y = 0; y < 16; y++)
                for (int x = 0; x < 16; x++) pixels[(c * 32 + y + 16) * 48 + x + 16] = (x + y) % 2 * (20000 + 10000 * c);
        TestImages.WriteTiff(folder.File("a.tif"), new ImageStack("a", 2, 32, 48, pixels, 65535));
        TestImages.WriteTiff(folder.File("b.tif"), TestImages.Noise(2, 16, 16, 65535));
        ImageSet set = ImageSet.Find([folder.Path]);
        PatchPlan plan = PatchPlan.Survey(device, set, new PatchGrid(16, 16), PatchFilter.Paper, SilentProgress.Instance, default);
        Assert.Equal([(0, 16, 16), (1, 0, 0)], plan.Patches.Select(patch => (patch.Field, patch.X, patch.Y)));
        Assert.Equal((2, 5), (plan.Counts[PatchVerdict.Kept], plan.Counts[PatchVerdict.LowContrast]));
        Assert.Equal(["a_x16_y16", "b_x0_y0"], plan.Patches.Select(plan.IdOf));
        PatchPreparation preparation = new(device, 16, 16, 2, InputScaling.UnitRange);
        using Matrix<float> input = device.AllocateMatrix<float>(2, preparation.InputLength);
        preparation.Fill(plan.Batches(null, 8, default).Single(), input.View);
        for (int y = 0; y < 16; y++)
            for (int x = 0; x < 16; x++) Assert.Equal((x + y) % 2 * 30000 / 65535f, input.Row(0)[256 + y * 16 + x], 6);
        TestImages.WriteTiff(folder.File("c.tif"), TestImages.Noise(1, 16, 16, 65535));
        Assert.Contains("c.tif", Assert.Throws<DataException>(() => PatchPlan.Survey(device, ImageSet.Find([folder.Path]), new PatchGrid(16, 16), PatchFilter.None, SilentProgress.Instance, default)).Message);
        DataException none = Assert.Throws<DataException>(() => PatchPlan.Survey(device, ImageSet.Find([folder.File("c.tif")]), new PatchGrid(16, 16), new PatchFilter(1e9), SilentProgress.Instance, default));
        Assert.Contains("1 of low contrast", none.Message);
    }
}
