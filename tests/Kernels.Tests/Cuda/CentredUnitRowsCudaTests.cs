using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class CentredUnitRowsCudaTests(CudaDeviceFixture fixture)
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 33)]
    [InlineData(40, 300)]
    [InlineData(1100, 5)]
    public void Rows_are_centred_and_scaled_as_in_double_precision(int rows, int width)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using CudaOperand<float> x = new(host, device, rows, width, 3);
        using Matrix<float> here = host.AllocateMatrix<float>(rows, width), there = device.AllocateMatrix<float>(rows, width);
        using CentredUnitRows onHost = new(host, rows, width), onDevice = new(device, rows, width);
        onHost.UseMeanOf(x.Host);
        onDevice.UseMeanOf(x.Device);
        Compare();
        float[] mean = [.. Enumerable.Range(0, width).Select(i => 0.1f * i)];
        onHost.SetMean(mean);
        onDevice.SetMean(mean);
        Compare();

        void Compare()
        {
            onHost.Apply(x.Host, here.View);
            onDevice.Apply(x.Device, there.View);
            foreach ((float want, float got) in here.Buffer.View.Host.ToArray().Zip(there.ToHost())) Assert.Equal(want, got, 2e-7);
        }
    }

    [Fact]
    public void Rows_without_a_direction_stay_zero_and_sums_go_on_over_blocks()
    {
        CudaDevice device = fixture.Require();
        using Matrix<float> x = Matrix<float>.From(device, 3, 2, [1, 2, 3, 4, 1, 2]);
        using CentredUnitRows centring = new(device, 3, 2);
        centring.SetMean([1, 2]);
        centring.Add(x.View);
        centring.Add(x.View.RowBlock(1, 1));
        centring.Apply(x.View, x.View);
        double[] sums = new double[2];
        centring.CopySumsTo(sums);
        Assert.Equal([8.0, 12.0], sums);
        Assert.Equal([0f, 0f, MathF.Sqrt(0.5f), MathF.Sqrt(0.5f), 0f, 0f], x.ToHost());
    }

    [Fact]
    public void Pooled_activations_are_means_over_runs_of_tokens()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 300, 10, 70, false, 0.01f, 0.02f);
        using CudaSaeCase copy = new(device, model, 64);
        using ActivationPool here = new(model.Workspace), there = new(copy.Workspace);
        using DeviceBuffer<float> want = host.Allocate<float>(70), got = device.Allocate<float>(70);
        foreach ((int start, int count) in new[] { (0, 300), (17, 0), (5, 31) })
        {
            here.Add(model.Tokens.View.RowBlock(start, count), model.Values.View);
            there.Add(copy.Tokens.View.RowBlock(start, count), copy.Values.View);
            here.Take(count, want.View);
            there.Take(count, got.View);
            foreach ((float a, float b) in want.View.Host.ToArray().Zip(got.ToHost())) Assert.Equal(a, b, 1e-7);
        }
    }
}
