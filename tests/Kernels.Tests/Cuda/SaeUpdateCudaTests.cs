using BioSup.Runtime;
using BioSup.Shapes;

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

    /// <summary>A free decoder has no projection and keeps its lengths; thresholds of JumpReLU do not decay and stay at 0 or above.</summary>
    [Theory]
    [InlineData("jumprelu tanh, free norm")]
    [InlineData("gated-original, free norm")]
    [InlineData("batchtopk")]
    public void Updates_of_other_architectures_match_the_double_reference(string name)
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        (SaeShape shape, SaeObjective objective) = SaeArchitectureCases.Get(name, 11, 40);
        using SaeCase model = new(host, 12, shape, 0.01f, 0.01f);
        List<IDisposable> owned = [];
        ModelArrays first = new(host, shape, owned), second = new(host, shape, owned), cudaFirst = new(device, shape, owned), cudaSecond = new(device, shape, owned);
        using (KernelDispatch.Force(KernelVariant.Reference)) model.Step(objective with { SparsityCoefficient = 20 });
        bool jump = shape.Architecture == SaeArchitecture.JumpRelu;
        if (jump) (model.Values.Threshold!.View.Host[0], model.Gradients.Threshold!.View.Host[0]) = (0.005f, 20);
        using CudaSaeCase copy = new(device, model, 32);
        copy.Gradients.CopyFrom(model.Gradients);
        for (int step = 1; step <= 3; step++)
        {
            SaeUpdateOptions options = new() { LearningRate = 1e-2, Step = step, WeightDecay = 0.01, DecoderNorm = objective.DecoderNorm };
            double expected;
            using (KernelDispatch.Force(KernelVariant.Reference)) expected = SaeUpdate.Apply(model.Values.View, model.Gradients.View, first.View, second.View, options, model.Workspace);
            Assert.Equal(expected, SaeUpdate.Apply(copy.Values.View, copy.Gradients.View, cudaFirst.View, cudaSecond.View, options, copy.Workspace), 1e-6 * expected);
        }
        if (jump) Assert.Equal(0, copy.Values.Threshold!.ToHost()[0]);
        foreach (((string array, float[] want), (_, float[] got)) in model.Values.Arrays().Zip(copy.Values.Arrays()))
            for (int i = 0; i < want.Length; i++) Assert.True(Math.Abs(want[i] - got[i]) <= 2e-7 + 1e-6 * Math.Abs(want[i]), $"{array}[{i}] is {got[i]}, expected {want[i]}");
        foreach (IDisposable o in owned) o.Dispose();
    }

    [Fact]
    public void Gradients_that_are_not_finite_move_nothing()
    {
        CudaDevice device = fixture.Require();
        using CpuDevice host = new(1);
        using SaeCase model = new(host, 6, 10, 20, true, 0.1f, 0);
        model.Gradients.EncoderBias.View.Host[3] = float.NaN;
        using CudaSaeCase copy = new(device, model, 32);
        copy.Gradients.CopyFrom(model.Gradients);
        List<IDisposable> owned = [];
        ModelArrays first = new(device, 10, 20, true, owned), second = new(device, 10, 20, true, owned);
        Assert.True(double.IsNaN(SaeUpdate.Apply(copy.Values.View, copy.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-2 }, copy.Workspace)));
        foreach (((string name, float[] before), (_, float[] after)) in model.Values.Arrays().Zip(copy.Values.Arrays())) Assert.True(before.AsSpan().SequenceEqual(after), $"{name} has moved");
        Assert.All(first.Arrays().SelectMany(a => a.Values), v => Assert.Equal(0, v));
        foreach (IDisposable o in owned) o.Dispose();
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
        WarmAllocation rounds = new();
        while (rounds.Again()) for (int i = 0; i < 3; i++) Update();
        Assert.Equal(0, rounds.Least);
        foreach (IDisposable o in owned) o.Dispose();

        void Update() => SaeUpdate.Apply(copy.Values.View, copy.Gradients.View, first.View, second.View, new SaeUpdateOptions { LearningRate = 1e-4 }, copy.Workspace);
    }
}
