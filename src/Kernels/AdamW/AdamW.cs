using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>Options of <see cref="AdamW"/>, with PyTorch's defaults.</summary>
public readonly record struct AdamWOptions(double LearningRate = 1e-3, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8, double WeightDecay = 1e-2);

/// <summary>
/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), in the form and order of operations of torch.optim.AdamW: scalars are
/// prepared in double precision and rounded once, elements are updated in their own type. Also the gradient's norm and its clipping.
/// </summary>
public static unsafe partial class AdamW
{
    /// <summary>
    /// One step over flat arrays of equal length, in place:
    /// p ← p (1 − lr wd); m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε), with g the gradient times <paramref name="gradientScale"/>.
    /// </summary>
    /// <param name="step">Number of this step, 1 for the first.</param>
    /// <param name="gradientScale">Factor of a clipped gradient (<see cref="ClipScale"/>); the stored gradient is not changed.</param>
    /// <exception cref="ArgumentException">The arrays differ in length or device.</exception>
    public static void Step(
        DeviceSpan<float> parameters, DeviceSpan<float> gradients, DeviceSpan<float> firstMoments, DeviceSpan<float> secondMoments,
        in AdamWOptions options, long step, double gradientScale = 1) =>
        Update(parameters, gradients, firstMoments, secondMoments, options, step, gradientScale);

    /// <inheritdoc cref="Step(DeviceSpan{float}, DeviceSpan{float}, DeviceSpan{float}, DeviceSpan{float}, in AdamWOptions, long, double)"/>
    public static void Step(
        DeviceSpan<double> parameters, DeviceSpan<double> gradients, DeviceSpan<double> firstMoments, DeviceSpan<double> secondMoments,
        in AdamWOptions options, long step, double gradientScale = 1) =>
        Update(parameters, gradients, firstMoments, secondMoments, options, step, gradientScale);

    /// <summary>
    /// The same with gradients clipped to <paramref name="maximumNorm"/> by a norm that lies on the device: nothing waits for it. 0 or less does not clip.
    /// </summary>
    public static void Step(
        DeviceSpan<float> parameters, DeviceSpan<float> gradients, DeviceSpan<float> firstMoments, DeviceSpan<float> secondMoments,
        in AdamWOptions options, long step, GradientNorm norm, double maximumNorm)
    {
        if (parameters.Device is CudaDevice gpu)
        {
            Validate(parameters, gradients, firstMoments, secondMoments, step);
            CudaUpdate(gpu, parameters, gradients, firstMoments, secondMoments, new AdamWFactors(options, step, 1), norm.Clip(maximumNorm));
            return;
        }
        Update(parameters, gradients, firstMoments, secondMoments, options, step, maximumNorm > 0 ? ClipScale(norm.Value, maximumNorm) : 1);
    }

    /// <summary>Σ g² in double precision, the same bits for any number of threads. Add those of all parameters and take the root for the global norm.</summary>
    public static double SumOfSquares(DeviceSpan<float> gradients) => SquaresOf(gradients);

    /// <inheritdoc cref="SumOfSquares(DeviceSpan{float})"/>
    public static double SumOfSquares(DeviceSpan<double> gradients) => SquaresOf(gradients);

    /// <summary>The factor by which torch.nn.utils.clip_grad_norm_ multiplies gradients: min(1, maximumNorm / (norm + 1e-6)).</summary>
    public static double ClipScale(double norm, double maximumNorm) => Math.Min(1, maximumNorm / (norm + 1e-6));

    /// <summary>values ← factor · values.</summary>
    public static void Scale(DeviceSpan<float> values, double factor)
    {
        if (values.Device is CudaDevice gpu)
        {
            CudaScale(gpu, values, (float)factor);
            return;
        }
        CpuDevice cpu = RequireCpu(values.Device);
        switch (KernelDispatch.Select(nameof(AdamW)))
        {
            case KernelVariant.Avx512: ScaleInPlace<Simd512<float>, Vector512<float>, float>.Run(cpu, values, (float)factor); break;
            case KernelVariant.Avx2: ScaleInPlace<Simd256<float>, Vector256<float>, float>.Run(cpu, values, (float)factor); break;
            case KernelVariant.Portable: ScaleInPlace<Simd128<float>, Vector128<float>, float>.Run(cpu, values, (float)factor); break;
            default: for (long i = 0; i < values.Length; i++) values.Pointer[i] = (float)(values.Pointer[i] * (double)(float)factor); break;
        }
    }

