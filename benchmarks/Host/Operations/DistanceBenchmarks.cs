using BenchmarkDotNet.Attributes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>Time and allocation of distances and neighbours within 4,000 points, near the origin and far from it.</summary>
[MemoryDiagnoser]
public class DistanceBenchmarks
{
    private const int Points = 4000, Columns = 128, Neighbours = 15;
    private CpuDevice _device = null!;
    private Matrix<float> _points = null!, _distances = null!, _nearest = null!;
    private Matrix<int> _indices = null!;

    [Params(DistanceMetric.Euclidean, DistanceMetric.Cosine, DistanceMetric.Cityblock)]
    public DistanceMetric Metric { get; set; }

    /// <summary>Far from the origin every Euclidean pair is recomputed from differences.</summary>
    [Params(0.0, 5e5)]
    public double Offset { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _device = new CpuDevice();
        _points = _device.AllocateMatrix<float>(Points, Columns);
        CounterRandom random = new(1);
        foreach (ref float value in _points.Buffer.View.Host) value = (float)(random.NextNormal() + Offset);
        _distances = _device.AllocateMatrix<float>(Points, Points);
        _nearest = _device.AllocateMatrix<float>(Points, Neighbours);
        _indices = _device.AllocateMatrix<int>(Points, Neighbours);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (IDisposable owner in (IDisposable[])[_points, _distances, _nearest, _indices, _device]) owner.Dispose();
    }

    [Benchmark]
    public void Expanded() => PairwiseDistance.ComputeSelf(Metric, _points.View, _distances.View);

    [Benchmark]
    public void Direct() => PairwiseDistance.ComputeSelf(Metric, _points.View, _distances.View, DistanceForm.Direct);

    [Benchmark]
    public void NearestNeighbours() => KNearestNeighbours.SearchSelf(Metric, _points.View, _indices.View, _nearest.View);
}
