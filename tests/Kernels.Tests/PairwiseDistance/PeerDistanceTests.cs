using BioSup.Kernels.Tests.Cuda;
using BioSup.Runtime;

namespace BioSup.Kernels.Tests;

/// <summary>Distances that users reported other libraries to get wrong, with the numbers of the reports; on the host in every variant, and on the (emulated) device.</summary>
[Collection(CudaDeviceCollection.Name)]
public sealed class PeerDistanceTests(CudaDeviceFixture fixture) : IDisposable
{
    private readonly CpuDevice _host = new(2);

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(5000f, 6500f, 1500f)]
    [InlineData(512695f, 512804f, 109f)]
    public void Pytorch_42479_huge_offsets_cost_no_digits(float a, float b, float expected)
    {
        // One pair, and the same pair among so many others that a matrix product is taken.
        foreach (int count in new[] { 1, 40 })
        {
            using Matrix<float> x = _host.AllocateMatrix<float>(count, 1), y = _host.AllocateMatrix<float>(count, 1);
            for (int i = 0; i < count; i++) (x.Row(i)[0], y.Row(i)[0]) = (a + 3 * i, b + 3 * i);
            Everywhere(x, y, DistanceMetric.Euclidean, distances =>
            {
                for (int i = 0; i < count; i++)
                    for (int j = 0; j < count; j++) Assert.Equal(Math.Abs(expected + 3 * (j - i)), distances[i * count + j]);
            });
        }
    }

    [Fact]
    public void Pytorch_37734_a_distance_does_not_depend_on_the_batch_it_is_in()
    {
        // The reported shapes; row 75 lies close to row 233 of the other matrix.
        using Matrix<float> x = DistanceData.Normal<float>(_host, 95, 39, 1), y = DistanceData.Normal<float>(_host, 295, 39, 2);
        for (int k = 0; k < 39; k++) y.Row(233)[k] = x.Row(75)[k] + 6e-5f;
        using Matrix<float> one = Matrix<float>.From(_host, 1, 39, x.Row(75)), other = Matrix<float>.From(_host, 1, 39, y.Row(233));
        double exact = PairwiseDistance.ReferenceDistance<float>(DistanceMetric.Euclidean, x.Row(75), y.Row(233));
        List<float> whole = [], alone = [];
        Everywhere(x, y, DistanceMetric.Euclidean, distances => whole.Add(distances[75 * 295 + 233]));
        Everywhere(one, other, DistanceMetric.Euclidean, distances => alone.Add(distances[0]));
        Assert.Equal(alone, whole);
        Assert.All(whole, distance => Assert.InRange(distance, exact * (1 - 1e-3), exact * (1 + 1e-3)));
    }

    [Theory]
    [InlineData(DistanceMetric.Euclidean)]
    [InlineData(DistanceMetric.SquaredEuclidean)]
    public void Pytorch_57690_and_123082_a_point_is_at_distance_zero_from_itself(DistanceMetric metric)
    {
        using Matrix<float> x = DistanceData.Normal<float>(_host, 60, 35, 3, 40);
        Everywhere(x, x, metric, distances =>
        {
            for (int i = 0; i < 60; i++) Assert.Equal(0f, distances[i * 60 + i]);
        });
    }

    private void Everywhere(Matrix<float> x, Matrix<float> y, DistanceMetric metric, Action<float[]> check)
    {
        foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
        {
            using Matrix<float> distances = _host.AllocateMatrix<float>(x.Rows, y.Rows);
            foreach (KernelVariant variant in DistanceData.Variants)
            {
                using (KernelDispatch.Force(variant)) PairwiseDistance.Compute(metric, x.View, y.View, distances.View, form);
                check(distances.ToArray());
            }
            CudaDevice device = fixture.Require();
            using Matrix<float> xThere = x.CopyAt(device), yThere = y.CopyAt(device), there = device.AllocateMatrix<float>(x.Rows, y.Rows);
            PairwiseDistance.Compute(metric, xThere.View, yThere.View, there.View, form);
            check(there.ToArray());
        }
    }
}
