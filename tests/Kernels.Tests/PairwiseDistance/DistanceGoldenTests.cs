using System.Text.Json;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Kernels.Tests;

/// <summary>Against scipy and scikit-learn, as tests/golden/distance/make_distances.py stored them.</summary>
public sealed class DistanceGoldenTests : IDisposable
{
    private readonly CpuDevice _device = new(2);
    private readonly JsonDocument _golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "tests", "golden", "distance", "distances.json")));

    public void Dispose()
    {
        _device.Dispose();
        _golden.Dispose();
    }

    public static TheoryData<DistanceMetric> Metrics() => [.. DistanceData.Metrics];

    [Theory, MemberData(nameof(Metrics))]
    public void Distances_and_neighbours_are_those_of_scipy_and_scikit_learn(DistanceMetric metric)
    {
        double[][] points = Rows(_golden.RootElement.GetProperty("points"));
        JsonElement expected = _golden.RootElement.GetProperty("metrics").GetProperty(DistanceMetrics.NameOf(metric));
        double[][] scipy = Rows(expected.GetProperty("scipy")), sklearn = Rows(expected.GetProperty("sklearn")), nearest = Rows(expected.GetProperty("nearest"));
        using Matrix<double> x = Matrix<double>.From(_device, 12, 7, [.. points.SelectMany(row => row)]), distances = _device.AllocateMatrix<double>(12, 12), found = _device.AllocateMatrix<double>(12, 4);
        using Matrix<int> indices = _device.AllocateMatrix<int>(12, 4);
        foreach (KernelVariant variant in KernelDispatch.All)
            using (KernelDispatch.Force(variant))
                foreach (DistanceForm form in Enum.GetValues<DistanceForm>())
                {
                    PairwiseDistance.ComputeSelf(metric, x.View, distances.View, form);
                    KNearestNeighbours.SearchSelf(metric, x.View, indices.View, found.View);
                    for (int i = 0; i < 12; i++)
                    {
                        for (int j = 0; j < 12; j++)
                        {
                            Assert.Equal(scipy[i][j], distances.Row(i)[j], 1e-13);
                            Assert.Equal(sklearn[i][j], distances.Row(i)[j], 1e-13);
                        }
                        for (int rank = 0; rank < 4; rank++) Assert.Equal(nearest[i][rank], found.Row(i)[rank], 1e-13);
                    }
                }
    }

    [Fact]
    public void The_cosine_distance_of_a_zero_row_is_scikit_learns()
    {
        double[][] points = Rows(_golden.RootElement.GetProperty("points")), expected = Rows(_golden.RootElement.GetProperty("zero_row_cosine_sklearn"));
        points[3].AsSpan().Clear();
        using Matrix<double> x = Matrix<double>.From(_device, 12, 7, [.. points.SelectMany(row => row)]), distances = _device.AllocateMatrix<double>(12, 12);
        PairwiseDistance.ComputeSelf(DistanceMetric.Cosine, x.View, distances.View);
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < 12; j++) Assert.Equal(expected[i][j], distances.Row(i)[j], 1e-13);
    }

    private static double[][] Rows(JsonElement table) => [.. table.EnumerateArray().Select(row => row.EnumerateArray().Select(v => v.GetDouble()).ToArray())];
}
