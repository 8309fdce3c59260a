using BioSup.Runtime;

namespace BioSup.Kernels;

/// <summary>What the host decides by after an iteration: the start of the state that cuda/kernels/sinkhorn_scaling/sinkhorn_mixing_any.cu keeps.</summary>
/// <param name="SquaredViolation">Of the column marginal.</param>
/// <param name="Merit">The dual objective in units of the cost, up to a constant.</param>
/// <param name="SquaredResidual">Of the row potential: its change by the iteration.</param>
/// <param name="Directions">Directions of the last mixing, 0 where it changed nothing.</param>
/// <param name="Taken">Largest change of a potential by the last mixing.</param>
internal readonly record struct MixingState(double SquaredViolation, double Merit, double SquaredResidual, int Directions, double Taken)
{
    public const int Count = 5;
}

/// <summary>The last pairs of row potentials before and after an iteration, in a ring on the device.</summary>
internal sealed class CudaMixingMemory : IDisposable
{
    private const int Slots = AndersonMixing.Depth + 1;
    private readonly CudaStream _stream;
    private readonly int _rows;
    private readonly CudaKernel _mix;
    private readonly LaunchShape _shape;
    private readonly DeviceBuffer<double> _start, _images, _residuals, _directions;
    private int _newest, _pairs;

    public CudaMixingMemory(CudaDevice device, int rows, CudaKernel mix, LaunchShape shape)
    {
        (_stream, _rows, _mix, _shape) = (device.Stream, rows, mix, shape);
        _start = device.Allocate<double>(rows);
        _images = device.Allocate<double>((long)Slots * rows);
        _residuals = device.Allocate<double>((long)Slots * rows);
        _directions = device.Allocate<double>((long)AndersonMixing.Depth * rows);
    }

    /// <summary>The potential before the iteration.</summary>
    public DevicePointer Start => _start.View.Address;

    public void Clear() => _pairs = 0;

    public void KeepStart(DeviceSpan<double> potential) => _stream.Copy(potential, _start.View);

    /// <summary>Where the next pair goes: over the oldest when there is no room.</summary>
    public (DevicePointer Image, DevicePointer Residual) NextSlots()
    {
        _newest = (_newest + 1) % Slots;
        _pairs = Math.Min(_pairs + 1, Slots);
        return (Slot(_images, _newest).Address, Slot(_residuals, _newest).Address);
    }

    /// <summary>Moves the potential, which is the newest image, to the combination of the pairs, by at most the radius; false when there are too few.</summary>
    public bool Mix(DevicePointer potential, double radius, DevicePointer state)
    {
        if (_pairs < 2) return false;
        _mix.Launch(_stream, _shape, (long)_rows, _images.View.Address, _residuals.View.Address, Slots, _newest, _pairs, _directions.View.Address, radius, potential, state);
        return true;
    }

    /// <summary>Puts back the image of the pair before the last one, and forgets all pairs.</summary>
    public void Restore(DeviceSpan<double> potential)
    {
        _stream.Copy(Slot(_images, (_newest + Slots - 1) % Slots), potential);
        Clear();
    }

    public void Dispose()
    {
        _start.Dispose();
        _images.Dispose();
        _residuals.Dispose();
        _directions.Dispose();
    }

    private DeviceSpan<double> Slot(DeviceBuffer<double> ring, int slot) => ring.View.Slice((long)slot * _rows, _rows);
}
