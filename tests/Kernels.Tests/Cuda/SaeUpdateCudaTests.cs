using BioSup.Runtime;

namespace BioSup.Kernels.Tests.Cuda;

[Collection(CudaDeviceCollection.Name)]
public sealed class SaeUpdateCudaTests(CudaDeviceFixture fixture)
{
    [Theory]
    [InlineData(true, 37, 133, 1.0)]
    [InlineData(false, 37, 133, 1.0)]
    [InlineData(true, 150, 7, 0.0)]
    public void Several_updates_match_the_double_reference(bool tied, int d, int latents, double clip)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 12, d, latents, tied, 0.05f, 0.01f);
        List<IDisposable> owned = [];
        ModelArrays first = new(host, d, latents, tied, owned), second = new(host, d, latents, tied, owned);
        ModelArrays cudaFirst = new(device, d, latents, tied, owned), cudaSecond = new(device, d, latents, tied, owned);
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(new SaeObjective { SparsityCoefficient = 20 });
        using CudaSaeCase copy = new(device, model, 32);
        copy.Gradients.CopyFrom(model.Gradients);
        for (int step = 1; step <= 4; step++)
        {
            SaeUpdateOptions options = new() { LearningRate = 1e-3, Step = step, WeightDecay = 0.01, ClipNorm = clip };
            double expected;
            using (KernelDispatch.Force(KernelVariant.Reference)) expected = SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, options, model.Workspace);
            double norm = SaeUpdate.Apply(copy.Values.View, copy.Gradients.View, cudaFirst.View, cudaSecond.View, options, copy.Workspace);
            Assert.Equal(expected, norm, 1e-6 * expected);
        }
        Compare(model.Values, copy.Values);
        Compare(first, cudaFirst);
        Compare(second, cudaSecond);
        foreach (IDisposable o in owned) o.Dispose();

        static void Compare(ModelArrays want, ModelArrays got)
        {
            foreach (((string name, float[] a), (_, float[] b)) in want.Arrays().Zip(got.Arrays()))
                for (int i = 0; i < a.Length; i++) Assert.True(Math.Abs(a[i] - b[i]) <= 2e-7 + 1e-6 * Math.Abs(a[i]), $"{name}[{i}] is {b[i]}, expected {a[i]}");
        }
    }

    [Fact]
    public void Warm_updates_allocate_nothing()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 6, 10, 20, true, 0.1f, 0);
        using CudaSaeCase copy = new(device, model, 32);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, 10, 20, true, owned), second = new(device, 10, 20, true, owned);
        copy.Step(new SaeObjective(), SaeDecoding.Dense);
        for (int i = 0; i < 2; i++) Update();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 3; i++) Update();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        foreach (IDisposable o in owned) o.Dispose();

        void Update() => SaeUpdate.Apply(copy.Values.View, copy.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-4 }, copy.Workspace);
    }
}
