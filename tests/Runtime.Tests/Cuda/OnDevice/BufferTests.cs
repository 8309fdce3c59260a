using BioSup.Shapes;

namespace BioSup.Runtime.Tests.Cuda.OnDevice;

[Collection(DeviceCollection.Name)]
public sealed class BufferTests(DeviceFixture fixture)
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(1025)]
    [InlineData(3 * 1024)]
    [InlineData(10_007)]
    public void What_goes_to_the_device_comes_back(int length)
    {
        CudaDevice device = fixture.Require();
        float[] sent = [.. Enumerable.Range(0, length).Select(i => i * 0.5f)], received = new float[length];
        using DeviceBuffer<float> buffer = device.Allocate<float>(length);
        buffer.CopyFrom(sent);
        buffer.CopyTo(received);
        Assert.Equal(sent, received);
        buffer.Clear();
        buffer.CopyTo(received);
        Assert.All(received, v => Assert.Equal(0f, v));
    }

    [Fact]
    public void New_memory_is_zero_also_when_it_was_used_before()
    {
        CudaDevice device = fixture.Require();
        int[] values = new int[5000];
        Array.Fill(values, 7);
        for (int round = 0; round < 3; round++)
        {
            using DeviceBuffer<int> buffer = device.Allocate<int>(values.Length);
            int[] seen = new int[values.Length];
            buffer.CopyTo(seen);
            Assert.All(seen, v => Assert.Equal(0, v));
            buffer.CopyFrom(values);
        }
    }

    [Fact]
    public void A_matrix_is_uploaded_and_its_parts_are_copied_on_the_device()
    {
        CudaDevice device = fixture.Require();
        using Matrix<double> matrix = Matrix<double>.From(device, 3, 4, [.. Enumerable.Range(0, 12).Select(i => (double)i)]);
        using DeviceBuffer<double> row = device.Allocate<double>(4);
        device.Stream.Copy(matrix.Buffer.View.Slice(4, 4), row.View);
        double[] read = new double[4];
        row.CopyTo(read);
        Assert.Equal([4, 5, 6, 7], read);
        Assert.Throws<InvalidOperationException>(() => matrix.Row(0));
    }

    [Fact]
    public void Parts_of_a_matrix_travel_with_and_without_gaps()
    {
        CudaDevice device = fixture.Require();
        foreach (ComputeDevice each in new ComputeDevice[] { device, new CpuDevice(1) })
        {
            using Matrix<int> matrix = Matrix<int>.From(each, 3, 4, [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]);
            int[] read = new int[4];
            matrix.View.RowBlock(1, 2).ColumnBlock(1, 2).CopyTo(read);
            Assert.Equal([11, 12, 21, 22], read);
            matrix.View.ColumnBlock(3, 1).CopyFrom([-1, -2, -3]);
            int[] whole = new int[12];
            matrix.View.CopyTo(whole);
            Assert.Equal([0, 1, 2, -1, 10, 11, 12, -2, 20, 21, 22, -3], whole);
            foreach (ComputeDevice other in new ComputeDevice[] { device, new CpuDevice(1) })
            {
                using PlacedMatrix<int> placed = matrix.At(other);
                Assert.Equal(ReferenceEquals(each, other) || (each.IsHost && other.IsHost), ReferenceEquals(placed.Matrix, matrix));
                using Matrix<int> copy = matrix.CopyAt(other);
                Assert.Same(other, copy.Device);
                Assert.Equal(whole, copy.ToArray());
                Assert.Equal(whole, placed.Matrix.ToArray());
            }
        }
    }

    [Fact]
    public void A_tensor_map_is_made_for_what_the_copy_engine_can_read()
    {
        CudaDevice device = fixture.Require();
        Assert.SkipWhen(device.Info.Capability.Major < 9, "tensor maps need compute capability 9.0");
        using Matrix<float> matrix = device.AllocateMatrix<float>(100, 64);
        TensorMap map = TensorMap.Create(matrix.View, TensorElement.Float32, 64, 32, TensorSwizzle.Bytes128);
        Assert.NotEqual(default, map);
        Assert.Throws<ArgumentException>(() => TensorMap.Create(matrix.View.ColumnBlock(1, 8), TensorElement.Float32, 8, 8));
        Assert.Throws<ArgumentException>(() => TensorMap.Create(matrix.View, TensorElement.BFloat16, 8, 8));
        Assert.Throws<ArgumentException>(() => TensorMap.Create(matrix.View, TensorElement.Float32, 8, 3));
    }

    [Fact]
    public void Elements_of_four_bytes_can_be_filled()
    {
        CudaDevice device = fixture.Require();
        using DeviceBuffer<float> buffer = device.Allocate<float>(100);
        device.Stream.Fill(buffer.View.Slice(10, 80), float.NegativeInfinity);
        float[] read = new float[100];
        buffer.CopyTo(read);
        Assert.Equal(80, read.Count(float.IsNegativeInfinity));
        Assert.Equal(0f, read[9]);
        using DeviceBuffer<double> wide = device.Allocate<double>(1);
        Assert.Throws<ArgumentException>(() => device.Stream.Fill(wide.View, 1.0));
    }

    [Fact]
    public void Running_out_of_memory_is_one_sentence_with_the_sizes_and_leaves_the_device_usable()
    {
        CudaDevice device = fixture.Require();
        long inUse = device.Pool.BytesInUse;
        DeviceException error = Assert.Throws<DeviceException>(() => device.Allocate<byte>(1L << 50));
        Assert.Contains("is out of memory: 1073741824 MiB were asked for", error.Message);
        Assert.Contains("are free", error.Message);
        Assert.Equal(inUse, device.Pool.BytesInUse);
        using DeviceBuffer<int> after = device.Allocate<int>(10);
        Assert.Equal(inUse + 40, device.Pool.BytesInUse);
    }

    [Fact]
    public void The_cap_holds_and_can_be_changed()
    {
        fixture.Require();
        using CudaDevice device = CudaEmulator.Open(out _, new CudaDeviceOptions { MemoryCap = 1000 })!;
        using DeviceBuffer<byte> first = device.Allocate<byte>(600);
        DeviceException error = Assert.Throws<DeviceException>(() => device.Allocate<byte>(600));
        Assert.Contains("is at its memory limit", error.Message);
        device.Pool.Cap = 2000;
        using DeviceBuffer<byte> second = device.Allocate<byte>(600);
        Assert.Equal(1200, device.Pool.BytesInUse);
    }

    [Fact]
    public void Trimming_gives_back_what_no_buffer_holds()
    {
        CudaDevice device = fixture.Require();
        device.Allocate<byte>(64 << 20).Dispose();
        device.Pool.Trim();
        Assert.InRange(device.Pool.BytesReserved, 0, 64L << 20);
    }

    [Fact]
    public void Buffers_may_outlive_their_device_object()
    {
        fixture.Require();
        CudaDevice device = CudaEmulator.Open(out _)!;
        DeviceBuffer<int> buffer = device.Allocate<int>(1000);
        CudaEvent mark = new(device);
        device.Dispose();
        Assert.Throws<ObjectDisposedException>(() => buffer.Clear());
        mark.Dispose();
        buffer.Dispose();
        Assert.Equal(0, device.Pool.BytesInUse);
    }

    [Fact]
    public void A_forgotten_buffer_is_freed_by_the_collector()
    {
        CudaDevice device = fixture.Require();
        long before = device.Pool.BytesInUse;
        Forget(device);
        for (int i = 0; i < 20 && device.Pool.BytesInUse > before; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.Equal(before, device.Pool.BytesInUse);
    }

    [Fact]
    public void An_error_of_a_release_surfaces_once_at_the_next_call()
    {
        CudaDevice device = fixture.Require();
        device.Context.Record(Interop.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, "cuMemFreeAsync");
        device.Context.Record(Interop.CUresult.CUDA_ERROR_UNKNOWN, "cuMemFreeAsync");
        CudaException error = Assert.Throws<CudaException>(device.Synchronize);
        Assert.Equal(700, error.Code);
        Assert.Equal("CUDA_ERROR_ILLEGAL_ADDRESS", error.Name);
        device.Synchronize();
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Forget(CudaDevice device)
    {
        for (int i = 0; i < 3; i++) _ = device.Allocate<int>(1000);
    }
}