    private static void Update<T>(
        DeviceSpan<T> parameters, DeviceSpan<T> gradients, DeviceSpan<T> firstMoments, DeviceSpan<T> secondMoments,
        in AdamWOptions options, long step, double gradientScale) where T : unmanaged, IFloatingPointIeee754<T>
    {
        Validate(parameters, gradients, firstMoments, secondMoments, step);
        AdamWFactors factors = new(options, step, gradientScale);
        if (parameters.Device is CudaDevice gpu)
        {
            CudaUpdate(gpu, parameters, gradients, firstMoments, secondMoments, factors, DevicePointer.Null);
            return;
        }
        CpuDevice cpu = RequireCpu(parameters.Device);
        switch (KernelDispatch.Select(nameof(AdamW)))
        {
            case KernelVariant.Avx512: AdamWUpdate<Simd512<T>, Vector512<T>, T>.Run(cpu, parameters, gradients, firstMoments, secondMoments, factors); break;
            case KernelVariant.Avx2: AdamWUpdate<Simd256<T>, Vector256<T>, T>.Run(cpu, parameters, gradients, firstMoments, secondMoments, factors); break;
            case KernelVariant.Portable: AdamWUpdate<Simd128<T>, Vector128<T>, T>.Run(cpu, parameters, gradients, firstMoments, secondMoments, factors); break;
            default: Reference(parameters, gradients, firstMoments, secondMoments, factors); break;
        }
    }

    private static double SquaresOf<T>(DeviceSpan<T> gradients) where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (gradients.Device is CudaDevice gpu) return CudaSquares(gpu, gradients);
        CpuDevice cpu = RequireCpu(gradients.Device);
        return KernelDispatch.Select(nameof(AdamW)) switch
        {
            KernelVariant.Avx512 => SquareSum<Simd512<double>, Vector512<double>, T>.Run(cpu, gradients),
            KernelVariant.Avx2 => SquareSum<Simd256<double>, Vector256<double>, T>.Run(cpu, gradients),
            KernelVariant.Portable => SquareSum<Simd128<double>, Vector128<double>, T>.Run(cpu, gradients),
            _ => ReferenceSumOfSquares(gradients),
        };
    }

    private static void Validate<T>(DeviceSpan<T> parameters, DeviceSpan<T> gradients, DeviceSpan<T> first, DeviceSpan<T> second, long step) where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(step, 1);
        if (gradients.Length != parameters.Length || first.Length != parameters.Length || second.Length != parameters.Length)
            throw new ArgumentException($"There are {parameters.Length} parameters, {gradients.Length} gradients, {first.Length} first and {second.Length} second moments.");
        if (gradients.Device != parameters.Device || first.Device != parameters.Device || second.Device != parameters.Device)
            throw new ArgumentException("Parameters, gradients and moments must lie on the same device.");
    }

    private static CpuDevice RequireCpu(ComputeDevice device) =>
        device as CpuDevice ?? throw new DeviceException($"AdamW has no implementation for device '{device.Name}'.");
}

/// <summary>The scalars of one step, in double precision; laid out as in the kernel.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct AdamWFactors(in AdamWOptions options, long step, double gradientScale)
{
    public double GradientScale { get; } = gradientScale;
    public double Decay { get; } = 1 - options.LearningRate * options.WeightDecay;
    public double Beta1 { get; } = options.Beta1;
    public double Beta2 { get; } = options.Beta2;
    public double Epsilon { get; } = options.Epsilon;
    public double StepSize { get; } = options.LearningRate / (1 - Math.Pow(options.Beta1, step));
    public double RootOfCorrection { get; } = Math.Sqrt(1 - Math.Pow(options.Beta2, step));
}
