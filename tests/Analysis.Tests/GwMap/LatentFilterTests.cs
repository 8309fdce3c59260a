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
    public void Too_few_latents_are_refused_with_the_filter_that_took_them()
    {
        string message = Assert.Throws<DataException>(() => LatentFilter.Select(_latents, _labels, new LatentFilterOptions { MinLog2FoldChange = 9 })).Message;
        Assert.Contains("0 of 6 latents pass the filters (5 alive, 4 of them varying, 0 of them differing between labels)", message, StringComparison.Ordinal);
    }
}
