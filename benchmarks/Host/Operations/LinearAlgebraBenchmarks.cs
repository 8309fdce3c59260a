using BenchmarkDotNet.Attributes;
using BioSup.Kernels;
using BioSup.Runtime;

namespace BioSup.Benchmarks;

/// <summary>Time and allocation of single operations at the sizes of a training step: 2,048 tokens of 512 channels, 4,096 latents.</summary>
[MemoryDiagnoser]
public class LinearAlgebraBenchmarks
{
    private const int Tokens = 2048, Channels = 512, Latents = 4096;
    private CpuDevice _device = null!;
    private Matrix<float> _tokens = null!, _weights = null!, _latents = null!, _values = null!, _gradient = null!, _first = null!, _second = null!;
    private Matrix<int> _indices = null!;
    private DeviceBuffer<double> _perColumn = null!, _perRow = null!;
    private DeviceBuffer<float> _logSums = null!;

    [Params(1, 2)]
    public int Threads { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _device = new CpuDevice(Threads);
        _tokens = Random(Tokens, Channels);
        _weights = Random(Latents, Channels);
        _gradient = Random(Latents, Channels);
        _first = _device.AllocateMatrix<float>(Latents, Channels);
        _second = _device.AllocateMatrix<float>(Latents, Channels);
        _latents = Random(Tokens, Latents);
        _values = _device.AllocateMatrix<float>(Tokens, 32);
        _indices = _device.AllocateMatrix<int>(Tokens, 32);
        _perColumn = _device.Allocate<double>(Latents);
        _perRow = _device.Allocate<double>(Tokens);
        _logSums = _device.Allocate<float>(Tokens);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (IDisposable owner in (IDisposable[])[_tokens, _weights, _gradient, _first, _second, _latents, _values, _indices, _perColumn, _perRow, _logSums, _device]) owner.Dispose();
    }

    [Benchmark]
    public void EncoderProduct() => Gemm.Multiply(Transpose.No, Transpose.Yes, 1, _tokens.View, _weights.View, 0, _latents.View);

    [Benchmark]
    public void ColumnSums() => Reductions.ColumnSums(_latents.View, _perColumn.View);

    [Benchmark]
    public void RowNorms() => Reductions.RowNorms(_latents.View, _perRow.View);

    [Benchmark]
    public void LogSumExpRows() => Softmax.LogSumExpRows(_latents.View, _logSums.View);

    [Benchmark]
    public void TopK32() => TopK.Rows(_latents.View, _indices.View, _values.View);

    [Benchmark]
    public void AdamWStep() => AdamW.Step(_weights.Buffer.View, _gradient.Buffer.View, _first.Buffer.View, _second.Buffer.View, new AdamWOptions(), 10);

    private Matrix<float> Random(int rows, int columns)
    {
        Matrix<float> matrix = _device.AllocateMatrix<float>(rows, columns);
        CounterRandom random = new(1);
        foreach (ref float value in matrix.Buffer.View.Host) value = (float)random.NextNormal();
        return matrix;
    }
}
