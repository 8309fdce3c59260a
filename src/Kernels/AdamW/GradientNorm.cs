using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>
/// The common norm of several gradients. On a GPU the sums stay there: adding and clipping (<see cref="AdamW"/>) wait for nothing, reading
/// <see cref="Value"/> does. Partial sums are added in an order that the lengths fix.
/// </summary>
public sealed class GradientNorm : IDisposable
{
    private readonly CudaDevice? _gpu;
    private readonly DeviceBuffer<double>? _partials, _norm;
    private int _count;
    private double _squares;

    /// <param name="device">Where the gradients lie.</param>
    /// <param name="arrays">Most arrays that are added before a reset.</param>
    /// <param name="elements">Most elements of those arrays together.</param>
    public GradientNorm(ComputeDevice device, int arrays, long elements)
    {
        _gpu = device as CudaDevice;
        if (_gpu is null) return;
        _partials = device.Allocate<double>(arrays + AdamW.CudaRuns(elements));
        _norm = device.Allocate<double>(2);
    }

    /// <summary>Norm of everything added since the last reset.</summary>
    public double Value
    {
        get
        {
            if (_gpu is null) return Math.Sqrt(_squares);
            Join(0);
            Span<double> value = stackalloc double[1];
            _norm!.CopyTo(value);
            return value[0];
        }
    }

    /// <summary>Begins anew.</summary>
    public void Reset() => (_count, _squares) = (0, 0);

    /// <summary>Adds one array of gradients.</summary>
    /// <exception cref="ArgumentException">More than was said to the constructor.</exception>
    public void Add(DeviceSpan<float> gradients)
    {
        if (_gpu is null)
        {
            _squares += AdamW.SumOfSquares(gradients);
            return;
        }
        int runs = AdamW.CudaRuns(gradients.Length);
        if (_count + runs > _partials!.Length) throw new ArgumentException("More gradients were added than the norm was made for.", nameof(gradients));
        AdamW.CudaPartials(_gpu, gradients, _partials.View.Slice(_count, runs));
        _count += runs;
    }

    public void Dispose()
    {
        _partials?.Dispose();
        _norm?.Dispose();
    }

    /// <summary>Where the factor of clipping lies, as the kernel takes it: behind the norm.</summary>
    internal DevicePointer Clip(double maximumNorm)
    {
        Join(maximumNorm);
        return _norm!.View.Address;
    }

    private void Join(double maximumNorm) => AdamW.CudaNorm(_gpu!, _partials!.View.Slice(0, _count), maximumNorm, _norm!.View);
}
