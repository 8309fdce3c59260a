using BioSup.Analysis.GwMap;
using BioSup.Runtime;

namespace BioSup.Analysis.Tests.GwMap;

public sealed class LatentFilterTests : IDisposable
{
    private const int N = 90;
    private readonly CpuDevice _device = new(1);
    private readonly Matrix<float> _latents;
    private readonly string[] _labels = [.. Enumerable.Range(0, N).Select(i => "abc"[i % 3].ToString())];

    public LatentFilterTests()
    {
        CounterRandom random = new(5);
        _latents = _device.AllocateMatrix<float>(N, 6);
        for (int i = 0; i < N; i++)
        {
            Span<float> row = _latents.Row(i);
            row[0] = i == 0 ? 8e-4f : 0;                                                    // mean 8.9e-6: dead
            row[1] = (float)(5 + 0.1 * random.NextNormal());                                 // hardly varies
            row[2] = (float)(1 + 0.5 * random.NextDouble());                                 // varies, the same for all
            row[3] = (float)((_labels[i] == "b" ? 2 : 1) * (1 + 0.2 * random.NextDouble())); // twice as high in b
            row[4] = (float)((_labels[i] == "c" ? 1.2 : 1) * (1 + 0.4 * random.NextDouble())); // differs surely, but by less than 1.5
            row[5] = (float)((_labels[i] == "a" ? 0.2 : 1) * random.NextDouble());           // lower in a
        }
    }

    public void Dispose()
    {
        _latents.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Dead_constant_and_alike_latents_go_and_what_is_left_is_counted()
    {
        LatentSelection selection = LatentFilter.Select(_latents, _labels, new LatentFilterOptions());
        Assert.Equal([3, 5], selection.Kept);
        Assert.Equal((6, 5, 4), (selection.Total, selection.Alive, selection.Varying));
        Assert.Equal([2, 3, 4, 5], LatentFilter.Select(_latents, _labels, new LatentFilterOptions { Differential = false }).Kept);
        Assert.Equal([3, 4, 5], LatentFilter.Select(_latents, _labels, new LatentFilterOptions { MinLog2FoldChange = 0.1 }).Kept);
        Assert.Equal([0, 1, 2, 3, 4, 5], LatentFilter.Select(_latents, _labels, new LatentFilterOptions { DeadThreshold = 0, MinVariation = 0, Differential = false }).Kept);
    }

    [Fact]
    public void Bounds_are_themselves_dead_and_still_varying()
    {
        for (int i = 0; i < N; i++) (_latents.Row(i)[0], _latents.Row(i)[1]) = (0, i % 2 == 0 ? 0.5f : 1.5f);
        LatentFilterOptions all = new() { DeadThreshold = 0, MinVariation = 0, Differential = false };
        Assert.Equal([1, 2, 3, 4, 5], LatentFilter.Select(_latents, _labels, all).Kept);
        // Mean 1, deviation 1/2 with divisor n.
        Assert.Contains(1, LatentFilter.Select(_latents, _labels, all with { MinVariation = 0.5 }).Kept);
        Assert.DoesNotContain(1, LatentFilter.Select(_latents, _labels, all with { DeadThreshold = 1 }).Kept);
        Assert.Contains(1, LatentFilter.Select(_latents, _labels, all with { DeadThreshold = 0.999999 }).Kept);
    }

    [Fact]
    public void Latents_that_are_lower_in_a_label_differ_and_single_high_images_do_not_make_a_difference()
    {
        string[] labels = [.. Enumerable.Range(0, N).Select(i => i < 12 ? "few" : i % 2 == 0 ? "x" : "y")];
        CounterRandom random = new(6);
        for (int i = 0; i < N; i++)
        {
            Span<float> row = _latents.Row(i);
            // A tenth in twelve images: against all others a factor of ten down; the others hardly rise against a mean with these in it.
            row[0] = (float)((i < 12 ? 0.1 : 1) * (1 + 0.3 * random.NextDouble()));
            row[1] = (float)(i == 40 ? 200 : 1 + 0.3 * random.NextDouble());
            row[2] = (float)((labels[i] == "x" ? 3 : 1) * (1 + 0.3 * random.NextDouble()));
        }
        Assert.Equal([0, 2], LatentFilter.Select(_latents, labels, new LatentFilterOptions()).Kept);
        Assert.Equal([0, 1, 2], LatentFilter.Select(_latents, labels, new LatentFilterOptions { MaxAdjustedP = 1 }).Kept.Where(l => l < 3));
    }

    [Fact]
    public void Too_few_latents_are_refused_with_the_filter_that_took_them()
    {
        string message = Assert.Throws<DataException>(() => LatentFilter.Select(_latents, _labels, new LatentFilterOptions { MinLog2FoldChange = 9 })).Message;
        Assert.Contains("0 of 6 latents pass the filters (5 alive, 4 of them varying, 0 of them differing between labels)", message, StringComparison.Ordinal);
    }
}
