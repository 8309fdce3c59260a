using System.Collections.Concurrent;
using BioSup.Runtime;

namespace BioSup.Imaging.Tests;

/// <summary>Reading ahead changes neither what is handed out nor which error comes first, and never holds more than it may.</summary>
public sealed class FieldReaderTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Fields_come_in_order_and_no_more_are_read_ahead_than_threads(int threads)
    {
        int taken = 0, most = 0, started = 0;
        ImageSet images = Set(40, i =>
        {
            int ahead = Interlocked.Increment(ref started) - Volatile.Read(ref taken);
            InterlockedMax(ref most, ahead);
            // Later fields are often ready first.
            Thread.Sleep((i * 7) % 5);
        });
        int[] order = [.. Enumerable.Range(0, 40).Where(i => i % 3 != 1)];
        using FieldReader reader = new(images, order, threads);
        foreach (int field in order)
        {
            Assert.Equal($"field{field}", reader.Next(default).Name);
            Interlocked.Increment(ref taken);
        }
        Assert.Equal(order.Length, started);
        // One that is being waited for, and as many as there are threads beside it.
        Assert.InRange(most, 1, threads == 1 ? 1 : threads + 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void The_first_error_in_order_is_the_one_that_is_seen(int threads)
    {
        ImageSet images = Set(10, i =>
        {
            if (i == 4) Thread.Sleep(30);
            if (i >= 4) throw new DataException($"field{i}.tif", null, "is damaged");
        });
        using FieldReader reader = new(images, [.. Enumerable.Range(0, 10)], threads);
        for (int i = 0; i < 4; i++) reader.Next(default);
        Assert.StartsWith("field4.tif", Assert.Throws<DataException>(() => reader.Next(default)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Large_fields_are_read_one_ahead_and_leaving_early_waits_for_the_reads_in_progress()
    {
        ConcurrentBag<int> running = [];
        int done = 0;
        float[] untouched = GC.AllocateUninitializedArray<float>(12_000 * 12_000);
        // 1 x 12,000 x 12,000 floats are more than the memory for fields that wait; only the extents of these count here.
        ImageSet images = ImageSet.From(Enumerable.Range(0, 6).Select(i => ($"field{i}", (Func<ImageStack>)(() =>
        {
            running.Add(i);
            Thread.Sleep(20);
            Interlocked.Increment(ref done);
            return i == 0 ? new ImageStack("field0", 1, 12_000, 12_000, untouched, 1) : TestImages.Noise(1, 4, 4, 1);
        }))));
        using (FieldReader reader = new(images, [0, 1, 2, 3, 4, 5], 6)) reader.Next(default);
        Assert.Equal(2, running.Count);
        Assert.Equal(2, done);
        using CancellationTokenSource stop = new();
        stop.Cancel();
        using FieldReader cancelled = new(images, [1, 2], 2);
        Assert.Throws<OperationCanceledException>(() => cancelled.Next(stop.Token));
        Assert.Equal(2, running.Count);
    }

    private static ImageSet Set(int count, Action<int> read) => ImageSet.From(Enumerable.Range(0, count).Select(i => ($"field{i}", (Func<ImageStack>)(() =>
    {
        read(i);
        return TestImages.Noise(1, 8, 8, 255, (ulong)i) is var noise ? new ImageStack($"field{i}", 1, 8, 8, noise.Pixels, 255) : noise;
    }))));

    private static void InterlockedMax(ref int target, int value)
    {
        for (int seen = Volatile.Read(ref target); value > seen;) seen = Interlocked.CompareExchange(ref target, value, seen) is var old && old == seen ? value : Volatile.Read(ref target);
    }
}
