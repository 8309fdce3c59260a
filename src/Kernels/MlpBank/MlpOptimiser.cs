using System.Numerics;
using System.Numerics.Tensors;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// torch.nn.utils.clip_grad_norm_ and then torch.optim.Adam with its weight_decay, which is an L2 penalty: decay times the parameter joins the clipped gradient before the moments
/// (AdamW's decoupled decay is another method).
/// </summary>
internal sealed class MlpOptimiser<T> : IDisposable where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly DeviceBuffer<T> _first, _second;
    private long _step;

    public MlpOptimiser(CpuDevice cpu, long parameters)
    {
        _first = cpu.Allocate<T>(parameters);
        _second = cpu.Allocate<T>(parameters);
        Reset();
    }

    public void Reset()
    {
        _first.View.Host.Clear();
        _second.View.Host.Clear();
        _step = 0;
    }

    public void Step(MlpNetwork<T> network, double learningRate, double weightDecay, double maximumNorm)
    {
        Span<T> gradients = network.Gradients.View.Host;
        double clip = AdamW.ClipScale(Math.Sqrt(EitherPrecision.SumOfSquares(network.Gradients)), maximumNorm);
        // clip · g + decay · p as clip · (g + decay / clip · p): Adam multiplies by the clip while it reads the gradient.
        if (weightDecay > 0) TensorPrimitives.MultiplyAdd(network.Parameters.View.Host, T.CreateChecked(weightDecay / clip), gradients, gradients);
        EitherPrecision.AdamStep(network.Parameters, network.Gradients, _first, _second, new AdamWOptions(learningRate, WeightDecay: 0), ++_step, clip);
    }

    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }
}
