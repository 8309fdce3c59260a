using System.Numerics;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class BarycentricProjectionTests(CudaDeviceFixture fixture)
{
    /// <summary>One feature, blocks that do and do not divide the features, one block wider than all of them, and the width it chooses itself.</summary>
    [Theory]
    [InlineData(5, 7, 1, 1)]
    [InlineData(13, 9, 12, 4)]
    [InlineData(13, 9, 11, 4)]
    [InlineData(33, 40, 70, 100)]
    [InlineData(33, 40, 70, 0)]
    public void Streamed_features_are_projected_as_from_their_definition(int n, int m, int features, int columnsAtOnce)
    {
        using CpuDevice host = new(2);
        Agree<double>(host, host, n, m, features, columnsAtOnce, 1e-14);
        Agree<float>(host, host, n, m, features, columnsAtOnce, 1e-6);
        CudaDevice device = fixture.Require();
        Agree<double>(host, device, n, m, features, columnsAtOnce, 1e-14);
        Agree<float>(host, device, n, m, features, columnsAtOnce, 1e-6);
    }

    [Fact]
    public void A_row_without_mass_is_refused_and_named()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using Matrix<double> coupling = Matrix<double>.From(device, 2, 2, [0.5, 0.5, 0, 0]), y = host.AllocateMatrix<double>(2, 3), projected = host.AllocateMatrix<double>(2, 3);
        Assert.Contains("row 1", Assert.Throws<DataException>(() => BarycentricProjection.Stream(coupling.View, y.View, projected.View)).Message);
    }

    private static void Agree<T>(CpuDevice host, ComputeDevice device, int n, int m, int features, int columnsAtOnce, double tolerance) where T : unmanaged, IFloatingPointIeee754<T>
    {
        using Matrix<T> weights = TestMatrices.Normal<T>(host, n, m, 3), y = TestMatrices.Normal<T>(host, m, features + 2, 4), streamed = host.AllocateMatrix<T>(n, features);
        foreach (ref T value in weights.Buffer.View.Host) value = T.Abs(value);
        using Matrix<T> coupling = Matrix<T>.From(device, n, m, weights.ToHost()), target = device.AllocateMatrix<T>(n, features);
        BarycentricProjection.Stream(coupling.View, y.Inner(features), streamed.View, columnsAtOnce);
        using Matrix<T> beside = Matrix<T>.From(device, m, features + 2, y.ToHost());
        BarycentricProjection.Project(coupling.View, beside.Inner(features), target.View);
        T[] direct = target.ToHost();
        for (int i = 0; i < n; i++)
            for (int d = 0; d < features; d++)
            {
                double sum = 0, mass = 0;
                for (int j = 0; j < m; j++)
                {
                    double weight = double.CreateTruncating(weights.Row(i)[j]);
                    sum += weight * double.CreateTruncating(y.Row(j)[d]);
                    mass += weight;
                }
                Assert.Equal(sum / mass, double.CreateTruncating(streamed.Row(i)[d]), tolerance);
                Assert.Equal(sum / mass, double.CreateTruncating(direct[i * features + d]), tolerance);
            }
    }
}
