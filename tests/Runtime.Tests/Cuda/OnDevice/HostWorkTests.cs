namespace BioSup.Runtime.Tests.Cuda.OnDevice;

/// <summary>The processor beside a device, and matrices that go there and back.</summary>
[Collection(DeviceCollection.Name)]
public sealed class HostWorkTests(DeviceFixture fixture)
{
    [Fact]
    public void A_matrix_is_edited_on_the_host_where_it_is_and_through_a_copy_where_it_is_not()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach (ComputeDevice where in (ComputeDevice[])[cpu, device])
        {
            using Matrix<double> matrix = Matrix<double>.From(where, 2, 3, [1, 2, 3, 4, 5, 6]);
            matrix.EditOnHost(host =>
            {
                Assert.Equal(where.IsHost, ReferenceEquals(host, matrix));
                host.Row(1)[2] = -1;
            });
            Assert.Equal([1, 2, 3, 4, 5, -1], matrix.ToArray());
        }
    }

    [Fact]
    public void A_device_is_served_by_the_processor_it_was_given_or_by_one_of_its_own()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice cpu = new(1);
        Assert.Same(cpu, cpu.Host);
        Assert.Same(device.Host, device.Host);
        using (CudaDevice served = CudaDevice.Open(device.Info.Ordinal, new CudaDeviceOptions { Host = cpu })) Assert.Same(cpu, served.Host);
        // A lent processor is not the device's to dispose.
        int[] seen = new int[3];
        BlockLoop.Run(cpu, 3, block => seen[block]++);
        Assert.Equal([1, 1, 1], seen);
    }
}
