using System.Runtime.CompilerServices;

namespace BioSup.Runtime.Tests;

[Collection(nameof(MemoryTests))]
public sealed unsafe class MemoryTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void Buffers_are_aligned_and_zero()
    {
        foreach (long length in (long[])[0, 1, 3, 64, 1001])
        {
            using AlignedBuffer<float> buffer = new(_device, length);
            Assert.Equal(0u, (nuint)buffer.Pointer % AlignedBuffer<float>.Alignment);
            Assert.True(buffer.Span.IndexOfAnyExcept(0f) < 0);
            Assert.Equal(length, buffer.Length);
        }
    }

    [Fact]
    public void Memory_that_was_used_before_is_zero_again()
    {
        // Around the size from which large pages are asked for, and that from which the allocator gives memory back to the system.
        foreach (int length in (int[])[1000, 100_000, (1 << 20) - 1, 1 << 20, 3_000_001, 20_000_000])
            for (int round = 0; round < 3; round++)
            {
                using AlignedBuffer<float> buffer = new(_device, length);
                Assert.Equal(0u, (nuint)buffer.Pointer % AlignedBuffer<float>.Alignment);
                Assert.True(buffer.Span.IndexOfAnyExcept(0f) < 0, $"{length} elements, round {round}");
                buffer.Span.Fill(1);
            }
    }

    [Fact]
    public void Accounting_follows_buffers()
    {
        long before = MemoryAccounting.CurrentBytes;
        MemoryAccounting.ResetPeak();
        using (DeviceBuffer<double> a = _device.Allocate<double>(1000), b = _device.Allocate<double>(500))
        {
            Assert.Equal(before + 12_000, MemoryAccounting.CurrentBytes);
            a.Dispose();
            a.Dispose();
            Assert.Equal(before + 4_000, MemoryAccounting.CurrentBytes);
        }
        Assert.Equal(before, MemoryAccounting.CurrentBytes);
        Assert.True(MemoryAccounting.PeakBytes >= before + 12_000);
    }

    [Fact]
    public void A_forgotten_buffer_is_released_by_its_finalizer()
    {
        long before = MemoryAccounting.CurrentBytes;
        Forget(_device);
        for (int i = 0; i < 20 && MemoryAccounting.CurrentBytes > before; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.Equal(before, MemoryAccounting.CurrentBytes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget(CpuDevice device) => device.Allocate<double>(100_000);

    [Fact]
    public void A_disposed_buffer_gives_no_view()
    {
        DeviceBuffer<int> buffer = _device.Allocate<int>(4);
        buffer.Dispose();
        Assert.True(buffer.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => _ = buffer.View.Length);
        Assert.Throws<ObjectDisposedException>(() => buffer.CopyTo(new int[4]));
        Assert.Throws<ObjectDisposedException>(() => buffer.CopyFrom(new int[4]));
        Assert.Throws<ObjectDisposedException>(buffer.Clear);
    }

    [Fact]
    public void Impossible_sizes_are_errors_and_not_crashes()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => _device.Allocate<float>(-1));
        Assert.Throws<OverflowException>(() => _device.Allocate<double>(long.MaxValue / 4));
        Assert.Throws<DeviceException>(() => _device.Allocate<byte>(1L << 62));
        Assert.Throws<ArgumentException>(() => Matrix<float>.From(_device, 2, 3, new float[5]));
    }

    [Fact]
    public void Views_cut_rows_and_columns_and_guard_their_bounds()
    {
        using Matrix<int> matrix = Matrix<int>.From(_device, 4, 5, [.. Enumerable.Range(0, 20)]);
        MatrixView<int> inner = matrix.View.RowBlock(1, 2).ColumnBlock(2, 3);
        Assert.Equal((2, 3, 5L), (inner.Rows, inner.Columns, inner.Stride));
        Assert.Equal([7, 8, 9], inner.Row(0).ToArray());
        Assert.Equal([12, 13, 14], inner.Row(1).ToArray());
        Assert.Equal(0, matrix.View.RowBlock(4, 0).Rows);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.View.RowBlock(3, 2).Rows);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.View.ColumnBlock(-1, 2).Rows);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.View.Row(4).Length);
        Assert.Throws<ArgumentException>(() => new MatrixView<int>(null, 2, 3, 2, _device).Rows);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Buffer.View.Slice(19, 2).Length);
        Assert.Equal(1, matrix.Buffer.View.Slice(19, 1).Length);
    }

    [Fact]
    public void Offsets_past_two_to_the_31_bytes_and_elements_are_right()
    {
        Assert.SkipUnless(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes > 8L << 30, "less than 8 GiB of memory");
        const int columns = 1 << 16, rows = (1 << 15) + 3;
        using Matrix<byte> matrix = _device.AllocateMatrix<byte>(rows, columns);
        matrix.Row(rows - 1)[columns - 1] = 42;
        Assert.Equal(42, matrix.Buffer.Pointer[(long)rows * columns - 1]);
        Assert.Equal(42, matrix.View.RowBlock(rows - 2, 2).Row(1)[columns - 1]);
    }
}
