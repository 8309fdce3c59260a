using BioSup.Analysis.Sae;
using BioSup.Runtime;
using BioSup.Shapes;

namespace BioSup.Analysis.Tests.Sae;

/// <summary>The host, a GPU or the emulated one, and a folder; how two trainings are held against each other.</summary>
public abstract class SaeCudaFixture : IDisposable
{
    private readonly CudaDevice? _device;
    private readonly string _reason;

    protected SaeCudaFixture() => _device = CudaEmulator.Open(out _reason);

    protected string Folder { get; } = Directory.CreateTempSubdirectory("biosup-sae-cuda-").FullName;

    protected CpuDevice HostDevice { get; } = new(2);

    protected CudaDevice Device
    {
        get
        {
            Assert.SkipWhen(_device is null, _reason);
            return _device!;
        }
    }

    public void Dispose()
    {
        _device?.Dispose();
        HostDevice.Dispose();
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Rounding differs, so the first steps agree to rounding and later ones to what training makes of it.</summary>
    private protected static void Follows(SaeTrainingResult want, SaeTrainingResult got, double weights)
    {
        Assert.Equal(want.Curves.Count, got.Curves.Count);
        foreach ((SaeLogRow a, SaeLogRow b) in want.Curves.Zip(got.Curves))
        {
            Assert.Equal(a.LearningRate, b.LearningRate);
            Assert.Equal(a.Loss, b.Loss, 1e-5 * a.Loss);
            Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-4 * a.GradientNorm);
            Assert.Equal(a.L0, b.L0, 0.05);
        }
        foreach (((string name, DeviceBuffer<float> a, _), (_, DeviceBuffer<float> b, _)) in want.Model.Arrays.Tensors().Zip(got.Model.Arrays.Tensors()))
        {
            float[] x = Host(a), y = Host(b);
            for (int i = 0; i < x.Length; i++) Assert.True(Math.Abs(x[i] - y[i]) < weights, $"{name}[{i}] is {y[i]}, on the host {x[i]}");
        }
        foreach ((float a, float b) in Host(want.Model.Usage).Zip(Host(got.Model.Usage))) Assert.Equal(a, b, 1e-3);
    }

    /// <summary>Of folders: every file has the same bytes in both.</summary>
    private protected static void SameBytes(string whole, string other, params string[] files)
    {
        foreach (string file in files)
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(other, file))), $"{other}: {file} differs");
    }

    internal static float[] Host(DeviceBuffer<float> buffer)
    {
        float[] values = new float[buffer.Length];
        buffer.CopyTo(values);
        return values;
    }
}
