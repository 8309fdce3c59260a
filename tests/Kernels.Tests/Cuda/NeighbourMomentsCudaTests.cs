using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class NeighbourMomentsCudaTests(CudaDeviceFixture fixture)
{
    [Fact]
    public void The_device_gives_the_hosts_bits()
    {
        CudaDevice gpu = fixture.Require();
        using CpuDevice cpu = new(1);
        foreach ((int rows, int k, int columns) in NeighbourMomentsTests.Shapes)
        {
            using CudaOperand<double> values = new(cpu, gpu, rows, columns, 4);
            int[] lists = NeighbourMomentsTests.Lists(rows, k);
            (double[] deviations, double[] products) = NeighbourMomentsTests.Run(values.Host, lists, k);
            (double[] Deviations, double[] Products) actual = NeighbourMomentsTests.Run(values.Device, lists, k);
            Assert.Equal(deviations, actual.Deviations);
            Assert.Equal(products, actual.Products);
        }
    }

    [Fact]
    public void A_neighbour_that_is_not_there_makes_its_row_not_a_number()
    {
        CudaDevice gpu = fixture.Require();
        using Matrix<double> values = Matrix<double>.From(gpu, 3, 2, [1, 2, 3, 4, 5, 6]);
        (double[] deviations, double[] products) = NeighbourMomentsTests.Run(values.View, [1, 2, 0, 3, -1, 1], 2);
        Assert.Equal([1, 1, double.NaN, double.NaN, double.NaN, double.NaN], deviations);
        Assert.Equal([8, 20, double.NaN, double.NaN, double.NaN, double.NaN], products);
    }
}
